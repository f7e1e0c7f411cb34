//! The numbers of a net, taken by name and shape.

use std::collections::BTreeMap;

use ndarray::Array2;

use crate::model::safetensors::Tensor;

/// What batch normalisation adds to a variance.
const EPSILON: f32 = 1e-5;

/// The tensors of one net.
#[derive(Debug)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
    prefix: &'static str,
}

impl Weights {
    /// Those of `tensors` whose names begin with `prefix`, which is left out from then on.
    pub fn new(tensors: &mut BTreeMap<String, Tensor>, prefix: &'static str) -> Self {
        Self { tensors: tensors.extract_if(.., |name, _| name.starts_with(prefix)).collect(), prefix }
    }

    /// All numbers of a tensor of this shape.
    ///
    /// # Errors
    /// It is not there, or has another shape: the sentence names it.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        let name = format!("{}{name}", self.prefix);
        let tensor = self.tensors.remove(&name).ok_or_else(|| format!("there is no tensor {name}"))?;
        if tensor.shape != shape {
            return Err(format!("the tensor {name} has the shape {:?}, not {shape:?}", tensor.shape));
        }
        Ok(tensor.values)
    }

    /// A vector.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>, String> {
        self.take(name, &[length])
    }

    /// A matrix.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Result<Array2<f32>, String> {
        let values = self.take(name, &[rows, columns])?;
        Array2::from_shape_vec((rows, columns), values).map_err(|e| e.to_string())
    }

    /// A convolution's kernel, `output` rows and `input` columns for each of the places it looks at (its `window`, of one or
    /// two dimensions).
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn kernel(
        &mut self,
        name: &str,
        output: usize,
        input: usize,
        window: &[usize],
    ) -> Result<Vec<Array2<f32>>, String> {
        let shape: Vec<usize> = [output, input].iter().chain(window).copied().collect();
        let values = self.take(name, &shape)?;
        let places = window.iter().product();
        let at = |place| move |(o, i): (usize, usize)| (o * input + i) * places + place;
        let tap = |place| {
            let at = at(place);
            Array2::from_shape_fn((output, input), |to| values.get(at(to)).copied().unwrap_or_default())
        };
        Ok((0..places).map(tap).collect())
    }

    /// A batch normalisation as it is after the training: each channel times one number, plus another.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn norm(&mut self, name: &str, channels: usize, is_affine: bool) -> Result<Norm, String> {
        let mean = self.vector(&format!("{name}.running_mean"), channels)?;
        let variance = self.vector(&format!("{name}.running_var"), channels)?;
        let (gain, shift) = if is_affine {
            (self.vector(&format!("{name}.weight"), channels)?, self.vector(&format!("{name}.bias"), channels)?)
        } else {
            (vec![1.0; channels], vec![0.0; channels])
        };
        let gain: Vec<f32> =
            gain.iter().zip(&variance).map(|(gain, variance)| gain / (variance + EPSILON).sqrt()).collect();
        let shift = shift.iter().zip(&mean).zip(&gain).map(|((shift, mean), gain)| shift - mean * gain).collect();
        Ok(Norm { gain, shift })
    }
}

/// Each channel times one number, plus another.
#[derive(Debug)]
pub struct Norm {
    /// Per channel.
    pub gain: Vec<f32>,
    /// Per channel.
    pub shift: Vec<f32>,
}

impl Norm {
    /// A kernel and a bias that do what `kernel` and then this norm do.
    pub fn into_kernel(self, mut kernel: Vec<Array2<f32>>) -> (Vec<Array2<f32>>, Vec<f32>) {
        for tap in &mut kernel {
            for (mut row, gain) in tap.rows_mut().into_iter().zip(&self.gain) {
                row.iter_mut().for_each(|weight| *weight *= gain);
            }
        }
        (kernel, self.shift)
    }

    /// A channel's values, normalised, what is below zero cut off.
    pub fn relu<'a>(&self, channel: usize, values: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        let gain = self.gain.get(channel).copied().unwrap_or_default();
        let shift = self.shift.get(channel).copied().unwrap_or_default();
        values.iter().map(move |value| (value * gain + shift).max(0.0))
    }
}
