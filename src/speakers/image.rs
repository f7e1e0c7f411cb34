//! The first half of the embedding: features as a picture of bands and times, through small residual convolutions
//! (He et al., 2016).

use std::ops::Range;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, Axis, aview1, concatenate, s};

use super::fbank::BANDS;
use super::weights::Weights;

/// Channels of each picture.
const CHANNELS: usize = 32;
/// Bands left at the end, for each channel.
const LEFT: usize = BANDS / 8;

/// Rows of what it answers.
pub const ROWS: usize = CHANNELS * LEFT;

/// Bands of several channels each, one under the other, with zeros all around: what lies about a place is a part of the matrix.
struct Picture {
    bands: usize,
    times: usize,
    channels: usize,
    /// (bands + 2) channels × (times + 2).
    values: Array2<f32>,
}

impl Picture {
    fn new(channels: usize, bands: usize, times: usize) -> Self {
        Self { bands, times, channels, values: Array2::zeros(((bands + 2) * channels, times + 2)) }
    }

    /// The rows of `count` bands, the zeros before the first band being number 0.
    fn rows(&self, first: usize, count: usize) -> Range<usize> {
        first * self.channels..(first + count) * self.channels
    }
}

/// A convolution over as many bands as times, its normalisation folded in.
#[derive(Debug)]
struct Convolution {
    /// For each time that it looks at: outputs × (bands, channels).
    taps: Vec<Array2<f32>>,
    bias: Vec<f32>,
    /// Bands from an answer to the next.
    stride: usize,
}

impl Convolution {
    fn load(
        weights: &mut Weights,
        name: &str,
        norm: &str,
        input: usize,
        size: usize,
        stride: usize,
    ) -> Result<Self, String> {
        let kernel = weights.kernel(&format!("{name}.weight"), CHANNELS, input, &[size, size])?;
        let (kernel, bias) = weights.norm(norm, CHANNELS, true)?.into_kernel(kernel);
        let of_time = |time| {
            let bands: Vec<_> = kernel.iter().skip(time).step_by(size).map(|tap| tap.view()).collect();
            concatenate(Axis(1), &bands).map_err(|e| e.to_string())
        };
        let taps = (0..size).map(of_time).collect::<Result<_, _>>()?;
        Ok(Self { taps, bias, stride })
    }

    /// The answer plus `more`, what is below zero cut off where `is_cut`.
    fn run(&self, seen: &Picture, more: Option<&Picture>, is_cut: bool) -> Picture {
        let (size, times) = (self.taps.len(), seen.times);
        let mut out = Picture::new(CHANNELS, seen.bands.div_ceil(self.stride), times);
        // a kernel of one looks at the middle only
        let skipped = usize::from(size == 1);
        for band in 0..out.bands {
            let own = out.rows(band + 1, 1);
            let about = seen.rows(band * self.stride + skipped, size);
            let mut to = out.values.slice_mut(s![own.clone(), 1..=times]);
            for (time, tap) in self.taps.iter().enumerate() {
                let from = time + skipped;
                let columns = seen.values.slice(s![about.clone(), from..from + times]);
                general_mat_mul(1.0, tap, &columns, if time == 0 { 0.0 } else { 1.0 }, &mut to);
            }
            if let Some(more) = more {
                to += &more.values.slice(s![own, 1..=times]);
            }
            for (mut row, bias) in to.rows_mut().into_iter().zip(&self.bias) {
                let least = if is_cut { 0.0 } else { f32::NEG_INFINITY };
                row.iter_mut().for_each(|value| *value = (*value + bias).max(least));
            }
        }
        out
    }
}

/// Two convolutions, to whose answer what they were given is added.
#[derive(Debug)]
struct Block {
    first: Convolution,
    second: Convolution,
    shortcut: Option<Convolution>,
}

impl Block {
    fn load(weights: &mut Weights, name: &str, stride: usize) -> Result<Self, String> {
        let mut load = |conv: &str, norm: &str, size, stride| {
            Convolution::load(weights, &format!("{name}.{conv}"), &format!("{name}.{norm}"), CHANNELS, size, stride)
        };
        Ok(Self {
            first: load("conv1", "bn1", 3, stride)?,
            second: load("conv2", "bn2", 3, 1)?,
            shortcut: if stride > 1 { Some(load("shortcut.0", "shortcut.1", 1, stride)?) } else { None },
        })
    }

    fn run(&self, seen: &Picture) -> Picture {
        let shortcut = self.shortcut.as_ref().map(|shortcut| shortcut.run(seen, None, false));
        let first = self.first.run(seen, None, true);
        self.second.run(&first, Some(shortcut.as_ref().unwrap_or(seen)), true)
    }
}

/// All of it.
#[derive(Debug)]
pub struct Head {
    first: Convolution,
    blocks: Vec<Block>,
    last: Convolution,
}

impl Head {
    /// # Errors
    /// A tensor is not there.
    pub fn load(weights: &mut Weights) -> Result<Self, String> {
        let first = Convolution::load(weights, "head.conv1", "head.bn1", 1, 3, 1)?;
        let mut blocks = Vec::new();
        for layer in 1..=2 {
            for (index, stride) in [2, 1].into_iter().enumerate() {
                blocks.push(Block::load(weights, &format!("head.layer{layer}.{index}"), stride)?);
            }
        }
        Ok(Self { first, blocks, last: Convolution::load(weights, "head.conv2", "head.bn2", CHANNELS, 3, 2)? })
    }

    /// [`ROWS`] × times from features of at least one time, with `pad` columns of zeros on both sides.
    pub fn run(&self, features: &[[f32; BANDS]], pad: usize) -> Array2<f32> {
        let times = features.len();
        let mut picture = Picture::new(1, BANDS, times);
        for (time, bands) in features.iter().enumerate() {
            picture.values.slice_mut(s![1..=BANDS, time + 1]).assign(&aview1(bands));
        }
        let mut picture = self.first.run(&picture, None, true);
        for block in &self.blocks {
            picture = block.run(&picture);
        }
        let picture = self.last.run(&picture, None, true);
        let mut out = Array2::zeros((ROWS, times + 2 * pad));
        for (row, mut to) in out.rows_mut().into_iter().enumerate() {
            let from = picture.rows(row % LEFT + 1, 1).start + row / LEFT;
            to.slice_mut(s![pad..pad + times]).assign(&picture.values.slice(s![from, 1..=times]));
        }
        out
    }
}
