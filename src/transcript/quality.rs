//! What was doubted, and what was taken out for it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
