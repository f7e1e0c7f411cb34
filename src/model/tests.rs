//! Names and paths to models.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

fn fails(name: &str, dir: &Path) -> String {
    resolve(name, dir).unwrap_err().to_string()
}

#[test]
fn a_model_that_was_not_fetched_yet_is_an_error_with_the_command_that_fetches_it() {
    let dir = tempfile::tempdir().unwrap();
    let error = fails("tiny.en", dir.path());
    assert!(error.contains("transcription-worker model pull tiny.en"), "{error}");
    assert!(error.contains(&dir.path().display().to_string()), "{error}");
}

#[test]
fn a_name_that_nobody_knows_is_an_error_with_those_that_are_known() {
    let dir = tempfile::tempdir().unwrap();
    let error = fails("huge", dir.path());
    assert!(error.contains("huge") && error.contains("tiny.en, tiny, base.en"), "{error}");
}

#[test]
fn a_file_that_only_has_the_name_of_a_published_model_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ggml-tiny.en.bin");
    fs::write(&path, "half a download").unwrap();
    let error = fails("tiny.en", dir.path());
    assert!(error.contains("15 bytes, not 77704715") && error.contains("model pull tiny.en"), "{error}");
}

#[test]
fn a_file_that_is_no_model_is_named_by_name_and_by_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ggml-mine.bin");
    fs::write(&path, "no model").unwrap();
    for name in ["mine", path.to_str().unwrap()] {
        let error = fails(name, dir.path());
        assert!(error.contains("ggml-mine.bin") && error.contains("not a ggml model"), "{error}");
    }
    assert_eq!(present_in(dir.path()), ["mine"]);
}
