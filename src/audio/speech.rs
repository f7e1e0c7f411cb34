//! Where speech is in a 16 kHz stream, and the windows cut from it. Streaming: memory is bounded by a window, however
//! long the speech, the silence or the file. Permissive: a lost word costs more than a second of silence.

use std::collections::VecDeque;

use self::activity::{Activity, Kind};
use self::net::Net;
use self::packing::Packer;
use super::{Found, Span};

mod activity;
mod highpass;
mod level;
mod net;
mod packing;
#[cfg(test)]
mod tests;
mod tone;

/// Samples per decision: 16 ms, what the detector takes.
const FRAME_SAMPLES: usize = 256;

/// Frames that are judged together, 1 s: the gain of a frame knows what follows it.
const BLOCK_FRAMES: usize = 64;

/// Frames before a voiced one that belong to its run: soft onsets, and the detector's own delay of a frame or two.
const LEAD_FRAMES: usize = 4;

/// Frames after a voiced one that belong to its run: fading ends. With `LEAD_FRAMES` this also closes gaps under
/// 0.13 s, which are sounds within words (a stop consonant), not pauses.
const TRAIL_FRAMES: usize = 3;

/// What sounded in a stream, in samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sound {
    /// In which there was something to hear at all, however steady.
    pub audible: u64,
    /// In which no voice was found, and which are in windows all the same.
    pub heard: u64,
    /// In which no voice was found, and which are in no window.
    pub unheard: u64,
}

/// The PCM and spans of one window, of one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Speech {
    /// 16 kHz mono.
    pub pcm: Vec<f32>,
    /// As in [`super::Window`].
    pub spans: Vec<Span>,
    /// As in [`super::Window`].
    pub found: Found,
}

/// Cuts one channel's stream into windows.
pub struct Segmenter {
    activity: Activity,
    packer: Packer,
    net: Net,
    /// Less than a frame of input.
    partial: Vec<f32>,
    /// Judged frames that a later voiced frame may still draw into its run, each with what it is otherwise.
    undecided: VecDeque<(Vec<f32>, Kind)>,
    /// Frames that still belong to the last voiced one.
    trail: usize,
}

impl Segmenter {
    /// A segmenter whose first sample lies at `source_start` of the source, in 16 kHz samples.
    pub fn new(source_start: u64) -> Self {
        Self {
            activity: Activity::default(),
            packer: Packer::new(source_start, Found::Voice),
            net: Net::new(source_start),
            partial: Vec::with_capacity(FRAME_SAMPLES),
            undecided: VecDeque::new(),
            trail: 0,
        }
    }

    /// Takes samples (finite, in [-1, 1]) and appends the windows that they complete to `out`.
    pub fn push(&mut self, mut samples: &[f32], out: &mut Vec<Speech>) {
        while !samples.is_empty() {
            let (now, later) = samples.split_at(samples.len().min(FRAME_SAMPLES - self.partial.len()));
            self.partial.extend_from_slice(now);
            samples = later;
            if self.partial.len() == FRAME_SAMPLES {
                let frame = std::mem::replace(&mut self.partial, Vec::with_capacity(FRAME_SAMPLES));
                self.activity.push(frame);
                self.decide(out);
            }
        }
    }

    /// Ends the stream: what is left becomes the last window.
    pub fn finish(&mut self, out: &mut Vec<Speech>) {
        if !self.partial.is_empty() {
            let frame = std::mem::take(&mut self.partial);
            self.activity.push(frame);
        }
        self.activity.finish();
        self.decide(out);
        for (frame, kind) in std::mem::take(&mut self.undecided) {
            self.pack(frame, kind, out);
        }
        self.packer.flush(out);
        self.net.finish(self.packer.has_emitted(), out);
    }

    /// What sounded and was no voice, once the stream has ended.
    pub fn sound(&self) -> Sound {
        Sound {
            audible: self.activity.audible(),
            heard: self.net.heard(),
            unheard: self.packer.unheard().saturating_sub(self.net.heard()),
        }
    }

    /// Labels every judged frame: speech when it is voiced or close to one that is.
    fn decide(&mut self, out: &mut Vec<Speech>) {
        while let Some((frame, kind)) = self.activity.pop() {
            if kind == Kind::Voice {
                self.undecided.iter_mut().for_each(|(_, kind)| *kind = Kind::Voice);
                self.trail = TRAIL_FRAMES;
                self.undecided.push_back((frame, kind));
            } else {
                self.undecided.push_back((frame, if self.trail > 0 { Kind::Voice } else { kind }));
                self.trail = self.trail.saturating_sub(1);
            }
            while self.undecided.len() > LEAD_FRAMES {
                if let Some((frame, kind)) = self.undecided.pop_front() {
                    self.pack(frame, kind, out);
                }
            }
        }
    }

    fn pack(&mut self, frame: Vec<f32>, kind: Kind, out: &mut Vec<Speech>) {
        self.packer.push(&frame, kind, out);
        if self.net.push(frame, kind) {
            // what was said before comes first
            self.packer.flush(out);
        }
        self.net.haul(out);
    }
}
