//! How a piece of work can end badly: the only vocabulary of failure between modules.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub mod sdk;

/// Why a job did not end in a transcript, or not yet. `settle` turns each kind into what happens to the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The same message can never succeed: report it, dead-letter it, delete it.
    Permanent(Problem),
    /// It may succeed later, unchanged: back off and let the queue redeliver.
    Transient(Problem),
    /// This worker is not fit to do it, through no fault of the job; another may be. Never reported as the job's failure.
    Unable(Problem),
    /// The worker is stopping: give the message back at once.
    Interrupted,
    /// The message is no longer ours: write nothing more.
    LeaseLost,
}

/// A code for machines and a sentence for people; the sentence names the object it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Published as `error.code`.
    pub code: Code,
    /// Published as `error.message`.
    pub message: String,
}

/// The error codes of the events; the README's table explains each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    /// The message body is not a shape we know, or a field is missing, mistyped or hostile.
    BadMessage,
    /// No decoder reads this container or codec, `ffmpeg` included where it may be used.
    UnsupportedFormat,
    /// The container is readable and holds no audio.
    NoAudioTrack,
    /// The audio is encrypted.
    EncryptedAudio,
    /// A known format whose data cannot be decoded.
    CorruptAudio,
    /// Longer than the configured limit.
    AudioTooLong,
    /// Larger than the configured limit.
    ObjectTooLarge,
    /// The source object or its bucket does not exist.
    ObjectNotFound,
    /// S3, KMS or an allow-list refuses.
    AccessDenied,
    /// The source object changed while it was read, or between two deliveries.
    ObjectChanged,
    /// The message asks for a model this worker does not serve.
    UnknownModel,
    /// A window killed the engine process twice.
    EngineCrashed,
    /// No engine works on this machine: only ever seen on a fault of the worker's own.
    EngineUnavailable,
    /// The place of the transcripts holds those of another source.
    OutputTaken,
    /// The worker died more than once over this job, so it is not given to another.
    WorkerCrashed,
    /// Transient failures until the queue's `maxReceiveCount`.
    RetriesExhausted,
    /// Throttling, 5xx, time-outs, network: only ever seen on a transient fault.
    ServiceUnavailable,
    /// No room for the download: only ever seen on a transient fault.
    DiskFull,
    /// A `partial` transcript: damaged packets were skipped.
    DamagedAudio,
    /// A `partial` transcript: the audio ends before its container says.
    TruncatedAudio,
    /// A `partial` transcript: the audio track to transcribe holds nothing but silence, and the file has others.
    SilentTrack,
    /// A `partial` transcript: it was asked who speaks, and that is not known.
    SpeakersUnknown,
    /// A `completed` transcript without text of audio that is not silent.
    NoSpeechFound,
    /// A `completed` transcript of a job whose vocabulary has more terms than the engine takes up.
    LongVocabulary,
    /// A bug in this program.
    Internal,
}

impl Fault {
    /// A fault that no retry can mend.
    pub fn permanent(code: Code, message: impl Into<String>) -> Self {
        Self::Permanent(Problem { code, message: message.into() })
    }

    /// A fault that a later attempt may not meet.
    pub fn transient(code: Code, message: impl Into<String>) -> Self {
        Self::Transient(Problem { code, message: message.into() })
    }

    /// A fault of this worker's own.
    pub fn unable(code: Code, message: impl Into<String>) -> Self {
        Self::Unable(Problem { code, message: message.into() })
    }

    /// The problem of a fault that has one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Permanent(problem) | Self::Transient(problem) | Self::Unable(problem) => Some(problem),
            Self::Interrupted | Self::LeaseLost => None,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // serde holds the one spelling
        let name = serde_json::to_value(self).map_err(|_| fmt::Error)?;
        f.write_str(name.as_str().unwrap_or_default())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permanent(p) => write!(f, "{} ({})", p.message, p.code),
            Self::Transient(p) => write!(f, "{} ({}, will be retried)", p.message, p.code),
            Self::Unable(p) => write!(f, "{} ({}, this worker's own fault)", p.message, p.code),
            Self::Interrupted => f.write_str("interrupted: the worker is stopping"),
            Self::LeaseLost => f.write_str("the message's lease was lost to another worker"),
        }
    }
}

impl std::error::Error for Fault {}
