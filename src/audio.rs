//! From a file to speech windows: decode, downmix, resample to 16 kHz, find speech, cut windows. Blocking, streaming,
//! in constant memory whatever the length of the file.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use self::streams::Sink;
use crate::fault::Fault;
use crate::job::Channels;
use crate::job::clip::Clip;
use crate::transcript::{AudioRef, Warning};

mod builtin;
mod codec;
mod container;
pub mod decode;
mod failure;
mod ffmpeg;
mod mix;
mod packets;
pub mod recording;
pub mod resample;
pub mod speech;
mod streams;
mod timeline;
mod tracks;

/// Whisper's sample rate.
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// Version of how windows are cut. Bump it with any change to decoding, speech detection or cutting: checkpoints of the
/// version before are then ignored.
pub const WINDOWING: u32 = 5;

/// How to read a file.
#[derive(Debug, Clone)]
pub struct AudioOptions {
    /// Mix, or one stream per channel.
    pub channels: Channels,
    /// A longer file is a permanent `AudioTooLong`, found while decoding at the latest. Seconds.
    pub max_duration_secs: f64,
    /// The `ffmpeg` program to fall back on; `None` where it is absent or not allowed.
    pub ffmpeg: Option<PathBuf>,
    /// The part that is heard; `None` is all of it.
    pub clip: Option<Clip>,
}

/// A run of speech, and where it lies in its window's PCM and in the source. All in 16 kHz samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Offset in the window's PCM.
    pub window_start: usize,
    /// Offset in the source audio.
    pub source_start: u64,
    /// Length, the same in both.
    pub len: usize,
}

/// What is known of a window before the engine has heard it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Found {
    /// Somebody speaks.
    #[default]
    Voice,
    /// Something sounds, and no voice was found in it.
    Sound,
}

/// At most 30 s of speech for the engine. Spans are in order and do not overlap; what lies between them in `pcm` is
/// pause, at most as long as in the source.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// 0, 1, 2 … in the order of emission, over all channels.
    pub index: u32,
    /// Channel, when channels are separate.
    pub channel: Option<u16>,
    /// 16 kHz mono, finite, in [-1, 1].
    pub pcm: Vec<f32>,
    /// Where speech is, or sound; at least one.
    pub spans: Vec<Span>,
    /// What was found there.
    pub found: Found,
}

impl Window {
    /// Seconds of its spans: of speech, or of sound.
    pub fn speech_secs(&self) -> f64 {
        self.spans.iter().map(|span| span.len).sum::<usize>() as f64 / f64::from(SAMPLE_RATE_HZ)
    }
}

/// What sounded besides speech, over all channels. Seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sounds {
    /// In which there was anything to hear, speech and steady noise included.
    pub audible_secs: f64,
    /// In which no voice was found, and which are in windows all the same.
    pub heard_secs: f64,
    /// In which no voice was found, and which are in no window.
    pub unheard_secs: f64,
}

/// What was read, once all of it was.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AudioReport {
    /// Duration, codec, rate, channels.
    pub audio: AudioRef,
    /// Damaged packets, truncation: the job is `partial` when there is any.
    pub warnings: Vec<Warning>,
    /// What sounded besides speech.
    pub sounds: Sounds,
}

/// The duration in seconds that a file's container states, or that its size lets expect, for showing how much is left; `None`
/// where neither is to be had.
pub fn likely_secs(path: &Path, name: &str) -> Option<f64> {
    builtin::likely_secs(path, name)
}

/// Who is told what is decoded. `Break` ends the work with `Interrupted`.
pub trait Listener {
    /// A packet or two were decoded.
    fn step(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// What stream `index` (a channel, or the mix) sounds like, all of it: 16 kHz, in [-1, 1].
    /// `position` is that of the first sample in the source.
    fn hear(&mut self, _index: usize, _position: u64, _samples: &[f32]) {}

    /// Another decoder begins anew: what was heard so far counts no more.
    fn restart(&mut self) {}

    /// A window is complete.
    fn window(&mut self, window: Window) -> ControlFlow<()>;
}

impl<F: FnMut(Window) -> ControlFlow<()>> Listener for F {
    fn window(&mut self, window: Window) -> ControlFlow<()> {
        self(window)
    }
}

/// Decodes `path`, handing each window to `listener` as soon as it is complete. `name` (the object's key) is a hint for
/// the format and what errors call the file.
///
/// # Errors
/// `UnsupportedFormat`, `NoAudioTrack`, `CorruptAudio`, `AudioTooLong`: permanent, naming `name` and the codec.
pub fn read_windows(
    path: &Path,
    name: &str,
    options: &AudioOptions,
    listener: &mut dyn Listener,
) -> Result<AudioReport, Fault> {
    decode::read(path, name, options, Sink::Windows(listener))
}

/// The first half of [`read_windows`] by itself, for measuring it: decodes, mixes and resamples `path` to 16 kHz, handing
/// all samples to `take`, speech or not.
///
/// # Errors
/// As [`read_windows`].
pub fn read_samples(
    path: &Path,
    name: &str,
    options: &AudioOptions,
    take: &mut dyn FnMut(&[f32]),
) -> Result<AudioReport, Fault> {
    decode::read(path, name, options, Sink::Samples(take))
}
