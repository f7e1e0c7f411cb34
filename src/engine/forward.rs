//! Whisper's forward pass on one stream of a device: windows are heard one by one into slots, then tokens go through the
//! decoder for several slots at a time.

use std::io;
use std::sync::Arc;

use super::alignment;
use super::batch::{Place, Shape};
use super::cache::{self, Cache};
use super::decoder;
use super::encoder::{self, Attention};
use super::model::Model;
use super::native::backend::Backend;
use super::native::graph::Graph;
use super::native::workspace::Workspace;
use super::rules::MAX_TOKENS;
use super::spectrogram::Spectrogram;
use super::vocabulary::Token;

/// One window's next token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// Where it is decoded.
    pub place: Place,
    /// Which it is.
    pub token: Token,
}

/// What one slot holds is to be in another too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copying {
    /// Whose.
    pub from: usize,
    /// Where to; not copied from at the same time.
    pub to: usize,
}

/// A stream with its memory.
#[derive(Debug)]
pub struct Forward {
    model: Arc<Model>,
    backend: Backend,
    /// On a GPU steps have a stream of their own: ggml keeps the last graph of each stream to launch it as a whole, and gives
    /// that up for good where four in a row differ.
    stepping: Option<Backend>,
    cache: Cache,
    encoding: Workspace,
    decoding: Workspace,
    attention: Attention,
    /// A batch of fewer rows is computed as one of so many.
    least: usize,
}

/// A batch of one is computed as one of two: with a single row some kernels add up in another order, and a window must
/// come out the same whoever it is decoded beside.
const LEAST_ROWS: usize = 2;

impl Forward {
    /// A stream on `backend` for so many windows at a time.
    ///
    /// # Errors
    /// No memory.
    pub fn new(model: Arc<Model>, backend: Backend, slots: usize) -> io::Result<Self> {
        let attention = if backend.is_gpu() { Attention::Fused } else { Attention::Open };
        let memory = backend.memory();
        let cache = Cache::new(&model.weights, slots.max(LEAST_ROWS), attention, memory)?;
        let (encoding, decoding) = (Workspace::new(memory), Workspace::new(memory));
        // a GPU is given the same graph each time, so that it need not look at it again
        let least = if attention == Attention::Fused { cache.slots } else { LEAST_ROWS };
        let stepping = backend.another()?;
        let mut forward = Self { model, backend, stepping, cache, encoding, decoding, attention, least };
        forward.reserve().map_err(io::Error::other)?;
        Ok(forward)
    }

    /// Takes the memory that the longest windows need, all slots full: what cannot be had is to be known before the first.
    fn reserve(&mut self) -> Result<(), String> {
        let Self { model, cache, attention, .. } = self;
        let (weights, positions) = (&model.weights, model.weights.hparams.audio_context as usize);
        let graph = Graph::new(encoder::steps(weights, positions) + 8 * weights.decoder.blocks.len())?;
        let encoding = encoder::encode(&graph, weights, positions, *attention);
        cache::remember(&graph, weights, cache, 0, encoding.heard);
        self.encoding.place(&graph)?;
        let shape = Shape::largest(positions, cache);
        let graph = Graph::new(shape.steps(weights))?;
        let (_, x) = decoder::decode(&graph, weights, cache, &shape);
        graph.output(decoder::logits(&graph, weights, x, model.vocabulary.size));
        self.decoding.place(&graph)?;
        let shape = Shape { rows: 1, tokens: MAX_TOKENS, ..shape };
        let graph = Graph::new(shape.steps(weights))?;
        let (_, x) = decoder::decode(&graph, weights, cache, &shape);
        graph.compute(x);
        self.decoding.place(&graph)?;
        let heads = alignment::heads(&weights.hparams);
        let graph = Graph::new(6 * heads.len())?;
        let place = Place { slot: 0, position: 0, audio: positions };
        let shares = decoder::attended(&graph, cache, &heads, place, MAX_TOKENS + 1, positions);
        graph.output(shares.ok_or("bug: no head follows the voice")?);
        self.decoding.place(&graph)?;
        Ok(())
    }

    /// The model it computes.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// From now on computes what a stream of so many slots would. (Measurements: the memory of the largest serves all.)
    pub fn pose_as(&mut self, slots: usize) {
        if self.attention == Attention::Fused {
            self.least = slots.clamp(LEAST_ROWS, self.cache.slots);
        }
    }

    /// Hears a window over so many positions, 50 a second, into a slot.
    ///
    /// # Errors
    /// No memory, or ggml's refusal.
    pub fn hear(&mut self, slot: usize, window: &Spectrogram, positions: usize) -> Result<(), String> {
        let weights = &self.model.weights;
        let graph = Graph::new(encoder::steps(weights, positions) + 8 * weights.decoder.blocks.len())?;
        let encoding = encoder::encode(&graph, weights, positions, self.attention);
        cache::remember(&graph, weights, &self.cache, slot, encoding.heard);
        let mut placed = self.encoding.place(&graph)?;
        placed.set(encoding.spectrogram, &encoder::input(weights, window, positions))?;
        if let Some(mask) = encoding.mask {
            placed.set(mask, &encoder::padding_mask(positions))?;
        }
        placed.compute(&mut self.backend)
    }

    /// What the encoder makes of a window: `width` numbers for each position. (Tests; [`Forward::hear`] keeps it.)
    ///
    /// # Errors
    /// As [`Forward::hear`].
    pub fn encode(&mut self, window: &Spectrogram, positions: usize) -> Result<Vec<f32>, String> {
        let weights = &self.model.weights;
        let graph = Graph::new(encoder::steps(weights, positions))?;
        let encoding = encoder::encode(&graph, weights, positions, self.attention);
        let heard = graph.output(encoding.heard);
        let mut placed = self.encoding.place(&graph)?;
        placed.set(encoding.spectrogram, &encoder::input(weights, window, positions))?;
        if let Some(mask) = encoding.mask {
            placed.set(mask, &encoder::padding_mask(positions))?;
        }
        placed.compute(&mut self.backend)?;
        Ok(placed.read(&heard, 0, heard.dim(0) * heard.dim(1))?.into_owned())
    }

    /// Decodes tokens of one window that follow each other, whose logits nobody needs.
    ///
    /// # Errors
    /// As [`Forward::hear`].
    pub fn feed(&mut self, place: Place, tokens: &[Token]) -> Result<(), String> {
        let Self { model, cache, .. } = self;
        let places = [place];
        let shape = Shape::of(&places, tokens.len(), cache);
        let graph = Graph::new(shape.steps(&model.weights))?;
        let (inputs, x) = decoder::decode(&graph, &model.weights, cache, &shape);
        graph.compute(x);
        let mut embeddings = Vec::new();
        for (token, position) in tokens.iter().zip(place.position..) {
            model.embedding.look_up(*token, position, &mut embeddings)?;
        }
        let mut placed = self.decoding.place(&graph)?;
        placed.set(inputs.embeddings, &embeddings)?;
        inputs.set(&mut placed, &shape.filling(&places, cache))?;
        placed.compute(&mut self.backend)
    }

    /// What the heads that follow the voice attended to among the first `positions` of what was heard, all together, while
    /// `tokens` tokens were decoded from `place` on: for each token a row.
    ///
    /// # Errors
    /// As [`Forward::hear`].
    pub fn attended(&mut self, place: Place, tokens: usize, positions: usize) -> Result<Vec<f32>, String> {
        let Self { model, cache, .. } = self;
        let heads = alignment::heads(&model.weights.hparams);
        let graph = Graph::new(6 * heads.len())?;
        let shares = decoder::attended(&graph, cache, &heads, place, tokens, positions);
        let shares = graph.output(shares.ok_or("bug: no head follows the voice")?);
        let mut placed = self.decoding.place(&graph)?;
        placed.compute(&mut self.backend)?;
        Ok(placed.read(&shares, 0, tokens * positions)?.into_owned())
    }

    /// Copies slots: the first `text` positions, and what was heard where `heard` says so.
    ///
    /// # Errors
    /// As [`Forward::hear`].
    pub fn copy(&mut self, copies: &[Copying], text: usize, heard: bool) -> Result<(), String> {
        if copies.is_empty() {
            return Ok(());
        }
        let graph = Graph::new(12 * copies.len() * self.model.weights.decoder.blocks.len())?;
        for Copying { from, to } in copies {
            cache::copy(&graph, &self.cache, *from, *to, text, heard);
        }
        self.decoding.place(&graph)?.compute(&mut self.backend)
    }

    /// Decodes one token of each of these windows; `take` gets the logits of what follows each, of the first `tokens` of
    /// the vocabulary, in order. The windows are in ascending slots, which need not be neighbours.
    ///
    /// # Errors
    /// As [`Forward::hear`], or what `take` answers.
    pub fn step(
        &mut self,
        next: &[Next],
        tokens: usize,
        mut take: impl FnMut(usize, &[f32]) -> Result<(), String>,
    ) -> Result<(), String> {
        let Self { model, cache, .. } = self;
        let rows = neighbours(next, cache.slots, self.least);
        let places: Vec<Place> = rows.iter().map(|row| row.place).collect();
        let shape = Shape::of(&places, 1, cache);
        let graph = Graph::new(shape.steps(&model.weights))?;
        let (inputs, x) = decoder::decode(&graph, &model.weights, cache, &shape);
        let logits = graph.output(decoder::logits(&graph, &model.weights, x, tokens));
        let mut embeddings = Vec::new();
        for row in &rows {
            model.embedding.look_up(row.token, row.place.position, &mut embeddings)?;
        }
        let mut placed = self.decoding.place(&graph)?;
        placed.set(inputs.embeddings, &embeddings)?;
        inputs.set(&mut placed, &shape.filling(&places, cache))?;
        placed.compute(self.stepping.as_mut().unwrap_or(&mut self.backend))?;
        for (index, wanted) in next.iter().enumerate() {
            let row = wanted.place.slot - shape.first;
            take(index, &placed.read(&logits, row * tokens, tokens)?)?;
        }
        Ok(())
    }
}

/// The wanted rows and what lies between them, so that they are neighbours: there something is computed that nobody reads,
/// in slots that are free.
fn neighbours(next: &[Next], slots: usize, least: usize) -> Vec<Next> {
    let first = next.first().map_or(0, |row| row.place.slot);
    let last = next.last().map_or(0, |row| row.place.slot);
    let first = first.min(slots.saturating_sub(least));
    let last = last.max(first + least - 1);
    let mut wanted = next.iter().peekable();
    (first..=last)
        .map(|slot| match wanted.next_if(|row| row.place.slot == slot) {
            Some(row) => *row,
            None => Next { place: Place { slot, position: 0, audio: 1 }, token: 0 },
        })
        .collect()
}
