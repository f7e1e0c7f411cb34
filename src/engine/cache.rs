//! What each window that is decoded has heard and written so far: keys and values, in its slot.

use std::io;

use super::alignment;
use super::encoder::{Attention, FUSED_STEP, linear};
use super::native::backend::MemoryKind;
use super::native::graph::Graph;
use super::native::store::Store;
use super::native::tensor::{Kind, Tensor};
use super::weights::Weights;

/// Text positions are attended to in steps of so many, so that few different graphs are met.
const TEXT_STEP: usize = 32;

impl Attention {
    /// In steps of how many text positions are attended to, and of how many audio positions.
    pub fn steps(self) -> (usize, usize) {
        match self {
            Self::Open => (TEXT_STEP, 1),
            Self::Fused => (FUSED_STEP, FUSED_STEP),
        }
    }
}

/// Keys and values of so many windows.
#[derive(Debug)]
pub struct Cache {
    /// In order.
    pub layers: Vec<LayerCache>,
    /// How it is attended to.
    pub attention: Attention,
    /// Windows at a time.
    pub slots: usize,
    /// Text positions of each.
    pub text: usize,
    /// Audio positions of each, padded.
    pub audio: usize,
    /// How much memory it takes.
    pub bytes: usize,
}

/// Those of a layer of the decoder.
#[derive(Debug)]
pub struct LayerCache {
    /// `[width, text x slots]`.
    pub keys: Tensor<'static>,
    /// The same.
    pub values: Tensor<'static>,
    /// `[depth, audio, heads, slots]`.
    pub heard_keys: Tensor<'static>,
    /// The same; where attention is open `[audio, depth, heads, slots]`.
    pub heard_values: Tensor<'static>,
    /// `[width, text x slots]`: what each token asked of what was heard, in layers whose heads follow the voice.
    pub questions: Option<Tensor<'static>>,
}

impl Cache {
    /// For a model and so many windows at a time.
    ///
    /// # Errors
    /// No memory.
    pub fn new(weights: &Weights, slots: usize, attention: Attention, memory: MemoryKind) -> io::Result<Self> {
        let hparams = &weights.hparams;
        let following = alignment::heads(hparams);
        let (width, heads) = (hparams.text_state as usize, hparams.text_heads as usize);
        let depth = width / heads;
        let text = (hparams.text_context as usize).next_multiple_of(attention.steps().0);
        let audio = (hparams.audio_context as usize).next_multiple_of(FUSED_STEP);
        let mut store = Store::new(5 * weights.decoder.blocks.len())?;
        let layers = (0..weights.decoder.blocks.len())
            .map(|layer| {
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
                    questions: (following.iter().any(|head| head.0 == layer))
                        .then(|| store.tensor(Kind::F32, [width, text * slots, 1, 1])),
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

/// What a slot holds copied into another: the first `text` positions of its text, and what was heard. (Not what its tokens
/// asked: of texts that part the one that is left is decoded once more.)
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
