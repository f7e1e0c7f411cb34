//! What the bus hears of a job under way: "Transcription Started" and "Transcription Progress".

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SourceAudio;
use super::event::{VERSION, rfc3339};
use crate::board::Reached;
use crate::job::Job;

/// `detail` of "Transcription Started": a worker has the audio's job and begins with it. Published anew for each attempt at
/// the job; a job that is only reported again has none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TranscriptionStarted {
    /// Version of this schema, `1.1`.
    pub version: String,
    /// As in "Transcription Completed".
    pub user_id: String,
    /// As in "Transcription Completed".
    pub file_id: String,
    /// As in "Transcription Completed".
    pub job_id: String,
    /// The audio that is to be transcribed.
    pub source_audio: SourceAudio,
    /// Model name.
    pub model: String,
    /// How often the job was taken from the queue, this time included.
    #[schemars(range(min = 1))]
    pub attempt: u32,
    /// RFC 3339, UTC.
    #[schemars(extend("format" = "date-time"))]
    pub started_at: String,
    /// The job's `metadata`, as it was sent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub metadata: Option<Value>,
    /// The job's `tags`, as they were sent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tags: Option<Value>,
}

/// `detail` of "Transcription Progress": the job has come so far. Within an attempt `percent` only grows; the next attempt
/// begins where a checkpoint was, and may begin lower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TranscriptionProgress {
    /// Version of this schema, `1.1`.
    pub version: String,
    /// As in "Transcription Completed".
    pub user_id: String,
    /// As in "Transcription Completed".
    pub file_id: String,
    /// As in "Transcription Completed".
    pub job_id: String,
    /// The audio that is transcribed.
    pub source_audio: SourceAudio,
    /// How much of the audio is transcribed.
    #[schemars(range(min = 0, max = 99))]
    pub percent: u8,
    /// Seconds of the audio that are transcribed.
    pub processed: f64,
    /// Length of the audio as its container states it, seconds.
    pub duration: f64,
    /// How often the job was taken from the queue, this time included.
    #[schemars(range(min = 1))]
    pub attempt: u32,
    /// RFC 3339, UTC.
    #[schemars(extend("format" = "date-time"))]
    pub updated_at: String,
    /// The job's `metadata`, as it was sent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub metadata: Option<Value>,
    /// The job's `tags`, as they were sent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tags: Option<Value>,
}

impl TranscriptionStarted {
    /// The event of an attempt at `job` that begins.
    pub fn of(job: &Job, model: &str, attempt: u32, now: Timestamp) -> Self {
        Self {
            version: VERSION.to_owned(),
            user_id: job.user_id.clone(),
            file_id: job.file_id.clone(),
            job_id: job.id.clone(),
            source_audio: source_audio(job),
            model: model.to_owned(),
            attempt,
            started_at: rfc3339(now),
            metadata: job.echo.metadata.clone(),
            tags: job.echo.tags.clone(),
        }
    }
}

impl TranscriptionProgress {
    /// The event of an attempt at `job` that has come so far; `None` where it is not known how long the audio is.
    pub fn of(job: &Job, reached: Reached, attempt: u32, now: Timestamp) -> Option<Self> {
        Some(Self {
            version: VERSION.to_owned(),
            user_id: job.user_id.clone(),
            file_id: job.file_id.clone(),
            job_id: job.id.clone(),
            source_audio: source_audio(job),
            percent: reached.percent()?,
            processed: to_tenths(reached.done_secs),
            duration: to_tenths(reached.whole_secs?),
            attempt,
            updated_at: rfc3339(now),
            metadata: job.echo.metadata.clone(),
            tags: job.echo.tags.clone(),
        })
    }
}

fn source_audio(job: &Job) -> SourceAudio {
    SourceAudio { bucket: job.source.bucket.clone(), key: job.source.key.clone() }
}

fn to_tenths(secs: f64) -> f64 {
    (secs * 10.0).round() / 10.0
}
