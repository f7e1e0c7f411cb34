//! A job that takes the whole worker down is not handed from one worker to the next for ever.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};

use crate::rig::{Rig, long_speech, wait_until};
use crate::running::Running;

const MARKER: &str = "u1/file-killer/.started/killer.json";

#[tokio::test]
async fn a_job_that_two_of_three_workers_died_over_is_reported_and_dead_lettered() {
    let rig = Rig::new().await;
    // far from done when the worker is killed
    rig.upload("long.wav", long_speech(600)).await;
    rig.send(rig.job("killer", "long.wav")).await;
    for receives in 1..=2 {
        let mut command = rig.worker();
        let mut worker = Running::start(command.env("TRANSCRIPTION_VISIBILITY_SECS", "30"));
        wait_until("the job has begun", async || {
            let marker = rig.object(MARKER).await.map(|body| serde_json::from_slice::<Value>(&body).unwrap());
            marker.is_some_and(|marker| marker["receiveCount"] == json!(receives))
        })
        .await;
        worker.kill().await;
    }
    let mut last = Running::start(&mut rig.worker());
    let event = rig.event().await;
    assert_eq!((&event["status"], &event["error"]["code"]), (&json!("failed"), &json!("WORKER_CRASHED")), "{event:#}");
    let (body, code) = rig.dead_letter().await;
    assert_eq!((body, code.as_deref()), (rig.job("killer", "long.wav").to_string(), Some("WORKER_CRASHED")));
    rig.queue_is_empty().await;
    assert!(last.stop().await.success());
}
