//! Where the transcripts of several files go: each its own place, and none over an input. Known before any work is done.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::job::Format;

/// One file's transcripts: what is written, and where.
pub type Outputs = Vec<(Format, PathBuf)>;

/// The transcripts of each file: `<stem>.<format>` in `dir`, or with the file's whole name where two share a stem.
///
/// # Errors
/// Two files would write the same transcript, or one would overwrite a file that is to be transcribed.
pub fn plan(files: &[PathBuf], dir: &Path, formats: &[Format]) -> Result<Vec<Outputs>, String> {
    let mut of_stem: HashMap<String, usize> = HashMap::new();
    for file in files {
        *of_stem.entry(stem(file)).or_default() += 1;
    }
    let inputs: HashMap<_, &PathBuf> = files.iter().filter_map(|file| Some((identity(file)?, file))).collect();
    let mut writers: HashMap<PathBuf, &PathBuf> = HashMap::new();
    let mut planned = Vec::new();
    for file in files {
        let stem = stem(file);
        let name = if of_stem.get(&stem) == Some(&1) { stem } else { name(file) };
        let mut outputs = Outputs::new();
        for format in formats {
            let path = dir.join(format!("{name}.{}", format.extension()));
            if outputs.iter().any(|(_, planned)| *planned == path) {
                continue;
            }
            if let Some(input) = identity(&path).and_then(|identity| inputs.get(&identity)) {
                return Err(format!(
                    "the transcript of {} would overwrite {}, which is to be transcribed: choose another --output-dir",
                    file.display(),
                    input.display()
                ));
            }
            if let Some(other) = writers.insert(path.clone(), file) {
                return Err(format!(
                    "{} and {} would both be written to {}: transcribe them one by one, each to its own --output-dir",
                    other.display(),
                    file.display(),
                    path.display()
                ));
            }
            outputs.push((*format, path));
        }
        planned.push(outputs);
    }
    Ok(planned)
}

fn stem(file: &Path) -> String {
    if file == Path::new("-") {
        return "stdin".to_owned();
    }
    file.file_stem().map_or_else(|| file.display().to_string(), |stem| stem.to_string_lossy().into_owned())
}

fn name(file: &Path) -> String {
    file.file_name().map_or_else(|| stem(file), |name| name.to_string_lossy().into_owned())
}

/// What a path leads to, whatever it is called; `None` where nothing is.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn names(files: &[&str], dir: &Path) -> Result<Vec<String>, String> {
        let files: Vec<PathBuf> = files.iter().map(|file| dir.join(file)).collect();
        let planned = plan(&files, dir, &[Format::Json, Format::Vtt])?;
        let names = planned.into_iter().flatten().map(|(_, path)| path.file_name().unwrap().to_owned());
        Ok(names.map(|name| name.into_string().unwrap()).collect())
    }

    #[test]
    fn files_that_share_a_stem_are_told_apart_by_their_whole_names() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(
            names(&["a.mp3", "talk.mp3", "talk.wav"], dir.path()).unwrap(),
            ["a.json", "a.vtt", "talk.mp3.json", "talk.mp3.vtt", "talk.wav.json", "talk.wav.vtt"]
        );
    }

    #[test]
    fn what_would_be_written_twice_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let refused = names(&["a/talk.mp3", "b/talk.mp3"], dir.path()).unwrap_err();
        assert!(refused.contains("a/talk.mp3") && refused.contains("b/talk.mp3"), "{refused}");
        // the names that tell two apart may be another's stem
        assert!(names(&["talk.mp3", "talk.wav", "talk.mp3.ogg"], dir.path()).is_err());
    }

    #[test]
    fn an_input_is_never_overwritten_by_whatever_name_it_goes() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("talk.vtt"), "audio, for all we know").unwrap();
        assert!(names(&["talk.vtt"], dir.path()).unwrap_err().contains("overwrite"));
        std::fs::hard_link(dir.path().join("talk.vtt"), dir.path().join("other.ogg")).unwrap();
        std::os::unix::fs::symlink("other.ogg", dir.path().join("speech.json")).unwrap();
        assert!(names(&["speech.mp3", "other.ogg"], dir.path()).unwrap_err().contains("other.ogg"));
        assert!(names(&["talk.mp3"], dir.path()).is_ok(), "an old transcript is no input");
    }
}
