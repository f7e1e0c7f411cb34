//! Every word that was said, and no loop: what people repeat, sentences with abbreviations, and an engine that is lost.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::time::timeout;

use crate::rig::{PATIENCE, assert_valid, binary, repository, scratch, scripted_engine};

/// `transcript.json` and `.srt` of a file of tests/audio, by the real engine or by the scripted one that says this.
async fn transcribed(name: &str, says: Option<&str>) -> (Value, String) {
    let dir = scratch();
    let file: PathBuf = repository().join("tests/audio").join(name);
    let mut command = binary();
    command.args(["transcribe", "--formats", "json,srt", "--output-dir"]).arg(dir.path()).arg(&file);
    if let Some(says) = says {
        command.env("TRANSCRIPTION_ENGINE_COMMAND", scripted_engine()).env("SCRIPTED_ENGINE_SAYS", says);
    }
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let ended = timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let written = |extension| {
        let stem = Path::new(name).with_extension(extension);
        std::fs::read_to_string(dir.path().join(stem)).unwrap()
    };
    let transcript = serde_json::from_str(&written("json")).unwrap();
    assert_valid("transcript.json", &transcript);
    (transcript, written("srt"))
}

fn segments(transcript: &Value) -> Vec<&str> {
    transcript["segments"].as_array().unwrap().iter().map(|segment| segment["text"].as_str().unwrap()).collect()
}

fn lower(transcript: &Value) -> String {
    transcript["text"].as_str().unwrap().to_lowercase()
}

#[tokio::test]
async fn what_is_said_six_and_eight_times_is_written_so_often() {
    for (file, said, times, apart) in
        [("sentence_x6.opus", "he could wait no longer", 6, 2.08), ("no_x8.opus", "no", 8, 4.1)]
    {
        let (transcript, _) = transcribed(file, None).await;
        assert_eq!(lower(&transcript).matches(said).count(), times, "{transcript:#}");
        let segments = transcript["segments"].as_array().unwrap();
        let starts: Vec<f64> = segments.iter().map(|segment| segment["start"].as_f64().unwrap()).collect();
        assert_eq!(starts.len(), times, "{transcript:#}");
        assert!(starts.windows(2).all(|pair| (pair[1] - pair[0] - apart).abs() < 0.2), "each at its time: {starts:?}");
    }
}

#[tokio::test]
async fn a_segment_does_not_end_at_an_abbreviation() {
    let (transcript, _) = transcribed("abbreviations.opus", None).await;
    let segments = segments(&transcript);
    assert_eq!(segments.len(), 3, "{segments:?}");
    assert!(segments[0].starts_with("Mr. Smith") && segments[0].ends_with("Senate."), "{segments:?}");
    assert!(segments[1].starts_with("Mrs. Brown"), "{segments:?}");
}

#[tokio::test]
async fn what_was_said_in_brackets_digits_and_prayers_is_written_as_it_is() {
    for said in [
        "Please call (800) 555-1234 or +1 (212) 555-0199 before noon, that is option (b).",
        "The account is zero zero zero zero zero zero zero zero one two. Lord have mercy. Lord have mercy. Lord have \
         mercy. Lord have mercy. Amen.",
        "Mr. Smith met Dr. Jones at 5 p.m. in the U.S. Senate. It cost $3.50, i.e. 3,000.00 EUR. Visit \
         www.example.com or mail a.b@example.com.",
    ] {
        let (transcript, _) = transcribed("jfk.flac", Some(said)).await;
        assert_eq!(transcript["text"], said, "{:#}", transcript["quality"]);
        assert_eq!(transcript["quality"]["dropped"], Value::Array(Vec::new()));
    }
}

#[tokio::test]
async fn a_loop_of_the_engine_is_two_rounds_and_what_was_dropped_is_told_with_its_time() {
    for (round, joined) in [("so I said,", " "), ("谢谢大家，", ""), ("ขอบคุณครับ", "")] {
        let (transcript, _) = transcribed("jfk.flac", Some(&[round; 40].join(joined))).await;
        assert_eq!(transcript["text"], [round; 2].join(joined));
        let dropped = transcript["quality"]["dropped"].as_array().unwrap();
        assert_eq!(dropped.len(), 1, "{dropped:?}");
        assert_eq!(dropped[0]["reason"], "repetition");
        assert_eq!(dropped[0]["text"].as_str().unwrap().matches(round).count(), 38, "{dropped:?}");
        let (start, end) = (dropped[0]["start"].as_f64().unwrap(), dropped[0]["end"].as_f64().unwrap());
        assert!(start < 2.0 && end > 9.0 && end <= transcript["audio"]["duration"].as_f64().unwrap(), "{dropped:?}");
    }
}

#[tokio::test]
async fn khmer_subtitles_are_broken_between_words() {
    let said = "សួស្តីអ្នកទាំងអស់គ្នាថ្ងៃនេះយើងនឹងនិយាយអំពីការរៀនភាសាខ្មែរដែលជារឿងសំខាន់សម្រាប់មនុស្សគ្រប់គ្នាក្នុងប្រទេសកម្ពុជា";
    let (transcript, srt) = transcribed("jfk.flac", Some(said)).await;
    assert_eq!(transcript["text"], said);
    let lines: Vec<&str> =
        srt.lines().filter(|line| !line.is_empty() && !line.contains("-->") && line.parse::<u32>().is_err()).collect();
    assert_eq!(lines.concat(), said);
    let starts = [
        "ការរៀន",
        "ភាសាខ្មែរ",
        "ដែល",
        "ជា",
        "រឿង",
        "សំខាន់",
        "សម្រាប់",
        "មនុស្សគ្រប់គ្នា",
        "ក្នុង",
        "ប្រទេស",
        "និយាយ",
        "អំពី",
        "នឹង",
        "យើង",
    ];
    let broken: Vec<_> = lines[1..].iter().filter(|line| !starts.iter().any(|word| line.starts_with(word))).collect();
    assert!(lines.len() > 1 && broken.is_empty(), "{lines:?}");
}

#[tokio::test]
async fn an_input_is_not_overwritten_and_files_of_one_name_are_told_apart() {
    let dir = scratch();
    let clip = std::fs::read(repository().join("tests/audio/speech.flac")).unwrap();
    for name in ["talk.flac", "talk.wave", "audio.srt"] {
        std::fs::write(dir.path().join(name), &clip).unwrap();
    }
    let run = async |files: &[&str]| {
        let mut command = binary();
        command.args(["transcribe", "--formats", "srt", "--output-dir"]).arg(dir.path());
        command.args(files.iter().map(|file| dir.path().join(file)));
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap()
    };
    let refused = run(&["audio.srt"]).await;
    assert_eq!(refused.status.code(), Some(78), "{}", String::from_utf8_lossy(&refused.stderr));
    assert_eq!(std::fs::read(dir.path().join("audio.srt")).unwrap(), clip);
    assert!(run(&["talk.flac", "talk.wave"]).await.status.success());
    assert!(dir.path().join("talk.flac.srt").exists() && dir.path().join("talk.wave.srt").exists());
}

#[tokio::test]
async fn a_vocabulary_spells_names_and_changes_nothing_else() {
    let text = async |name: &str, options: &[&str]| {
        let mut command = binary();
        command.arg("transcribe").args(options).arg(repository().join("tests/audio").join(name));
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        let ended = timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
        String::from_utf8(ended.stdout).unwrap()
    };
    let vocabulary = ["--vocabulary", "Siobhan Kowalczyk,Zwolle"];
    let (without, with) = (text("names.opus", &[]).await, text("names.opus", &vocabulary).await);
    assert!(!without.contains("Kowalczyk") && !without.contains("Zwolle"), "{without}");
    assert!(with.contains("Siobhan Kowalczyk") && with.contains("Zwolle"), "{with}");
    let plain = |text: String| text.to_lowercase().replace(|c: char| !c.is_alphanumeric(), "");
    assert_eq!(plain(text("jfk.flac", &vocabulary).await), plain(text("jfk.flac", &[]).await));
}
