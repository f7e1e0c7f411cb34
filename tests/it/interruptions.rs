//! The instance goes, in every way it can: asked politely, killed, by spot notice, by scale-in, and part by part.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::json;
use tokio::process::Command;

use crate::imds::FakeImds;
use crate::rig::{Rig, long_speech, scripted_engine, speech, wait_until};
use crate::running::{Running, is_gone, send_signal};

pub const INSTANCE_ACTION: &str = "/latest/meta-data/spot/instance-action";
pub const LIFECYCLE_STATE: &str = "/latest/meta-data/autoscaling/target-lifecycle-state";
const REBALANCE: &str = "/latest/meta-data/events/recommendations/rebalance";

/// A rig in whose queue one job waits: twenty minutes of audio, which no machine has done before the tests interrupt it.
async fn rig_with_a_long_job() -> Rig {
    let rig = Rig::new().await;
    rig.upload("long.wav", long_speech(1_200)).await;
    rig.send(rig.job("long", "long.wav")).await;
    rig
}

/// The worker, stopping within seconds.
fn hasty(rig: &Rig) -> Command {
    let mut command = rig.worker();
    command
        .env("TRANSCRIPTION_DRAIN_SECS", "4")
        .env("TRANSCRIPTION_DRAIN_MARGIN_SECS", "2")
        .env("TRANSCRIPTION_LANES", "1");
    command
}

/// The worker on an instance with this metadata service.
pub fn on_instance(mut command: Command, imds: &FakeImds) -> Command {
    command
        .env_remove("AWS_EC2_METADATA_DISABLED")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &imds.endpoint)
        .env("TRANSCRIPTION_SPOT_POLL_SECS", "0.1");
    command
}

/// Until the watcher has looked everywhere again.
async fn a_look_passes(imds: &FakeImds) {
    let before = imds.state().answered;
    wait_until("the worker looks for notices", async || imds.state().answered >= before + 6).await;
}

async fn assert_given_back(rig: &Rig) {
    assert_eq!(rig.counts().await, (1, 0), "visible to others at once");
    assert!(rig.no_event().await);
    assert!(rig.transcript("long").await.is_none());
}

#[tokio::test]
async fn sigterm_gives_a_long_job_back_at_once_and_publishes_nothing() {
    let rig = rig_with_a_long_job().await;
    let mut worker = Running::start(&mut hasty(&rig));
    worker.engine_at_work().await;
    assert_eq!(worker.stop().await.code(), Some(0), "{:#?}", worker.log());
    assert_given_back(&rig).await;
}

#[tokio::test]
async fn a_second_ctrl_c_gives_work_back_without_waiting_for_the_grace() {
    let rig = rig_with_a_long_job().await;
    // the default grace is longer than this test waits
    let mut worker = Running::start(rig.worker().env("TRANSCRIPTION_DRAIN_SECS", "3600"));
    worker.engine_at_work().await;
    worker.signal(Signal::INT);
    worker.logs("stopping").await;
    worker.signal(Signal::INT);
    assert_eq!(worker.ended().await.code(), Some(0), "{:#?}", worker.log());
    assert_given_back(&rig).await;
}

#[tokio::test]
async fn a_job_of_a_killed_worker_is_finished_by_another_and_its_engine_dies_with_it() {
    let rig = Rig::new().await;
    rig.upload("talk.wav", long_speech(60)).await;
    rig.send(rig.job("talk", "talk.wav")).await;
    let mut first = Running::start(rig.worker().env("TRANSCRIPTION_VISIBILITY_SECS", "30"));
    let engine = first.engine_at_work().await;
    first.kill().await;
    wait_until("the engine has ended too", async || is_gone(engine)).await;
    assert!(rig.transcript("talk").await.is_none());

    let mut second = Running::start(&mut rig.worker());
    let event = rig.event().await;
    assert_eq!((&event["status"], &event["jobId"]), (&json!("completed"), &json!("talk")));
    assert!(rig.transcript("talk").await.is_some());
    rig.queue_is_empty().await;
    assert!(second.stop().await.success());
    assert!(rig.no_event().await, "one event of two attempts");
}

#[tokio::test]
async fn on_a_spot_notice_a_short_job_finishes_and_a_long_one_is_given_back_before_the_deadline() {
    let (rig, imds) = (Rig::new().await, FakeImds::start().await);
    rig.upload("talk.wav", speech("wav")).await;
    // an engine that never answers is the longest job there is
    let mut long = rig.job("long", "talk.wav");
    long["prompt"] = json!("hang");
    rig.send(&long).await;
    let mut command = on_instance(hasty(&rig), &imds);
    command.env("TRANSCRIPTION_ENGINE_COMMAND", scripted_engine()).env("TRANSCRIPTION_DRAIN_MARGIN_SECS", "3");
    let mut worker = Running::start(&mut command);
    wait_until("the long job is in flight", async || rig.counts().await == (0, 1)).await;
    let time = Timestamp::now() + Duration::from_secs(6);
    rig.send(rig.job("short", "talk.wav")).await;
    wait_until("the short job is received", async || rig.counts().await.0 == 0).await;
    imds.state().bodies.insert(INSTANCE_ACTION, format!(r#"{{"action":"terminate","time":"{time}"}}"#));

    assert_eq!(rig.event().await["jobId"], "short");
    assert_eq!(worker.ended().await.code(), Some(0), "{:#?}", worker.log());
    worker.logs("spot interruption notice").await;
    assert!(rig.transcript("short").await.is_some());
    assert_given_back(&rig).await;
}

#[tokio::test]
async fn a_scale_in_drains_the_worker() {
    let (rig, imds) = (rig_with_a_long_job().await, FakeImds::start().await);
    imds.state().bodies.insert(LIFECYCLE_STATE, "InService".to_owned());
    let mut worker = Running::start(&mut on_instance(hasty(&rig), &imds));
    worker.engine_at_work().await;
    imds.state().bodies.insert(LIFECYCLE_STATE, "Terminated".to_owned());
    assert_eq!(worker.ended().await.code(), Some(0), "{:#?}", worker.log());
    worker.logs("scale-in").await;
    assert_given_back(&rig).await;
}

#[tokio::test]
async fn neither_a_rebalance_recommendation_nor_a_failing_metadata_service_stops_the_work() {
    let (rig, imds) = (Rig::new().await, FakeImds::start().await);
    rig.upload("talk.flac", speech("flac")).await;
    imds.state().bodies.insert(REBALANCE, r#"{"noticeTime":"2026-01-01T00:00:00Z"}"#.to_owned());
    let mut worker = Running::start(&mut on_instance(rig.worker(), &imds));
    worker.logs("recommends to rebalance").await;
    imds.state().status = Some(503);
    worker.logs("the instance metadata service fails").await;
    rig.send(rig.job("through-503", "talk.flac")).await;
    assert_eq!(rig.event().await["status"], "completed");
    imds.state().status = None;
    a_look_passes(&imds).await;
    rig.send(rig.job("after-503", "talk.flac")).await;
    assert_eq!(rig.event().await["status"], "completed");
    assert!(!worker.log().iter().any(|line| line.contains("stopping")), "{:#?}", worker.log());
}

#[tokio::test]
async fn an_engine_killed_by_hand_costs_its_job_nothing_but_time() {
    let rig = Rig::new().await;
    rig.upload("talk.wav", long_speech(60)).await;
    let mut worker = Running::start(&mut hasty(&rig));
    for (job, signal) in [("killed", Signal::KILL), ("aborted", Signal::ABORT)] {
        rig.send(rig.job(job, "talk.wav")).await;
        send_signal(worker.engine_at_work().await, signal);
        worker.logs_again("engine died").await;
        assert_eq!(rig.event().await["status"], "completed", "{:#?}", worker.log());
        let text = rig.transcript(job).await.unwrap()["text"].as_str().unwrap().to_lowercase();
        assert!(text.matches("fellow american").count() >= 5, "{text}");
    }
    rig.queue_is_empty().await;
}

#[tokio::test]
async fn a_worker_without_work_ends_after_its_idle_time() {
    let rig = Rig::new().await;
    let mut worker = Running::start(rig.worker().env("TRANSCRIPTION_IDLE_MINUTES", "0.02"));
    assert_eq!(worker.ended().await.code(), Some(0));
    worker.logs("idle: there was no work").await;
}
