//! What the daemon and the engine process say to each other over a pipe, in frames:
//! `u32` header bytes, `u32` samples (both little-endian), the header as JSON, then the samples as little-endian `f32`.

use std::fmt;
use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::job::Task;

/// Spoken by both sides; the engine says it first, so that a daemon never talks to another version's engine.
pub const PROTOCOL: u32 = 4;

/// A header is JSON about one window: more than this is not one of ours.
const MAX_HEADER_BYTES: u32 = 4 << 20;

/// 30 s at 16 kHz is 480,000; twice that is no window of ours.
const MAX_SAMPLES: u32 = 960_000;

/// From the daemon: transcribe the samples of this frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Comes back with the answer.
    pub id: u64,
    /// How.
    pub options: WindowOptions,
}

/// How one window is transcribed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WindowOptions {
    /// Whisper language code; `None` detects it.
    pub language: Option<String>,
    /// The codes that detection may choose from; empty for all.
    pub languages: Vec<String>,
    /// Transcribe or translate.
    pub task: Task,
    /// Words to expect.
    pub prompt: Option<String>,
    /// Beam width; 0 or 1 is greedy.
    pub beam_size: u8,
    /// Another reading of a doubtful window: drawn at random, by a generator that the window's samples seed, and slower.
    pub careful: bool,
}

impl WindowOptions {
    /// All codes in it.
    pub fn named_languages(&self) -> impl Iterator<Item = &str> {
        self.language.iter().chain(&self.languages).map(String::as_str)
    }
}

/// From the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Response {
    /// Said once, when the weights are loaded and every lane has computed something.
    Ready(EngineInfo),
    /// A window's answer.
    Done {
        /// The request's id.
        id: u64,
        /// What was heard.
        text: WindowText,
    },
    /// This window cannot be transcribed, whoever is to blame. In the place of `Ready`: there will be no engine.
    Failed {
        /// The request's id; any number in the place of `Ready`.
        id: u64,
        /// Why.
        reason: String,
    },
}

/// What the engine runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineInfo {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// Whether the model knows languages other than English.
    pub multilingual: bool,
    /// `cpu` or `cuda`.
    pub backend: String,
    /// What computes, by its maker's name.
    pub device: String,
    /// Its memory, where it can be asked for.
    pub memory_mib: Option<u64>,
    /// What a GPU can compute, as NVIDIA counts it: `8.9`.
    pub capability: Option<String>,
    /// Version of a GPU's driver.
    pub driver: Option<String>,
    /// Whether each window costs what the longest does: a GPU encodes 30 s whatever is in it.
    pub encodes_all: bool,
    /// Windows at a time.
    pub lanes: usize,
    /// Milliseconds from start to ready.
    pub load_ms: u64,
}

impl fmt::Display for EngineInfo {
    /// One phrase: what it runs on.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.backend)?;
        if !self.device.is_empty() {
            write!(f, " ({})", self.device)?;
        }
        if let Some(capability) = &self.capability {
            write!(f, ", compute capability {capability}")?;
        }
        if let Some(mib) = self.memory_mib {
            write!(f, ", {mib} MiB")?;
        }
        match &self.driver {
            Some(version) => write!(f, ", driver {version}"),
            None => Ok(()),
        }
    }
}

/// What was heard in a window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WindowText {
    /// Language given or detected.
    pub language: String,
    /// Probability of the detection.
    pub language_probability: Option<f32>,
    /// Probability that there is no speech.
    pub no_speech_prob: f32,
    /// Mean log probability of the text tokens.
    pub avg_logprob: f32,
    /// The text, in the smallest groups of tokens that are valid UTF-8.
    pub pieces: Vec<Piece>,
    /// Milliseconds in the lane.
    pub busy_ms: u32,
}

/// One or more tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Piece {
    /// With its leading space, if it begins a word.
    pub text: String,
    /// Mean probability of its tokens.
    pub p: f32,
    /// When it was said: begin and end, in milliseconds of the window; `None` where that was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<(u32, u32)>,
}

impl WindowText {
    /// The same text, heard in a part of a window that begins so many milliseconds after the window does.
    #[must_use]
    pub fn later_by(mut self, ms: u32) -> Self {
        for (begin, end) in self.pieces.iter_mut().filter_map(|piece| piece.said.as_mut()) {
            (*begin, *end) = (begin.saturating_add(ms), end.saturating_add(ms));
        }
        self
    }

    /// When the last word was over, in milliseconds of the window; `None` where that was not measured.
    pub fn end_ms(&self) -> Option<u32> {
        let last = self.pieces.iter().rfind(|piece| piece.text.contains(char::is_alphanumeric))?;
        last.said.map(|(_, end)| end)
    }

    /// The text as one string.
    pub fn text(&self) -> String {
        self.pieces.iter().map(|piece| piece.text.as_str()).collect()
    }
}

/// Writes one frame and flushes.
///
/// # Errors
/// The pipe's errors; `InvalidInput` when a part is larger than a frame may hold.
pub fn write_frame(to: &mut impl Write, header: &impl Serialize, samples: &[f32]) -> io::Result<()> {
    to.write_all(&encode_frame(header, samples)?)?;
    to.flush()
}

/// The bytes of one frame.
///
/// # Errors
/// `InvalidInput` when a part is larger than a frame may hold.
pub fn encode_frame(header: &impl Serialize, samples: &[f32]) -> io::Result<Vec<u8>> {
    let too_large = || io::Error::new(io::ErrorKind::InvalidInput, "a frame's header or samples are too large");
    let json = serde_json::to_vec(header).map_err(io::Error::other)?;
    let header_len = u32::try_from(json.len()).ok().filter(|n| *n <= MAX_HEADER_BYTES).ok_or_else(too_large)?;
    let sample_len = u32::try_from(samples.len()).ok().filter(|n| *n <= MAX_SAMPLES).ok_or_else(too_large)?;
    let mut frame = Vec::with_capacity(8 + json.len() + samples.len() * 4);
    frame.extend_from_slice(&header_len.to_le_bytes());
    frame.extend_from_slice(&sample_len.to_le_bytes());
    frame.extend_from_slice(&json);
    for sample in samples {
        frame.extend_from_slice(&sample.to_le_bytes());
    }
    Ok(frame)
}

/// Reads one frame; `None` at a clean end between frames.
///
/// # Errors
/// `UnexpectedEof` inside a frame, `InvalidData` for what is not a frame of ours.
pub fn read_frame<H: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<(H, Vec<f32>)>> {
    let mut lengths = [0u8; 8];
    let mut have = 0;
    while have < lengths.len() {
        match from.read(&mut lengths[have..]) {
            Ok(0) if have == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => have += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let (header_len, sample_len) = frame_lengths(lengths)?;
    let mut json = vec![0u8; header_len];
    from.read_exact(&mut json)?;
    let mut bytes = vec![0u8; sample_len * 4];
    from.read_exact(&mut bytes)?;
    let samples = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    Ok(Some((parse_header(&json)?, samples)))
}

/// Reads one answer of the engine, which carries no samples; `None` at a clean end between frames. Not to be dropped
/// while it waits: what it had read would be lost.
///
/// # Errors
/// As [`read_frame`].
pub async fn read_response(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Response>> {
    let mut lengths = [0u8; 8];
    let Some((first, rest)) = lengths.split_first_mut() else { return Ok(None) };
    if from.read(std::slice::from_mut(first)).await? == 0 {
        return Ok(None);
    }
    from.read_exact(rest).await?;
    let (header_len, sample_len) = frame_lengths(lengths)?;
    if sample_len != 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "an answer that carries samples"));
    }
    let mut json = vec![0u8; header_len];
    from.read_exact(&mut json).await?;
    parse_header(&json).map(Some)
}

fn frame_lengths(lengths: [u8; 8]) -> io::Result<(usize, usize)> {
    let [h0, h1, h2, h3, s0, s1, s2, s3] = lengths;
    let header_len = u32::from_le_bytes([h0, h1, h2, h3]);
    let sample_len = u32::from_le_bytes([s0, s1, s2, s3]);
    if header_len > MAX_HEADER_BYTES || sample_len > MAX_SAMPLES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a frame: implausible lengths"));
    }
    Ok((header_len as usize, sample_len as usize))
}

fn parse_header<H: DeserializeOwned>(json: &[u8]) -> io::Result<H> {
    serde_json::from_slice(json).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn request() -> Request {
        Request { id: 7, options: WindowOptions { prompt: Some("Zürich".into()), ..Default::default() } }
    }

    #[test]
    fn a_frame_comes_back_as_it_went() {
        let mut pipe = Vec::new();
        write_frame(&mut pipe, &request(), &[0.5, -1.0]).unwrap();
        write_frame(&mut pipe, &request(), &[]).unwrap();
        let mut from = pipe.as_slice();
        assert_eq!(read_frame(&mut from).unwrap(), Some((request(), vec![0.5, -1.0])));
        assert_eq!(read_frame(&mut from).unwrap(), Some((request(), vec![])));
        assert_eq!(read_frame::<Request>(&mut from).unwrap(), None);
    }

    #[test]
    fn a_cut_frame_is_an_error_at_every_byte() {
        let frame = encode_frame(&request(), &[0.25; 3]).unwrap();
        for cut in 1..frame.len() {
            assert!(read_frame::<Request>(&mut &frame[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn what_was_heard_in_a_part_was_said_later_in_the_window() {
        let piece = |said| Piece { text: " one".to_owned(), p: 0.5, said };
        let text = |pieces| WindowText { pieces, ..WindowText::default() };
        let heard = text(vec![piece(Some((0, 250))), piece(None), piece(Some((7, u32::MAX)))]);
        let later = text(vec![piece(Some((1_000, 1_250))), piece(None), piece(Some((1_007, u32::MAX)))]);
        assert_eq!(heard.later_by(1_000), later);
    }

    #[test]
    fn garbage_is_refused_without_allocating_for_it() {
        let error = read_frame::<Request>(&mut &[0xff; 64][..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
