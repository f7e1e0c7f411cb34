//! Long short-term memory (Hochreiter and Schmidhuber, 1997), as PyTorch lays its weights out.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, s};

use super::weights::Weights;

/// Numbers that it keeps from a step to the next.
pub const HIDDEN: usize = 128;

/// The input gate's, the forget gate's, the cell's and the output gate's rows.
const GATES: usize = 4 * HIDDEN;

/// A layer that goes forwards, and one that goes backwards.
#[derive(Debug)]
pub struct Bidirectional {
    forward: Layer,
    backward: Layer,
}

#[derive(Debug)]
struct Layer {
    /// Inputs × gates.
    input: Array2<f32>,
    /// What stood before, × gates.
    hidden: Vec<[f32; GATES]>,
    bias: Vec<f32>,
}

impl Bidirectional {
    /// Layer `index` of the net's stack, which takes `inputs` numbers per step.
    ///
    /// # Errors
    /// A tensor is not there.
    pub fn load(weights: &mut Weights, index: usize, inputs: usize) -> Result<Self, String> {
        Ok(Self {
            forward: Layer::load(weights, &format!("l{index}"), inputs)?,
            backward: Layer::load(weights, &format!("l{index}_reverse"), inputs)?,
        })
    }

    /// Steps × inputs to steps × twice [`HIDDEN`]: what was heard so far, and what is still to come.
    pub fn run(&self, steps: &ArrayView2<'_, f32>) -> Array2<f32> {
        let mut out = Array2::zeros((steps.nrows(), 2 * HIDDEN));
        self.forward.run(steps, false, &mut out);
        self.backward.run(steps, true, &mut out);
        out
    }
}

impl Layer {
    fn load(weights: &mut Weights, name: &str, inputs: usize) -> Result<Self, String> {
        let input = weights.matrix(&format!("lstm.weight_ih_{name}"), GATES, inputs)?;
        let hidden = weights.matrix(&format!("lstm.weight_hh_{name}"), GATES, HIDDEN)?;
        let bias = weights.vector(&format!("lstm.bias_ih_{name}"), GATES)?;
        let more = weights.vector(&format!("lstm.bias_hh_{name}"), GATES)?;
        let row = |column: ndarray::ArrayView1<'_, f32>| {
            let mut row = [0.0; GATES];
            row.iter_mut().zip(column).for_each(|(to, weight)| *to = *weight);
            row
        };
        Ok(Self {
            input: input.t().as_standard_layout().into_owned(),
            hidden: hidden.columns().into_iter().map(row).collect(),
            bias: bias.iter().zip(&more).map(|(a, b)| a + b).collect(),
        })
    }

    /// Writes its half of `out`.
    fn run(&self, steps: &ArrayView2<'_, f32>, is_backward: bool, out: &mut Array2<f32>) {
        let mut gates =
            Array2::from_shape_fn((steps.nrows(), GATES), |(_, gate)| self.bias.get(gate).copied().unwrap_or_default());
        general_mat_mul(1.0, steps, &self.input, 1.0, &mut gates);
        let half = if is_backward { s![.., HIDDEN..] } else { s![.., ..HIDDEN] };
        let mut out = out.slice_mut(half);
        let (mut hidden, mut cell) = ([0.0_f32; HIDDEN], [0.0_f32; HIDDEN]);
        let count = steps.nrows();
        for step in 0..count {
            let step = if is_backward { count - 1 - step } else { step };
            let mut row = [0.0; GATES];
            row.iter_mut().zip(gates.row(step)).for_each(|(to, gate)| *to = *gate);
            self.add_hidden(&hidden, &mut row);
            let (now, rest) = row.split_at(HIDDEN);
            let (forget, rest) = rest.split_at(HIDDEN);
            let (new, open) = rest.split_at(HIDDEN);
            for ((((hidden, cell), now), forget), (new, open)) in
                hidden.iter_mut().zip(&mut cell).zip(now).zip(forget).zip(new.iter().zip(open))
            {
                *cell = sigmoid(*forget) * *cell + sigmoid(*now) * tanh(*new);
                *hidden = sigmoid(*open) * tanh(*cell);
            }
            out.row_mut(step).iter_mut().zip(&hidden).for_each(|(to, hidden)| *to = *hidden);
        }
    }

    /// Four rows at once: the gates are read and written a quarter as often.
    fn add_hidden(&self, hidden: &[f32; HIDDEN], gates: &mut [f32; GATES]) {
        let rows = self.hidden.as_chunks::<4>().0;
        for ([a, b, c, d], [wa, wb, wc, wd]) in hidden.as_chunks::<4>().0.iter().zip(rows) {
            for i in 0..GATES {
                gates[i] += (a * wa[i] + b * wb[i]) + (c * wc[i] + d * wd[i]);
            }
        }
    }
}

/// The logistic function.
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn tanh(x: f32) -> f32 {
    2.0 * sigmoid(2.0 * x) - 1.0
}
