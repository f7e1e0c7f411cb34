//! A storm: many jobs, several workers, each killed, stopped or taken away every few seconds and replaced at once, while
//! one request to AWS in twenty fails. Afterwards every job is done, nothing is left behind, and each event that came
//! twice has a reason. A short one runs in `make test`, the long ones in `make storm`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::resume::{heard, sentences};
use crate::rig::{Rig, assert_valid, scratch, scripted_engine, speech};
use crate::running::Running;
use crate::server::Proxy;
use fleet::Fleet;
use tally::Tally;

mod fleet;
mod tally;

/// Every interruption of a job is a receive to the queue, and here a worker lives seconds, not a day. With the limit of
/// a real queue the unluckiest jobs would be given up, and rightly so.
const MAX_RECEIVES: u32 = 200;
/// A storm that takes longer has lost something.
const LIMIT: Duration = Duration::from_secs(1_800);
const RENDITIONS: [&str; 4] = ["json", "txt", "srt", "vtt"];

/// What is sent into the weather.
struct Storm {
    jobs: usize,
    workers: usize,
    /// How long a worker lives, seconds.
    lives_secs: Range<u64>,
    /// What the scripted engine takes over a window; without it the real one runs.
    scripted_ms: Option<u64>,
}

#[tokio::test]
async fn twenty_jobs_are_done_by_two_workers_that_live_seconds() {
    Storm { jobs: 20, workers: 2, lives_secs: 2..6, scripted_ms: Some(300) }.rages().await;
}

#[tokio::test]
#[ignore = "takes minutes: make storm"]
async fn two_hundred_jobs_are_done_by_three_workers_that_live_seconds() {
    Storm { jobs: 200, workers: 3, lives_secs: 4..16, scripted_ms: Some(700) }.rages().await;
}

#[tokio::test]
#[ignore = "takes minutes: make storm"]
async fn twenty_jobs_of_real_speech_are_done_by_three_workers_that_live_seconds() {
    Storm { jobs: 20, workers: 3, lives_secs: 4..12, scripted_ms: None }.rages().await;
}

/// One job in so many is of this kind; the audio of each kind is in a bucket of its own.
struct Kind {
    name: &'static str,
    bucket: String,
    share: usize,
}

/// One window, four windows, nine windows.
fn kinds(account: &str) -> [(Kind, Vec<u8>); 3] {
    [("short", 7, speech("wav")), ("long", 2, sentences(100)), ("longest", 1, sentences(240))]
        .map(|(name, share, audio)| (Kind { name, bucket: format!("{name}-{account}"), share }, audio))
}

impl Storm {
    async fn rages(&self) {
        let seed = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
        let rig = Rig::new().await;
        allow_receives(&rig).await;
        let (kinds, heads) = self.upload(&rig).await;
        self.calm(&rig, &kinds).await;
        let proxy = Proxy::seeded(seed, &rig.account, &weather(), &heads);
        let downloads = scratch();
        let jobs = self.send(&rig, &kinds, seed).await;

        println!("storm with SEED={seed}: {} jobs, {} workers", self.jobs, self.workers);
        let (began, over) = (Instant::now(), CancellationToken::new());
        let command = || {
            let mut command = self.worker(&rig);
            command.env("AWS_ENDPOINT_URL", proxy.endpoint()).env("TRANSCRIPTION_SCRATCH_DIR", downloads.path());
            command
        };
        let fleet = Fleet { command: &command, lives_secs: self.lives_secs.clone(), seed, over: &over };
        let (lives, ()) = tokio::join!(fleet.sails(self.workers), ends(&rig, &over));
        let secs = began.elapsed().as_secs();

        let tally = Tally::of(&lives, events(&rig).await);
        println!("{secs} s");
        tally.print();
        print_weather(&proxy);
        assert_eq!(std::fs::read_dir(downloads.path()).unwrap().count(), 0, "the scratch directory is empty");
        assert_eq!(rig.counts_of(&rig.dead).await, (0, 0), "no dead letters");
        assert_outputs(&rig, &jobs, &kinds).await;
        tally.assert_all_done(jobs.keys());
    }

    async fn upload(&self, rig: &Rig) -> (Vec<Kind>, Vec<(String, usize)>) {
        let (mut all, mut heads) = (Vec::new(), Vec::new());
        for (kind, audio) in kinds(&rig.account) {
            heads.push((kind.bucket.clone(), audio.len()));
            rig.s3.create_bucket().bucket(&kind.bucket).send().await.unwrap();
            rig.s3.put_object().bucket(&kind.bucket).key("talk.wav").body(audio.into()).send().await.unwrap();
            all.push(kind);
        }
        (all, heads)
    }

    /// What each kind of job comes to when nothing goes wrong.
    async fn calm(&self, rig: &Rig, kinds: &[Kind]) {
        for kind in kinds {
            rig.send(self.job(rig, kind.name, kind)).await;
        }
        let mut worker = Running::start(self.worker(rig).env_remove("SCRIPTED_ENGINE_DELAY_MS"));
        for _ in kinds {
            rig.event().await;
        }
        rig.queue_is_empty().await;
        assert!(worker.stop().await.success());
    }

    /// The jobs' kinds, by id.
    async fn send<'a>(&self, rig: &Rig, kinds: &'a [Kind], seed: u64) -> BTreeMap<String, &'a Kind> {
        let one_round: Vec<&Kind> = kinds.iter().flat_map(|kind| std::iter::repeat_n(kind, kind.share)).collect();
        let mut all: Vec<&Kind> = one_round.iter().copied().cycle().take(self.jobs).collect();
        fastrand::Rng::with_seed(seed).shuffle(&mut all);
        let jobs: BTreeMap<String, &Kind> =
            all.into_iter().enumerate().map(|(n, kind)| (format!("job-{n:03}"), kind)).collect();
        for (id, kind) in &jobs {
            rig.send(self.job(rig, id, kind)).await;
        }
        jobs
    }

    fn job(&self, rig: &Rig, id: &str, kind: &Kind) -> Value {
        let mut job = rig.job(id, "");
        job["s3_input_path"] = json!(format!("s3://{}/talk.wav", kind.bucket));
        if self.scripted_ms.is_some() {
            job["prompt"] = json!("count");
        }
        job
    }

    /// A worker that gives back within seconds and is taken over from as soon as the queue allows.
    fn worker(&self, rig: &Rig) -> Command {
        let mut command = rig.worker();
        command
            .env("TRANSCRIPTION_VISIBILITY_SECS", "30")
            .env("TRANSCRIPTION_CHECKPOINT_SECS", "1")
            // the margin is for the windows in lanes: the scripted engine takes four, one after the other
            .env("TRANSCRIPTION_DRAIN_SECS", "6")
            .env("TRANSCRIPTION_DRAIN_MARGIN_SECS", "4")
            .env("RUST_LOG", "transcription_worker::pipeline=debug,info");
        match self.scripted_ms {
            Some(ms) => command
                .env("TRANSCRIPTION_ENGINE_COMMAND", scripted_engine())
                .env("SCRIPTED_ENGINE_DELAY_MS", ms.to_string()),
            None => command.env("TRANSCRIPTION_LANES", "1"),
        };
        command
    }
}

/// One request in twenty fails, whatever it asks for: before it arrives, by the service, or after it was carried out.
fn weather() -> Value {
    json!([
        {"probability": 0.01, "reset": true},
        {"probability": 0.01, "error": {"code": "InternalError", "status": 500}},
        {"probability": 0.01, "error": {"code": "ServiceUnavailable", "status": 503}},
        {"probability": 0.01, "error": {"code": "ThrottlingException", "status": 400}},
        {"probability": 0.01, "response": {"abort_bytes": 0}},
    ])
}

fn print_weather(proxy: &Proxy) {
    let (requests, hits) = proxy.totals();
    let named = ["reset", "500", "503", "throttled", "answer cut"].into_iter().zip(&hits);
    let failed: u64 = named.clone().map(|(_, hits)| hits).sum();
    let share = failed as f64 / requests as f64 * 100.0;
    let named: Vec<String> = named.map(|(name, hits)| format!("{hits} {name}")).collect();
    println!("requests to AWS: {requests}, failed: {failed} ({share:.1}%): {}", named.join(", "));
}

async fn allow_receives(rig: &Rig) {
    let policy = json!({
        "deadLetterTargetArn": format!("arn:aws:sqs:us-east-1:{}:dead", rig.account),
        "maxReceiveCount": MAX_RECEIVES,
    });
    let request = rig.sqs.set_queue_attributes().queue_url(&rig.jobs);
    request.attributes(QueueAttributeName::RedrivePolicy, policy.to_string()).send().await.unwrap();
}

/// Ends the storm when the queue is empty.
async fn ends(rig: &Rig, over: &CancellationToken) {
    let empty = async {
        while rig.counts().await != (0, 0) {
            sleep(Duration::from_millis(200)).await;
        }
    };
    assert!(timeout(LIMIT, empty).await.is_ok(), "still in the queue: {:?}", rig.counts().await);
    over.cancel();
}

/// Every event of the storm, by job.
async fn events(rig: &Rig) -> BTreeMap<String, Vec<Value>> {
    let mut events: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    while let Some(body) = rig.receive(&rig.done, 1).await {
        let mut envelope: Value = serde_json::from_str(&body).unwrap();
        let detail = envelope["detail"].take();
        assert_valid("event-transcription-completed.json", &detail);
        events.entry(detail["jobId"].as_str().unwrap().to_owned()).or_default().push(detail);
    }
    events
}

/// Each job has its objects, equal to those of its kind in calm weather; and nothing else is there.
async fn assert_outputs(rig: &Rig, jobs: &BTreeMap<String, &Kind>, kinds: &[Kind]) {
    let key = |id: &str, rendition: &str| format!("u1/file-{id}/transcript.{rendition}");
    let ids = jobs.keys().map(String::as_str).chain(kinds.iter().map(|kind| kind.name));
    let wanted: BTreeSet<String> =
        ids.flat_map(|id| RENDITIONS.iter().map(move |rendition| key(id, rendition))).collect();
    let mut pages = rig.s3.list_objects_v2().bucket(rig.output_bucket()).into_paginator().send();
    let mut found = BTreeSet::new();
    while let Some(page) = pages.next().await {
        found.extend(page.unwrap().contents().iter().map(|object| object.key().unwrap().to_owned()));
    }
    let (missing, left): (Vec<_>, Vec<_>) = (wanted.difference(&found).collect(), found.difference(&wanted).collect());
    println!("objects: {} of {}, left behind: {}", wanted.len() - missing.len(), wanted.len(), left.len());
    assert!(missing.is_empty() && left.is_empty(), "missing: {missing:#?}, left behind: {left:#?}");

    for (id, kind) in jobs {
        let transcript = rig.transcript(id).await.unwrap();
        assert_valid("transcript.json", &transcript);
        assert_eq!((&transcript["job"]["job_id"], &transcript["status"]), (&json!(id), &json!("completed")));
        assert_eq!(heard(transcript), heard(rig.transcript(kind.name).await.unwrap()), "{id}, a {} job", kind.name);
        for rendition in &RENDITIONS[1..] {
            let (ours, calm) = (rig.object(&key(id, rendition)).await, rig.object(&key(kind.name, rendition)).await);
            assert_eq!(ours, calm, "{rendition} of {id}, a {} job", kind.name);
        }
    }
}
