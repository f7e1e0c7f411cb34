//! Whose voice it is: CAM++ (Wang et al., 2023), which makes one direction of speech of any length; two of the same voice
//! point alike.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, s};

use super::fbank::BANDS;
use super::image::{self, Head};
use super::lstm::sigmoid;
use super::weights::{Norm, Weights};

/// Numbers of a voice.
pub const SIZE: usize = 192;

/// A voice: a vector of length 1.
pub type Voice = [f32; SIZE];

/// Rows that each layer of a block adds.
const GROWTH: usize = 32;
/// Rows inside a layer.
const INNER: usize = 4 * GROWTH;
/// Rows that a layer's gates are computed with.
const NARROW: usize = INNER / 2;
/// Times that share a gate.
const SHARED: usize = 100;
/// Rows after the first convolution.
const FIRST: usize = 128;
/// Times that it looks at, of which every second has an answer.
const FIRST_KERNEL: usize = 5;
/// Rows at the end.
const LAST: usize = 512;
/// Layers of each block, and how far apart the times are that they look at.
const BLOCKS: [(usize, usize); 3] = [(12, 1), (24, 2), (16, 2)];

/// The net.
#[derive(Debug)]
pub struct Embedding {
    head: Head,
    first: (Vec<Array2<f32>>, Vec<f32>),
    blocks: Vec<Block>,
    last: Norm,
    dense: Array2<f32>,
    shift: Vec<f32>,
}

#[derive(Debug)]
struct Block {
    layers: Vec<Layer>,
    /// Half as many rows out as in.
    transit: (Norm, Array2<f32>),
}

/// A layer of a block: looks at all rows so far and adds [`GROWTH`] more.
#[derive(Debug)]
struct Layer {
    before: Norm,
    inner: Array2<f32>,
    inner_bias: Vec<f32>,
    local: Vec<Array2<f32>>,
    apart: usize,
    narrow: (Array2<f32>, Vec<f32>),
    gate: (Array2<f32>, Vec<f32>),
}

impl Embedding {
    /// # Errors
    /// A tensor is not there.
    pub fn load(weights: &mut Weights) -> Result<Self, String> {
        let head = Head::load(weights)?;
        let kernel = weights.kernel("xvector.tdnn.linear.weight", FIRST, image::ROWS, &[FIRST_KERNEL])?;
        let first = weights.norm("xvector.tdnn.nonlinear.batchnorm", FIRST, true)?.into_kernel(kernel);
        let (mut blocks, mut rows) = (Vec::new(), FIRST);
        for (index, (layers, apart)) in BLOCKS.into_iter().enumerate() {
            blocks.push(Block::load(weights, index + 1, rows, layers, apart)?);
            rows = (rows + layers * GROWTH) / 2;
        }
        let last = weights.norm("xvector.out_nonlinear.batchnorm", LAST, true)?;
        let dense = weights.kernel("xvector.dense.linear.weight", SIZE, 2 * LAST, &[1])?;
        let (mut dense, shift) = weights.norm("xvector.dense.nonlinear.batchnorm", SIZE, false)?.into_kernel(dense);
        let dense = dense.pop().ok_or("a kernel without weights")?;
        Ok(Self { head, first, blocks, last, dense, shift })
    }

    /// The voice in `features`, of which the mean is taken off first; `None` where there are too few.
    pub fn run(&self, features: &[[f32; BANDS]]) -> Option<Voice> {
        let norm = |raw: &[f32; SIZE]| raw.iter().map(|value| value * value).sum::<f32>().sqrt();
        let raw = self.raw(features)?;
        let length = norm(&raw);
        (length > 0.0 && length.is_finite()).then(|| raw.map(|value| value / length))
    }

    /// Before its length is made 1.
    pub fn raw(&self, features: &[[f32; BANDS]]) -> Option<[f32; SIZE]> {
        if features.len() < FIRST_KERNEL {
            return None;
        }
        let seen = self.head.run(&centred(features), FIRST_KERNEL / 2);
        let times = (features.len() - 1) / 2 + 1;
        let (taps, bias) = &self.first;
        let mut rows = Array2::from_shape_fn((FIRST, times), |(row, _)| bias.get(row).copied().unwrap_or_default());
        for (at, tap) in taps.iter().enumerate() {
            let every_second = seen.slice(s![.., at..at + 2 * times - 1; 2]);
            general_mat_mul(1.0, tap, &every_second, 1.0, &mut rows);
        }
        rows.iter_mut().for_each(|value| *value = value.max(0.0));
        for block in &self.blocks {
            rows = block.run(&rows);
        }
        let mut pooled = Array1::zeros(2 * LAST);
        for (index, row) in rows.rows().into_iter().enumerate() {
            let row: Vec<f32> = self.last.relu(index, row.as_slice()?).collect();
            let mean = row.iter().sum::<f32>() / times as f32;
            let spread = row.iter().map(|value| (value - mean).powi(2)).sum::<f32>();
            pooled[index] = mean;
            pooled[index + LAST] = (spread / (times - 1).max(1) as f32).sqrt();
        }
        let mut raw = [0.0; SIZE];
        let voice = self.dense.dot(&pooled);
        for ((to, value), shift) in raw.iter_mut().zip(voice).zip(&self.shift) {
            *to = value + shift;
        }
        Some(raw)
    }
}

impl Block {
    fn load(weights: &mut Weights, index: usize, rows: usize, layers: usize, apart: usize) -> Result<Self, String> {
        let mut all = Vec::new();
        for layer in 0..layers {
            let name = format!("xvector.block{index}.tdnnd{}", layer + 1);
            all.push(Layer::load(weights, &name, rows + layer * GROWTH, apart)?);
        }
        let rows = rows + layers * GROWTH;
        let norm = weights.norm(&format!("xvector.transit{index}.nonlinear.batchnorm"), rows, true)?;
        let linear = weights.kernel(&format!("xvector.transit{index}.linear.weight"), rows / 2, rows, &[1])?.pop();
        Ok(Self { layers: all, transit: (norm, linear.ok_or("a kernel without weights")?) })
    }

    fn run(&self, seen: &Array2<f32>) -> Array2<f32> {
        let (begin, times) = seen.dim();
        let mut rows = Array2::zeros((begin + self.layers.len() * GROWTH, times));
        rows.slice_mut(s![..begin, ..]).assign(seen);
        for (index, layer) in self.layers.iter().enumerate() {
            let (before, mut after) = rows.view_mut().split_at(ndarray::Axis(0), begin + index * GROWTH);
            layer.run(&before.view(), &mut after.slice_mut(s![..GROWTH, ..]));
        }
        let (norm, linear) = &self.transit;
        linear.dot(&cut(norm, &rows.view()))
    }
}

impl Layer {
    fn load(weights: &mut Weights, name: &str, rows: usize, apart: usize) -> Result<Self, String> {
        let before = weights.norm(&format!("{name}.nonlinear1.batchnorm"), rows, true)?;
        let inner = weights.kernel(&format!("{name}.linear1.weight"), INNER, rows, &[1])?;
        let (mut inner, inner_bias) =
            weights.norm(&format!("{name}.nonlinear2.batchnorm"), INNER, true)?.into_kernel(inner);
        let local = weights.kernel(&format!("{name}.cam_layer.linear_local.weight"), GROWTH, INNER, &[3])?;
        let mut linear = |part: &str, outputs, inputs| -> Result<(Array2<f32>, Vec<f32>), String> {
            let name = format!("{name}.cam_layer.{part}");
            let kernel = weights.kernel(&format!("{name}.weight"), outputs, inputs, &[1])?.pop();
            Ok((kernel.ok_or("a kernel without weights")?, weights.vector(&format!("{name}.bias"), outputs)?))
        };
        let (narrow, gate) = (linear("linear1", NARROW, INNER)?, linear("linear2", GROWTH, NARROW)?);
        let inner = inner.pop().ok_or("a kernel without weights")?;
        Ok(Self { before, inner, inner_bias, local, apart, narrow, gate })
    }

    fn run(&self, seen: &ArrayView2<'_, f32>, out: &mut ndarray::ArrayViewMut2<'_, f32>) {
        let (times, pad) = (seen.ncols(), self.apart);
        let mut inner = Array2::zeros((INNER, times + 2 * pad));
        let mut middle = inner.slice_mut(s![.., pad..pad + times]);
        general_mat_mul(1.0, &self.inner, &cut(&self.before, seen), 0.0, &mut middle);
        for (mut row, bias) in middle.rows_mut().into_iter().zip(&self.inner_bias) {
            row.iter_mut().for_each(|value| *value = (*value + bias).max(0.0));
        }
        let gates = self.gates(&middle.view());
        for (at, tap) in self.local.iter().enumerate() {
            let from = at * self.apart;
            let added = if at == 0 { 0.0 } else { 1.0 };
            general_mat_mul(1.0, tap, &inner.slice(s![.., from..from + times]), added, out);
        }
        for (mut row, gates) in out.rows_mut().into_iter().zip(gates.rows()) {
            for (mut shared, gate) in row.axis_chunks_iter_mut(ndarray::Axis(0), SHARED).zip(gates) {
                shared.iter_mut().for_each(|value| *value *= gate);
            }
        }
    }

    /// How far each row is let through in each stretch of [`SHARED`] times, by what the whole and the stretch are like.
    fn gates(&self, inner: &ArrayView2<'_, f32>) -> Array2<f32> {
        let mut context = Array2::zeros((INNER, inner.ncols().div_ceil(SHARED)));
        for (mut to, row) in context.rows_mut().into_iter().zip(inner.rows()) {
            let mean = row.sum() / row.len().max(1) as f32;
            for (to, stretch) in to.iter_mut().zip(row.axis_chunks_iter(ndarray::Axis(0), SHARED)) {
                *to = mean + stretch.sum() / stretch.len() as f32;
            }
        }
        let (matrix, bias) = &self.narrow;
        let mut narrow = matrix.dot(&context);
        for (mut row, bias) in narrow.rows_mut().into_iter().zip(bias) {
            row.iter_mut().for_each(|value| *value = (*value + bias).max(0.0));
        }
        let (matrix, bias) = &self.gate;
        let mut gates = matrix.dot(&narrow);
        for (mut row, bias) in gates.rows_mut().into_iter().zip(bias) {
            row.iter_mut().for_each(|value| *value = sigmoid(*value + bias));
        }
        gates
    }
}

/// Normalised, what is below zero cut off.
fn cut(norm: &Norm, seen: &ArrayView2<'_, f32>) -> Array2<f32> {
    let mut out = Array2::zeros(seen.raw_dim());
    for (index, (mut to, from)) in out.rows_mut().into_iter().zip(seen.rows()).enumerate() {
        if let Some(from) = from.as_slice() {
            to.iter_mut().zip(norm.relu(index, from)).for_each(|(to, value)| *to = value);
        }
    }
    out
}

/// Without the mean of each band.
fn centred(features: &[[f32; BANDS]]) -> Vec<[f32; BANDS]> {
    let mut mean = [0.0_f32; BANDS];
    for row in features {
        mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value);
    }
    let count = features.len().max(1) as f32;
    let centre = |row: &[f32; BANDS]| {
        let mut row = *row;
        row.iter_mut().zip(&mean).for_each(|(value, mean)| *value -= mean / count);
        row
    };
    features.iter().map(centre).collect()
}
