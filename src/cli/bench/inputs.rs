//! What is measured on: files, directories of them, or a manifest that knows their texts.

use std::path::{Path, PathBuf};

use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Manifest {
    files: Vec<Entry>,
}

/// One file.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Entry {
    /// Its path, relative to the manifest.
    pub file: String,
    /// What is said in it.
    #[serde(default)]
    pub text: Option<String>,
    /// Language of the text; English when it is not said.
    #[serde(default)]
    pub language: Option<String>,
    /// What `--kinds` chooses by.
    #[serde(default)]
    pub kind: String,
}

/// Paths and entries of the manifest's files of these kinds (of all that have a text, without kinds), then of `files`,
/// directories replaced by the files in them.
///
/// # Errors
/// A sentence about what cannot be read.
pub fn entries(manifest: Option<&Path>, kinds: &[String], files: &[PathBuf]) -> Result<Vec<(PathBuf, Entry)>, String> {
    let mut entries = Vec::new();
    if let Some(path) = manifest {
        let unreadable = |e: &dyn std::fmt::Display| format!("failed to read the manifest {}: {e}", path.display());
        let text = std::fs::read_to_string(path).map_err(|e| unreadable(&e))?;
        let manifest: Manifest = serde_json::from_str(&text).map_err(|e| unreadable(&e))?;
        let dir = path.parent().unwrap_or(Path::new("."));
        let wanted = |entry: &Entry| if kinds.is_empty() { entry.text.is_some() } else { kinds.contains(&entry.kind) };
        entries.extend(manifest.files.into_iter().filter(wanted).map(|entry| (dir.join(&entry.file), entry)));
    }
    for path in files {
        let mut found = vec![path.clone()];
        if path.is_dir() {
            let listing = std::fs::read_dir(path).map_err(|e| format!("failed to read {}: {e}", path.display()))?;
            found = listing.filter_map(Result::ok).map(|item| item.path()).filter(|path| path.is_file()).collect();
            found.sort();
        }
        entries.extend(found.into_iter().map(|path| {
            let entry = Entry { file: path.display().to_string(), ..Entry::default() };
            (path, entry)
        }));
    }
    Ok(entries)
}
