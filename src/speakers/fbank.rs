//! What the embedding looks at: the logarithm of the power in 80 mel bands, in frames of 25 ms every 10 ms, as Kaldi's
//! `compute-fbank-feats` has it (<https://kaldi-asr.org/doc/feat.html>) without dither and energy.

use std::f64::consts::TAU;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use super::RATE_HZ;

/// Mel bands.
pub const BANDS: usize = 80;
/// Samples of a frame.
pub const FRAME_SAMPLES: usize = 400;
/// Samples from a frame to the next.
pub const HOP_SAMPLES: usize = 160;

/// Samples of the transform; those after the frame are zero.
const TRANSFORM_SAMPLES: usize = 512;
const LOWEST_HZ: f64 = 20.0;
const HIGHEST_HZ: f64 = 8_000.0;
/// How much of the sample before is taken from each.
const PREEMPHASIS: f32 = 0.97;
/// No band has less power.
const FLOOR: f32 = f32::EPSILON;

/// Makes the features; its tables are shared by threads.
pub struct Fbank {
    transform: Arc<dyn RealToComplex<f32>>,
    /// Povey's: Hann's to the power of 0.85.
    taper: Vec<f32>,
    /// Each band's weights and the bin they begin at.
    bands: Vec<(usize, Vec<f32>)>,
}

impl Default for Fbank {
    fn default() -> Self {
        let hann = |i: usize| 0.5 - 0.5 * (TAU * i as f64 / (FRAME_SAMPLES - 1) as f64).cos();
        Self {
            transform: RealFftPlanner::new().plan_fft_forward(TRANSFORM_SAMPLES),
            taper: (0..FRAME_SAMPLES).map(|i| hann(i).powf(0.85) as f32).collect(),
            bands: (0..BANDS).map(band).collect(),
        }
    }
}

fn mel(hz: f64) -> f64 {
    1127.0 * (hz / 700.0).ln_1p()
}

/// A triangle over the mels.
fn band(index: usize) -> (usize, Vec<f32>) {
    let width = (mel(HIGHEST_HZ) - mel(LOWEST_HZ)) / (BANDS + 1) as f64;
    let left = mel(LOWEST_HZ) + width * index as f64;
    let weight = |bin: usize| {
        let at = mel(bin as f64 * RATE_HZ / TRANSFORM_SAMPLES as f64);
        ((at - left) / width).min((left + 2.0 * width - at) / width).max(0.0) as f32
    };
    let weights: Vec<f32> = (0..TRANSFORM_SAMPLES / 2).map(weight).collect();
    let first = weights.iter().position(|weight| *weight > 0.0).unwrap_or_default();
    (first, weights.into_iter().skip(first).take_while(|weight| *weight > 0.0).collect())
}

impl Fbank {
    /// A row of [`BANDS`] for each whole frame of `pcm` (16 kHz, in [-1, 1]).
    ///
    /// # Errors
    /// A sentence; only a bug can cause one.
    pub fn analyse(&self, pcm: &[f32]) -> Result<Vec<[f32; BANDS]>, String> {
        let mut spectrum: Vec<Complex<f32>> = self.transform.make_output_vec();
        let mut scratch = self.transform.make_scratch_vec();
        let mut padded = vec![0.0; TRANSFORM_SAMPLES];
        let mut power = vec![0.0; spectrum.len()];
        let mut frames = Vec::with_capacity(pcm.len() / HOP_SAMPLES);
        for frame in pcm.windows(FRAME_SAMPLES).step_by(HOP_SAMPLES) {
            padded.fill(0.0);
            let mean = frame.iter().sum::<f32>() / FRAME_SAMPLES as f32;
            let mut before = frame.first().copied().unwrap_or_default() - mean;
            for ((to, sample), taper) in padded.iter_mut().zip(frame).zip(&self.taper) {
                let sample = sample - mean;
                *to = (sample - PREEMPHASIS * before) * taper;
                before = sample;
            }
            self.transform.process_with_scratch(&mut padded, &mut spectrum, &mut scratch).map_err(|e| e.to_string())?;
            power.iter_mut().zip(&spectrum).for_each(|(power, bin)| *power = bin.norm_sqr());
            let mut row = [0.0; BANDS];
            for (value, (first, weights)) in row.iter_mut().zip(&self.bands) {
                let energy: f32 = power.iter().skip(*first).zip(weights).map(|(power, weight)| power * weight).sum();
                *value = energy.max(FLOOR).ln();
            }
            frames.push(row);
        }
        Ok(frames)
    }
}
