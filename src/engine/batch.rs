//! Which tokens go through the decoder together, and what it is told of them.

use half::f16;

use super::cache::Cache;
use super::encoder::Attention;
use super::native::graph::Graph;
use super::native::tensor::{Kind, Tensor};
use super::native::workspace::Placed;
use super::weights::Weights;

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
    /// Where keys and values are written.
    pub numbers: Tensor<'g>,
    /// `[text, tokens, 1, rows]`.
    pub text_mask: Tensor<'g>,
    /// `[audio, tokens, 1, rows]`.
    pub audio_mask: Option<Tensor<'g>>,
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
    /// Those of a graph of this shape.
    pub fn new(graph: &'g Graph, weights: &Weights, shape: &Shape, attention: Attention) -> Self {
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
    pub fn set(&self, placed: &mut Placed<'_>, filling: &Filling) -> Result<(), String> {
        placed.set(self.numbers, &filling.numbers)?;
        placed.set(self.text_mask, &filling.text_mask)?;
        match self.audio_mask {
            Some(mask) => placed.set(mask, &filling.audio_mask),
            None => Ok(()),
        }
    }
}
