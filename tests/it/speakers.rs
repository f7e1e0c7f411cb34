//! Who says it, through the real worker: in a conversation, in a part of one, after an interruption, and where nobody can tell.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::ControlFlow;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};
use transcription_worker::audio::{AudioOptions, Window, read_windows};
use transcription_worker::job::Channels;

use crate::resume::{interrupt, number, one_lane};
use crate::rig::{Rig, repository, scratch, scripted_engine, speech, wav};
use crate::running::Running;

/// Samples of a file of tests/audio and half a second of silence after it.
fn clip(name: &str) -> Vec<i16> {
    let options = AudioOptions { channels: Channels::Mix, max_duration_secs: 60.0, ffmpeg: None, clip: None };
    let mut samples = Vec::new();
    read_windows(&repository().join("tests/audio").join(name), name, &options, &mut |window: Window| {
        samples.extend(window.pcm.iter().map(|sample| (sample * 32_767.0) as i16));
        ControlFlow::Continue(())
    })
    .unwrap();
    samples.extend([0; 8_000]);
    samples
}

/// People in turns: a president, 12 s with the pause after it, and a reader, 13 s.
fn conversation(turns: usize) -> Vec<u8> {
    let clips = [clip("jfk.flac"), clip("sentence_x6.opus")];
    wav(&clips.iter().cycle().take(turns).flatten().copied().collect::<Vec<_>>())
}

/// What each segment says, in small letters, and who says it.
fn lines(transcript: &Value) -> Vec<(u64, String)> {
    let segments = transcript["segments"].as_array().unwrap().iter();
    segments
        .map(|segment| (segment["speaker"].as_u64().unwrap(), segment["text"].as_str().unwrap().to_lowercase()))
        .collect()
}

/// Fails unless all that the president says is one speaker's and all that the reader says another's.
fn assert_told_apart(transcript: &Value, president: u64) {
    for (speaker, text) in lines(transcript) {
        assert_eq!(speaker == president, !text.contains("wait no longer"), "{speaker}: {text}");
    }
}

#[tokio::test]
async fn a_conversation_is_labelled_turn_by_turn_and_so_is_a_part_of_it() {
    let rig = Rig::new().await;
    rig.upload("talk.wav", conversation(3)).await;
    let mut whole = rig.job("whole", "talk.wav");
    whole["speakers"] = json!(true);
    whole["formats"] = json!(["json", "vtt"]);
    rig.send(&whole).await;
    let mut worker = Running::start(&mut rig.worker());
    assert_eq!(rig.event().await["status"], "completed");
    let transcript = rig.transcript("whole").await.unwrap();
    assert_told_apart(&transcript, 1);
    assert_eq!(transcript["speakers"].as_array().unwrap().len(), 2, "{transcript:#}");
    let vtt = String::from_utf8(rig.object("u1/file-whole/transcript.vtt").await.unwrap()).unwrap();
    assert!(vtt.contains("<v Speaker 1>And so") && vtt.contains("<v Speaker 2>"), "{vtt}");

    // from the reader's first words to the president's second ones: numbers are given anew, times stay the file's
    let mut part = rig.job("part", "talk.wav");
    part["speakers"] = json!({"max": 4});
    part["start_secs"] = json!(11.2);
    part["end_secs"] = json!(34.0);
    rig.send(&part).await;
    assert_eq!(rig.event().await["status"], "completed");
    assert!(worker.stop().await.success());
    let transcript = rig.transcript("part").await.unwrap();
    assert_told_apart(&transcript, 2);
    assert!(transcript["segments"][0]["start"].as_f64().unwrap() > 11.0, "{transcript:#}");
}

#[tokio::test]
async fn an_interrupted_job_has_the_labels_of_an_uninterrupted_one() {
    let rig = Rig::new().await;
    // three windows or more: the last is not heard when the first is
    rig.upload("talk.wav", conversation(6)).await;
    let job = |id| {
        let mut job = rig.job(id, "talk.wav");
        job["speakers"] = json!(true);
        job
    };
    rig.send(job("cut")).await;
    let mut first = Running::start(&mut one_lane(&rig));
    first.logs("\"window finished\"").await;
    interrupt(&mut first).await;
    assert!(rig.transcript("cut").await.is_none());
    let mut second = Running::start(&mut one_lane(&rig));
    assert!(number(&second.logs("\"job done\"").await, "resumed_secs") > 10.0);
    rig.send(job("whole")).await;
    rig.event().await;
    rig.event().await;
    assert!(second.stop().await.success());
    let (cut, whole) = (rig.transcript("cut").await.unwrap(), rig.transcript("whole").await.unwrap());
    assert_told_apart(&cut, 1);
    for field in ["segments", "speakers", "text", "paragraphs"] {
        assert_eq!(cut[field], whole[field]);
    }
}

#[tokio::test]
async fn without_nets_the_labels_are_missing_and_nothing_else_is() {
    let rig = Rig::new().await;
    let models = scratch();
    symlink(repository().join("models/ggml-tiny.en.bin"), models.path().join("ggml-tiny.en.bin")).unwrap();
    rig.upload("talk.wav", speech("wav")).await;
    let mut job = rig.job("unknown", "talk.wav");
    job["speakers"] = json!(true);
    rig.send(job).await;
    let mut command = rig.worker();
    command
        .env("TRANSCRIPTION_MODELS_DIR", models.path())
        .env("TRANSCRIPTION_ENGINE_COMMAND", scripted_engine())
        .env("SCRIPTED_ENGINE_SAYS", "All is well.");
    let mut worker = Running::start(&mut command);
    let event = rig.event().await;
    assert!(worker.stop().await.success());
    assert_eq!(
        (&event["status"], &event["error"]["code"]),
        (&json!("partial"), &json!("SPEAKERS_UNKNOWN")),
        "{event:#}"
    );
    let transcript = rig.transcript("unknown").await.unwrap();
    assert_eq!(transcript["text"], "All is well.");
    let message = transcript["warnings"][0]["message"].as_str().unwrap();
    assert!(message.contains("model pull speakers"), "{message}");
}
