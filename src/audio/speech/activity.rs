//! Is this frame voiced? The detector's score on a stream brought to one level, with hysteresis.

use std::collections::VecDeque;

use earshot::Detector;

use super::FRAME_SAMPLES;

/// Frames whose level is looked at together, 1 s: the gain of a frame knows what follows it.
const BLOCK_FRAMES: usize = 64;

/// Frames of a block that may be louder than its level, so that a click does not set it. A short word is 15 frames.
const LOUD_FRAMES: usize = 6;

/// The level (RMS of a loud frame) that speech is brought to before it is judged.
const TARGET_RMS: f32 = 0.02;

/// Most amplification, 40 dB. More would lift the noise of a muted microphone into the detector's range.
const MAX_GAIN: f32 = 30.0;

/// What is left of a level after each block: halves in 7 s, so that a quiet speaker after a loud one is found.
const LEVEL_DECAY: f32 = 0.9;

/// A frame below this RMS is never voiced (-74 dBFS): digital silence and its dither.
const FLOOR_RMS: f32 = 0.00006;

/// What the detector hears twice at the start of a stream, 0.5 s.
const WARM_UP_FRAMES: usize = 32;

/// Scores from which a run begins, and down to which it goes on.
const ON_SCORE: f32 = 0.5;
const OFF_SCORE: f32 = 0.42;

/// Judges frames, with a delay of up to two blocks.
#[derive(Default)]
pub struct Activity {
    detector: Detector,
    /// The block that is filling, and the one before it, whose level is known.
    filling: Vec<Vec<f32>>,
    waiting: Vec<Vec<f32>>,
    judged: VecDeque<(Vec<f32>, bool)>,
    /// The loudest level of late, and that of the waiting block.
    level: f32,
    waiting_level: f32,
    warm: bool,
    voiced: bool,
}

impl Activity {
    /// Takes one frame. Only the last one of a stream may be shorter than a frame.
    pub fn push(&mut self, frame: Vec<f32>) {
        self.filling.push(frame);
        if self.filling.len() == BLOCK_FRAMES {
            self.turn();
        }
    }

    /// Judges what is left.
    pub fn finish(&mut self) {
        self.turn();
        self.turn();
    }

    /// The next judged frame, and whether it is voiced.
    pub fn pop(&mut self) -> Option<(Vec<f32>, bool)> {
        self.judged.pop_front()
    }

    /// Judges the waiting block; the filling one takes its place.
    fn turn(&mut self) {
        let filled_level = level_of(&self.filling);
        // a word across two blocks is brought to one level, that of its louder half
        self.level = (self.level * LEVEL_DECAY).max(self.waiting_level).max(filled_level);
        let gain = (TARGET_RMS / self.level.max(f32::MIN_POSITIVE)).min(MAX_GAIN);
        let block = std::mem::replace(&mut self.waiting, std::mem::take(&mut self.filling));
        self.waiting_level = filled_level;
        if !self.warm && !block.is_empty() {
            // the detector takes the step from nothing to noise for speech: let it hear the noise first
            block.iter().take(WARM_UP_FRAMES).for_each(|frame| {
                self.score(frame, gain);
            });
            self.warm = true;
        }
        for frame in block {
            let score = self.score(&frame, gain);
            let threshold = if self.voiced { OFF_SCORE } else { ON_SCORE };
            self.voiced = rms(&frame) >= FLOOR_RMS && score >= threshold;
            self.judged.push_back((frame, self.voiced));
        }
    }

    fn score(&mut self, frame: &[f32], gain: f32) -> f32 {
        let mut scaled = [0.0; FRAME_SAMPLES];
        for (to, from) in scaled.iter_mut().zip(frame) {
            *to = (from * gain).clamp(-1.0, 1.0);
        }
        self.detector.predict_f32(&scaled)
    }
}

/// The RMS of a block's louder frames.
fn level_of(block: &[Vec<f32>]) -> f32 {
    let mut loudness: Vec<f32> = block.iter().map(|frame| rms(frame)).collect();
    loudness.sort_by(|a, b| b.total_cmp(a));
    loudness.get(LOUD_FRAMES.min(loudness.len() / 8)).copied().unwrap_or_default()
}

fn rms(samples: &[f32]) -> f32 {
    (samples.iter().map(|s| s * s).sum::<f32>() / samples.len().max(1) as f32).sqrt()
}
