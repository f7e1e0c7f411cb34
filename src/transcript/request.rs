//! What a job asked for, by which a finished transcript is known as its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::clip::Clip;
use crate::job::speakers::SpeakerCount;
use crate::job::subtitles::Subtitles;
use crate::job::wording::{FilterMethod, Private, RedactionOutput};
use crate::job::{Channels, Format};

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
