//! The transcript: what a job makes, and its renditions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Code;
use crate::job::status::Status;
use crate::job::subtitles::Subtitles;
use crate::job::{Format, Task};
use crate::script::word;

pub mod amazon;
mod audio;
mod html;
pub mod json;
mod language;
mod mark;
mod markdown;
mod ndjson;
pub(crate) mod paragraph;
mod places;
mod podcast;
mod quality;
mod request;
mod speaker;
pub mod subtitles;
pub mod text;
pub mod tidy;
pub mod words;

pub use audio::{AudioRef, AudioTrack};
pub use language::{Language, LanguageShare};
pub use mark::{Mark, MarkKind};
pub use paragraph::ParagraphRef;
pub use quality::{DropReason, Dropped, Quality};
pub use request::Request;
pub use speaker::Speaker;
pub use tidy::{round_ms, tidy};

/// Version of the JSON document.
pub const VERSION: &str = "1.3";

/// The whole transcript, as `transcript.json` holds it. Times are seconds from the start of the audio; segments do not
/// overlap within a channel, never go backwards and end within the audio.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Transcript {
    /// Version of this document's schema, `1.3`.
    pub version: String,
    /// Whose work this is.
    pub job: JobRef,
    /// `completed` or `partial`.
    pub status: Status,
    /// The object that was read.
    pub source: SourceRef,
    /// What was decoded from it.
    pub audio: AudioRef,
    /// Spoken language, of several that of most speech; `und` when nothing was said. Absent for silence before version 1.2.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub language: Option<Language>,
    /// The languages of the segments, that of most speech first; absent before version 1.3 and when nothing was said.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub languages: Vec<LanguageShare>,
    /// Transcribed, or translated to English.
    pub task: Task,
    /// What the job asked for; absent before version 1.1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub request: Option<Request>,
    /// The weights used.
    pub model: ModelRef,
    /// The segments' texts, joined.
    pub text: String,
    /// Sentences or parts of them, in order of start.
    pub segments: Vec<Segment>,
    /// Who speaks in them, where that was asked for, by their numbers.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub speakers: Vec<Speaker>,
    /// The segments by paragraph, for reading; absent when nothing was said, and before version 1.3.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub paragraphs: Vec<ParagraphRef>,
    /// Passages that were redacted or filtered, in order of start; absent when there are none.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub marks: Vec<Mark>,
    /// How the times of words came about; absent before version 1.3 and when nothing was said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timing: Option<Timing>,
    /// What was doubted.
    pub quality: Quality,
    /// What is missing or damaged, when `partial`.
    pub warnings: Vec<Warning>,
    /// Seconds per stage.
    pub timings: Timings,
    /// Who did it.
    pub worker: WorkerRef,
    /// The same without redaction, where the job wants both: a document of its own.
    #[serde(skip)]
    pub unredacted: Option<Box<Transcript>>,
}

/// How the times of words came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Timing {
    /// Each was measured in the audio.
    Measured,
    /// Some or all were estimated from the words' lengths and the pauses.
    Placed,
}

/// Ids of the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobRef {
    /// Job id.
    pub job_id: String,
    /// User id.
    pub user_id: String,
    /// File id.
    pub file_id: String,
}

/// The source object as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceRef {
    /// Bucket, or the folder backend's `inbox`.
    pub bucket: String,
    /// Key.
    pub key: String,
    /// Content version.
    pub etag: String,
    /// Size in bytes.
    pub size_bytes: u64,
}

/// The weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelRef {
    /// Catalogue name or file stem.
    pub name: String,
    /// Checksum of the ggml file.
    pub sha256: String,
}

/// A sentence or a part of one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Segment {
    /// Seconds.
    pub start: f64,
    /// Seconds, not before `start`.
    pub end: f64,
    /// Trimmed text.
    pub text: String,
    /// Words with times, when asked for.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub words: Vec<Word>,
    /// The words with times where they were not asked for: the renditions go by them, the document leaves them out.
    #[serde(skip)]
    pub unwritten_words: Vec<Word>,
    /// Whisper's code of the language that was spoken; absent before version 1.2.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub language: Option<String>,
    /// Mean natural logarithm of the token probabilities.
    pub avg_logprob: f64,
    /// Whisper's probability that its window holds no speech.
    pub no_speech_prob: f64,
    /// Channel, when channels are transcribed separately.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub channel: Option<u16>,
    /// Number of the speaker, where that was asked for and is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub speaker: Option<u16>,
}

/// One word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Word {
    /// Seconds.
    pub start: f64,
    /// Seconds.
    pub end: f64,
    /// The word with its punctuation, trimmed.
    pub word: String,
    /// Mean token probability, 0 to 1.
    pub probability: f64,
    /// Number of the speaker, as of its segment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub speaker: Option<u16>,
}

/// Something missing or damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Warning {
    /// For machines.
    pub code: Code,
    /// For people.
    pub message: String,
}

/// Seconds per stage; stages overlap, so they do not add up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timings {
    /// Reading the object.
    pub fetch: f64,
    /// Decoding, resampling and finding speech.
    pub decode: f64,
    /// From the first window sent to the last answer.
    pub transcribe: f64,
    /// From the start of the fetch to the rendered document.
    pub total: f64,
}

/// Who did it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerRef {
    /// Program version.
    pub version: String,
    /// EC2 instance id or host name.
    pub instance: String,
}

impl Transcript {
    /// The document in one of its formats.
    ///
    /// # Errors
    /// A number that JSON cannot hold: a bug.
    pub fn render(&self, format: Format) -> Result<Vec<u8>, serde_json::Error> {
        match format {
            Format::Json => json::render(self),
            Format::Txt => Ok(text::render(self).into_bytes()),
            Format::Srt => Ok(subtitles::srt(self).into_bytes()),
            Format::Vtt => Ok(subtitles::vtt(self).into_bytes()),
            Format::Amazon => amazon::render(self),
            Format::Html => Ok(html::render(self).into_bytes()),
            Format::Md => Ok(markdown::render(self).into_bytes()),
            Format::Ndjson => ndjson::render(self),
            Format::Podcast => podcast::render(self),
        }
    }

    /// How its subtitles are laid out.
    pub fn subtitles(&self) -> Subtitles {
        self.request.as_ref().and_then(|request| request.subtitles).unwrap_or_default()
    }

    /// Seconds of audio that were heard: all, or those of the clip.
    pub fn heard_secs(&self) -> f64 {
        let clip = self.request.as_ref().and_then(|request| request.clip);
        (self.audio.duration - clip.map_or(0.0, |clip| clip.start_secs)).max(0.0)
    }

    /// Words in the text: those between spaces, and of scripts without spaces those of the dictionary.
    pub fn word_count(&self) -> u64 {
        word::count(&self.text) as u64
    }

    /// Whisper's code of the language that the segment's text is written in; empty where it is not known.
    pub fn written_in<'a>(&'a self, segment: &'a Segment) -> &'a str {
        let spoken = segment.language.as_deref().or(self.language.as_ref().map(|language| language.code.as_str()));
        match self.task {
            Task::Translate => "en",
            Task::Transcribe => spoken.unwrap_or_default(),
        }
    }
}

/// What people know the recording by: the last part of its key.
fn title(transcript: &Transcript) -> &str {
    let key = &transcript.source.key;
    key.rsplit('/').find(|part| !part.is_empty()).unwrap_or(key)
}

#[cfg(test)]
pub(crate) mod samples;
