//! The transcript: what a job makes, and its renditions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Code;
use crate::job::clip::Clip;
use crate::job::speakers::SpeakerCount;
use crate::job::subtitles::Subtitles;
use crate::job::wording::{FilterMethod, Private, RedactionOutput};
use crate::job::{Channels, Format, Task, language};
use crate::publish::{Status, TranscriptMetadata};
use crate::script::word;

pub mod amazon;
mod html;
pub mod json;
mod mark;
mod markdown;
mod ndjson;
pub(crate) mod paragraph;
mod places;
mod podcast;
pub mod subtitles;
pub mod text;
pub mod tidy;
pub mod words;

pub use mark::{Mark, MarkKind};
pub use paragraph::ParagraphRef;
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

/// One of the languages that were spoken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LanguageShare {
    /// Whisper's code, ISO 639-1 where one exists.
    pub code: String,
    /// Length of its segments, seconds.
    pub seconds: f64,
}

/// What a job asked for, the worker's defaults included. Asked otherwise it is another job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Request {
    /// Whisper's language code; absent when it was to be detected.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub language: Option<String>,
    /// Whisper's language codes between which each window was decided; absent when there were none.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub languages: Vec<String>,
    /// Words to expect, redacted as the text is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prompt: Option<String>,
    /// What became of several channels.
    pub channels: Channels,
    /// Whether words were to have times.
    pub word_timestamps: bool,
    /// Between how many speakers it was to be told who speaks; absent where it was not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub speakers: Option<SpeakerCount>,
    /// Names and terms to expect, redacted as the text is.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub vocabulary: Vec<String>,
    /// Stands for the lists of words that were replaced or filtered: other lists have another.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub word_lists: Option<String>,
    /// What became of filtered words; absent when none were filtered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub filter_method: Option<FilterMethod>,
    /// What was redacted.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub redact: Vec<Private>,
    /// Whether an unredacted JSON was written too; absent when nothing was redacted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub redaction_output: Option<RedactionOutput>,
    /// The part that was heard; absent when it was all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clip: Option<Clip>,
    /// How subtitles are laid out; absent when as usual.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subtitles: Option<Subtitles>,
    /// The renditions that were written.
    pub formats: Vec<Format>,
}

impl Request {
    /// Whether a transcript made for this is what `other` asks for too, renditions aside: those can be made from it.
    pub fn covers(&self, other: &Self) -> bool {
        let words = self.word_timestamps || !other.word_timestamps;
        let languages = self.language == other.language && self.languages == other.languages;
        let heard = self.channels == other.channels && self.clip == other.clip && self.speakers == other.speakers;
        let lists = self.word_lists == other.word_lists && self.filter_method == other.filter_method;
        let private = self.redact == other.redact && self.redaction_output == other.redaction_output;
        let prompted = self.prompt == other.prompt && self.vocabulary == other.vocabulary;
        words && languages && prompted && heard && lists && private
    }
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

/// What the decoder found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AudioRef {
    /// Decoded length, seconds; of a clip, where it ends.
    pub duration: f64,
    /// Codec name, such as `mp3`.
    pub codec: String,
    /// Container name, such as `isomp4`.
    pub container: String,
    /// Decoded sample rate.
    pub sample_rate_hz: u32,
    /// Channels.
    pub channels: u16,
    /// Seconds in which speech was found.
    pub speech_duration: f64,
    /// The file's audio tracks, where it has several.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tracks: Vec<AudioTrack>,
}

/// One audio track of several.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AudioTrack {
    /// Its place among the audio tracks, from 1.
    pub number: u32,
    /// Codec name.
    pub codec: String,
    /// Channels, where the container states them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub channels: Option<u16>,
    /// Language tag, where the container states it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub language: Option<String>,
    /// What the file calls it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub title: Option<String>,
    /// Whether the file marks it as the one to play.
    pub default: bool,
    /// Whether it is the one that was transcribed.
    pub transcribed: bool,
}

/// The spoken language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Language {
    /// Whisper's code, ISO 639-1 where one exists; `und` when nothing was said.
    pub code: String,
    /// Mean probability of the detection, 0 to 1; absent when it was given, not detected.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub probability: Option<f64>,
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

/// One of those who speak. Nothing tells who that is: numbers are given anew in each transcript.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Speaker {
    /// From 1, in the order of their first words.
    pub number: u16,
    /// How long the speaker is heard, over others too.
    pub seconds: f64,
    /// Channel, when channels are transcribed separately.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub channel: Option<u16>,
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

/// What the guards did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quality {
    /// Windows sent to the engine.
    pub windows: u32,
    /// Windows whose text was dropped as invented.
    pub windows_dropped: u32,
    /// Windows transcribed a second time under other parameters.
    pub windows_retried: u32,
    /// Mean token probability over all words, 0 to 1.
    pub confidence: f64,
    /// Seconds of sound in which no voice was found and that the engine was given all the same.
    #[serde(default)]
    pub sound_heard: f64,
    /// Seconds of sound in which no voice was found and that nobody listened to.
    #[serde(default)]
    pub sound_unheard: f64,
    /// Text that was heard and is not in the transcript, in order of windows; absent before it was told.
    #[serde(default)]
    pub dropped: Vec<Dropped>,
}

/// Text that the engine gave and the guards took out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Dropped {
    /// Seconds.
    pub start: f64,
    /// Seconds, not before `start`.
    pub end: f64,
    /// Why.
    pub reason: DropReason,
    /// What it said.
    pub text: String,
    /// Channel, when channels are transcribed separately.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub channel: Option<u16>,
}

/// Why text is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// It describes a sound, in brackets, and is not speech.
    Annotation,
    /// It is signs without words.
    NoWords,
    /// The engine itself thinks that nobody spoke, and is unsure of what was said.
    NoSpeech,
    /// It is a phrase that Whisper is known to invent, and doubtful.
    Invented,
    /// It is the prompt come back, and doubtful.
    Prompt,
    /// It is said again and again, faster than anyone speaks or where a second look heard something else.
    Repetition,
    /// It is more than anyone can say in the time.
    TooFast,
    /// The engine was very unsure of it, and a second look heard something surer.
    Unsure,
    /// No voice was found where it was heard, and the engine is not sure of it.
    NoVoice,
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

impl LanguageShare {
    /// The languages of the segments, that of most speech first.
    pub fn of(segments: &[Segment]) -> Vec<Self> {
        let mut shares: Vec<Self> = Vec::new();
        for (code, secs) in segments.iter().filter_map(|it| Some((it.language.as_ref()?, it.end - it.start))) {
            match shares.iter_mut().find(|share| share.code == *code) {
                Some(share) => share.seconds += secs,
                None => shares.push(Self { code: code.clone(), seconds: secs }),
            }
        }
        shares.iter_mut().for_each(|share| share.seconds = round_ms(share.seconds));
        shares.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        shares
    }
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

    /// What the event tells of this transcript. `processing_secs` runs from the start of the fetch to the last object
    /// written. The language is the spoken one also of a translation.
    pub fn metadata(&self, processing_secs: f64) -> TranscriptMetadata {
        TranscriptMetadata {
            language: self.two_letters().to_owned(),
            languages: self.languages.clone(),
            duration: round_ms(self.audio.duration),
            word_count: self.word_count(),
            model: self.model.name.clone(),
            // three decimals, as of the seconds
            confidence: round_ms(tidy::probability(self.quality.confidence)),
            processing_time: round_ms(processing_secs.max(0.0)),
            timestamps: self.has_word_times(),
        }
    }

    /// Of the spoken language. Consumers require two, so that there have to be some where nothing was said, and for Hawaiian.
    fn two_letters(&self) -> &str {
        let spoken = self.language.as_ref().filter(|spoken| spoken.code != language::UNDETERMINED);
        spoken.and_then(|spoken| language::iso_639_1(&spoken.code)).unwrap_or(language::UNKNOWN)
    }

    /// Whether the JSON has the times of words, or would have if there were words.
    fn has_word_times(&self) -> bool {
        let asked = self.request.as_ref().map(|request| request.word_timestamps);
        asked.unwrap_or_else(|| self.segments.iter().any(|segment| !segment.words.is_empty()))
    }
}

/// What people know the recording by: the last part of its key.
fn title(transcript: &Transcript) -> &str {
    let key = &transcript.source.key;
    key.rsplit('/').find(|part| !part.is_empty()).unwrap_or(key)
}

#[cfg(test)]
pub(crate) mod samples;
