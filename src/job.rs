//! A job: one audio object to transcribe, and how.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::objects::Location;
use clip::Clip;
use speakers::SpeakerCount;
use subtitles::Subtitles;
use wording::Wording;

pub mod allow;
pub mod clip;
pub mod ids;
pub mod language;
pub mod message;
pub mod speakers;
pub mod status;
pub mod subtitles;
pub mod wording;

/// One piece of work, whatever the shape of the message it came in. Every field is already checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The producer's id, or a UUIDv5 of the upload: the same for each delivery of it.
    pub id: String,
    /// The producer's user id, `unknown` where there is none.
    pub user_id: String,
    /// The producer's file id, or a UUIDv5 of bucket and key.
    pub file_id: String,
    /// The audio.
    pub source: Location,
    /// Where the JSON must go, when the producer named it; its siblings go beside it.
    pub output: Option<Location>,
    /// The message itself says where the transcripts go, by `file_id` or `s3_output_path`: another source's that lie there
    /// are the producer's to replace. A place that we derived is not.
    pub place_is_named: bool,
    /// What the producer wants otherwise than the worker's defaults.
    pub options: JobOptions,
    /// What the producer wants back.
    pub echo: Echo,
}

/// What a producer wants back in every event about its job, as it sent it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Echo {
    /// Any JSON.
    pub metadata: Option<Value>,
    /// Any JSON.
    pub tags: Option<Value>,
}

impl Echo {
    /// Bytes of either, as JSON; an event has room for 256 KB in all. What is larger is left out.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// What of it fits; `null` is nothing.
    pub fn of(metadata: Option<Value>, tags: Option<Value>) -> Self {
        let fits =
            |value: Option<Value>| value.filter(|value| !value.is_null() && value.to_string().len() <= Self::MAX_BYTES);
        Self { metadata: fits(metadata), tags: fits(tags) }
    }
}

/// Per-job options; `None` is the worker's default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobOptions {
    /// Whisper language code; `None` or `auto` detects it.
    pub language: Option<String>,
    /// Two or more codes, between which each window of speech is decided; there is no `language` then.
    pub languages: Option<Vec<String>>,
    /// Transcribe, or translate to English.
    pub task: Option<Task>,
    /// Model name; must be the one this worker serves.
    pub model: Option<String>,
    /// Words to expect: names, spelling, style.
    pub prompt: Option<String>,
    /// What to write; `json` and `txt` are always written.
    pub formats: Option<Vec<Format>>,
    /// Times for each word.
    pub word_timestamps: Option<bool>,
    /// One transcript of the mix, or of each channel.
    pub channels: Option<Channels>,
    /// Whether it is told who speaks, and how many may.
    pub speakers: Option<Option<SpeakerCount>>,
    /// The part that is heard; `None` is all of it.
    pub clip: Option<Clip>,
    /// What is wanted of single words.
    pub wording: Wording,
    /// How subtitles are laid out.
    pub subtitles: Option<Subtitles>,
    /// Its weight beside the tenant's other jobs, 1 to 10; 1 is the usual.
    pub priority: Option<u8>,
}

/// What Whisper is asked to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Write what is said, in its language.
    #[default]
    Transcribe,
    /// Write what is said, in English. Needs a multilingual model.
    Translate,
}

/// What becomes of several channels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// All channels are mixed to one.
    #[default]
    Mix,
    /// Each channel is transcribed by itself; segments name theirs.
    Separate,
}

/// A rendition of the transcript.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Our versioned JSON.
    Json,
    /// Plain text.
    Txt,
    /// SubRip subtitles.
    Srt,
    /// WebVTT subtitles.
    Vtt,
    /// JSON in the shape of Amazon Transcribe.
    #[serde(alias = "amazon-transcribe")]
    #[value(alias = "amazon-transcribe")]
    Amazon,
    /// A page to read, hear and search.
    Html,
    /// Markdown.
    #[serde(alias = "markdown")]
    #[value(alias = "markdown")]
    Md,
    /// A line of JSON per sentence, for search indexes.
    #[serde(alias = "jsonl")]
    #[value(alias = "jsonl")]
    Ndjson,
    /// JSON of the podcast namespace.
    Podcast,
}

impl Format {
    /// What a file of it ends in.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Txt => "txt",
            Self::Srt => "srt",
            Self::Vtt => "vtt",
            Self::Amazon => "amazon.json",
            Self::Html => "html",
            Self::Md => "md",
            Self::Ndjson => "ndjson",
            Self::Podcast => "podcast.json",
        }
    }
}
