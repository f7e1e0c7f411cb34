//! Damaged files and messages: none crashes, hangs or eats the machine, and each ends as a result or as a sentence.
//! A part runs in `make test`, all of it in `make bad-inputs`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;
use transcription_worker::fault::{Code, Fault};
use transcription_worker::job::ids;
use transcription_worker::job::message::{self, Intake};

use crate::rig::{assert_valid, binary, repository, scratch};
use damage::Random;

mod damage;

/// Of the decoding process, whose windows are small; the weights are in another. A file that claims terabytes must not
/// be believed.
const MEMORY_LIMIT_KIB: u64 = 512 * 1024;
/// All files together.
const TIME_LIMIT: Duration = Duration::from_secs(1_800);

#[tokio::test]
async fn thirty_damaged_files_end_as_text_or_as_a_sentence() {
    let all = damage::files();
    let every = all.len() / 30;
    transcribe(all.into_iter().step_by(every).collect()).await;
}

#[tokio::test]
#[ignore = "takes minutes: make bad-inputs"]
async fn all_damaged_files_end_as_text_or_as_a_sentence() {
    let all = damage::files();
    assert!(all.len() >= 100, "{} files", all.len());
    transcribe(all).await;
}

#[test]
fn a_thousand_damaged_messages_are_read_or_refused_with_a_sentence() {
    read_messages(1_000);
}

#[test]
#[ignore = "make bad-inputs"]
fn ten_thousand_damaged_messages_are_read_or_refused_with_a_sentence() {
    read_messages(10_000);
}

/// One worker over a folder with all files: each comes to one event, `completed`, `partial` or `failed`, with a code
/// where it is not completed.
async fn transcribe(files: Vec<(String, Vec<u8>)>) {
    let dir = scratch();
    let inbox = dir.path().join("inbox");
    std::fs::create_dir(&inbox).unwrap();
    for (name, bytes) in &files {
        std::fs::write(inbox.join(name), bytes).unwrap();
    }
    let mut command = binary();
    command.args(["run", "--ffmpeg", "off", "--max-duration-hours", "1", "--until-empty", "--folder"]).arg(dir.path());
    let child = command.env("RUST_LOG", "error").stderr(Stdio::piped()).spawn().unwrap();
    let memory = tokio::spawn(peak_kib(child.id().unwrap()));
    let Ok(ended) = timeout(TIME_LIMIT, child.wait_with_output()).await else {
        let work = std::fs::read_dir(dir.path().join("work")).unwrap();
        panic!("it hangs on one of these: {:?}", work.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>());
    };
    let ended = ended.unwrap();
    let told = [ended.stdout, ended.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    // a panic inside a decoder we did not write is caught and becomes that file's sentence; one of ours is a bug
    assert!(!told.contains("panicked at src/"), "{told}");
    assert!(ended.status.success(), "{:?}: {told}", ended.status);

    let events = std::fs::read_to_string(dir.path().join("events.jsonl")).unwrap();
    let mut ends: BTreeMap<String, String> = BTreeMap::new();
    for line in events.lines() {
        let mut event = serde_json::from_str::<Value>(line).unwrap();
        if event["detail-type"] == "Transcription Started" {
            continue;
        }
        let detail = event["detail"].take();
        assert_valid("event-transcription-completed.json", &detail);
        let (status, code) = (detail["status"].as_str().unwrap(), detail["error"]["code"].as_str());
        let told = detail["error"]["message"].as_str().unwrap_or_default();
        assert!(status == "completed" || told.split_whitespace().count() >= 3, "no sentence: {detail:#}");
        assert!(!matches!(code, Some("INTERNAL" | "RETRIES_EXHAUSTED" | "ENGINE_CRASHED")), "{detail:#}");
        let name = detail["sourceAudio"]["key"].as_str().unwrap().to_owned();
        let before = ends.insert(name, format!("{status} {}", code.unwrap_or_default()));
        assert_eq!(before, None, "two events: {detail:#}");
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, _) in &files {
        let end = ends.get(name).unwrap_or_else(|| panic!("nothing is said about {name}: {told}"));
        *counts.entry(end).or_default() += 1;
    }
    if let Some(end) = ends.get("flac-made-bomb.flac") {
        assert_eq!(end, "failed AUDIO_TOO_LONG", "it was read as what it is");
    }
    let peak = memory.await.unwrap();
    assert!(peak > 0 && peak < MEMORY_LIMIT_KIB, "{peak} KiB");
    println!("{} files, {} MiB: {counts:#?}", files.len(), peak / 1024);
}

/// The most memory the process had, looked at until it ends.
async fn peak_kib(pid: u32) -> u64 {
    let mut peak = 0;
    while let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) {
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        // a zombie has none
        let Some(kib) = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()) else { break };
        peak = kib;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    peak
}

fn read_messages(count: usize) {
    let mut seeds: Vec<PathBuf> = std::fs::read_dir(repository().join("tests/golden/messages"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    seeds.sort();
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let mut random = Random::new(7);
    let mut accepted = 0;
    for n in 0..count {
        let body = String::from_utf8_lossy(&damage::message(&seeds[n % seeds.len()], &mut random)).into_owned();
        let identity = message::identify(&body, "message-1");
        assert_eq!(ids::clean(&identity.job_id).as_ref(), Ok(&identity.job_id), "{body}");
        match message::read(&body) {
            Ok(Intake::Elsewhere(at)) => assert!(!at.key.is_empty()),
            Ok(Intake::Jobs { jobs, refused }) => {
                assert!(refused.iter().all(|record| message::read(&record.body).is_err()), "{body}");
                accepted += 1;
                assert!(!jobs.is_empty(), "{body}");
                for job in &jobs {
                    for id in [&job.id, &job.user_id, &job.file_id] {
                        assert_eq!(ids::clean(id).as_ref(), Ok(id), "{body}");
                    }
                    assert!(!job.source.bucket.is_empty() && !job.source.key.is_empty(), "{body}");
                }
            }
            Ok(Intake::Ignored(why)) => assert!(!why.is_empty()),
            Err(Fault::Permanent(problem)) => {
                assert_eq!(problem.code, Code::BadMessage, "{body}");
                let sentence = &problem.message;
                assert!(sentence.split_whitespace().count() >= 3 && sentence.len() < 2_000, "{sentence:?} of {body}");
                assert!(!sentence.chars().any(char::is_control), "{sentence:?} of {body}");
            }
            Err(other) => panic!("{other}: {body}"),
        }
    }
    assert!(accepted > 0 && accepted < count, "the damage is too great or too small: {accepted} of {count}");
}
