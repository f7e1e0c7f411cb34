//! Copies of a model whose weights were stored otherwise, which earlier versions of this program made.

use std::fs;
use std::path::Path;

use super::Model;

/// Removes those of this model that lie in `dir`; what cannot be removed stays.
pub fn remove(model: &Model, dir: &Path) {
    let copies = fs::read_dir(dir).into_iter().flatten().flatten().filter(|file| {
        let name = file.file_name();
        let kind = name.to_str().and_then(|name| name.strip_prefix(&model.sha256)?.strip_prefix('-'));
        kind.is_some_and(|kind| kind.starts_with("bf16.") || kind.starts_with("q8_0."))
    });
    for copy in copies {
        match fs::remove_file(copy.path()) {
            Ok(()) => tracing::info!("removed {}: weights are no longer copied", copy.path().display()),
            Err(e) => tracing::debug!("failed to remove {}: {e}", copy.path().display()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn copies_of_this_model_go_and_all_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        let names =
            ["ab-bf16.2.bin", "ab-q8_0.1.bin", "ab-q8_0.1.bin.sha256", "cd-bf16.2.bin", "ggml-tiny.en.bin", "ab-notes"];
        names.iter().for_each(|name| fs::write(dir.path().join(name), "").unwrap());
        let path = dir.path().join("ggml-tiny.en.bin");
        let model = Model {
            name: "mine".to_owned(),
            path,
            sha256: "ab".to_owned(),
            languages: 1,
            translates: false,
            size_bytes: 0,
        };
        remove(&model, dir.path());
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["ab-notes", "cd-bf16.2.bin", "ggml-tiny.en.bin"]);
    }
}
