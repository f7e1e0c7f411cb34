//! The first half of the embedding: features as a picture of bands and times, through small residual convolutions
//! (He et al., 2016).

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, s};

use super::fbank::BANDS;
use super::weights::Weights;

/// Channels of each picture.
const CHANNELS: usize = 32;
/// Bands left at the end, for each channel.
const LEFT: usize = BANDS / 8;

/// Rows of what it answers.
pub const ROWS: usize = CHANNELS * LEFT;

/// A picture with a column of zeros on both sides of each band.
struct Picture {
    bands: usize,
    times: usize,
    /// Channels × (bands × (times + 2)).
    values: Array2<f32>,
}

impl Picture {
    fn new(channels: usize, bands: usize, times: usize) -> Self {
        Self { bands, times, values: Array2::zeros((channels, bands * (times + 2))) }
    }

    /// Where a band's columns begin, the zero before them included.
    fn band(&self, index: usize) -> usize {
        index * (self.times + 2)
    }
}

/// A convolution over three bands and three times, its normalisation folded in.
#[derive(Debug)]
struct Convolution {
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
        let (taps, bias) = weights.norm(norm, CHANNELS, true)?.into_kernel(kernel);
        Ok(Self { taps, bias, stride })
    }

    /// The answer plus `more`, what is below zero cut off where `is_cut`.
    fn run(&self, seen: &Picture, more: Option<&Picture>, is_cut: bool) -> Picture {
        let times = seen.times;
        let mut out = Picture::new(CHANNELS, seen.bands.div_ceil(self.stride), times);
        // a kernel of one looks at the middle only
        let reach = usize::from(self.taps.len() > 1);
        let size = 1 + 2 * reach;
        for band in 0..out.bands {
            let at = out.band(band) + 1;
            let mut to = out.values.slice_mut(s![.., at..at + times]);
            for (tap, place) in self.taps.iter().zip(0..) {
                let from = (band * self.stride + place / size).checked_sub(reach);
                let Some(from) = from.filter(|from| *from < seen.bands) else { continue };
                let column = seen.band(from) + 1 + place % size - reach;
                general_mat_mul(1.0, tap, &seen.values.slice(s![.., column..column + times]), 1.0, &mut to);
            }
            for (channel, (mut row, bias)) in to.rows_mut().into_iter().zip(&self.bias).enumerate() {
                match more {
                    Some(more) => {
                        let more = more.values.slice(s![channel, at..at + times]);
                        row.iter_mut().zip(more).for_each(|(value, more)| *value += bias + more);
                    }
                    None => row.iter_mut().for_each(|value| *value += bias),
                }
                if is_cut {
                    row.iter_mut().for_each(|value| *value = value.max(0.0));
                }
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
            for (band, value) in bands.iter().enumerate() {
                let at = picture.band(band) + 1 + time;
                picture.values[[0, at]] = *value;
            }
        }
        let mut picture = self.first.run(&picture, None, true);
        for block in &self.blocks {
            picture = block.run(&picture);
        }
        let picture = self.last.run(&picture, None, true);
        let mut out = Array2::zeros((ROWS, times + 2 * pad));
        for (row, mut to) in out.rows_mut().into_iter().enumerate() {
            let from = picture.band(row % LEFT) + 1;
            to.slice_mut(s![pad..pad + times]).assign(&picture.values.slice(s![row / LEFT, from..from + times]));
        }
        out
    }
}
