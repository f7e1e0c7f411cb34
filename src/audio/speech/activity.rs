//! Is this frame voiced? The detector's score on a stream brought to one level, with hysteresis.

use std::collections::VecDeque;

use earshot::Detector;

use super::FRAME_SAMPLES;

/// Frames whose level is looked at together, 1 s: the gain of a frame knows what follows it.
const BLOCK_FRAMES: usize = 64;

/// Frames of a block that may be louder than its level, so that a click does not set it. A short word is 15 frames.
const LOUD_FRAMES: usize = 6;

/// The level (RMS of a loud frame) that speech is brought to before it is judged.
const TARGET_RMS: f32 = 0.1;

/// Most amplification, 40 dB. More would lift the noise of a muted microphone into the detector's range.
const MAX_GAIN: f32 = 100.0;

/// What is left of a level after each block: halves in 7 s, so that a quiet speaker after a loud one is found.
const LEVEL_DECAY: f32 = 0.9;

/// A frame below this RMS is never voiced (-74 dBFS): digital silence and its dither.
const FLOOR_RMS: f32 = 0.0002;

/// Scores from which a run begins, and down to which it goes on.
const ON_SCORE: f32 = 0.5;
const OFF_SCORE: f32 = 0.3;

/// Judges frames, with a delay of up to a block.
#[derive(Default)]
pub struct Activity {
    detector: Detector,
    block: Vec<Vec<f32>>,
    judged: VecDeque<(Vec<f32>, bool)>,
    level: f32,
    voiced: bool,
}

impl Activity {
    /// Takes one frame. Only the last one of a stream may be shorter than a frame.
    pub fn push(&mut self, frame: Vec<f32>) {
        self.block.push(frame);
        if self.block.len() == BLOCK_FRAMES {
            self.judge();
        }
    }

    /// Judges what is left.
    pub fn finish(&mut self) {
        self.judge();
    }

    /// The next judged frame, and whether it is voiced.
    pub fn pop(&mut self) -> Option<(Vec<f32>, bool)> {
        self.judged.pop_front()
    }

    fn judge(&mut self) {
        let loudness: Vec<f32> = self.block.iter().map(|frame| rms(frame)).collect();
        let mut sorted = loudness.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let of_block = sorted.get(LOUD_FRAMES.min(sorted.len() / 8)).copied().unwrap_or_default();
        self.level = of_block.max(self.level * LEVEL_DECAY);
        let gain = (TARGET_RMS / self.level.max(f32::MIN_POSITIVE)).clamp(1.0, MAX_GAIN);
        let mut scaled = [0.0; FRAME_SAMPLES];
        for (frame, rms) in std::mem::take(&mut self.block).into_iter().zip(loudness) {
            scaled.fill(0.0);
            for (to, from) in scaled.iter_mut().zip(&frame) {
                *to = (from * gain).clamp(-1.0, 1.0);
            }
            let score = self.detector.predict_f32(&scaled);
            self.voiced = rms >= FLOOR_RMS && score >= if self.voiced { OFF_SCORE } else { ON_SCORE };
            self.judged.push_back((frame, self.voiced));
        }
    }
}

fn rms(samples: &[f32]) -> f32 {
    (samples.iter().map(|s| s * s).sum::<f32>() / samples.len().max(1) as f32).sqrt()
}
