//! Who speaks when, within ten seconds: pyannote's segmentation-3.0 (Bredin, "pyannote.audio 2.1", 2023; Plaquet and
//! Bredin, "Powerset multi-class cross entropy loss", 2023). Voices have numbers that hold for these seconds alone.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, Axis, Zip, s};

use super::lstm::{Bidirectional, HIDDEN};
use super::weights::Weights;

/// Of samples, in all that is done here.
pub const RATE_HZ: f64 = 16_000.0;
/// Samples it takes, 10 s.
pub const WINDOW_SAMPLES: usize = 160_000;
/// Frames it answers.
pub const FRAMES: usize = 589;
/// Samples from a frame to the next.
pub const FRAME_STEP: usize = 270;
/// Sample in the middle of the first frame.
pub const FRAME_CENTRE: usize = 495;
/// Voices that it tells apart.
pub const VOICES: usize = 3;
/// Nobody, one of three, two of three.
pub const CLASSES: usize = 7;
/// Which voices speak in each class.
pub const SPEAKING: [[bool; VOICES]; CLASSES] = [
    [false, false, false],
    [true, false, false],
    [false, true, false],
    [false, false, true],
    [true, true, false],
    [true, false, true],
    [false, true, true],
];

const SINC_SAMPLES: usize = 251;
const SINC_HALF: usize = SINC_SAMPLES / 2;
const SINC_STRIDE: usize = 10;
/// Places that the filters are laid on at a time, so that what they see stays in the processor's second cache.
const SINC_PLACES: usize = POOL * 256;
const SINC_FILTERS: usize = 80;
const FILTERS: usize = 60;
const KERNEL: usize = 5;
/// Neighbours of which the greatest is taken.
const POOL: usize = 3;
/// No filter begins lower or is narrower.
const LEAST_HZ: f64 = 50.0;
/// What is added to a variance.
const EPSILON: f64 = 1e-5;
/// What is left of values below zero.
const LEAK: f32 = 0.01;

/// The net.
#[derive(Debug)]
pub struct Segmentation {
    wave: (f32, f32),
    sinc: Sinc,
    convolutions: Vec<(Vec<Array2<f32>>, Vec<f32>)>,
    /// After each of the three filter banks: gain and shift per filter.
    norms: Vec<(Vec<f32>, Vec<f32>)>,
    memory: Vec<Bidirectional>,
    /// Inputs × outputs, and what is added.
    linear: Vec<(Array2<f32>, Vec<f32>)>,
}

impl Segmentation {
    /// # Errors
    /// A tensor is not there.
    pub fn load(weights: &mut Weights) -> Result<Self, String> {
        let one = |values: Vec<f32>| values.first().copied().unwrap_or_default();
        let wave =
            (one(weights.vector("sincnet.wav_norm1d.weight", 1)?), one(weights.vector("sincnet.wav_norm1d.bias", 1)?));
        let sinc = Sinc::load(weights)?;
        let (mut convolutions, mut norms, mut memory, mut linear) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (index, inputs) in [(1, SINC_FILTERS), (2, FILTERS)] {
            let kernel = weights.kernel(&format!("sincnet.conv1d.{index}.weight"), FILTERS, inputs, &[KERNEL])?;
            convolutions.push((kernel, weights.vector(&format!("sincnet.conv1d.{index}.bias"), FILTERS)?));
        }
        for (index, filters) in [SINC_FILTERS, FILTERS, FILTERS].into_iter().enumerate() {
            let gain = weights.vector(&format!("sincnet.norm1d.{index}.weight"), filters)?;
            norms.push((gain, weights.vector(&format!("sincnet.norm1d.{index}.bias"), filters)?));
        }
        for index in 0..4 {
            let inputs = if index == 0 { FILTERS } else { 2 * HIDDEN };
            memory.push(Bidirectional::load(weights, index, inputs)?);
        }
        for (name, outputs, inputs) in
            [("linear.0", HIDDEN, 2 * HIDDEN), ("linear.1", HIDDEN, HIDDEN), ("classifier", CLASSES, HIDDEN)]
        {
            let matrix = weights.matrix(&format!("{name}.weight"), outputs, inputs)?;
            let matrix = matrix.t().as_standard_layout().into_owned();
            linear.push((matrix, weights.vector(&format!("{name}.bias"), outputs)?));
        }
        Ok(Self { wave, sinc, convolutions, norms, memory, linear })
    }

    /// The probability of each class in each frame of `pcm`: [`WINDOW_SAMPLES`] at 16 kHz, what is missing being silence.
    ///
    /// # Errors
    /// A sentence; only a bug can cause one.
    pub fn run(&self, pcm: &[f32]) -> Result<Vec<[f32; CLASSES]>, String> {
        let mut wave = vec![0.0; WINDOW_SAMPLES];
        wave.iter_mut().zip(pcm).for_each(|(to, sample)| *to = *sample);
        normalise(&mut wave, self.wave.0, self.wave.1);
        let mut norms = self.norms.iter();
        let mut seen = self.sinc.run(&wave);
        shape(&mut seen, norms.next());
        for ((kernel, bias), norm) in self.convolutions.iter().zip(norms) {
            seen = pooled(&convolved(&seen, kernel, bias).view());
            shape(&mut seen, Some(norm));
        }
        let mut steps = seen.t().as_standard_layout().into_owned();
        for layer in &self.memory {
            steps = layer.run(&steps.view());
        }
        let last = self.linear.len() - 1;
        for (index, (matrix, bias)) in self.linear.iter().enumerate() {
            let mut out = steps.dot(matrix);
            for mut row in out.rows_mut() {
                row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
            }
            if index < last {
                out.iter_mut().for_each(leak);
            }
            steps = out;
        }
        Ok(steps.rows().into_iter().map(|row| softmax(&row)).collect())
    }
}

/// SincNet's filters (Ravanelli and Bengio, 2018): each is an even and an odd one, so that samples as far from its middle on
/// both sides are summed or subtracted before they are multiplied.
#[derive(Debug)]
struct Sinc {
    /// Half of the filters × samples up to the middle one.
    even: Array2<f32>,
    /// Without that, which is zero.
    odd: Array2<f32>,
}

impl Sinc {
    /// From where the filters begin and how wide they are.
    fn load(weights: &mut Weights) -> Result<Self, String> {
        let mut bank = |name| weights.take(&format!("sincnet.conv1d.0.filterbank.{name}"), &[SINC_FILTERS / 2, 1]);
        let (low, band) = (bank("low_hz_")?, bank("band_hz_")?);
        let window = weights.take("sincnet.conv1d.0.filterbank.window_", &[SINC_HALF])?;
        let mut even = Array2::ones((SINC_FILTERS / 2, SINC_HALF + 1));
        let mut odd = Array2::zeros((SINC_FILTERS / 2, SINC_HALF));
        for (index, (low, band)) in low.into_iter().zip(band).enumerate() {
            let low = LEAST_HZ + f64::from(low.abs());
            let high = (low + LEAST_HZ + f64::from(band.abs())).clamp(LEAST_HZ, RATE_HZ / 2.0);
            let width = high - low;
            for (at, taper) in window.iter().enumerate() {
                let time = std::f64::consts::TAU * (at as f64 - SINC_HALF as f64) / RATE_HZ;
                let scale = f64::from(*taper) / (time / 2.0) / (2.0 * width);
                even[[index, at]] = (((high * time).sin() - (low * time).sin()) * scale) as f32;
                odd[[index, at]] = (((low * time).cos() - (high * time).cos()) * scale) as f32;
            }
        }
        Ok(Self { even, odd })
    }

    /// Filters × the greatest magnitude of each three neighbouring places.
    fn run(&self, wave: &[f32]) -> Array2<f32> {
        let places = (wave.len() - SINC_SAMPLES) / SINC_STRIDE + 1;
        let lines = Array2::from_shape_fn((SINC_STRIDE, wave.len().div_ceil(SINC_STRIDE)), |(first, step)| {
            wave.get(step * SINC_STRIDE + first).copied().unwrap_or_default()
        });
        let mut sums = Array2::zeros((SINC_HALF + 1, SINC_PLACES));
        let mut differences = Array2::zeros((SINC_HALF, SINC_PLACES));
        let mut seen = Array2::zeros((SINC_FILTERS, SINC_PLACES));
        let mut out = Array2::zeros((SINC_FILTERS, places / POOL));
        for begin in (0..places).step_by(SINC_PLACES) {
            let count = SINC_PLACES.min(places - begin);
            // the samples that many filters in a row begin so much after
            let after = |sample: usize| {
                let first = begin + sample / SINC_STRIDE;
                lines.slice(s![sample % SINC_STRIDE, first..first + count])
            };
            for sample in 0..SINC_HALF {
                let (left, right) = (after(sample), after(SINC_SAMPLES - 1 - sample));
                let (sum, difference) =
                    (sums.slice_mut(s![sample, ..count]), differences.slice_mut(s![sample, ..count]));
                Zip::from(sum).and(&left).and(&right).for_each(|to, left, right| *to = left + right);
                Zip::from(difference).and(&left).and(&right).for_each(|to, left, right| *to = left - right);
            }
            sums.slice_mut(s![SINC_HALF, ..count]).assign(&after(SINC_HALF));
            let (mut even, mut odd) = seen.view_mut().split_at(Axis(0), SINC_FILTERS / 2);
            let (mut even, mut odd) = (even.slice_mut(s![.., ..count]), odd.slice_mut(s![.., ..count]));
            general_mat_mul(1.0, &self.even, &sums.slice(s![.., ..count]), 0.0, &mut even);
            general_mat_mul(1.0, &self.odd, &differences.slice(s![.., ..count]), 0.0, &mut odd);
            seen.mapv_inplace(f32::abs);
            let to = begin / POOL..(begin + count) / POOL;
            out.slice_mut(s![.., to]).assign(&pooled(&seen.slice(s![.., ..count])));
        }
        out
    }
}

/// Channels × times through a kernel without padding.
fn convolved(seen: &Array2<f32>, kernel: &[Array2<f32>], bias: &[f32]) -> Array2<f32> {
    let columns = seen.ncols() + 1 - kernel.len();
    let mut out = Array2::from_shape_fn((bias.len(), columns), |(row, _)| bias.get(row).copied().unwrap_or_default());
    for (at, tap) in kernel.iter().enumerate() {
        general_mat_mul(1.0, tap, &seen.slice(s![.., at..at + columns]), 1.0, &mut out);
    }
    out
}

/// The greatest of each three neighbours.
fn pooled(seen: &ArrayView2<'_, f32>) -> Array2<f32> {
    let mut out = Array2::zeros((seen.nrows(), seen.ncols() / POOL));
    for (mut to, from) in out.rows_mut().into_iter().zip(seen.rows()) {
        if let Some(from) = from.as_slice() {
            to.iter_mut().zip(from.as_chunks::<POOL>().0).for_each(|(to, [a, b, c])| *to = a.max(*b).max(*c));
        }
    }
    out
}

/// Each row normalised over the window, with a leak below zero.
fn shape(seen: &mut Array2<f32>, norm: Option<&(Vec<f32>, Vec<f32>)>) {
    let (gain, shift) = norm.map_or((&[][..], &[][..]), |(gain, shift)| (gain, shift));
    for ((mut row, gain), shift) in seen.rows_mut().into_iter().zip(gain).zip(shift) {
        if let Some(row) = row.as_slice_mut() {
            normalise(row, *gain, *shift);
            row.iter_mut().for_each(leak);
        }
    }
}

/// To a mean of `shift` and a deviation of `gain`.
fn normalise(values: &mut [f32], gain: f32, shift: f32) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().copied().map(f64::from).sum::<f64>() / count;
    let variance = values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / count;
    let gain = gain / (variance + EPSILON).sqrt() as f32;
    values.iter_mut().for_each(|value| *value = (*value - mean as f32) * gain + shift);
}

fn leak(value: &mut f32) {
    if *value < 0.0 {
        *value *= LEAK;
    }
}

fn softmax(row: &ndarray::ArrayView1<'_, f32>) -> [f32; CLASSES] {
    let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut out = [0.0; CLASSES];
    out.iter_mut().zip(row).for_each(|(to, value)| *to = (value - top).exp());
    let sum: f32 = out.iter().sum();
    out.map(|value| value / sum)
}
