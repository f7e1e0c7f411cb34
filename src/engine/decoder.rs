//! The half of Whisper that writes: tokens in, what follows them out, for several windows at a time. What each window has
//! heard and written so far lies in its slot of a cache.

use std::io;

use half::f16;

use super::encoder::{Attention, FUSED_STEP, linear, mlp, norm, residual};
use super::native::backend::MemoryKind;
use super::native::graph::Graph;
use super::native::store::Store;
use super::native::tensor::{Kind, Tensor};
use super::weights::{CrossAttention, SelfAttention, Weights};

/// Text positions are attended to in steps of so many, so that few different graphs are met.
const TEXT_STEP: usize = 32;

impl Attention {
    /// In steps of how many text positions are attended to, and of how many audio positions.
    fn steps(self) -> (usize, usize) {
        match self {
            Self::Open => (TEXT_STEP, 1),
            Self::Fused => (FUSED_STEP, FUSED_STEP),
        }
    }
}

/// Keys and values of so many windows.
#[derive(Debug)]
pub struct Cache {
    layers: Vec<LayerCache>,
    attention: Attention,
    /// Windows at a time.
    pub slots: usize,
    /// Text positions of each.
    pub text: usize,
    /// Audio positions of each, padded.
    pub audio: usize,
    /// How much memory it takes.
    pub bytes: usize,
}

#[derive(Debug)]
struct LayerCache {
    /// `[width, text x slots]`.
    keys: Tensor<'static>,
    /// The same.
    values: Tensor<'static>,
    /// `[depth, audio, heads, slots]`.
    heard_keys: Tensor<'static>,
    /// The same; where attention is open `[audio, depth, heads, slots]`.
    heard_values: Tensor<'static>,
}

impl Cache {
    /// For a model and so many windows at a time.
    ///
    /// # Errors
    /// No memory.
    pub fn new(weights: &Weights, slots: usize, attention: Attention, memory: MemoryKind) -> io::Result<Self> {
        let hparams = &weights.hparams;
        let (width, heads) = (hparams.text_state as usize, hparams.text_heads as usize);
        let depth = width / heads;
        let text = (hparams.text_context as usize).next_multiple_of(attention.steps().0);
        let audio = (hparams.audio_context as usize).next_multiple_of(FUSED_STEP);
        let mut store = Store::new(4 * weights.decoder.blocks.len())?;
        let layers = (0..weights.decoder.blocks.len())
            .map(|_| {
                // a processor sums values up in the type they are stored in
                let (heard, values) = match attention {
                    Attention::Open => ([audio, depth, heads, slots], Kind::F32),
                    Attention::Fused => ([depth, audio, heads, slots], Kind::F16),
                };
                let kind = match attention {
                    Attention::Open => weights.kinds.attention,
                    Attention::Fused => Kind::F16,
                };
                LayerCache {
                    keys: store.tensor(Kind::F16, [width, text * slots, 1, 1]),
                    values: store.tensor(values, [width, text * slots, 1, 1]),
                    heard_keys: store.tensor(kind, [depth, audio, heads, slots]),
                    heard_values: store.tensor(kind, heard),
                }
            })
            .collect();
        let bytes = store.allocate(memory, "the windows that are decoded at a time")?;
        Ok(Self { layers, attention, slots, text, audio, bytes })
    }
}

/// The cross keys and values of what was heard, written into a slot.
pub fn remember<'g>(graph: &'g Graph, weights: &Weights, cache: &Cache, slot: usize, heard: Tensor<'g>) {
    let (width, positions) = (heard.dim(0), heard.dim(1));
    let heads = weights.hparams.text_heads as usize;
    let depth = width / heads;
    for (block, layer) in weights.decoder.blocks.iter().zip(&cache.layers) {
        let both = linear(graph, &block.cross.key_value, heard);
        let part = |index: usize| {
            graph.view(both, [depth, positions, heads, 1], [2 * width * 4, depth * 4, 0], index * width * 4)
        };
        let slot_of = |place: Tensor<'static>, dims| {
            graph.view(place, dims, [place.step(1), place.step(2), 0], slot * place.step(3))
        };
        let keys = slot_of(layer.heard_keys, [depth, positions, heads, 1]);
        graph.compute(graph.copy(part(0), keys));
        let (values, place) = match cache.attention {
            Attention::Open => (graph.permute(part(1), [1, 0, 2, 3]), [positions, depth, heads, 1]),
            Attention::Fused => (part(1), [depth, positions, heads, 1]),
        };
        graph.compute(graph.copy(values, slot_of(layer.heard_values, place)));
    }
}

/// Which tokens go through the decoder together: `tokens` of each of `rows` windows, which lie in the slots from `first` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// First slot.
    pub first: usize,
    /// Windows.
    pub rows: usize,
    /// Tokens of each.
    pub tokens: usize,
    /// Text positions attended to, those of these tokens included.
    pub text: usize,
    /// Audio positions attended to.
    pub audio: usize,
}

/// Tokens are decoded at these places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its slot.
    pub slot: usize,
    /// Position of its first token.
    pub position: usize,
    /// Audio positions of its window.
    pub audio: usize,
}

/// What a graph of the decoder takes.
pub struct Inputs<'g> {
    /// `[width, tokens, rows]`: embeddings.
    pub embeddings: Tensor<'g>,
    numbers: Tensor<'g>,
    text_mask: Tensor<'g>,
    audio_mask: Option<Tensor<'g>>,
}

/// The numbers of a graph's inputs.
pub struct Filling {
    /// Where keys and values are written.
    pub numbers: Vec<i64>,
    /// Which text positions each token does not attend to.
    pub text_mask: Vec<f16>,
    /// Which audio positions.
    pub audio_mask: Vec<f16>,
}

impl Shape {
    /// The graph for these places, which are neighbours: text lengths are rounded up.
    pub fn of(places: &[Place], tokens: usize, cache: &Cache) -> Self {
        let text = places.iter().map(|place| place.position).max().unwrap_or_default() + tokens;
        let audio = places.iter().map(|place| place.audio).max().unwrap_or(1);
        Self {
            first: places.first().map_or(0, |place| place.slot),
            rows: places.len(),
            tokens,
            text: text.next_multiple_of(cache.attention.steps().0).min(cache.text),
            audio: audio.next_multiple_of(cache.attention.steps().1),
        }
    }

    /// The largest graph: all slots, the longest texts, windows of `audio` positions.
    pub fn largest(audio: usize, cache: &Cache) -> Self {
        let audio = audio.next_multiple_of(cache.attention.steps().1);
        Self { first: 0, rows: cache.slots, tokens: 1, text: cache.text, audio }
    }

    /// How many steps its graph has at most.
    pub fn steps(&self, weights: &Weights) -> usize {
        64 + weights.decoder.blocks.len() * 80
    }

    /// What goes into [`Inputs`] for these places.
    pub fn filling(&self, places: &[Place], cache: &Cache) -> Filling {
        let mut filling = Filling { numbers: Vec::new(), text_mask: Vec::new(), audio_mask: Vec::new() };
        for place in places {
            for token in 0..self.tokens {
                let own = place.position + token;
                filling.numbers.push(i64::try_from(place.slot * cache.text + own).unwrap_or_default());
                let seen = (0..self.text).map(|key| if key <= own { f16::ZERO } else { f16::NEG_INFINITY });
                filling.text_mask.extend(seen);
                let heard = (0..self.audio).map(|key| if key < place.audio { f16::ZERO } else { f16::NEG_INFINITY });
                filling.audio_mask.extend(heard);
            }
        }
        filling
    }
}

impl<'g> Inputs<'g> {
    fn new(graph: &'g Graph, weights: &Weights, shape: &Shape, attention: Attention) -> Self {
        let width = weights.hparams.text_state as usize;
        Self {
            embeddings: graph.input(Kind::F32, [width, shape.tokens * shape.rows, 1, 1]),
            numbers: graph.input(Kind::I64, [shape.tokens * shape.rows, 1, 1, 1]),
            text_mask: graph.input(Kind::F16, [shape.text, shape.tokens, 1, shape.rows]),
            // one window's audio has the graph's length, unless that is rounded up
            audio_mask: (shape.rows > 1 || attention == Attention::Fused)
                .then(|| graph.input(Kind::F16, [shape.audio, shape.tokens, 1, shape.rows])),
        }
    }

    /// All but the embeddings.
    ///
    /// # Errors
    /// A bug.
    pub fn set(&self, placed: &mut super::native::graph::Placed<'_>, filling: &Filling) -> Result<(), String> {
        placed.set(self.numbers, &filling.numbers)?;
        placed.set(self.text_mask, &filling.text_mask)?;
        match self.audio_mask {
            Some(mask) => placed.set(mask, &filling.audio_mask),
            None => Ok(()),
        }
    }
}

/// The decoder over its blocks: inputs, and `[width, tokens x rows]` of what follows each token, before the vocabulary.
pub fn decode<'g>(graph: &'g Graph, weights: &Weights, cache: &Cache, shape: &Shape) -> (Inputs<'g>, Tensor<'g>) {
    let inputs = Inputs::new(graph, weights, shape, cache.attention);
    let mut x = inputs.embeddings;
    for (block, layer) in weights.decoder.blocks.iter().zip(&cache.layers) {
        let y = attend_to_text(graph, weights, cache, &block.attention, layer, shape, &inputs, x);
        x = residual(graph, x, y);
        let queries = queries_to_audio(graph, weights, &block.cross, shape, x);
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
    let all = weights.decoder.vocabulary;
    let some = graph.view(all, [all.dim(0), tokens, 1, 1], [all.step(1), 0, 0], 0);
    graph.multiply(some, x)
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

/// `[depth, tokens, heads, rows]`.
fn queries_to_audio<'g>(
    graph: &'g Graph,
    weights: &Weights,
    layer: &CrossAttention,
    shape: &Shape,
    x: Tensor<'g>,
) -> Tensor<'g> {
    let (width, heads) = (x.dim(0), weights.hparams.text_heads as usize);
    let (depth, Shape { rows, tokens, .. }) = (width / heads, *shape);
    let queries = linear(graph, &layer.query, norm(graph, &layer.norm, x));
    graph.view(queries, [depth, tokens, heads, rows], [width * 4, depth * 4, tokens * width * 4], 0)
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
    let (depth, heads) = (queries.dim(0), queries.dim(2));
    let width = depth * heads;
    let Shape { first, rows, tokens, audio, .. } = *shape;
    let cached = |cached: Tensor<'static>, dims| {
        let steps = [cached.step(1), cached.step(2), cached.step(3)];
        graph.view(cached, dims, steps, first * cached.step(3))
    };
    let keys = cached(kept.heard_keys, [depth, audio, heads, rows]);
    let scale = 1.0 / (depth as f32).sqrt();
    let merged = match cache.attention {
        Attention::Open => {
            let values = cached(kept.heard_values, [audio, depth, heads, rows]);
            let shares = graph.soft_max(graph.multiply(keys, queries), mask, scale);
            graph.contiguous(graph.permute(graph.multiply(values, shares), [0, 2, 1, 3]))
        }
        Attention::Fused => {
            let values = cached(kept.heard_values, [depth, audio, heads, rows]);
            graph.attend(queries, keys, values, mask, scale)
        }
    };
    linear(graph, &layer.out, graph.reshape(merged, [width, tokens * rows, 1, 1]))
}

/// The decoder over one window's tokens up to the last of these layers: inputs, and of each of the given heads `[positions,
/// tokens]`, what each token attends to among the first `positions`.
pub fn align<'g>(
    graph: &'g Graph,
    weights: &Weights,
    cache: &Cache,
    shape: &Shape,
    heads: &[(usize, usize)],
    positions: usize,
) -> (Inputs<'g>, Vec<Tensor<'g>>) {
    let inputs = Inputs::new(graph, weights, shape, cache.attention);
    let last = heads.iter().map(|(layer, _)| *layer).max().unwrap_or_default();
    let mut shares = Vec::new();
    let mut x = inputs.embeddings;
    for (index, (block, layer)) in weights.decoder.blocks.iter().zip(&cache.layers).enumerate().take(last + 1) {
        let y = attend_to_text(graph, weights, cache, &block.attention, layer, shape, &inputs, x);
        x = residual(graph, x, y);
        let queries = queries_to_audio(graph, weights, &block.cross, shape, x);
        for (_, head) in heads.iter().filter(|(layer, _)| *layer == index) {
            shares.push(graph.output(share_of(graph, layer, shape, *head, positions, queries)));
        }
        if index == last {
            break;
        }
        let y = attend_to_audio(graph, cache, &block.cross, layer, shape, inputs.audio_mask, queries);
        x = residual(graph, x, y);
        let y = mlp(graph, &block.mlp, x);
        x = residual(graph, x, y);
    }
    (inputs, shares)
}

fn share_of<'g>(
    graph: &'g Graph,
    kept: &LayerCache,
    shape: &Shape,
    head: usize,
    positions: usize,
    queries: Tensor<'g>,
) -> Tensor<'g> {
    let depth = queries.dim(0);
    let keys = kept.heard_keys;
    let offset = shape.first * keys.step(3) + head * keys.step(2);
    let keys = graph.view(keys, [depth, positions, 1, 1], [keys.step(1), 0, 0], offset);
    let queries = graph.view(queries, [depth, shape.tokens, 1, 1], [queries.step(1), 0, 0], head * queries.step(2));
    graph.soft_max(graph.multiply(keys, queries), None, 1.0 / (depth as f32).sqrt())
}

/// What a slot holds copied into another: the first `text` positions of its text, and what was heard.
pub fn copy(graph: &Graph, cache: &Cache, from: usize, to: usize, text: usize, heard: bool) {
    for layer in &cache.layers {
        for all in [layer.keys, layer.values] {
            let row = all.step(1);
            let part = |slot: usize| graph.view(all, [all.dim(0), text, 1, 1], [row, 0, 0], slot * cache.text * row);
            graph.compute(graph.copy(part(from), part(to)));
        }
        for all in [layer.heard_keys, layer.heard_values].into_iter().filter(|_| heard) {
            let dims = [all.dim(0), all.dim(1), all.dim(2), 1];
            let part = |slot: usize| graph.view(all, dims, [all.step(1), all.step(2), 0], slot * all.step(3));
            graph.compute(graph.copy(part(from), part(to)));
        }
    }
}
