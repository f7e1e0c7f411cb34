//! A job that is interrupted goes on where it was: with the next worker, to the same transcript.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::ControlFlow;

use aws_sdk_sqs::types::QueueAttributeName;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::process::Command;
use transcription_worker::audio::{AudioOptions, Window, read_windows};
use transcription_worker::job::Channels;

use crate::rig::{Rig, repository, speech, wait_until, wav};
use crate::running::Running;

/// Seconds of audio; seven windows or so.
const SECS: usize = 180;

/// So many seconds of a sentence, over and over: long enough that no window repeats it as often as a loop would.
pub fn sentences(secs: usize) -> Vec<u8> {
    let options = AudioOptions { channels: Channels::Mix, max_duration_secs: 60.0, ffmpeg: None, clip: None };
    let path = repository().join("tests/audio/jfk.flac");
    let mut clip = vec![0; 8_000];
    read_windows(&path, "jfk.flac", &options, &mut |window: Window| {
        clip.extend(window.pcm.iter().map(|sample| (sample * 32_767.0) as i16));
        ControlFlow::Continue(())
    })
    .unwrap();
    wav(&clip.repeat((secs * 16_000).div_ceil(clip.len())))
}

fn checkpoint_key(job_id: &str) -> String {
    format!("u1/file-{job_id}/.checkpoint/{job_id}.json")
}

/// A worker of one lane that gives work back as soon as it is told to stop, with time for the window in flight.
pub fn one_lane(rig: &Rig) -> Command {
    let mut command = rig.worker();
    command
        .env("TRANSCRIPTION_LANES", "1")
        .env("TRANSCRIPTION_DRAIN_SECS", "60")
        .env("TRANSCRIPTION_DRAIN_MARGIN_SECS", "60")
        .env("TRANSCRIPTION_VISIBILITY_SECS", "30")
        .env("RUST_LOG", "transcription_worker::pipeline=debug,info");
    command
}

/// A number of a log line in JSON.
pub fn number(line: &str, field: &str) -> f64 {
    let line: Value = serde_json::from_str(line).unwrap();
    line[field].as_f64().unwrap_or_else(|| panic!("no {field} in {line:#}"))
}

/// Sends SIGTERM, waits for the end; the windows it has inferred.
pub async fn interrupt(worker: &mut Running) -> f64 {
    assert!(worker.stop().await.success());
    number(&worker.logs("\"job interrupted\"").await, "windows_inferred")
}

/// What must not depend on interruptions.
pub fn heard(transcript: Value) -> Value {
    json!(["segments", "text", "quality", "language", "audio"].map(|field| &transcript[field]))
}

/// The job of this id over `long.wav`, with these fields besides.
fn job(rig: &Rig, id: &str, fields: &Value) -> Value {
    let mut job = rig.job(id, "long.wav");
    let more = fields.as_object().cloned().unwrap_or_default();
    job.as_object_mut().unwrap().extend(more);
    job
}

async fn uninterrupted(rig: &Rig, fields: &Value) -> Value {
    rig.send(job(rig, "whole", fields)).await;
    let mut worker = Running::start(&mut one_lane(rig));
    worker.logs("\"job done\"").await;
    assert!(worker.stop().await.success());
    rig.event().await;
    heard(rig.transcript("whole").await.unwrap())
}

#[tokio::test]
async fn an_interrupted_job_is_resumed_to_the_same_transcript() {
    let rig = Rig::new().await;
    rig.upload("long.wav", sentences(SECS)).await;
    rig.send(rig.job("cut", "long.wav")).await;
    let mut first = Running::start(&mut one_lane(&rig));
    first.logs("\"window finished\"").await;
    let inferred_first = interrupt(&mut first).await;
    assert!(rig.object(&checkpoint_key("cut")).await.is_some(), "the checkpoint is there for the next worker");
    assert!(rig.transcript("cut").await.is_none());

    let mut second = Running::start(&mut one_lane(&rig));
    let summary = second.logs("\"job done\"").await;
    let windows = number(&summary, "windows");
    let repeated = inferred_first + number(&summary, "windows_inferred") - windows;
    assert!(repeated <= 1.0, "one lane, one window in flight: {inferred_first} windows, then {summary}");
    assert!(number(&summary, "resumed_secs") > 10.0, "{summary}");
    rig.event().await;
    rig.queue_is_empty().await;
    assert!(second.stop().await.success());
    assert!(rig.object(&checkpoint_key("cut")).await.is_none(), "nothing is left of it");

    assert_eq!(heard(rig.transcript("cut").await.unwrap()), uninterrupted(&rig, &json!({})).await);
}

#[tokio::test]
async fn a_part_with_filtered_and_private_words_is_resumed_to_the_same_transcript() {
    let rig = Rig::new().await;
    rig.upload("long.wav", sentences(SECS)).await;
    let fields = json!({
        "start_secs": 7.5, "end_secs": 171.0, "redact": ["phone", "card_number"],
        "filter": {"words": ["country"], "method": "mask"}, "replacements": {"fellow Americans": "friends"},
    });
    rig.send(job(&rig, "cut", &fields)).await;
    let mut first = Running::start(&mut one_lane(&rig));
    first.logs("\"window finished\"").await;
    interrupt(&mut first).await;
    let mut second = Running::start(&mut one_lane(&rig));
    let summary = second.logs("\"job done\"").await;
    assert!(number(&summary, "resumed_secs") > 0.0, "{summary}");
    rig.event().await;
    assert!(second.stop().await.success());
    let transcript = rig.transcript("cut").await.unwrap();
    let text = transcript["text"].as_str().unwrap();
    assert!(text.contains("***") && !text.to_lowercase().contains("country"), "{text}");
    assert_eq!(heard(transcript), uninterrupted(&rig, &fields).await);
}

#[tokio::test]
async fn a_killed_worker_costs_no_more_than_its_last_checkpoint_period() {
    let rig = Rig::new().await;
    rig.upload("long.wav", sentences(SECS)).await;
    rig.send(rig.job("killed", "long.wav")).await;
    let mut first = Running::start(
        one_lane(&rig).env("TRANSCRIPTION_CHECKPOINT_SECS", "1").env("TRANSCRIPTION_VISIBILITY_SECS", "30"),
    );
    wait_until("a checkpoint is saved", async || rig.object(&checkpoint_key("killed")).await.is_some()).await;
    first.kill().await;

    let mut second = Running::start(&mut one_lane(&rig));
    let summary = second.logs("\"job done\"").await;
    assert!(number(&summary, "resumed_secs") > 10.0, "{summary}");
    rig.queue_is_empty().await;
    assert!(rig.object(&checkpoint_key("killed")).await.is_none());
}

#[tokio::test]
async fn a_garbage_checkpoint_is_ignored_with_one_warning() {
    let rig = Rig::new().await;
    rig.upload("short.flac", speech("flac")).await;
    let key = checkpoint_key("odd");
    rig.s3
        .put_object()
        .bucket(rig.output_bucket())
        .key(&key)
        .body(b"{\"version\":1,".to_vec().into())
        .send()
        .await
        .unwrap();
    rig.send(rig.job("odd", "short.flac")).await;
    let mut worker = Running::start(&mut one_lane(&rig));
    assert_eq!(rig.event().await["status"], "completed");
    rig.queue_is_empty().await;
    assert!(worker.stop().await.success());
    let log = worker.log();
    let warnings: Vec<_> = log.iter().filter(|line| line.contains("WARN")).collect();
    assert!(warnings.len() == 1 && warnings[0].contains(&key), "{warnings:#?}");
    assert!(rig.object(&key).await.is_none());
}

/// Run by `make interruption-cost`.
#[tokio::test]
#[ignore = "takes minutes"]
async fn interruption_cost() {
    const INTERRUPTIONS: usize = 5;
    let rig = Rig::new().await;
    // an interruption is a receive to the queue, and a second where the poll that a stopping worker has under way brings
    // what it has just given back: after as many as the rig allows the job would be a dead letter
    let policy = json!({
        "deadLetterTargetArn": format!("arn:aws:sqs:us-east-1:{}:dead", rig.account),
        "maxReceiveCount": 2 * INTERRUPTIONS + 1,
    });
    let request = rig.sqs.set_queue_attributes().queue_url(&rig.jobs);
    request.attributes(QueueAttributeName::RedrivePolicy, policy.to_string()).send().await.unwrap();
    rig.upload("long.wav", sentences(1800)).await;
    // each worker stops at another place, about a sixth of the file further on
    let mut inferred = 0.0;
    rig.send(rig.job("cut", "long.wav")).await;
    for round in 1..=INTERRUPTIONS {
        let mut worker = Running::start(&mut one_lane(&rig));
        worker.logs(&format!("\"window\":{},", round * 10)).await;
        inferred += interrupt(&mut worker).await;
    }
    let mut last = Running::start(&mut one_lane(&rig));
    let summary = last.logs("\"job done\"").await;
    last.signal(Signal::TERM);
    inferred += number(&summary, "windows_inferred");
    let windows = number(&summary, "windows");
    println!("windows in the file:                            {windows}");
    println!("windows inferred, {} runs, {INTERRUPTIONS} interruptions:        {inferred}", INTERRUPTIONS + 1);
    println!("windows of repeated inference:                  {}", inferred - windows);
    assert!(inferred - windows < 5.0);
}
