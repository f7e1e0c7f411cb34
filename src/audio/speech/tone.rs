//! Steady tones: ring-back, busy and dial tones, dialled digits, beeps. They have the pitch of voices, and are none: a voice
//! never holds nearly all its energy on two lines that stand still.

use std::ops::Range;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use super::FRAME_SAMPLES;
use crate::audio::SAMPLE_RATE_HZ;

/// 64 ms: lines lie 16 Hz apart.
const WINDOW_FRAMES: usize = 4;
const WINDOW_SAMPLES: usize = WINDOW_FRAMES * FRAME_SAMPLES;
const BINS: usize = WINDOW_SAMPLES / 2 + 1;

/// From one look to the next, 32 ms.
const HOP_FRAMES: usize = 2;

/// So many looks in a row must see the same lines, 0.13 s.
const LOOKS: usize = 3;

/// Lines that a signal has (a ring-back two, a beep one), and what of the spectrum beside its peak belongs to a line.
const LINES: usize = 2;
const BESIDE: usize = 2;

/// Of the energy, what must lie on the lines. In 17 min of voices, half of them raised by a third, 0.04 % of looks have it.
const SHARE: f32 = 0.97;
/// In a single look, when the lines are those of a dialled digit.
const DIGIT_SHARE: f32 = 0.95;
const DIGIT_ROWS_HZ: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const DIGIT_COLUMNS_HZ: [f32; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];

/// Frames around a tone in which its beginning and end sound like anything.
const AROUND_FRAMES: usize = 3;

/// Tells frame by frame whether a tone sounds.
pub struct Tones {
    transform: Arc<dyn RealToComplex<f32>>,
    taper: Vec<f32>,
    input: Vec<f32>,
    scratch: Vec<Complex<f32>>,
    spectrum: Vec<Complex<f32>>,
    /// Power of the last looks, the newest at the end, each as a share of its whole.
    looks: [Vec<f32>; LOOKS],
    /// The last frames.
    samples: Vec<f32>,
    frames: usize,
}

impl Default for Tones {
    fn default() -> Self {
        let transform = RealFftPlanner::new().plan_fft_forward(WINDOW_SAMPLES);
        let angle = |n: usize| std::f32::consts::TAU * n as f32 / WINDOW_SAMPLES as f32;
        Self {
            taper: (0..WINDOW_SAMPLES).map(|n| 0.5 - 0.5 * angle(n).cos()).collect(),
            input: transform.make_input_vec(),
            scratch: transform.make_scratch_vec(),
            spectrum: transform.make_output_vec(),
            looks: std::array::from_fn(|_| vec![0.0; BINS]),
            samples: Vec::with_capacity(WINDOW_SAMPLES + FRAME_SAMPLES),
            frames: 0,
            transform,
        }
    }
}

impl Tones {
    /// Takes the next frame (filtered). Answers how many of the last frames, this one included, lie in a tone or at its
    /// edge; the frames that follow it by [`AROUND_FRAMES`] do too.
    pub fn push(&mut self, frame: &[f32]) -> usize {
        self.samples.extend_from_slice(frame);
        self.frames += 1;
        let surplus = self.samples.len().saturating_sub(WINDOW_SAMPLES);
        self.samples.drain(..surplus);
        if self.samples.len() < WINDOW_SAMPLES || !self.frames.is_multiple_of(HOP_FRAMES) {
            return 0;
        }
        self.look();
        if self.is_steady() {
            WINDOW_FRAMES + (LOOKS - 1) * HOP_FRAMES + AROUND_FRAMES
        } else if self.is_digit() {
            WINDOW_FRAMES + AROUND_FRAMES
        } else {
            0
        }
    }

    fn look(&mut self) {
        self.looks.rotate_left(1);
        let [.., newest] = &mut self.looks;
        for ((to, sample), taper) in self.input.iter_mut().zip(&self.samples).zip(&self.taper) {
            *to = sample * taper;
        }
        // fails only where lengths differ, and these are its own
        if self.transform.process_with_scratch(&mut self.input, &mut self.spectrum, &mut self.scratch).is_err() {
            newest.fill(0.0);
            return;
        }
        let mut whole = f32::MIN_POSITIVE;
        for (power, bin) in newest.iter_mut().zip(&self.spectrum) {
            *power = bin.norm_sqr();
            whole += *power;
        }
        newest.iter_mut().for_each(|power| *power /= whole);
    }

    fn is_steady(&self) -> bool {
        let [before @ .., newest] = &self.looks;
        let (lines, share) = lines_of(newest);
        let on_them = |look: &Vec<f32>| lines.iter().flat_map(|line| &look[line.clone()]).sum::<f32>();
        share >= SHARE && before.iter().all(|look| on_them(look) >= SHARE)
    }

    fn is_digit(&self) -> bool {
        let [.., newest] = &self.looks;
        let (lines, share) = lines_of(newest);
        let near = |line: &Range<usize>, of: &[f32; 4]| {
            let step = SAMPLE_RATE_HZ as f32 / WINDOW_SAMPLES as f32;
            of.iter().any(|hz| line.contains(&((hz / step).round() as usize)))
        };
        let [a, b] = &lines;
        let digit = near(a, &DIGIT_ROWS_HZ) && near(b, &DIGIT_COLUMNS_HZ);
        share >= DIGIT_SHARE && (digit || near(b, &DIGIT_ROWS_HZ) && near(a, &DIGIT_COLUMNS_HZ))
    }
}

/// The strongest lines, and the share of the power that lies on them.
fn lines_of(look: &[f32]) -> ([Range<usize>; LINES], f32) {
    let mut lines: [Range<usize>; LINES] = [0..0, 0..0];
    let mut share = 0.0;
    for n in 0..LINES {
        let free = |bin: &usize| !lines.iter().any(|line| line.contains(bin));
        let peak = (0..look.len()).filter(free).max_by(|a, b| look[*a].total_cmp(&look[*b])).unwrap_or_default();
        let line = peak.saturating_sub(BESIDE)..(peak + BESIDE + 1).min(look.len());
        share += line.clone().filter(free).map(|bin| look[bin]).sum::<f32>();
        lines[n] = line;
    }
    (lines, share)
}
