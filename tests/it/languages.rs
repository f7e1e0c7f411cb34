//! Languages, by a model that knows several: found, written, translated, told apart by window and by channel, and refused
//! where the model does not have them. The clips are in French, Spanish and Japanese.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::time::timeout;

use crate::rig::{PATIENCE, assert_valid, binary, repository, scratch};

async fn run(dir: &Path, files: &[&str], model: &str, options: &[&str]) -> Output {
    let mut command = binary();
    command.args(["transcribe", "--formats", "json,srt,amazon", "--output-dir"]).arg(dir).args(options);
    command.args(files.iter().map(|file| repository().join("tests/audio").join(file)));
    let child = command.env("TRANSCRIPTION_MODEL", model).stderr(Stdio::piped()).spawn().unwrap();
    timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap()
}

/// The JSON documents of these files of tests/audio, by the model base.
async fn transcribed(dir: &Path, files: &[&str], options: &[&str]) -> Vec<Value> {
    let ended = run(dir, files, "base", options).await;
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let document = |file: &&str| {
        let transcript = serde_json::from_str(&written(dir, file, "json")).unwrap();
        assert_valid("transcript.json", &transcript);
        transcript
    };
    files.iter().map(document).collect()
}

fn written(dir: &Path, file: &str, extension: &str) -> String {
    std::fs::read_to_string(dir.join(Path::new(file).with_extension(extension))).unwrap()
}

fn lower(transcript: &Value) -> String {
    transcript["text"].as_str().unwrap().to_lowercase()
}

/// The text of the segments for which this holds, in lower case.
fn text_of(transcript: &Value, is_meant: impl Fn(&Value) -> bool) -> String {
    let segments = transcript["segments"].as_array().unwrap().iter().filter(|segment| is_meant(segment));
    segments.map(|segment| segment["text"].as_str().unwrap().to_lowercase()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_language_is_found_and_written_in_its_own_script() {
    let dir = scratch();
    let transcripts = transcribed(dir.path(), &["french.opus", "japanese.opus"], &["--word-timestamps"]).await;
    let [french, japanese] = transcripts.as_slice() else { unreachable!("two files") };
    for (transcript, code, words) in
        [(french, "fr", ["bibliothèque", "livres anciens"]), (japanese, "ja", ["天気", "公園"])]
    {
        assert_eq!(transcript["language"]["code"], code);
        assert!(transcript["language"]["probability"].as_f64().unwrap() > 0.9, "{}", transcript["language"]);
        assert_eq!(transcript["languages"][0]["code"], code);
        assert!(words.iter().all(|word| lower(transcript).contains(word)), "{}", lower(transcript));
    }
    // tokens end within characters, words do not
    let said = japanese["text"].as_str().unwrap();
    let segments = japanese["segments"].as_array().unwrap();
    let words: Vec<&str> = segments
        .iter()
        .flat_map(|segment| segment["words"].as_array().unwrap())
        .map(|word| word["word"].as_str().unwrap())
        .collect();
    assert_eq!(words.concat(), said);
    assert!(!said.contains('\u{fffd}') && words.iter().any(|word| word.starts_with("公園")), "{words:?}");
    assert!(segments.len() > 1, "a sentence each: {segments:?}");
    let subtitles = written(dir.path(), "japanese.opus", "srt");
    let lines: Vec<&str> = subtitles.lines().filter(|line| line.contains(|c: char| c > '\u{3000}')).collect();
    assert_eq!(lines.concat(), said);
}

#[tokio::test]
async fn a_translation_is_in_english_and_says_what_was_spoken() {
    let dir = scratch();
    let transcripts = transcribed(dir.path(), &["french.opus"], &["--task", "translate"]).await;
    let text = lower(&transcripts[0]);
    assert!(text.contains("library") && text.contains("books"), "{text}");
    assert_eq!(transcripts[0]["language"]["code"], "fr");
    let amazon: Value = serde_json::from_str(&written(dir.path(), "french.opus", "amazon.json")).unwrap();
    assert_eq!(amazon["results"]["language_code"], "en-US");
}

#[tokio::test]
async fn a_prompt_tells_how_names_are_spelled() {
    let dir = scratch();
    let without = transcribed(dir.path(), &["names.opus"], &[]).await;
    let with = transcribed(dir.path(), &["names.opus"], &["--prompt", "Siobhan Kowalczyk, Zwolle"]).await;
    assert!(!lower(&without[0]).contains("kowalczyk"), "{}", lower(&without[0]));
    let told = lower(&with[0]);
    assert!(told.contains("kowalczyk") && told.contains("zwolle"), "{told}");
    assert_eq!(with[0]["language"]["code"], "en");
}

#[tokio::test]
async fn each_channel_is_written_in_its_own_language() {
    let dir = scratch();
    let both = &transcribed(dir.path(), &["french_and_spanish.opus"], &["--channels", "separate"]).await[0];
    for (channel, language, word) in [(0, "fr", "bibliothèque"), (1, "es", "naranjas")] {
        let text = text_of(both, |segment| segment["channel"] == channel && segment["language"] == language);
        assert!(text.contains(word), "{channel}: {text}");
    }
}

#[tokio::test]
async fn of_the_languages_that_were_named_each_window_has_its_own() {
    let dir = scratch();
    let named = ["--languages", "es,fr", "--channels", "mix"];
    let mixed = &transcribed(dir.path(), &["french_then_spanish.opus"], &named).await[0];
    let french = text_of(mixed, |segment| segment["language"] == "fr");
    let spanish = text_of(mixed, |segment| segment["language"] == "es");
    assert!(french.contains("bibliothèque") && spanish.contains("mercado"), "{french} | {spanish}");
    assert_eq!(mixed["request"]["languages"], serde_json::json!(["es", "fr"]));
    let shares = mixed["languages"].as_array().unwrap();
    assert_eq!((&shares[0]["code"], &shares[1]["code"]), (&"fr".into(), &"es".into()), "most of it is French");
    assert!(shares[0]["seconds"].as_f64().unwrap() > 20.0 && shares[1]["seconds"].as_f64().unwrap() > 5.0);
    // with others than are spoken, one of those
    let wrong = &transcribed(dir.path(), &["french.opus"], &["--languages", "de,it"]).await[0];
    assert!(["de", "it"].contains(&wrong["language"]["code"].as_str().unwrap()), "{}", wrong["language"]);
}

#[tokio::test]
async fn what_a_model_cannot_do_is_refused_before_any_work() {
    let dir = scratch();
    for (model, options, reason) in [
        ("base", ["--language", "yue"], "does not know the language yue"),
        ("base", ["--languages", "en,cantonese"], "does not know the language yue"),
        ("base", ["--languages", "en,klingon"], "klingon: not a language Whisper knows"),
        ("tiny.en", ["--task", "translate"], "is English only"),
        ("tiny.en", ["--languages", "en,fr"], "is English only"),
    ] {
        let refused = run(dir.path(), &["french.opus"], model, &options).await;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(78), "{options:?}: {said}");
        assert!(said.contains(reason), "{options:?}: {said}");
    }
}
