//! Long short-term memory (Hochreiter and Schmidhuber, 1997), as PyTorch lays its weights out.

use std::f32::consts::LOG2_E;

use multiversion::multiversion;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, s};

use super::weights::Weights;
use crate::power::two_to;

/// Numbers that it keeps from a step to the next.
pub const HIDDEN: usize = 128;

/// The input gate's, the forget gate's, the cell's and the output gate's rows.
const GATES: usize = 4 * HIDDEN;
/// Gates whose sums are in registers at a time.
const PART: usize = 64;

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
    /// Of each [`PART`] of the gates: what stood before, × gates.
    hidden: Vec<[[f32; PART]; HIDDEN]>,
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
        let part = |part: usize| {
            let of = |before: usize, gate: usize| hidden.get((part * PART + gate, before)).copied().unwrap_or_default();
            std::array::from_fn(|before| std::array::from_fn(|gate| of(before, gate)))
        };
        Ok(Self {
            input: input.t().as_standard_layout().into_owned(),
            hidden: (0..GATES / PART).map(part).collect(),
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
        let mut state = State { hidden: [0.0; HIDDEN], cell: [0.0; HIDDEN] };
        let count = steps.nrows();
        for step in 0..count {
            let step = if is_backward { count - 1 - step } else { step };
            let mut row = [0.0; GATES];
            row.iter_mut().zip(gates.row(step)).for_each(|(to, gate)| *to = *gate);
            advance(&mut state, &self.hidden, &mut row);
            out.row_mut(step).iter_mut().zip(&state.hidden).for_each(|(to, hidden)| *to = *hidden);
        }
    }
}

/// What stands between two steps.
struct State {
    hidden: [f32; HIDDEN],
    cell: [f32; HIDDEN],
}

/// From what stands before a step, and what its inputs make of the gates, to what stands after it. The sums and their order
/// are the same in registers of any width.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn advance(state: &mut State, weights: &[[[f32; PART]; HIDDEN]], gates: &mut [f32; GATES]) {
    for (gates, rows) in gates.as_chunks_mut::<PART>().0.iter_mut().zip(weights) {
        let mut sums = *gates;
        for ([a, b, c, d], [wa, wb, wc, wd]) in state.hidden.as_chunks::<4>().0.iter().zip(rows.as_chunks::<4>().0) {
            for i in 0..PART {
                sums[i] += (a * wa[i] + b * wb[i]) + (c * wc[i] + d * wd[i]);
            }
        }
        *gates = sums;
    }
    let (now, rest) = gates.split_at(HIDDEN);
    let (forget, rest) = rest.split_at(HIDDEN);
    let (new, open) = rest.split_at(HIDDEN);
    let gates = now.iter().zip(forget).zip(new).zip(open);
    for ((hidden, cell), (((now, forget), new), open)) in state.hidden.iter_mut().zip(&mut state.cell).zip(gates) {
        *cell = sigmoid(*forget) * *cell + sigmoid(*now) * tanh(*new);
        *hidden = sigmoid(*open) * tanh(*cell);
    }
}

/// The logistic function.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + two_to(-x * LOG2_E))
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    2.0 * sigmoid(2.0 * x) - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_what_the_formula_says() {
        let of = |index: usize| (index * 7_919 % 1_009) as f32 / 1_009.0 - 0.5;
        let weights: Vec<[[f32; PART]; HIDDEN]> = (0..GATES / PART)
            .map(|part| std::array::from_fn(|row| std::array::from_fn(|gate| of(part * 8_192 + row * PART + gate))))
            .collect();
        let begin = || State { hidden: std::array::from_fn(of), cell: std::array::from_fn(|at| of(at + 500)) };
        let gates: [f32; GATES] = std::array::from_fn(|at| of(at + 3));
        let mut after = begin();
        advance(&mut after, &weights, &mut gates.clone());
        let sum = |gate: usize| {
            let (part, at) = (gate / PART, gate % PART);
            let rows = begin().hidden.into_iter().zip(&weights[part]);
            f64::from(gates[gate]) + rows.map(|(hidden, row)| f64::from(hidden) * f64::from(row[at])).sum::<f64>()
        };
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        for unit in 0..HIDDEN {
            let [now, forget, new, open] = [0, 1, 2, 3].map(|gate| sum(gate * HIDDEN + unit));
            let cell = logistic(forget) * f64::from(begin().cell[unit]) + logistic(now) * new.tanh();
            assert!((cell - f64::from(after.cell[unit])).abs() < 1e-5, "{unit}");
            assert!((logistic(open) * cell.tanh() - f64::from(after.hidden[unit])).abs() < 1e-5, "{unit}");
        }
    }
}
