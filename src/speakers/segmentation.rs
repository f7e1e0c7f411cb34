//! Who speaks when, within ten seconds: pyannote's segmentation-3.0 (Bredin, "pyannote.audio 2.1", 2023; Plaquet and
//! Bredin, "Powerset multi-class cross entropy loss", 2023). Voices have numbers that hold for these seconds alone.

use ndarray::Array2;

use super::lstm::{Bidirectional, HIDDEN};
use super::sincnet::{self, SincNet, leak};
use super::weights::Weights;

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

/// The net.
#[derive(Debug)]
pub struct Segmentation {
    ear: SincNet,
    memory: Vec<Bidirectional>,
    /// Inputs × outputs, and what is added.
    linear: Vec<(Array2<f32>, Vec<f32>)>,
}

impl Segmentation {
    /// # Errors
    /// A tensor is not there.
    pub fn load(weights: &mut Weights) -> Result<Self, String> {
        let ear = SincNet::load(weights)?;
        let (mut memory, mut linear) = (Vec::new(), Vec::new());
        for index in 0..4 {
            let inputs = if index == 0 { sincnet::ROWS } else { 2 * HIDDEN };
            memory.push(Bidirectional::load(weights, index, inputs)?);
        }
        for (name, outputs, inputs) in
            [("linear.0", HIDDEN, 2 * HIDDEN), ("linear.1", HIDDEN, HIDDEN), ("classifier", CLASSES, HIDDEN)]
        {
            let matrix = weights.matrix(&format!("{name}.weight"), outputs, inputs)?;
            let matrix = matrix.t().as_standard_layout().into_owned();
            linear.push((matrix, weights.vector(&format!("{name}.bias"), outputs)?));
        }
        Ok(Self { ear, memory, linear })
    }

    /// The probability of each class in each frame of `pcm`: [`WINDOW_SAMPLES`] at 16 kHz, what is missing being silence.
    ///
    /// # Errors
    /// A sentence; only a bug can cause one.
    pub fn run(&self, pcm: &[f32]) -> Result<Vec<[f32; CLASSES]>, String> {
        let mut wave = vec![0.0; WINDOW_SAMPLES];
        wave.iter_mut().zip(pcm).for_each(|(to, sample)| *to = *sample);
        let mut steps = self.ear.run(&mut wave).t().as_standard_layout().into_owned();
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

fn softmax(row: &ndarray::ArrayView1<'_, f32>) -> [f32; CLASSES] {
    let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut out = [0.0; CLASSES];
    out.iter_mut().zip(row).for_each(|(to, value)| *to = (value - top).exp());
    let sum: f32 = out.iter().sum();
    out.map(|value| value / sum)
}
