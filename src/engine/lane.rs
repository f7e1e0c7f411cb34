//! One thread's work: a batch of windows, each a row in it, that join and leave between the tokens.

use std::time::Instant;

use super::context;
use super::forward::{Forward, Next};
use super::row::Row;
use super::rules::Rules;
use super::spectrogram::{Analyser, MAX_FRAMES};
use crate::audio::SAMPLE_RATE_HZ;
use crate::transcribe::probe::noise;
use crate::transcribe::wire::{Request, WindowText};

/// A second: below a few tenths the model hears nothing.
const MIN_SAMPLES: usize = SAMPLE_RATE_HZ as usize;

/// A stream and the windows that are decoded on it.
pub struct Lane {
    forward: Forward,
    analyser: Analyser,
    rules: Rules,
    /// By slot.
    seats: Vec<Option<Seat>>,
    cut: bool,
}

struct Seat {
    id: u64,
    row: Row,
    since: Instant,
}

/// A window's answer.
pub type Answer = (u64, Result<WindowText, String>);

impl Lane {
    /// A lane of so many rows on a stream that has as many slots.
    pub fn new(forward: Forward, rows: usize, encodes_all: bool) -> Self {
        let model = forward.model();
        Self {
            analyser: Analyser::new(model.weights.hparams.mels as usize),
            rules: Rules::new(&model.vocabulary),
            seats: (0..rows.max(1)).map(|_| None).collect(),
            // a GPU gains little from a shorter encoder
            cut: !encodes_all,
            forward,
        }
    }

    /// Windows in it.
    pub fn rows(&self) -> usize {
        self.seats.iter().flatten().count()
    }

    /// Whether another may join.
    pub fn has_room(&self) -> bool {
        self.seats.iter().any(Option::is_none)
    }

    /// Hears and decodes a second of noise: loads the kernels that windows need, takes the memory that the longest one
    /// needs, and shows whether this machine can compute them.
    ///
    /// # Errors
    /// A sentence saying what was refused, or that nonsense was computed.
    pub fn warm_up(&mut self) -> Result<(), String> {
        let noise = noise(MIN_SAMPLES);
        self.join(&Request { id: 0, options: Default::default() }, &noise)?;
        for _ in 0..8 {
            for (_, answer) in self.step()? {
                answer?;
            }
        }
        self.clear();
        Ok(())
    }

    /// Hears a window; it is decoded from the next step on.
    ///
    /// # Errors
    /// A sentence saying what was refused; the lane stays usable.
    pub fn join(&mut self, request: &Request, samples: &[f32]) -> Result<(), String> {
        let since = Instant::now();
        let slot = self.seats.iter().position(Option::is_none).ok_or("bug: the lane is full")?;
        let pcm = clean(samples);
        let window = self.analyser.analyse(&pcm, MAX_FRAMES)?;
        let model = self.forward.model().clone();
        let full = model.weights.hparams.audio_context as usize;
        let cut = self.cut && !request.options.careful;
        let positions = if cut { context::positions(pcm.len(), full) } else { full };
        let seed = request.options.careful.then(|| seed(&pcm));
        let mut row = Row::new(slot, positions, &request.options, seed, &model.vocabulary)?;
        self.forward.hear(slot, &window, positions)?;
        self.feed(&mut row)?;
        if let Some(seat) = self.seats.get_mut(slot) {
            *seat = Some(Seat { id: request.id, row, since });
        }
        Ok(())
    }

    fn feed(&mut self, row: &mut Row) -> Result<(), String> {
        let known = row.take_known();
        if !known.is_empty() {
            self.forward.feed(row.place, &known)?;
            row.place.position += known.len();
        }
        Ok(())
    }

    /// Decodes a token of each window; returns those that are complete, or failed.
    ///
    /// # Errors
    /// A sentence saying what was refused, to all of them.
    pub fn step(&mut self) -> Result<Vec<Answer>, String> {
        let model = self.forward.model().clone();
        let vocabulary = &model.vocabulary;
        let Self { forward, seats, rules, .. } = self;
        let mut rows: Vec<&mut Row> = seats.iter_mut().flatten().map(|seat| &mut seat.row).collect();
        let next: Vec<Next> = rows.iter().map(|row| Next { place: row.place, token: row.token }).collect();
        let special = rows.iter().any(|row| row.asks_special());
        let text = usize::try_from(vocabulary.end_of_text).unwrap_or_default() + 1;
        let tokens = if special { vocabulary.size } else { text };
        let mut results = Vec::with_capacity(rows.len());
        forward.step(&next, tokens, |index, logits| {
            if let Some(row) = rows.get_mut(index) {
                results.push(row.take(logits, vocabulary, rules));
            }
            Ok(())
        })?;
        let mut answers = Vec::new();
        let taken = self.seats.iter_mut().filter(|seat| seat.is_some());
        for (seat, result) in taken.zip(results) {
            let answer = match result {
                Ok(false) => continue,
                Ok(true) => Ok(()),
                Err(reason) => Err(reason),
            };
            if let Some(Seat { id, row, since }) = seat.take() {
                answers.push((id, answer.map(|()| told(&row, vocabulary, since))));
            }
        }
        // a prompt that waited for the language
        let mut seats = std::mem::take(&mut self.seats);
        let fed = seats.iter_mut().flatten().try_for_each(|seat| self.feed(&mut seat.row));
        self.seats = seats;
        fed.map(|()| answers)
    }

    /// Gives all rows up; returns whose they were.
    pub fn clear(&mut self) -> Vec<u64> {
        self.seats.iter_mut().filter_map(Option::take).map(|seat| seat.id).collect()
    }
}

fn told(row: &Row, vocabulary: &super::vocabulary::Vocabulary, since: Instant) -> WindowText {
    let busy_ms = u32::try_from(since.elapsed().as_millis()).unwrap_or(u32::MAX);
    WindowText { busy_ms, ..row.text(vocabulary) }
}

/// Finite, within [-1, 1], and at least a second long.
fn clean(samples: &[f32]) -> Vec<f32> {
    let mut pcm: Vec<f32> = samples.iter().map(|s| if s.is_finite() { s.clamp(-1.0, 1.0) } else { 0.0 }).collect();
    pcm.resize(pcm.len().max(MIN_SAMPLES), 0.0);
    pcm
}

/// A number that only these samples give (FNV-1a), so that another reading of a window is the same wherever it is made.
fn seed(pcm: &[f32]) -> u64 {
    let bytes = pcm.iter().flat_map(|sample| sample.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_samples_are_cleaned() {
        let pcm = clean(&[f32::NAN, f32::INFINITY, 1e30, -7.0, 0.5]);
        assert_eq!(&pcm[..5], &[0.0, 0.0, 1.0, -1.0, 0.5]);
        assert_eq!(pcm.len(), MIN_SAMPLES);
    }

    #[test]
    fn another_reading_is_seeded_by_the_window_alone() {
        assert_eq!(seed(&[0.5, -0.25]), seed(&[0.5, -0.25]));
        assert_ne!(seed(&[0.5, -0.25]), seed(&[0.5, -0.25001]));
    }
}
