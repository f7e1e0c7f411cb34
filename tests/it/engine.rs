//! The engine process misbehaves: the daemon outlives it, and only the job whose audio is to blame pays for it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

use crate::rig::{PATIENCE, Rig, repository, scratch, scripted_engine, speech};
use crate::running::Running;

/// The worker with the engine of examples/scripted_engine.rs, which counts as hung after a second.
fn scripted(rig: &Rig) -> Command {
    let mut command = rig.worker();
    command
        .env("TRANSCRIPTION_ENGINE_COMMAND", scripted_engine())
        .env("TRANSCRIPTION_ENGINE_TIMEOUT_BASE_SECS", "1")
        .env("TRANSCRIPTION_ENGINE_TIMEOUT_FACTOR", "0");
    command
}

/// One job whose window makes the engine do this, among three that are innocent.
async fn one_bad_job_among_three(misdeed: &str) {
    let rig = Rig::new().await;
    rig.upload("talk.flac", speech("flac")).await;
    let mut hostile = rig.job("hostile", "talk.flac");
    hostile["prompt"] = json!(misdeed);
    for job in [rig.job("first", "talk.flac"), hostile, rig.job("second", "talk.flac"), rig.job("third", "talk.flac")] {
        rig.send(job).await;
    }
    let mut worker = Running::start(&mut scripted(&rig));
    let mut events: BTreeMap<String, Value> = BTreeMap::new();
    for _ in 0..4 {
        let event = rig.event().await;
        events.insert(event["jobId"].as_str().unwrap().to_owned(), event);
    }
    let failed = &events["hostile"];
    assert_eq!(
        (&failed["status"], &failed["error"]["code"]),
        (&json!("failed"), &json!("ENGINE_CRASHED")),
        "{failed:#}"
    );
    assert!(failed["error"]["message"].as_str().unwrap().contains("talk.flac"), "{failed:#}");
    for innocent in ["first", "second", "third"] {
        assert_eq!(events[innocent]["status"], "completed", "{innocent}");
        assert_eq!(rig.transcript(innocent).await.unwrap()["text"], "all is well");
    }
    assert_eq!(rig.dead_letter().await.1.as_deref(), Some("ENGINE_CRASHED"));
    rig.queue_is_empty().await;
    assert!(rig.no_event().await);
    assert!(worker.stop().await.success(), "the daemon lives on");
    // twice, so that the window was alone at the second death
    assert_eq!(worker.log().iter().filter(|line| line.contains("engine died")).count(), 2, "{:#?}", worker.log());
    let again = worker.log().iter().filter(|line| line.contains("\"receive_count\":2")).count();
    assert_eq!(again, 0, "each message was received once, so every lease was kept: {:#?}", worker.log());
}

#[tokio::test]
async fn an_engine_crash_is_one_failed_job() {
    one_bad_job_among_three("abort").await;
}

#[tokio::test]
async fn a_window_that_ends_the_engine_fails_its_own_job_alone() {
    one_bad_job_among_three("exit").await;
}

#[tokio::test]
async fn a_window_that_the_engine_answers_with_garbage_fails_its_own_job_alone() {
    one_bad_job_among_three("garbage").await;
}

#[tokio::test]
async fn a_window_that_hangs_the_engine_fails_its_own_job_alone() {
    one_bad_job_among_three("hang").await;
}

/// A rig with ten jobs, all of them innocent.
async fn ten_jobs() -> Rig {
    let rig = Rig::new().await;
    rig.upload("talk.flac", speech("flac")).await;
    for number in 0..TEN {
        rig.send(rig.job(&format!("job-{number}"), "talk.flac")).await;
    }
    rig
}

const TEN: u32 = 10;

/// A worker that cannot do any of the ten jobs says why, ends with 69, and leaves every one of them to others.
async fn a_sick_worker_fails_no_job(mode: &str, reason: &str) {
    let rig = ten_jobs().await;
    let (status, log) = ended(scripted(&rig).env("SCRIPTED_ENGINE", mode)).await;
    assert_eq!(status, Some(69), "{log}");
    assert!(log.contains("sick: ") && log.contains(reason), "{log}");
    assert!(rig.no_event().await);
    assert_eq!(rig.counts_of(&rig.dead).await, (0, 0));
    let (visible, in_flight) = rig.counts().await;
    assert_eq!(visible + in_flight, TEN, "{log}");
}

#[tokio::test]
async fn an_engine_that_refuses_every_window_fails_no_job() {
    a_sick_worker_fails_no_job("sick-failed", "it refuses a window of noise").await;
}

#[tokio::test]
async fn an_engine_that_dies_at_every_window_fails_no_job() {
    a_sick_worker_fails_no_job("sick-abort", "it ended").await;
}

/// A worker with two engines, of which the second behaves like this, does all ten jobs.
async fn the_other_engine_does_all(mode: &str) {
    let rig = ten_jobs().await;
    let folder = scratch();
    let mut command = scripted(&rig);
    command
        .args(["--device", "cuda", "--gpus", "0,1"])
        .env("SCRIPTED_ENGINE", mode)
        .env("SCRIPTED_ENGINE_GPU", "1")
        .env("SCRIPTED_ENGINE_MARK", folder.path().join("started"))
        .env("SCRIPTED_ENGINE_DELAY_MS", "200");
    let mut worker = Running::start(&mut command);
    for _ in 0..TEN {
        let event = rig.event().await;
        assert_eq!(event["status"], "completed", "{event:#}");
    }
    worker.logs("an engine is lost").await;
    rig.queue_is_empty().await;
    assert!(rig.no_event().await);
    assert_eq!(rig.counts_of(&rig.dead).await, (0, 0));
    assert!(!worker.log().iter().any(|line| line.contains("suspect: ")), "{:#?}", worker.log());
    assert!(worker.stop().await.success(), "the daemon lives on");
}

#[tokio::test]
async fn the_jobs_of_an_engine_that_never_starts_again_are_done_by_the_other() {
    the_other_engine_does_all("gone").await;
}

#[tokio::test]
async fn the_jobs_of_an_engine_that_refuses_every_window_are_done_by_the_other() {
    the_other_engine_does_all("sick-failed").await;
}

#[tokio::test]
async fn a_gpu_that_was_asked_for_and_is_not_there_ends_the_worker_with_69_and_takes_no_job() {
    let rig = ten_jobs().await;
    let mut command = rig.worker();
    // the real engine, which this test's build gives no GPU
    command.args(["--device", "cuda"]).env("TRANSCRIPTION_ENGINE_COMMAND", env!("CARGO_BIN_EXE_transcription-worker"));
    let (status, log) = ended(&mut command).await;
    assert_eq!(status, Some(69), "{log}");
    assert!(log.contains("there is no GPU 0: this build finds CPU"), "{log}");
    assert_eq!(rig.counts().await, (TEN, 0));
}

#[tokio::test]
async fn an_engine_is_replaced_after_its_windows_without_a_job_noticing() {
    let rig = Rig::new().await;
    rig.upload("talk.flac", speech("flac")).await;
    let mut worker = Running::start(scripted(&rig).env("TRANSCRIPTION_ENGINE_RECYCLE_WINDOWS", "1"));
    for job in ["first", "second", "third"] {
        rig.send(rig.job(job, "talk.flac")).await;
        let event = rig.event().await;
        assert_eq!((&event["status"], &event["jobId"]), (&json!("completed"), &json!(job)));
        worker.logs_again("engine recycled").await;
    }
    assert!(!worker.log().iter().any(|line| line.contains("engine died")), "{:#?}", worker.log());
}

/// The exit status and the log of a worker that ends by itself.
async fn ended(command: &mut Command) -> (Option<i32>, String) {
    let mut worker = Running::start(command);
    let status = worker.ended().await.code();
    (status, worker.log().join("\n"))
}

#[tokio::test]
async fn an_engine_that_does_not_start_ends_the_worker_with_69_and_a_sentence() {
    let rig = Rig::new().await;
    let mut broken = scripted(&rig);
    broken.env("SCRIPTED_ENGINE", "broken");
    let (status, log) = ended(&mut broken).await;
    assert_eq!(status, Some(69), "{log}");
    assert!(log.contains("scripted_engine did not start: it ended"), "{log}");

    let mut absent = rig.worker();
    absent.env("TRANSCRIPTION_ENGINE_COMMAND", "/nowhere/engine");
    let (status, log) = ended(&mut absent).await;
    assert_eq!(status, Some(69), "{log}");
    assert!(log.contains("failed to start the engine /nowhere/engine"), "{log}");
}

#[tokio::test]
async fn a_missing_model_ends_the_worker_with_78_and_its_name() {
    let rig = Rig::new().await;
    let mut command = rig.worker();
    command.env("TRANSCRIPTION_MODEL", "/nowhere/ggml-base.bin");
    let (status, log) = ended(&mut command).await;
    assert_eq!(status, Some(78), "{log}");
    assert!(log.contains("/nowhere/ggml-base.bin"), "{log}");
}

#[tokio::test]
async fn an_engine_whose_worker_was_killed_in_mid_sentence_ends() {
    let mut engine = Command::new(env!("CARGO_BIN_EXE_transcription-worker"))
        .args(["engine", "--model"])
        .arg(repository().join("models/ggml-tiny.en.bin"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout) = (engine.stdin.take().unwrap(), engine.stdout.take().unwrap());
    // it is ready
    stdout.read_exact(&mut [0]).await.unwrap();
    stdin.write_all(&[1, 2, 3]).await.unwrap();
    // nobody reads what it says of that, either
    drop((engine.stderr.take(), stdin, stdout));
    assert_eq!(timeout(PATIENCE, engine.wait()).await.unwrap().unwrap().code(), Some(1));
}
