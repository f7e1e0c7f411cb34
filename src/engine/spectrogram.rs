//! What Whisper listens to: the logarithm of the power in each mel band, in frames of 10 ms, as OpenAI's `audio.py`
//! defines it. whisper.cpp has the same with a Fourier transform of its own that takes ten times as long.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use crate::model::mel;

/// Samples of a frame's transform, 25 ms.
const FRAME_SAMPLES: usize = 400;
/// Samples from a frame to the next, 10 ms.
const HOP_SAMPLES: usize = 160;
/// Frames of the longest window, 30 s.
pub const MAX_FRAMES: usize = 3_000;
/// Of the greatest power in the window, less than this share counts as this share: eight powers of ten.
const DYNAMIC_RANGE: f32 = 8.0;
/// Power that is no less than this is taken the logarithm of.
const FLOOR: f32 = 1e-10;

/// A window as Whisper takes it, normalised to about [-1, 1].
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrogram {
    /// `mels` rows of `frames` values.
    pub values: Vec<f32>,
    /// Frames of 10 ms.
    pub frames: usize,
    /// Mel bands.
    pub mels: usize,
}

/// Makes spectrograms; keeps its tables and buffers for the next.
pub struct Analyser {
    transform: Arc<dyn RealToComplex<f32>>,
    /// Hann's, periodic.
    taper: Vec<f32>,
    bands: Vec<Band>,
    frame: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
    power: Vec<f32>,
}

/// A triangular filter: its weights from the bin `first` on.
struct Band {
    first: usize,
    weights: Vec<f32>,
}

impl Analyser {
    /// An analyser for a model with so many mel bands.
    pub fn new(mels: usize) -> Self {
        let transform = RealFftPlanner::new().plan_fft_forward(FRAME_SAMPLES);
        let taper = (0..FRAME_SAMPLES)
            .map(|i| (0.5 - 0.5 * (std::f64::consts::TAU * i as f64 / FRAME_SAMPLES as f64).cos()) as f32)
            .collect();
        let (spectrum, scratch) = (transform.make_output_vec(), transform.make_scratch_vec());
        let bands = mel::filters(mels).chunks(mel::BINS).map(Band::new).collect();
        let (frame, power) = (vec![0.0; FRAME_SAMPLES], vec![0.0; mel::BINS]);
        Self { transform, taper, bands, frame, spectrum, scratch, power }
    }

    /// The spectrogram of `pcm` (16 kHz), with silence after it up to `frames`, at most [`MAX_FRAMES`]. What does not
    /// fit is left out.
    ///
    /// # Errors
    /// A sentence; only a bug can cause one.
    pub fn analyse(&mut self, pcm: &[f32], frames: usize) -> Result<Spectrogram, String> {
        let (frames, mels) = (frames.min(MAX_FRAMES), self.bands.len());
        let mut values = vec![FLOOR.log10(); frames * mels];
        // of a frame centred beyond the end half a frame may still hold sound
        let heard = frames.min((pcm.len() + FRAME_SAMPLES / 2).div_ceil(HOP_SAMPLES));
        let mut top = FLOOR.log10();
        for index in 0..heard {
            self.fill(pcm, index * HOP_SAMPLES);
            self.transform
                .process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.scratch)
                .map_err(|e| e.to_string())?;
            for (power, bin) in self.power.iter_mut().zip(&self.spectrum) {
                *power = bin.norm_sqr();
            }
            for (row, band) in values.chunks_exact_mut(frames).zip(&self.bands) {
                let energy = band.energy(&self.power).max(FLOOR).log10();
                top = top.max(energy);
                if let Some(value) = row.get_mut(index) {
                    *value = energy;
                }
            }
        }
        for value in &mut values {
            *value = (value.max(top - DYNAMIC_RANGE) + 4.0) / 4.0;
        }
        Ok(Spectrogram { values, frames, mels })
    }

    /// The tapered samples around `centre`; mirrored before the beginning, silence after the end.
    fn fill(&mut self, pcm: &[f32], centre: usize) {
        for (i, (sample, taper)) in self.frame.iter_mut().zip(&self.taper).enumerate() {
            let at = (centre + i).abs_diff(FRAME_SAMPLES / 2);
            *sample = pcm.get(at).copied().unwrap_or_default() * taper;
        }
    }
}

impl Band {
    fn new(filter: &[f32]) -> Self {
        let first = filter.iter().position(|weight| *weight > 0.0).unwrap_or_default();
        let weights = filter.iter().skip(first).copied().take_while(|weight| *weight > 0.0).collect();
        Self { first, weights }
    }

    fn energy(&self, power: &[f32]) -> f32 {
        power.iter().skip(self.first).zip(&self.weights).map(|(power, weight)| power * weight).sum()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::collections::BTreeMap;

    use super::*;

    /// The band that a tone of this frequency is loudest in, in the middle of a second of it.
    fn loudest_band(hz: f32) -> usize {
        let tone: Vec<f32> = (0..16_000).map(|i| (std::f32::consts::TAU * hz * i as f32 / 16_000.0).sin()).collect();
        let seen = Analyser::new(80).analyse(&tone, 100).unwrap();
        (0..80).max_by(|a, b| seen.values[a * 100 + 50].total_cmp(&seen.values[b * 100 + 50])).unwrap()
    }

    #[test]
    fn a_tone_is_in_the_band_of_its_frequency() {
        let bands: Vec<usize> = [200.0, 1_000.0, 4_000.0].into_iter().map(loudest_band).collect();
        let filters = mel::filters(80);
        for (hz, band) in [200, 1_000, 4_000].into_iter().zip(bands) {
            let bin = hz * (mel::BINS - 1) / 8_000;
            assert!(filters[band * mel::BINS + bin] > 0.0, "{hz} Hz is not in band {band}");
        }
    }

    #[test]
    fn silence_and_what_follows_the_end_are_eight_powers_below_the_loudest() {
        let click: Vec<f32> = (0..1_600).map(|i| f32::from(i % 7 == 0)).collect();
        let seen = Analyser::new(80).analyse(&click, 3_000).unwrap();
        assert_eq!((seen.frames, seen.mels, seen.values.len()), (3_000, 80, 240_000));
        let top = seen.values.iter().copied().fold(f32::MIN, f32::max);
        assert!(seen.values.chunks(3_000).all(|row| (row[2_999] - (top - 2.0)).abs() < 1e-5));
        let silence = Analyser::new(80).analyse(&[0.0; 16_000], 100).unwrap();
        assert!(silence.values.iter().all(|value| (value + 1.5).abs() < 1e-5));
    }

    /// Frames of tests/audio/speech.wav, which is 6 s at 16 kHz, as 30 s of audio: by OpenAI's published filters, in double
    /// precision, with numpy's Fourier transform.
    #[test]
    fn speech_looks_as_it_did_in_the_training() {
        let wav = include_bytes!("../../tests/audio/speech.wav");
        assert_eq!(&wav[36..40], b"data");
        let pcm: Vec<f32> =
            wav[44..].as_chunks::<2>().0.iter().map(|s| f32::from(i16::from_le_bytes(*s)) / 32_768.0).collect();
        let golden = include_str!("../../tests/golden/spectrogram/speech.json");
        let golden: BTreeMap<usize, BTreeMap<usize, Vec<f32>>> = serde_json::from_str(golden).unwrap();
        assert_eq!(golden.keys().copied().collect::<Vec<_>>(), [80, 128]);
        for (mels, frames) in golden {
            let seen = Analyser::new(mels).analyse(&pcm, MAX_FRAMES).unwrap();
            for (frame, expected) in frames {
                assert_eq!(expected.len(), mels);
                let off =
                    expected.iter().enumerate().map(|(band, value)| seen.values[band * seen.frames + frame] - value);
                let worst = off.map(f32::abs).fold(0.0, f32::max);
                assert!(worst < 2e-3, "{mels} bands, frame {frame}: off by {worst}");
            }
        }
    }
}
