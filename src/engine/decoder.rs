//! The half of Whisper that writes: tokens in, what follows them out, for several windows at a time.

use super::batch::{Inputs, Place, Shape};
use super::cache::{Cache, LayerCache};
use super::encoder::{Attention, linear, mlp, norm, product, residual};
use super::native::graph::Graph;
use super::native::singles;
use super::native::tensor::{Kind, Tensor};
use super::weights::{CrossAttention, SelfAttention, Weights};

/// The decoder over its blocks: inputs, and `[width, tokens x rows]` of what follows each token, before the vocabulary.
pub fn decode<'g>(graph: &'g Graph, weights: &Weights, cache: &Cache, shape: &Shape) -> (Inputs<'g>, Tensor<'g>) {
    let inputs = Inputs::new(graph, weights, shape, cache.attention);
    let mut x = inputs.embeddings;
    for (block, layer) in weights.decoder.blocks.iter().zip(&cache.layers) {
        let y = attend_to_text(graph, weights, cache, &block.attention, layer, shape, &inputs, x);
        x = residual(graph, x, y);
        let queries = linear(graph, &block.cross.query, norm(graph, &block.cross.norm, x));
        if let Some(questions) = layer.questions {
            graph.compute(graph.set_rows(questions, queries, inputs.numbers));
        }
        let y = attend_to_audio(graph, cache, &block.cross, layer, shape, inputs.audio_mask, queries);
        x = residual(graph, x, y);
        let y = mlp(graph, &block.mlp, x);
        x = residual(graph, x, y);
    }
    let x = norm(graph, &weights.decoder.norm, x);
    (inputs, x)
}

/// Of each position, a logit for each of the first `tokens` of the vocabulary.
pub fn logits<'g>(graph: &'g Graph, weights: &Weights, x: Tensor<'g>, tokens: usize) -> Tensor<'g> {
    product(graph, &weights.decoder.vocabulary, x, tokens)
}

#[expect(clippy::too_many_arguments, reason = "a step of a computation names what it computes with")]
fn attend_to_text<'g>(
    graph: &'g Graph,
    weights: &Weights,
    cache: &Cache,
    layer: &SelfAttention,
    kept: &LayerCache,
    shape: &Shape,
    inputs: &Inputs<'g>,
    x: Tensor<'g>,
) -> Tensor<'g> {
    let (width, heads) = (x.dim(0), weights.hparams.text_heads as usize);
    let depth = width / heads;
    let Shape { first, rows, tokens, text, .. } = *shape;
    let x = linear(graph, &layer.query_key_value, norm(graph, &layer.norm, x));
    let part = |index: usize| graph.view(x, [width, tokens * rows, 1, 1], [3 * width * 4, 0, 0], index * width * 4);
    graph.compute(graph.set_rows(kept.keys, part(1), inputs.numbers));
    graph.compute(graph.set_rows(kept.values, part(2), inputs.numbers));
    let step = 3 * width * 4;
    let queries = graph.view(x, [depth, tokens, heads, rows], [step, depth * 4, tokens * step], 0);
    let cached = |cached: Tensor<'static>| {
        let row = cached.step(1);
        let steps = [row, row / heads, row * cache.text];
        graph.view(cached, [depth, text, heads, rows], steps, first * row * cache.text)
    };
    let (keys, values) = (cached(kept.keys), cached(kept.values));
    let scale = 1.0 / (depth as f32).sqrt();
    let attended = graph.attend(queries, keys, values, Some(inputs.text_mask), scale);
    linear(graph, &layer.out, graph.reshape(attended, [width, tokens * rows, 1, 1]))
}

fn attend_to_audio<'g>(
    graph: &'g Graph,
    cache: &Cache,
    layer: &CrossAttention,
    kept: &LayerCache,
    shape: &Shape,
    mask: Option<Tensor<'g>>,
    queries: Tensor<'g>,
) -> Tensor<'g> {
    let (width, heads) = (queries.dim(0), kept.heard_keys.dim(2));
    let depth = width / heads;
    let Shape { first, rows, tokens, audio, .. } = *shape;
    let queries = graph.view(queries, [depth, tokens, heads, rows], [width * 4, depth * 4, tokens * width * 4], 0);
    let cached = |cached: Tensor<'static>, dims| {
        let steps = [cached.step(1), cached.step(2), cached.step(3)];
        graph.view(cached, dims, steps, first * cached.step(3))
    };
    let keys = cached(kept.heard_keys, [depth, audio, heads, rows]);
    let scale = 1.0 / (depth as f32).sqrt();
    let merged = match cache.attention {
        Attention::Open => {
            let values = cached(kept.heard_values, [audio, depth, heads, rows]);
            let multiply =
                |matrices, rows| match tokens == 1 && kept.heard_keys.kind() == Kind::BF16 && singles::are_there() {
                    true => graph.multiply_singles(matrices, rows),
                    false => graph.multiply(matrices, rows),
                };
            let shares = graph.soft_max(multiply(keys, queries), mask, scale);
            graph.contiguous(graph.permute(multiply(values, shares), [0, 2, 1, 3]))
        }
        Attention::Fused => {
            let values = cached(kept.heard_values, [depth, audio, heads, rows]);
            graph.attend(queries, keys, values, mask, scale)
        }
    };
    linear(graph, &layer.out, graph.reshape(merged, [width, tokens * rows, 1, 1]))
}

/// Of `tokens` tokens that were decoded from `place` on, `[positions, tokens]`: what the given heads, by layer and number,
/// attended to among the first `positions` of what was heard, all together.
pub fn attended<'g>(
    graph: &'g Graph,
    cache: &Cache,
    heads: &[(usize, usize)],
    place: Place,
    tokens: usize,
    positions: usize,
) -> Option<Tensor<'g>> {
    let shares = heads.iter().filter_map(|(layer, head)| {
        let kept = cache.layers.get(*layer)?;
        let (keys, questions) = (kept.heard_keys, kept.questions?);
        let (depth, row) = (keys.dim(0), questions.step(1));
        let offset = place.slot * keys.step(3) + head * keys.step(2);
        let keys = graph.view(keys, [depth, positions, 1, 1], [keys.step(1), 0, 0], offset);
        let offset = (place.slot * cache.text + place.position) * row + head * depth * size_of::<f32>();
        let questions = graph.view(questions, [depth, tokens, 1, 1], [row, 0, 0], offset);
        Some(graph.soft_max(graph.multiply(keys, questions), None, 1.0 / (depth as f32).sqrt()))
    });
    shares.reduce(|sum, share| graph.add(sum, share))
}
