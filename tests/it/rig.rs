//! A world for the real binary: buckets, a queue with dead letters, a bus whose rules feed it and listen to it.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;
use transcription_worker::app::aws::s3_client;

use crate::server::account;

/// Nothing a test waits for takes longer, even on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// After so many receives the queue moves a message to its dead letters.
pub const MAX_RECEIVES: &str = "3";

/// One account with everything the architecture has.
pub struct Rig {
    pub account: String,
    pub endpoint: String,
    pub sqs: aws_sdk_sqs::Client,
    pub s3: aws_sdk_s3::Client,
    pub events: aws_sdk_eventbridge::Client,
    pub jobs: String,
    pub dead: String,
    pub done: String,
}

impl Rig {
    pub async fn new() -> Self {
        Self::with_queue("jobs", &[]).await
    }

    /// A rig whose job queue has this name and these attributes besides its redrive policy.
    pub async fn with_queue(name: &str, attributes: &[(QueueAttributeName, &str)]) -> Self {
        let (config, account) = account();
        let sqs = aws_sdk_sqs::Client::new(&config);
        let s3 = s3_client(&config);
        let events = aws_sdk_eventbridge::Client::new(&config);
        for bucket in ["audio", "transcripts"] {
            s3.create_bucket().bucket(format!("{bucket}-{account}")).send().await.unwrap();
        }
        let dead_name = name.replace("jobs", "dead");
        let dead = create_queue(&sqs, &dead_name, attributes).await;
        let policy = json!({
            "deadLetterTargetArn": format!("arn:aws:sqs:us-east-1:{account}:{dead_name}"),
            "maxReceiveCount": MAX_RECEIVES,
        })
        .to_string();
        let attributes = [attributes, &[(QueueAttributeName::RedrivePolicy, policy.as_str())]].concat();
        let jobs = create_queue(&sqs, name, &attributes).await;
        let done = create_queue(&sqs, "done", &[]).await;
        events.create_event_bus().name("hub").send().await.unwrap();
        let endpoint = config.endpoint_url().unwrap().to_owned();
        let rig = Self { account, endpoint, sqs, s3, events, jobs, dead, done };
        rig.rule("uploads", &json!({"detail-type": ["Audio Uploaded"]}), name).await;
        rig.rule("completions", &json!({"detail-type": ["Transcription Completed"]}), "done").await;
        rig
    }

    /// Events of this pattern go to a queue.
    pub async fn rule(&self, rule: &str, pattern: &Value, queue: &str) {
        self.events
            .put_rule()
            .name(rule)
            .event_bus_name("hub")
            .event_pattern(pattern.to_string())
            .send()
            .await
            .unwrap();
        let arn = format!("arn:aws:sqs:us-east-1:{}:{queue}", self.account);
        let target = aws_sdk_eventbridge::types::Target::builder().id("queue").arn(arn).build().unwrap();
        self.events.put_targets().rule(rule).event_bus_name("hub").targets(target).send().await.unwrap();
    }

    pub fn audio_bucket(&self) -> String {
        format!("audio-{}", self.account)
    }

    pub fn output_bucket(&self) -> String {
        format!("transcripts-{}", self.account)
    }

    pub async fn upload(&self, key: &str, body: Vec<u8>) {
        self.s3.put_object().bucket(self.audio_bucket()).key(key).body(body.into()).send().await.unwrap();
    }

    /// A job message for an object of the audio bucket.
    pub fn job(&self, job_id: &str, key: &str) -> Value {
        json!({
            "job_id": job_id, "user_id": "u1", "file_id": format!("file-{job_id}"),
            "s3_input_path": format!("s3://{}/{key}", self.audio_bucket()),
        })
    }

    pub async fn send(&self, body: impl ToString) {
        self.sqs.send_message().queue_url(&self.jobs).message_body(body.to_string()).send().await.unwrap();
    }

    pub async fn object(&self, key: &str) -> Option<Vec<u8>> {
        let answer = self.s3.get_object().bucket(self.output_bucket()).key(key).send().await.ok()?;
        Some(answer.body.collect().await.unwrap().to_vec())
    }

    /// `transcript.json` of a job sent with [`Rig::job`].
    pub async fn transcript(&self, job_id: &str) -> Option<Value> {
        let json = self.object(&format!("u1/file-{job_id}/transcript.json")).await?;
        Some(serde_json::from_slice(&json).unwrap())
    }

    /// The next "Transcription Completed", waited for, checked against its schema, its detail returned.
    pub async fn event(&self) -> Value {
        let envelope: Value =
            serde_json::from_str(&self.take(&self.done).await.expect("an event is published")).unwrap();
        assert_eq!(envelope["source"], "custom.transcription-service");
        assert_eq!(envelope["detail-type"], "Transcription Completed");
        assert_valid("event-transcription-completed.json", &envelope["detail"]);
        envelope["detail"].clone()
    }

    /// A queue that hears all that the worker publishes.
    pub async fn hears_all(&self) -> String {
        let all = create_queue(&self.sqs, "news", &[]).await;
        self.rule("news", &json!({"source": ["custom.transcription-service"]}), "news").await;
        all
    }

    /// Whether an event waits right now.
    pub async fn no_event(&self) -> bool {
        self.receive(&self.done, 1).await.is_none()
    }

    /// The next dead letter's body and error code, waited for.
    pub async fn dead_letter(&self) -> (String, Option<String>) {
        let answer = timeout(PATIENCE, async {
            loop {
                let request = self.sqs.receive_message().queue_url(&self.dead).wait_time_seconds(20);
                let answer = request.message_attribute_names("All").send().await.unwrap();
                if let Some(message) = answer.messages().first() {
                    return message.clone();
                }
            }
        });
        let message = answer.await.expect("a dead letter comes");
        let attributes = message.message_attributes().cloned().unwrap_or_default();
        let code = attributes.get("ErrorCode").and_then(|value| value.string_value()).map(str::to_owned);
        (message.body().unwrap().to_owned(), code)
    }

    /// Takes the next message of a queue, waited for.
    pub async fn take(&self, queue: &str) -> Option<String> {
        timeout(PATIENCE, async {
            loop {
                if let Some(body) = self.receive(queue, 20).await {
                    return body;
                }
            }
        })
        .await
        .ok()
    }

    /// Takes a message of the queue, if one comes within this time.
    pub async fn receive(&self, queue: &str, wait_secs: i32) -> Option<String> {
        let answer = self.sqs.receive_message().queue_url(queue).wait_time_seconds(wait_secs).send().await.unwrap();
        let message = answer.messages().first()?;
        let receipt = message.receipt_handle().unwrap();
        self.sqs.delete_message().queue_url(queue).receipt_handle(receipt).send().await.unwrap();
        message.body().map(str::to_owned)
    }

    /// Messages of the job queue: visible, in flight.
    pub async fn counts(&self) -> (u32, u32) {
        self.counts_of(&self.jobs).await
    }

    /// Messages of a queue: visible, in flight.
    pub async fn counts_of(&self, queue: &str) -> (u32, u32) {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let request = self.sqs.get_queue_attributes().queue_url(queue);
        let answer = request.set_attribute_names(Some(names.to_vec())).send().await.unwrap();
        let attributes = answer.attributes().unwrap();
        let count = |name: &QueueAttributeName| attributes.get(name).unwrap().parse().unwrap();
        (count(&names[0]), count(&names[1]))
    }

    /// Waits until the job queue holds nothing at all.
    pub async fn queue_is_empty(&self) {
        wait_until("the queue is empty", async || self.counts().await == (0, 0)).await;
    }

    /// The worker with this rig's settings; add more and `start` it.
    pub fn worker(&self) -> Command {
        self.worker_command("run")
    }

    /// The same, talking to AWS through another endpoint.
    pub fn worker_at(&self, endpoint: &str) -> Command {
        let mut command = self.worker();
        command.env("AWS_ENDPOINT_URL", endpoint);
        command
    }

    /// Any command with this rig's settings.
    pub fn worker_command(&self, name: &str) -> Command {
        let mut command = binary();
        command
            .arg(name)
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", &self.account)
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("TRANSCRIPTION_QUEUE_URL", &self.jobs)
            .env("TRANSCRIPTION_OUTPUT_BUCKET", self.output_bucket())
            .env("TRANSCRIPTION_EVENT_BUS", "hub")
            .env("TRANSCRIPTION_POLL_SECS", "1")
            .env("TRANSCRIPTION_BACKOFF_SECS", "0.2")
            .env("TRANSCRIPTION_OBJECT_GRACE_SECS", "0")
            .env("TRANSCRIPTION_REFUSAL_SECS", "5");
        command
    }
}

async fn create_queue(sqs: &aws_sdk_sqs::Client, name: &str, attributes: &[(QueueAttributeName, &str)]) -> String {
    let mut request = sqs.create_queue().queue_name(name);
    for (key, value) in attributes {
        request = request.attributes(key.clone(), *value);
    }
    request.send().await.unwrap().queue_url.unwrap()
}

/// The real program, with the model that `make model` fetched and none of the developer's own settings.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_transcription-worker"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TRANSCRIPTION_")) {
        command.env_remove(name);
    }
    command
        // of a program for GPUs its CPU path is tested
        .env("TRANSCRIPTION_DEVICE", "cpu")
        .env("TRANSCRIPTION_MODEL", "tiny.en")
        .env("TRANSCRIPTION_MODELS_DIR", repository().join("models"))
        .env("RUST_LOG", "info")
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
}

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of tests/audio: six seconds of speech, by extension.
pub fn speech(extension: &str) -> Vec<u8> {
    std::fs::read(repository().join("tests/audio").join(format!("speech.{extension}"))).unwrap()
}

/// 16 kHz mono WAV of the speech clip, repeated to at least `secs`.
pub fn long_speech(secs: usize) -> Vec<u8> {
    let clip = speech("wav");
    let data = clip.windows(4).position(|tag| tag == b"data").unwrap() + 8;
    let (head, samples) = clip.split_at(data);
    let byte_rate = u32::from_le_bytes(head[28..32].try_into().unwrap()) as usize;
    let body = samples.repeat((secs * byte_rate).div_ceil(samples.len()));
    let mut wav = head.to_vec();
    wav[data - 4..].copy_from_slice(&(body.len() as u32).to_le_bytes());
    wav[4..8].copy_from_slice(&((data - 8 + body.len()) as u32).to_le_bytes());
    wav.extend(body);
    wav
}

/// 16 kHz mono WAV of the given samples.
pub fn wav(samples: &[i16]) -> Vec<u8> {
    let bytes = samples.len() as u32 * 2;
    let mut wav = Vec::from(*b"RIFF");
    wav.extend((36 + bytes).to_le_bytes());
    wav.extend(*b"WAVEfmt ");
    wav.extend(16u32.to_le_bytes());
    wav.extend(1u16.to_le_bytes());
    wav.extend(1u16.to_le_bytes());
    wav.extend(16_000u32.to_le_bytes());
    wav.extend(32_000u32.to_le_bytes());
    wav.extend(2u16.to_le_bytes());
    wav.extend(16u16.to_le_bytes());
    wav.extend(*b"data");
    wav.extend(bytes.to_le_bytes());
    wav.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    wav
}

/// Fails unless `value` is valid against a schema of `schemas/`.
pub fn assert_valid(schema: &str, value: &Value) {
    assert_matches_file(&format!("schemas/{schema}"), value);
}

/// Fails unless `value` is valid against the schema in a file of the repository.
pub fn assert_matches_file(schema: &str, value: &Value) {
    let text = std::fs::read_to_string(repository().join(schema)).unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap();
    let errors: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "not valid against {schema}: {errors:?}\n{value:#}");
}

/// Polls until the condition holds; fails after [`PATIENCE`].
pub async fn wait_until(what: &str, condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(timeout(PATIENCE, waiting).await.is_ok(), "waited in vain until {what}");
}

/// The engine of examples/scripted_engine.rs, which does what a job's prompt says.
pub fn scripted_engine() -> PathBuf {
    example("scripted_engine")
}

/// A program of `examples/`.
pub fn example(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_transcription-worker")).with_file_name("examples").join(name);
    assert!(path.exists(), "{} is missing: it is built by cargo test, and by cargo build --examples", path.display());
    path
}

/// A temporary directory path below the system's, removed on drop.
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}
