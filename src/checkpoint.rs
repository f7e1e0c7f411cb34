//! What is saved of an unfinished job, so that the next worker need not transcribe it again: the answers of its finished
//! windows, beside the output. Losing one costs time, never correctness: what is damaged or another's is ignored.

use serde::{Deserialize, Serialize};

use crate::audio::{AudioOptions, WINDOWING, Window};
use crate::job::clip::Clip;
use crate::job::{Channels, Job, ids};
use crate::model::Model;
use crate::objects::Location;
use crate::transcribe::LISTENING;
use crate::transcribe::wire::{Piece, WindowOptions, WindowText};
use crate::transcript::Dropped;

pub mod keeper;
#[cfg(test)]
mod tests;

/// Of the document; bumped when its shape changes.
pub const VERSION: u32 = 5;

/// Bytes; a day of speech is about 10 MB.
pub const MAX_BYTES: u64 = 64 << 20;

/// All that two runs must share for the one's answers to be the other's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Binding {
    /// Of the job.
    pub job_id: String,
    /// Of the source object.
    pub etag: String,
    /// SHA-256 of the weights, as hex.
    pub model: String,
    /// How windows are transcribed, as the job asks for it: no language means that it is detected.
    pub options: WindowOptions,
    /// How channels become windows.
    pub channels: Channels,
    /// The part that is heard.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clip: Option<Clip>,
    /// [`WINDOWING`] of the program.
    pub windowing: u32,
    /// [`LISTENING`] of the program.
    pub listening: u32,
}

impl Binding {
    /// What this program binds its own checkpoints of a job to.
    pub fn new(job: &Job, etag: &str, model: &Model, options: &WindowOptions, audio: &AudioOptions) -> Self {
        Self {
            job_id: job.id.clone(),
            etag: etag.to_owned(),
            model: model.sha256.clone(),
            options: options.clone(),
            channels: audio.channels,
            clip: audio.clip,
            windowing: WINDOWING,
            listening: LISTENING,
        }
    }

    /// What tells this binding from another; `None` when nothing does.
    fn difference(&self, other: &Self) -> Option<&'static str> {
        let heard = self.channels == other.channels && self.clip == other.clip;
        let parts = [
            (self.job_id == other.job_id, "job"),
            (self.etag == other.etag, "etag"),
            (self.model == other.model, "model"),
            (self.options == other.options && heard, "choice of options"),
            (self.windowing == other.windowing && self.listening == other.listening, "version of the worker"),
        ];
        parts.into_iter().find_map(|(same, what)| (!same).then_some(what))
    }
}

/// A window that need not be transcribed again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinishedWindow {
    /// [`Window::index`].
    pub index: u32,
    /// [`shape`] of the window.
    pub shape: u64,
    /// What was heard, after the guards.
    #[serde(with = "compact")]
    pub text: WindowText,
    /// How much was heard at first: what later windows are compared with.
    pub letters: u32,
    /// The language that it was first heard in, if that was a guess and its text was kept, and how probable that was, in
    /// thousandths: what decides the job's language.
    pub vote: Option<(String, u16)>,
    /// The guards dropped its text, all of it.
    pub is_dropped: bool,
    /// What they dropped.
    pub dropped: Vec<Dropped>,
    /// It was looked at twice.
    pub retried: bool,
}

/// Where a window was cut, as one number (FNV-1a over channel, length and spans). The samples themselves are left out:
/// the etag vouches for them, and their last bits differ between CPUs that decode with other instructions.
pub fn shape(window: &Window) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let head = [window.channel.map_or(u64::MAX, u64::from), window.pcm.len() as u64];
    let spans = window.spans.iter().flat_map(|span| [span.window_start as u64, span.source_start, span.len as u64]);
    let bytes = head.into_iter().chain(spans).flat_map(u64::to_le_bytes);
    bytes.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

/// `{folder of the JSON}/.checkpoint/{job id}.json`, in the bucket of the JSON.
pub fn location(json: &Location, job_id: &str) -> Location {
    json.sibling(&format!(".checkpoint/{}.json", ids::key_part(job_id)))
}

/// The document.
///
/// # Errors
/// None is known.
pub fn encode<'a>(
    binding: &Binding,
    windows: impl Iterator<Item = &'a FinishedWindow>,
) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Document { version: VERSION, binding, windows: windows.collect::<Vec<_>>() })
}

/// The windows of a document that is bound to the same as we are.
///
/// # Errors
/// Why it is of no use, as the end of a sentence about it.
pub fn parse(document: &[u8], ours: &Binding) -> Result<Vec<FinishedWindow>, String> {
    let damaged = |error: serde_json::Error| format!("is damaged ({error})");
    // the version by itself: the rest of another version's document may be of any shape
    let Versioned { version } = serde_json::from_slice(document).map_err(damaged)?;
    if version != VERSION {
        return Err(format!("has version {version}, not {VERSION}"));
    }
    let found: Document<Binding, FinishedWindow> = serde_json::from_slice(document).map_err(damaged)?;
    match found.binding.difference(ours) {
        Some(what) => Err(format!("is of another {what}")),
        None => Ok(found.windows),
    }
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Document<B, W> {
    version: u32,
    binding: B,
    windows: Vec<W>,
}

/// A window's text as short arrays: pieces are most of a checkpoint, and their field names would be most of a piece.
mod compact {
    use serde::de::Error;
    use serde::{Deserializer, Serializer};

    use super::{Deserialize, Piece, Serialize, WindowText};

    type Head = (String, Option<f32>, f32, f32, u32);
    type Compact<T> = (T, f32, Option<(u32, u32)>);

    pub fn serialize<S: Serializer>(text: &WindowText, to: S) -> Result<S::Ok, S::Error> {
        let pieces = text.pieces.iter().map(|piece| (piece.text.as_str(), piece.p, piece.said));
        let pieces: Vec<Compact<&str>> = pieces.collect();
        let head = (&text.language, text.language_probability, text.no_speech_prob, text.avg_logprob, text.busy_ms);
        (head, pieces).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<WindowText, D::Error> {
        let (head, pieces): (Head, Vec<Compact<String>>) = Deserialize::deserialize(from)?;
        let (language, language_probability, no_speech_prob, avg_logprob, busy_ms) = head;
        // 1e39 is JSON, and infinite as f32, which is not: it could not be saved again, nor stand in a transcript
        let certainties = pieces.iter().map(|(_, p, _)| *p).chain(language_probability);
        if !certainties.chain([no_speech_prob, avg_logprob]).all(f32::is_finite) {
            return Err(D::Error::custom("a number is out of range"));
        }
        let pieces = pieces.into_iter().map(|(text, p, said)| Piece { text, p, said }).collect();
        Ok(WindowText { language, language_probability, no_speech_prob, avg_logprob, pieces, busy_ms })
    }
}
