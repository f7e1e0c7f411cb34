//! What the segmentation hears with: SincNet (Ravanelli and Bengio, 2018), band passes whose edges were learnt, and two
//! convolutions after them.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, Axis, Zip, s};

use super::RATE_HZ;
use super::weights::Weights;

/// Rows of what it answers.
pub const ROWS: usize = 60;

const FILTERS: usize = 80;
/// Samples that a filter looks at.
const SAMPLES: usize = 251;
const HALF: usize = SAMPLES / 2;
/// Samples from a filter's place to the next.
const STRIDE: usize = 10;
/// Places that the filters are laid on at a time, so that what they see stays in the processor's second cache.
const PLACES: usize = POOL * 256;
/// Neighbours of which the greatest is taken.
const POOL: usize = 3;
/// Places that a convolution looks at.
const KERNEL: usize = 5;
/// No filter begins lower or is narrower.
const LEAST_HZ: f64 = 50.0;
/// What is added to a variance.
const EPSILON: f64 = 1e-5;
/// What is left of values below zero.
const LEAK: f32 = 0.01;

/// The net.
#[derive(Debug)]
pub struct SincNet {
    wave: Scale,
    filters: Filters,
    filtered: Scale,
    convolutions: Vec<Convolution>,
}

#[derive(Debug)]
struct Convolution {
    taps: Vec<Array2<f32>>,
    bias: Vec<f32>,
    scale: Scale,
}

impl SincNet {
    /// # Errors
    /// A tensor is not there.
    pub fn load(weights: &mut Weights) -> Result<Self, String> {
        let mut convolutions = Vec::new();
        for (index, inputs) in [(1, FILTERS), (2, ROWS)] {
            convolutions.push(Convolution {
                taps: weights.kernel(&format!("sincnet.conv1d.{index}.weight"), ROWS, inputs, &[KERNEL])?,
                bias: weights.vector(&format!("sincnet.conv1d.{index}.bias"), ROWS)?,
                scale: Scale::load(weights, &format!("sincnet.norm1d.{index}"), ROWS)?,
            });
        }
        Ok(Self {
            wave: Scale::load(weights, "sincnet.wav_norm1d", 1)?,
            filters: Filters::load(weights)?,
            filtered: Scale::load(weights, "sincnet.norm1d.0", FILTERS)?,
            convolutions,
        })
    }

    /// [`ROWS`] × times of at least one filter's samples at 16 kHz, which are normalised where they are.
    pub fn run(&self, wave: &mut [f32]) -> Array2<f32> {
        self.wave.apply_to(0, wave);
        let mut seen = self.filters.run(wave);
        self.filtered.shape(&mut seen);
        for convolution in &self.convolutions {
            seen = pooled(&convolution.run(&seen).view());
            convolution.scale.shape(&mut seen);
        }
        seen
    }
}

impl Convolution {
    /// Rows × times, without padding.
    fn run(&self, seen: &Array2<f32>) -> Array2<f32> {
        let columns = seen.ncols() + 1 - self.taps.len();
        let bias = |(row, _)| self.bias.get::<usize>(row).copied().unwrap_or_default();
        let mut out = Array2::from_shape_fn((ROWS, columns), bias);
        for (at, tap) in self.taps.iter().enumerate() {
            general_mat_mul(1.0, tap, &seen.slice(s![.., at..at + columns]), 1.0, &mut out);
        }
        out
    }
}

/// What each row's mean and deviation become over the window.
#[derive(Debug)]
struct Scale {
    gain: Vec<f32>,
    shift: Vec<f32>,
}

impl Scale {
    fn load(weights: &mut Weights, name: &str, rows: usize) -> Result<Self, String> {
        let mut of = |part: &str| weights.vector(&format!("{name}.{part}"), rows);
        Ok(Self { gain: of("weight")?, shift: of("bias")? })
    }

    /// All rows, with a leak below zero.
    fn shape(&self, seen: &mut Array2<f32>) {
        for (index, mut row) in seen.rows_mut().into_iter().enumerate() {
            if let Some(row) = row.as_slice_mut() {
                self.apply_to(index, row);
                row.iter_mut().for_each(leak);
            }
        }
    }

    fn apply_to(&self, row: usize, values: &mut [f32]) {
        let of = |numbers: &[f32]| numbers.get(row).copied().unwrap_or_default();
        normalise(values, of(&self.gain), of(&self.shift));
    }
}

/// Each is an even and an odd one, so that samples as far from its middle on both sides are summed or subtracted before they are
/// multiplied.
#[derive(Debug)]
struct Filters {
    /// Half of the filters × samples up to the middle one.
    even: Array2<f32>,
    /// Without that, which is zero.
    odd: Array2<f32>,
}

impl Filters {
    /// From where the filters begin and how wide they are.
    fn load(weights: &mut Weights) -> Result<Self, String> {
        let mut bank = |name| weights.take(&format!("sincnet.conv1d.0.filterbank.{name}"), &[FILTERS / 2, 1]);
        let (low, band) = (bank("low_hz_")?, bank("band_hz_")?);
        let window = weights.take("sincnet.conv1d.0.filterbank.window_", &[HALF])?;
        let mut even = Array2::ones((FILTERS / 2, HALF + 1));
        let mut odd = Array2::zeros((FILTERS / 2, HALF));
        for (index, (low, band)) in low.into_iter().zip(band).enumerate() {
            let low = LEAST_HZ + f64::from(low.abs());
            let high = (low + LEAST_HZ + f64::from(band.abs())).clamp(LEAST_HZ, RATE_HZ / 2.0);
            let width = high - low;
            for (at, taper) in window.iter().enumerate() {
                let time = std::f64::consts::TAU * (at as f64 - HALF as f64) / RATE_HZ;
                let scale = f64::from(*taper) / (time / 2.0) / (2.0 * width);
                even[[index, at]] = (((high * time).sin() - (low * time).sin()) * scale) as f32;
                odd[[index, at]] = (((low * time).cos() - (high * time).cos()) * scale) as f32;
            }
        }
        Ok(Self { even, odd })
    }

    /// Filters × the greatest magnitude of each three neighbouring places.
    fn run(&self, wave: &[f32]) -> Array2<f32> {
        let places = (wave.len() - SAMPLES) / STRIDE + 1;
        let lines = Array2::from_shape_fn((STRIDE, wave.len().div_ceil(STRIDE)), |(first, step)| {
            wave.get(step * STRIDE + first).copied().unwrap_or_default()
        });
        let mut sums = Array2::zeros((HALF + 1, PLACES));
        let mut differences = Array2::zeros((HALF, PLACES));
        let mut seen = Array2::zeros((FILTERS, PLACES));
        let mut out = Array2::zeros((FILTERS, places / POOL));
        for begin in (0..places).step_by(PLACES) {
            let count = PLACES.min(places - begin);
            // the samples that many filters in a row begin so much after
            let after = |sample: usize| {
                let first = begin + sample / STRIDE;
                lines.slice(s![sample % STRIDE, first..first + count])
            };
            for sample in 0..HALF {
                let (left, right) = (after(sample), after(SAMPLES - 1 - sample));
                let (sum, difference) =
                    (sums.slice_mut(s![sample, ..count]), differences.slice_mut(s![sample, ..count]));
                Zip::from(sum).and(&left).and(&right).for_each(|to, left, right| *to = left + right);
                Zip::from(difference).and(&left).and(&right).for_each(|to, left, right| *to = left - right);
            }
            sums.slice_mut(s![HALF, ..count]).assign(&after(HALF));
            let (mut even, mut odd) = seen.view_mut().split_at(Axis(0), FILTERS / 2);
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

/// To a mean of `shift` and a deviation of `gain`.
fn normalise(values: &mut [f32], gain: f32, shift: f32) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().copied().map(f64::from).sum::<f64>() / count;
    let variance = values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / count;
    let gain = gain / (variance + EPSILON).sqrt() as f32;
    values.iter_mut().for_each(|value| *value = (*value - mean as f32) * gain + shift);
}

/// Next to nothing is left of what is below zero.
pub fn leak(value: &mut f32) {
    if *value < 0.0 {
        *value *= LEAK;
    }
}
