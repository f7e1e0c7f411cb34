//! The half of Whisper that hears: a spectrogram in, what the decoder attends to out.

use super::native::graph::Graph;
use super::native::hearing;
use super::native::tensor::{Kind, Tensor};
use super::spectrogram::Spectrogram;
use super::weights::{Layout, Linear, Matrix, Mlp, Norm, SelfAttention, Weights};

/// Queries whose scores are computed together on a processor: with the keys of 30 s they fit its second cache.
const QUERIES: usize = 192;

/// How attention is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attention {
    /// Scores, then probabilities, then values: what a processor is fastest with.
    Open,
    /// All at once: what a GPU is fastest with.
    Fused,
}

/// What a graph of the encoder takes and gives.
pub struct Encoding<'g> {
    /// [`input`].
    pub spectrogram: Tensor<'g>,
    /// Fused attention alone: [`padding_mask`].
    pub mask: Option<Tensor<'g>>,
    /// `[width, positions]`.
    pub heard: Tensor<'g>,
}

/// How many steps a graph of the encoder has at most.
pub fn steps(weights: &Weights, positions: usize) -> usize {
    let tiles = weights.hparams.audio_heads as usize * positions.div_ceil(QUERIES);
    64 + weights.encoder.blocks.len() * (64 + 8 * tiles)
}

/// The encoder over so many positions, 50 a second.
pub fn encode<'g>(graph: &'g Graph, weights: &Weights, positions: usize, attention: Attention) -> Encoding<'g> {
    let (encoder, hparams) = (&weights.encoder, &weights.hparams);
    let width = hparams.audio_state as usize;
    let spectrogram = graph.input(Kind::F32, [encoder.conv1.weight.numbers.dim(0), 2 * positions, 1, 1]);
    let x = convolve(graph, &encoder.conv1, spectrogram, attention);
    // three rows are a row of the second convolution, and its next row begins two rows later: they overlap in memory
    let x = graph.pad_rows_around(x, 1, positions.next_multiple_of(2));
    let triples = graph.view(x, [3 * width, positions, 1, 1], [2 * width * 4, 0, 0], 0);
    let x = convolve(graph, &encoder.conv2, triples, attention);
    let places = graph.view(encoder.positions, [width, positions, 1, 1], [width * 4, 0, 0], 0);
    let mut x = graph.add(x, places);
    let heads = hparams.audio_heads as usize;
    let mask = (attention == Attention::Fused).then(|| {
        let padded = positions.next_multiple_of(FUSED_STEP);
        graph.input(Kind::F16, [padded, padded, 1, 1])
    });
    for block in &encoder.blocks {
        let y = self_attention(graph, &block.attention, x, heads, mask, weights.kinds.attention);
        x = graph.add(x, y);
        let y = mlp(graph, &block.mlp, x);
        x = graph.add(x, y);
    }
    let heard = norm(graph, &encoder.norm, x);
    Encoding { spectrogram, mask, heard }
}

/// Fused attention takes keys in steps of so many.
pub const FUSED_STEP: usize = 256;

/// The input of [`encode`]: for each frame itself between its neighbours, filled up with zeros. What is beyond the positions
/// counts as silence.
pub fn input(weights: &Weights, window: &Spectrogram, positions: usize) -> Vec<f32> {
    let (row, mels) = (weights.encoder.conv1.weight.numbers.dim(0), window.mels);
    let frames = 2 * positions;
    let mut input = vec![0.0; row * frames];
    for (mel, values) in window.values.chunks_exact(window.frames).enumerate() {
        for (frame, value) in values.iter().enumerate().take(frames) {
            // the last of the three taps of the frame before, the first of the frame after
            for tap in 0..3 {
                let at = (frame + 1).checked_sub(tap).filter(|at| *at < frames);
                if let Some(place) = at.and_then(|at| input.get_mut(at * row + tap * mels + mel)) {
                    *place = *value;
                }
            }
        }
    }
    input
}

/// Which keys are none: those after the window's, that fill up a step.
pub fn padding_mask(positions: usize) -> Vec<half::f16> {
    let padded = positions.next_multiple_of(FUSED_STEP);
    let row = (0..padded).map(|key| if key < positions { half::f16::ZERO } else { half::f16::NEG_INFINITY });
    let row: Vec<half::f16> = row.collect();
    row.repeat(padded)
}

fn convolve<'g>(graph: &'g Graph, layer: &Linear, triples: Tensor<'g>, attention: Attention) -> Tensor<'g> {
    // rows that overlap are copied on the way into a product, but on a GPU not by all of its kernels
    let triples = if attention == Attention::Fused { graph.contiguous(triples) } else { triples };
    graph.gelu(linear(graph, layer, triples))
}

/// A layer: `[n, t]` to `[outputs, t]`.
pub fn linear<'g>(graph: &'g Graph, layer: &Linear, x: Tensor<'g>) -> Tensor<'g> {
    let product = product(graph, &layer.weight, x, layer.weight.numbers.dim(1));
    graph.add(product, layer.bias)
}

/// The first `outputs` of a matrix times `[n, t]`: `[outputs, t]`.
pub fn product<'g>(graph: &'g Graph, matrix: &Matrix, x: Tensor<'g>, outputs: usize) -> Tensor<'g> {
    let all = matrix.numbers;
    match matrix.layout {
        Layout::Tiles => graph.multiply_tiled(all, x),
        Layout::Octets => graph.multiply_octets(all, x, outputs),
        Layout::Plain if outputs == all.dim(1) => graph.multiply(all, x),
        Layout::Plain => graph.multiply(graph.view(all, [all.dim(0), outputs, 1, 1], [all.step(1), 0, 0], 0), x),
    }
}

/// The sum of what went into a layer and what came out. In one row: on a GPU ggml launches no graph as a whole in which several
/// rows are added to several.
pub fn residual<'g>(graph: &'g Graph, before: Tensor<'g>, after: Tensor<'g>) -> Tensor<'g> {
    let (width, rows) = (before.dim(0), before.dim(1));
    let [before, after] = [before, after].map(|x| graph.reshape(x, [width * rows, 1, 1, 1]));
    graph.reshape(graph.add(before, after), [width, rows, 1, 1])
}

/// Each position by itself to mean 0 and deviation 1, then as the layer has learnt it.
pub fn norm<'g>(graph: &'g Graph, layer: &Norm, x: Tensor<'g>) -> Tensor<'g> {
    graph.add(graph.times(graph.normalise(x), layer.scale), layer.shift)
}

/// The layers after attention.
pub fn mlp<'g>(graph: &'g Graph, layer: &Mlp, x: Tensor<'g>) -> Tensor<'g> {
    let x = norm(graph, &layer.norm, x);
    linear(graph, &layer.down, graph.gelu(linear(graph, &layer.up, x)))
}

fn self_attention<'g>(
    graph: &'g Graph,
    layer: &SelfAttention,
    x: Tensor<'g>,
    heads: usize,
    mask: Option<Tensor<'g>>,
    kind: Kind,
) -> Tensor<'g> {
    let (width, positions) = (x.dim(0), x.dim(1));
    let x = linear(graph, &layer.query_key_value, norm(graph, &layer.norm, x));
    let depth = width / heads;
    // [depth, positions, heads] of each of the three
    let part = |index: usize| {
        let steps = [3 * width * 4, depth * 4, 0];
        graph.view(x, [depth, positions, heads, 1], steps, index * width * 4)
    };
    let [queries, keys, values] = [0, 1, 2].map(part);
    let scale = 1.0 / (depth as f32).sqrt();
    let attended = match mask {
        Some(mask) => {
            let padded = |x| graph.cast(graph.pad_rows(graph.contiguous(x), FUSED_STEP), Kind::F16);
            let attended = graph.attend(queries, padded(keys), padded(values), Some(mask), scale);
            graph.reshape(attended, [width, positions, 1, 1])
        }
        None if kind == Kind::BF16 && hearing::are_there() && hearing::fit(depth) => graph.attend_tiled(x, heads),
        None => {
            open_attention(graph, [queries, keys, values], scale, kind);
            graph.view(x, [width, positions, 1, 1], [3 * width * 4, 0, 0], 0)
        }
    };
    linear(graph, &layer.out, attended)
}

/// Head by head, and of each head some queries at a time, so that their scores stay in the processor's cache. The result
/// takes the queries' place.
fn open_attention<'g>(graph: &'g Graph, [queries, keys, values]: [Tensor<'g>; 3], scale: f32, kind: Kind) {
    let (depth, positions, heads) = (queries.dim(0), queries.dim(1), queries.dim(2));
    let [row, head_step] = [queries.step(1), queries.step(2)];
    let keys = graph.cast(keys, kind);
    let values = graph.cast(graph.permute(values, [1, 0, 2, 3]), kind);
    let bytes = |numbers: usize| kind.row_bytes(numbers);
    let head_bytes = bytes(depth * positions);
    for head in 0..heads {
        let keys = graph.view(keys, [depth, positions, 1, 1], [bytes(depth), 0, 0], head * head_bytes);
        let values = graph.view(values, [positions, depth, 1, 1], [bytes(positions), 0, 0], head * head_bytes);
        for first in (0..positions).step_by(QUERIES) {
            let count = QUERIES.min(positions - first);
            let place = [depth, count, 1, 1];
            let some = graph.view(queries, place, [row, 0, 0], first * row + head * head_step);
            let shares = graph.soft_max(graph.multiply(keys, some), None, scale);
            graph.compute(graph.copy(graph.multiply(values, shares), some));
        }
    }
}
