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

/// A model of these dimensions.
fn of(vocabulary: u32, audio_layers: u32, text_layers: u32) -> Model {
    let hparams = ggml::Hparams {
        vocabulary,
        audio_context: 1_500,
        audio_state: 1_280,
        audio_heads: 20,
        audio_layers,
        text_context: 448,
        text_state: 1_280,
        text_heads: 20,
        text_layers,
        mels: 128,
        ftype: 1,
    };
    let (languages, translates) = (hparams.languages(), hparams.translates());
    Model { name: "mine".to_owned(), path: PathBuf::new(), sha256: String::new(), languages, translates, size_bytes: 1 }
}

#[test]
fn a_model_is_refused_what_it_was_not_taught() {
    let (english, base, large, turbo, distilled) =
        (of(51_864, 6, 6), of(51_865, 6, 6), of(51_866, 32, 32), of(51_866, 32, 4), of(51_866, 32, 2));
    let refuses = |model: &Model, languages: &[&str], task| model.refusal(languages.iter().copied(), task);
    for model in [&english, &base, &large, &turbo, &distilled] {
        assert_eq!(refuses(model, &[], Task::Transcribe), None);
        assert_eq!(refuses(model, &["en"], Task::Transcribe), None);
    }
    for model in [&base, &large] {
        assert_eq!(refuses(model, &["de", "fr"], Task::Translate), None);
    }
    for model in [&turbo, &distilled] {
        assert_eq!(refuses(model, &["yue"], Task::Transcribe), None);
        assert!(refuses(model, &["de"], Task::Translate).unwrap().contains("does not translate"));
    }
    assert!(refuses(&english, &["en"], Task::Translate).unwrap().contains("English only"));
    assert!(refuses(&english, &["en", "de"], Task::Transcribe).unwrap().contains("English only"));
    assert!(refuses(&base, &["en", "yue"], Task::Transcribe).unwrap().contains("yue"));
    assert_eq!(refuses(&large, &["yue"], Task::Transcribe), None);
}
