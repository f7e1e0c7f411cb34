//! AWS fails, in every way a worker meets: what is done stays done, what is not is done again, nothing is lost.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use tokio::process::Command;

use crate::rig::{Rig, long_speech, scripted_engine, speech};
use crate::running::Running;
use crate::server::Proxy;

/// A rig in whose queue the job `talk` waits, six seconds of speech; and a worker whose way to AWS fails by these rules.
async fn job_under(rules: Value) -> (Rig, Proxy, Running) {
    let rig = Rig::new().await;
    let audio = speech("flac");
    let proxy = Proxy::start(&rig.account, &rules, audio.len());
    rig.upload("talk.flac", audio).await;
    rig.send(rig.job("talk", "talk.flac")).await;
    let worker = Running::start(&mut worker_behind(&proxy, &rig));
    (rig, proxy, worker)
}

/// The least visibility there is: what a worker leaves behind comes back soonest.
fn worker_behind(proxy: &Proxy, rig: &Rig) -> Command {
    let mut command = rig.worker_at(proxy.endpoint());
    command.env("TRANSCRIPTION_VISIBILITY_SECS", "30");
    command
}

async fn assert_completed(rig: &Rig) {
    let event = rig.event().await;
    assert_eq!((&event["status"], &event["jobId"]), (&json!("completed"), &json!("talk")), "{event:#}");
    let text = rig.transcript("talk").await.unwrap()["text"].as_str().unwrap().to_lowercase();
    assert!(text.contains("fellow american"), "{text}");
    for rendition in ["txt", "srt", "vtt"] {
        assert!(rig.object(&format!("u1/file-talk/transcript.{rendition}")).await.is_some(), "{rendition}");
    }
}

fn count(worker: &Running, text: &str) -> usize {
    worker.log().iter().filter(|line| line.contains(text)).count()
}

#[tokio::test]
async fn throttling_and_server_errors_of_s3_are_ridden_out() {
    let (rig, proxy, _worker) = job_under(json!([
        {"service": "s3", "operation": "HeadObject", "times": 2, "error": {"code": "InternalError", "status": 500}},
        {"service": "s3", "operation": "GetObject", "times": 2, "error": {"code": "SlowDown", "status": 503}},
        {"service": "s3", "operation": "PutObject", "times": 2, "error": {"code": "SlowDown", "status": 503}},
    ]))
    .await;
    assert_completed(&rig).await;
    rig.queue_is_empty().await;
    assert_eq!((proxy.hits("GetObject"), proxy.hits("PutObject")), (2, 2));
    assert!(rig.no_event().await);
}

#[tokio::test]
async fn a_throttled_queue_is_asked_again() {
    let throttled = json!([{"service": "sqs", "operation": "ReceiveMessage", "times": 4,
        "error": {"code": "ThrottlingException", "status": 400}}]);
    let (rig, _proxy, mut worker) = job_under(throttled).await;
    worker.logs("failed to receive messages").await;
    assert_completed(&rig).await;
    rig.queue_is_empty().await;
}

#[tokio::test]
async fn audio_that_may_not_be_read_is_reported_as_access_denied() {
    let denied = json!([{"service": "s3", "operation": "GetObject", "error": {"code": "AccessDenied", "status": 403}}]);
    let (rig, _proxy, _worker) = job_under(denied).await;
    let event = rig.event().await;
    assert_eq!((&event["status"], &event["error"]["code"]), (&json!("failed"), &json!("ACCESS_DENIED")));
    assert!(event["error"]["message"].as_str().unwrap().contains("talk.flac"), "{event:#}");
    assert_eq!(rig.dead_letter().await.1.as_deref(), Some("ACCESS_DENIED"));
    rig.queue_is_empty().await;
}

#[tokio::test]
async fn an_event_that_could_not_be_published_is_published_later_within_the_same_receive() {
    // more than the SDK's own tries, of the start's event and of the end's
    let away = json!([{"service": "events", "operation": "PutEvents", "times": 9,
        "error": {"code": "InternalException", "status": 500}}]);
    let (rig, _proxy, worker) = job_under(away).await;
    assert_completed(&rig).await;
    rig.queue_is_empty().await;
    assert!(rig.no_event().await);
    assert_eq!(
        (count(&worker, "will be retried"), count(&worker, "already transcribed")),
        (0, 0),
        "{:#?}",
        worker.log()
    );
}

#[tokio::test]
async fn a_message_that_could_not_be_deleted_is_only_published_again() {
    let undeletable = json!([{"service": "sqs", "operation": "DeleteMessage",
        "error": {"code": "InternalError", "status": 500}}]);
    let (rig, proxy, mut worker) = job_under(undeletable).await;
    assert_completed(&rig).await;
    worker.logs("done, but not deleted").await;
    proxy.recover("sqs");
    assert_completed(&rig).await;
    worker.logs("already transcribed").await;
    rig.queue_is_empty().await;
    assert_eq!(count(&worker, "\"job done\""), 1, "{:#?}", worker.log());
}

/// A worker that cannot use its own places receives nothing: another has the job.
async fn assert_untouched(rig: &Rig) {
    assert!(rig.no_event().await && rig.transcript("talk").await.is_none());
    let _healthy = Running::start(&mut rig.worker());
    assert_completed(rig).await;
    rig.queue_is_empty().await;
    assert!(rig.no_event().await);
}

#[tokio::test]
async fn a_role_that_may_not_write_transcripts_ends_the_worker_and_no_job() {
    let denied = json!([{"service": "s3", "operation": "PutObject", "error": {"code": "AccessDenied", "status": 403}}]);
    let (rig, _proxy, mut worker) = job_under(denied).await;
    assert_eq!(worker.ended().await.code(), Some(78));
    assert!(worker.log().concat().contains("let the worker's role put, get and delete"), "{:#?}", worker.log());
    assert_untouched(&rig).await;
}

#[tokio::test]
async fn a_role_that_was_attached_a_moment_ago_is_waited_for() {
    let at_first = json!([
        {"service": "s3", "operation": "PutObject", "times": 1, "error": {"code": "AccessDenied", "status": 403}},
        {"service": "sqs", "operation": "GetQueueAttributes", "times": 1, "error": {"code": "AccessDenied", "status": 403}},
    ]);
    let (rig, _proxy, mut worker) = job_under(at_first).await;
    worker.logs("not ready to receive").await;
    assert_completed(&rig).await;
    rig.queue_is_empty().await;
}

#[tokio::test]
async fn a_bus_or_bucket_that_does_not_exist_ends_the_worker_and_no_job() {
    for (variable, cure) in [
        ("TRANSCRIPTION_EVENT_BUS", "set TRANSCRIPTION_EVENT_BUS to a bus that exists"),
        ("TRANSCRIPTION_OUTPUT_BUCKET", "set TRANSCRIPTION_OUTPUT_BUCKET to a bucket that exists"),
    ] {
        let rig = Rig::new().await;
        rig.upload("talk.flac", speech("flac")).await;
        rig.send(rig.job("talk", "talk.flac")).await;
        let mut worker = Running::start(rig.worker().env(variable, "nowhere-at-all"));
        assert_eq!(worker.ended().await.code(), Some(78));
        let log = worker.log().concat();
        assert!(log.contains("nowhere-at-all") && log.contains(cure), "{:#?}", worker.log());
        let checked = rig.worker_command("check").env(variable, "nowhere-at-all").output().await.unwrap();
        assert_eq!(checked.status.code(), Some(78), "{}", String::from_utf8_lossy(&checked.stdout));
        assert_untouched(&rig).await;
    }
}

#[tokio::test]
async fn an_upload_that_is_announced_before_it_is_there_is_waited_for() {
    let rig = Rig::new().await;
    rig.send(rig.job("talk", "talk.flac")).await;
    rig.upload("other.flac", speech("flac")).await;
    let mut command = rig.worker();
    let mut worker =
        Running::start(command.env("TRANSCRIPTION_OBJECT_GRACE_SECS", "600").env("TRANSCRIPTION_JOBS", "1"));
    worker.logs("the object is not there yet").await;
    // needs the only slot
    rig.send(rig.job("other", "other.flac")).await;
    assert_eq!(rig.event().await["jobId"], "other");
    rig.upload("talk.flac", speech("flac")).await;
    assert_completed(&rig).await;
    rig.queue_is_empty().await;
    assert!(rig.no_event().await);
}

#[tokio::test]
async fn a_finished_job_whose_source_was_removed_is_completed_again() {
    let rig = Rig::new().await;
    rig.upload("talk.flac", speech("flac")).await;
    rig.send(rig.job("talk", "talk.flac")).await;
    let mut worker = Running::start(&mut rig.worker());
    assert_completed(&rig).await;
    rig.s3.delete_object().bucket(rig.audio_bucket()).key("talk.flac").send().await.unwrap();
    rig.send(rig.job("talk", "talk.flac")).await;
    assert_completed(&rig).await;
    rig.queue_is_empty().await;
    assert!(rig.no_event().await);
    worker.logs("already transcribed").await;
}

#[tokio::test]
async fn a_lost_lease_writes_and_publishes_nothing_and_frees_its_slot() {
    let rig = Rig::new().await;
    let audio = long_speech(600);
    let proxy = Proxy::start(
        &rig.account,
        &json!([{"service": "sqs", "operation": "ChangeMessageVisibility", "times": 1,
            "error": {"code": "ReceiptHandleIsInvalid", "status": 400}}]),
        audio.len(),
    );
    rig.upload("long.wav", audio).await;
    rig.send(rig.job("long", "long.wav")).await;
    let mut command = worker_behind(&proxy, &rig);
    command.env("TRANSCRIPTION_JOBS", "1").env("TRANSCRIPTION_LANES", "1");
    // however fast the machine: the job is at work when its lease is to be renewed
    command.env("TRANSCRIPTION_ENGINE_COMMAND", scripted_engine()).env("SCRIPTED_ENGINE_DELAY_MS", "2000");
    let mut worker = Running::start(&mut command);
    worker.logs("left alone: the lease was lost").await;
    // needs the only slot
    rig.send("{").await;
    assert_eq!(rig.event().await["error"]["code"], "BAD_MESSAGE");
    assert!(rig.no_event().await);
    assert!(rig.transcript("long").await.is_none());
}
