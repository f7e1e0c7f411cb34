//! Where speech is in a 16 kHz stream, and the windows cut from it. Streaming: memory is bounded by a window, however
//! long the speech, the silence or the file. Permissive: a lost word costs more than a second of silence.

use std::collections::VecDeque;

use self::activity::Activity;
use self::packing::Packer;
use super::Span;

mod activity;
mod packing;
#[cfg(test)]
mod tests;

/// Samples per decision: 16 ms, what the detector takes.
const FRAME_SAMPLES: usize = 256;

/// Frames before a voiced one that belong to its run: soft onsets, and the detector's own delay of a frame or two.
const LEAD_FRAMES: usize = 4;

/// Frames after a voiced one that belong to its run: fading ends. With `LEAD_FRAMES` this also closes gaps under
/// 0.13 s, which are sounds within words (a stop consonant), not pauses.
const TRAIL_FRAMES: usize = 3;

/// The PCM and spans of one window, of one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Speech {
    /// 16 kHz mono.
    pub pcm: Vec<f32>,
    /// As in [`super::Window`].
    pub spans: Vec<Span>,
}

/// Cuts one channel's stream into windows.
pub struct Segmenter {
    activity: Activity,
    packer: Packer,
    /// Less than a frame of input.
    partial: Vec<f32>,
    /// Judged frames that a later voiced frame may still draw into its run, each with what it is otherwise.
    undecided: VecDeque<(Vec<f32>, bool)>,
    /// Frames that still belong to the last voiced one.
    trail: usize,
}

impl Segmenter {
    /// A segmenter whose first sample lies at `source_start` of the source, in 16 kHz samples.
    pub fn new(source_start: u64) -> Self {
        Self {
            activity: Activity::default(),
            packer: Packer::new(source_start),
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
        for (frame, speech) in std::mem::take(&mut self.undecided) {
            self.packer.push(&frame, speech, out);
        }
        self.packer.finish(out);
    }

    /// Labels every judged frame: speech when it is voiced or close to one that is.
    fn decide(&mut self, out: &mut Vec<Speech>) {
        while let Some((frame, voiced)) = self.activity.pop() {
            if voiced {
                self.undecided.iter_mut().for_each(|(_, speech)| *speech = true);
                self.trail = TRAIL_FRAMES;
                self.undecided.push_back((frame, true));
            } else {
                self.undecided.push_back((frame, self.trail > 0));
                self.trail = self.trail.saturating_sub(1);
            }
            while self.undecided.len() > LEAD_FRAMES {
                if let Some((frame, speech)) = self.undecided.pop_front() {
                    self.packer.push(&frame, speech, out);
                }
            }
        }
    }
}
