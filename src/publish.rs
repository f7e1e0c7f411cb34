//! The events out, and the port they leave by: "Transcription Completed" here, the two of a job under way in [`underway`].

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fault::{Code, Fault};
pub use crate::job::status::Status;
use crate::transcript::LanguageShare;
use underway::{TranscriptionProgress, TranscriptionStarted};

pub mod event;
pub mod eventbridge;
pub mod log;
pub mod underway;

/// `source` of every event we publish.
pub const SOURCE: &str = "custom.transcription-service";

/// `detail` of an event.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Event {
    /// Work on a job begins.
    Started(TranscriptionStarted),
    /// It has come so far.
    Progress(TranscriptionProgress),
    /// It has ended.
    Completed(Box<TranscriptionCompleted>),
}

impl Event {
    /// The envelope's `detail-type`.
    pub fn detail_type(&self) -> &'static str {
        match self {
            Self::Started(_) => "Transcription Started",
            Self::Progress(_) => "Transcription Progress",
            Self::Completed(_) => "Transcription Completed",
        }
    }

    /// The job it is about.
    pub fn job_id(&self) -> &str {
        match self {
            Self::Started(event) => &event.job_id,
            Self::Progress(event) => &event.job_id,
            Self::Completed(event) => &event.job_id,
        }
    }
}

impl From<TranscriptionCompleted> for Event {
    fn from(event: TranscriptionCompleted) -> Self {
        Self::Completed(Box::new(event))
    }
}

/// `detail` of "Transcription Completed", published for success and failure alike: consumers filter on `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TranscriptionCompleted {
    /// Version of this schema, `1.1`.
    pub version: String,
    /// The producer's user id; `unknown` where the message names none.
    pub user_id: String,
    /// The producer's file id, else a UUIDv5 of the source location.
    pub file_id: String,
    /// The producer's job id, else a UUIDv5 that is the same for every delivery of the same upload.
    pub job_id: String,
    /// How it ended.
    pub status: Status,
    /// The audio that was (to be) transcribed.
    pub source_audio: SourceAudio,
    /// Where the transcripts are; absent when failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub transcript_location: Option<TranscriptLocation>,
    /// What the transcript is like; absent when failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub transcript_metadata: Option<TranscriptMetadata>,
    /// Why it failed, or what is missing from a partial transcript.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<EventError>,
    /// RFC 3339, UTC.
    #[schemars(extend("format" = "date-time"))]
    pub completed_at: String,
    /// The job's `metadata`, as it was sent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub metadata: Option<Value>,
    /// The job's `tags`, as they were sent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tags: Option<Value>,
}

/// The source object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceAudio {
    /// Bucket; empty when the message named none that could be read.
    pub bucket: String,
    /// Key, not URL-encoded.
    pub key: String,
}

/// Keys of what was written, all in one bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TranscriptLocation {
    /// Output bucket.
    pub bucket: String,
    /// Plain text.
    pub text_key: String,
    /// Our JSON, written last.
    pub json_key: String,
    /// SubRip subtitles.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub srt_key: Option<String>,
    /// WebVTT subtitles.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vtt_key: Option<String>,
    /// JSON in the shape of Amazon Transcribe.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub amazon_key: Option<String>,
    /// A page to read, hear and search.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub html_key: Option<String>,
    /// Markdown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub md_key: Option<String>,
    /// A line of JSON per sentence.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ndjson_key: Option<String>,
    /// JSON of the podcast namespace.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub podcast_key: Option<String>,
    /// Our JSON without redaction, where the job wants both.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unredacted_json_key: Option<String>,
}

/// What the transcript is like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TranscriptMetadata {
    /// Spoken language, ISO 639-1; `un` (unknown) when nothing was said, or where it has no two letters.
    #[schemars(regex(pattern = "^[a-z]{2}$"))]
    pub language: String,
    /// The languages that were spoken, that of most speech first; absent when nothing was said.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub languages: Vec<LanguageShare>,
    /// Length of the audio, seconds.
    pub duration: f64,
    /// Words in the text.
    pub word_count: u64,
    /// Model name.
    pub model: String,
    /// Mean token probability, 0 to 1; 0 when there is no text.
    #[schemars(range(min = 0, max = 1))]
    pub confidence: f64,
    /// Seconds from the start of the fetch to the last object written.
    pub processing_time: f64,
    /// Whether the JSON has times for each word; its segments have times always.
    pub timestamps: bool,
}

/// Why a job failed, or what a partial transcript lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventError {
    /// For machines.
    pub code: Code,
    /// For people; names the object.
    pub message: String,
}

/// Where events go.
#[async_trait]
pub trait Publish: Send + Sync {
    /// Whether events can go there at all. EventBridge takes events for a bus that does not exist as if it did, so this
    /// has to be asked. A permanent fault where there is no such bus; a sentence where it cannot be told.
    async fn check(&self) -> Result<Option<String>, Fault>;

    /// Publishes one event; returns once it was accepted. `trace` is the trace header that the job's message came with.
    async fn publish(&self, event: &Event, trace: Option<&str>) -> Result<(), Fault>;
}
