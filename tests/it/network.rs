//! The network between worker and AWS fails: connections are cut, stall or crawl, or nothing passes for a while.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::json;
use tokio::process::Command;
use tokio::time::sleep;
use transcription_worker::app::aws::{config_for_endpoint, s3_client};
use transcription_worker::objects::s3::S3Objects;
use transcription_worker::objects::{Condition, Location, Objects};

use crate::resume::{number, sentences};
use crate::rig::{Rig, scripted_engine, speech, wait_until};
use crate::running::Running;
use crate::wire::{Trouble, Wire, answer, download, look, request};

/// A rig in whose queue the job `talk` waits, and a wire to it.
async fn job_behind_a_wire(audio: Vec<u8>) -> (Rig, Wire) {
    let rig = Rig::new().await;
    let wire = Wire::to(&rig.endpoint).await;
    rig.upload("talk.wav", audio).await;
    rig.send(rig.job("talk", "talk.wav")).await;
    (rig, wire)
}

/// The worker at the other end of the wire. The engine does not matter here.
fn worker(rig: &Rig, wire: &Wire) -> Command {
    let mut command = rig.worker_at(&wire.endpoint);
    command
        .env("TRANSCRIPTION_ENGINE_COMMAND", scripted_engine())
        .env("TRANSCRIPTION_VISIBILITY_SECS", "30")
        // the event that is meant is the end's
        .env("TRANSCRIPTION_STARTED_EVENTS", "off")
        .env("RUST_LOG", "transcription_worker=debug");
    command
}

/// The job is done, its objects are there and no others, and it was told once.
async fn assert_done_once(rig: &Rig) {
    let event = rig.event().await;
    assert_eq!((&event["status"], &event["jobId"]), (&json!("completed"), &json!("talk")), "{event:#}");
    rig.queue_is_empty().await;
    assert!(rig.no_event().await);
    assert_complete(rig).await;
}

async fn assert_complete(rig: &Rig) {
    let listed = rig.s3.list_objects_v2().bucket(rig.output_bucket()).send().await.unwrap();
    let keys: BTreeSet<_> = listed.contents().iter().map(|object| object.key().unwrap().to_owned()).collect();
    let expected = ["json", "txt", "srt", "vtt"].map(|extension| format!("u1/file-talk/transcript.{extension}"));
    assert_eq!(keys, BTreeSet::from(expected));
}

fn count(worker: &Running, text: &str) -> usize {
    worker.log().iter().filter(|line| line.contains(text)).count()
}

#[tokio::test]
async fn a_download_that_is_cut_is_resumed_where_it_was_cut() {
    let (rig, wire) = job_behind_a_wire(speech("wav")).await;
    wire.will(download(&rig.audio_bucket()).after_bytes(50_000).cut().times(2));
    let mut worker = Running::start(&mut worker(&rig, &wire));
    assert_done_once(&rig).await;
    wire.hits(2).await;
    let resumed = [worker.logs_again("resuming a download").await, worker.logs_again("resuming a download").await];
    let places = resumed.map(|line| number(&line, "from_byte"));
    assert!(0.0 < places[0] && places[0] < places[1], "{places:?}");
    assert_eq!(count(&worker, "\"receive_count\":2"), 0, "{:#?}", worker.log());
}

#[tokio::test]
async fn an_upload_that_is_cut_is_sent_again() {
    let (rig, wire) = job_behind_a_wire(speech("wav")).await;
    let put = |extension: &str| format!("PUT /{}/u1/file-talk/transcript.{extension}?", rig.output_bucket());
    // before the server has it all; and when it has, but could not say so
    wire.will(request(put("txt")).after_bytes(200).cut());
    wire.will(answer(put("srt")).cut());
    wire.will(answer(put("json")).cut().times(2));
    let worker = Running::start(&mut worker(&rig, &wire));
    assert_done_once(&rig).await;
    wire.hits(4).await;
    assert_eq!(count(&worker, "\"receive_count\":2"), 0, "{:#?}", worker.log());
}

#[tokio::test]
async fn a_connection_that_stalls_is_given_up_and_the_job_done_all_the_same() {
    let audio = speech("wav").len();
    let stalls: [fn(&Rig) -> Trouble; 7] = [
        |_| request("AmazonSQS.ReceiveMessage"),
        |rig| look(&rig.audio_bucket()),
        |rig| download(&rig.audio_bucket()),
        // it arrives, and no one is told: it must be removed all the same
        |rig| answer(format!("PUT /{}/u1/file-talk/.started/", rig.output_bucket())),
        |rig| request(format!("PUT /{}/u1/file-talk/transcript.txt", rig.output_bucket())),
        |_| request("AWSEvents.PutEvents"),
        |_| request("AmazonSQS.DeleteMessage"),
    ];
    let one = async |stall: Trouble, rig: Rig, wire: Wire| {
        wire.will(stall);
        // a poll that was given up counts from its first try: it must be over before the lease it brings
        let worker = Running::start(worker(&rig, &wire).env("TRANSCRIPTION_VISIBILITY_SECS", "60"));
        wire.hits(1).await;
        assert_done_once(&rig).await;
        assert_eq!(count(&worker, "\"receive_count\":2"), 0, "{:#?}", worker.log());
    };
    let all = stalls.map(async |stall| {
        let (rig, wire) = job_behind_a_wire(speech("wav")).await;
        one(stall(&rig), rig, wire).await;
    });
    let midway = async {
        let (rig, wire) = job_behind_a_wire(speech("wav")).await;
        one(download(&rig.audio_bucket()).after_bytes(audio / 2), rig, wire).await;
    };
    tokio::join!(join_all(all), midway);
}

#[tokio::test]
async fn a_slow_connection_only_makes_a_job_slow() {
    let (rig, wire) = job_behind_a_wire(speech("wav")).await;
    wire.slow_down(50_000);
    let mut worker = Running::start(&mut worker(&rig, &wire));
    let summary = worker.logs("\"job done\"").await;
    assert!(number(&summary, "fetch_secs") > 3.0, "{summary}");
    assert_done_once(&rig).await;
    assert_eq!(count(&worker, "\"receive_count\":2") + count(&worker, "resuming"), 0, "{:#?}", worker.log());
}

#[tokio::test]
async fn an_upload_that_takes_longer_than_an_answer_may_arrives() {
    let rig = Rig::new().await;
    let wire = Wire::to(&rig.endpoint).await;
    let client = s3_client(&config_for_endpoint(&wire.endpoint, &rig.account).unwrap());
    // 40 s, of which the server sees no end for more than the 30 s that it has for an answer
    wire.slow_down(100_000);
    let body = Bytes::from(vec![b'.'; 4_000_000]);
    let at = Location::new(rig.output_bucket(), "long");
    S3Objects::new(client, None).put(&at, body.clone(), "text/plain", &Condition::Always).await.unwrap();
    assert!(rig.object("long").await.unwrap() == body);
}

#[tokio::test]
async fn a_job_under_way_outlasts_a_lost_network() {
    let (rig, wire) = job_behind_a_wire(speech("wav")).await;
    wire.will(request(format!("PUT /{}/u1/file-talk/transcript.srt", rig.output_bucket())).loses_the_network());
    let worker = Running::start(&mut worker(&rig, &wire));
    wait_until("the heartbeat fails too", async || wire.waiting("AmazonSQS.ChangeMessageVisibility") > 0).await;
    wire.restore();
    assert_done_once(&rig).await;
    assert_eq!(count(&worker, "\"receive_count\":2"), 0, "the lease was kept: {:#?}", worker.log());
}

/// Run by `make lost-network`: a worker is cut off in the middle of a job while another one has nothing to do.
#[tokio::test]
#[ignore = "takes minutes"]
async fn lost_network() {
    const LOST: Duration = Duration::from_secs(60);
    println!("network lost for {} s in the middle of a job, another worker idle beside:", LOST.as_secs());
    join_all([120, 30].map(async |visibility_secs: u32| {
        let (rig, wire) = job_behind_a_wire(sentences(600)).await;
        let run = |endpoint: &str| {
            let mut command = rig.worker_at(endpoint);
            command
                .env("TRANSCRIPTION_LANES", "1")
                .env("TRANSCRIPTION_VISIBILITY_SECS", visibility_secs.to_string())
                .env("RUST_LOG", "transcription_worker::lease=debug,transcription_worker::pipeline=debug,info");
            Running::start(&mut command)
        };
        let mut first = run(&wire.endpoint);
        first.logs("\"window finished\"").await;
        let mut second = run(&rig.endpoint);
        second.logs("worker ready").await;
        wire.lose();
        let lost_at = Instant::now();
        let done = async {
            assert_done_once(&rig).await;
            lost_at.elapsed().as_secs()
        };
        let outage = async {
            // its length is what is looked at
            sleep(LOST).await;
            wire.restore();
        };
        let (done_after_secs, ()) = tokio::join!(done, outage);
        for worker in [&mut first, &mut second] {
            assert!(worker.stop().await.success(), "{:#?}", worker.log());
        }
        // let go of, or brought to an end: by one of them, never by both
        let lost = count(&first, "left alone: the lease was lost") == 1;
        let ends = [&first, &second].map(|worker| count(worker, "\"job done\""));
        assert_eq!(ends, if lost { [0, 1] } else { [1, 0] }, "{:#?} {:#?}", first.log(), second.log());
        assert_eq!(lost, Duration::from_secs(visibility_secs.into()) < LOST, "{:#?}", first.log());
        assert_eq!(lost, count(&second, "\"receive_count\":2") > 0, "{:#?}", second.log());
        // what the wire held back has come through since: it changed nothing
        assert_complete(&rig).await;
        assert!(rig.no_event().await && rig.counts_of(&rig.dead).await == (0, 0));
        let failed = count(&first, "failed to extend the message's visibility");
        println!(
            "visibility {visibility_secs:>3} s: {failed} heartbeats failed, lease {}, {} receives, 1 event, done \
             {done_after_secs} s after the network went",
            if lost { "lost and the job done by the other" } else { "kept and the job done by the first" },
            1 + u32::from(lost),
        );
    }))
    .await;
}
