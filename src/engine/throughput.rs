//! How fast a model decodes, by how many windows it decodes at a time: the forward pass alone, on noise, so that neither audio
//! nor a model that has learnt anything is needed.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::batch::Place;
use super::device::{self, Device};
use super::forward::{Copying, Forward, Next};
use super::greedy;
use super::model::Model;
use super::native;
use super::native::backend::Backend;
use super::spectrogram::{Analyser, MAX_FRAMES};
use super::trial;
use super::vocabulary::Token;
use crate::audio::SAMPLE_RATE_HZ;
use crate::transcribe::probe::noise;

/// Tokens of each window in a round: what is said in 15 s.
const TOKENS: usize = 64;

/// Rounds of one batch, at least; of more than this, the median counts.
const LEAST_ROUNDS: usize = 3;

/// Rounds go on for so long.
const LONG_ENOUGH: Duration = Duration::from_secs(1);

/// Samples of the longest window.
const SAMPLES: usize = 30 * SAMPLE_RATE_HZ as usize;

/// What is measured.
#[derive(Debug, Clone)]
pub struct Throughput {
    /// The ggml file.
    pub model: PathBuf,
    /// How matrices are stored, as [`super::kinds::Kinds::named`] has it.
    pub weights: String,
    /// The GPU's index, or the processor.
    pub gpu: Option<u8>,
    /// Threads of a processor.
    pub threads: u8,
    /// Windows at a time.
    pub batches: Vec<u8>,
}

/// What was measured.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "each is what its name and unit say")]
pub struct Figures {
    pub device: String,
    pub weights_mib: f64,
    /// Seconds of the encoder for a window of 30 s, cross keys and values included: the median.
    pub encode_secs: f64,
    pub windows_encoded_per_sec: f64,
    pub batches: Vec<BatchFigures>,
}

/// Of so many windows at a time.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "each is what its name and unit say")]
pub struct BatchFigures {
    pub rows: usize,
    /// Of all rows together: the median of the rounds.
    pub tokens_per_sec: f64,
    pub step_ms: f64,
    pub rounds: usize,
}

impl Throughput {
    /// Measures all of it in this process; `tell` gets each batch as soon as it is known.
    ///
    /// # Errors
    /// There is no such device, the model cannot be loaded, there is no memory, or ggml refuses.
    pub fn run(&self, mut tell: impl FnMut(&BatchFigures)) -> io::Result<Figures> {
        native::logs::redirect();
        let device = device::choose(native::devices::all(), self.gpu).map_err(io::Error::other)?;
        let mut backend = Backend::new(self.gpu, self.threads)?;
        let kinds = trial::kinds(&self.weights, &self.model, &mut backend)?;
        let model = Arc::new(Model::load(&self.model, kinds, backend.memory())?);
        let slots = self.batches.iter().copied().max().map_or(1, usize::from);
        let mut forward = Forward::new(model, backend, slots)?;
        let encode_secs = hear(&mut forward, slots).map_err(io::Error::other)?;
        let mut batches = Vec::new();
        for rows in &self.batches {
            let pace = decode(&mut forward, usize::from(*rows)).map_err(io::Error::other)?;
            tell(&pace);
            batches.push(pace);
        }
        let Device { name, description, .. } = device;
        Ok(Figures {
            device: format!("{name}: {description}"),
            weights_mib: forward.model().weights.bytes as f64 / f64::from(1 << 20),
            encode_secs,
            windows_encoded_per_sec: 1.0 / encode_secs.max(1e-9),
            batches,
        })
    }
}

/// The same window in each slot; how long one takes.
fn hear(forward: &mut Forward, slots: usize) -> Result<f64, String> {
    let hparams = forward.model().weights.hparams;
    let window = Analyser::new(hparams.mels as usize).analyse(&noise(SAMPLES), MAX_FRAMES)?;
    let positions = hparams.audio_context as usize;
    let took = median(LEAST_ROUNDS, || forward.hear(0, &window, positions))?;
    let copies: Vec<Copying> = (1..slots).map(|to| Copying { from: 0, to }).collect();
    forward.copy(&copies, 1, true)?;
    Ok(took.secs)
}

fn decode(forward: &mut Forward, rows: usize) -> Result<BatchFigures, String> {
    forward.pose_as(rows);
    let round = median(LEAST_ROUNDS, || text(forward, rows))?;
    Ok(BatchFigures {
        rows,
        tokens_per_sec: (rows * TOKENS) as f64 / round.secs.max(1e-9),
        step_ms: 1000.0 * round.secs / TOKENS as f64,
        rounds: round.rounds,
    })
}

/// One text in each row, of the tokens that the model finds most probable.
fn text(forward: &mut Forward, rows: usize) -> Result<(), String> {
    let model = forward.model().clone();
    let (vocabulary, audio) = (&model.vocabulary, model.weights.hparams.audio_context as usize);
    let size = usize::try_from(vocabulary.end_of_text).unwrap_or_default() + 1;
    let mut tokens: Vec<Token> = vec![vocabulary.start; rows];
    for position in 0..TOKENS {
        let next: Vec<Next> = (0..rows)
            .map(|slot| Next { place: Place { slot, position, audio }, token: tokens.get(slot).copied().unwrap_or(0) })
            .collect();
        forward.step(&next, size, |row, logits| {
            let choice = greedy::choose(logits, vocabulary.end_of_text, &[vocabulary.end_of_text]);
            let choice = choice.ok_or("the model computed no probabilities")?;
            if let Some(token) = tokens.get_mut(row) {
                *token = choice.token;
            }
            Ok(())
        })?;
    }
    Ok(())
}

struct Took {
    secs: f64,
    rounds: usize,
}

/// The median of what a few rounds take, after one that does not count where a round is short.
fn median(least: usize, mut round: impl FnMut() -> Result<(), String>) -> Result<Took, String> {
    let begun = Instant::now();
    round()?;
    let first = begun.elapsed();
    // of what takes so long nothing is gained by doing it again
    if first > 4 * LONG_ENOUGH {
        return Ok(Took { secs: first.as_secs_f64(), rounds: 1 });
    }
    let (begun, mut all) = (Instant::now(), Vec::new());
    while all.len() < least || begun.elapsed() < LONG_ENOUGH {
        let started = Instant::now();
        round()?;
        all.push(started.elapsed());
    }
    all.sort_unstable();
    let middle = all.get(all.len() / 2).copied().unwrap_or_default();
    Ok(Took { secs: middle.as_secs_f64(), rounds: all.len() })
}
