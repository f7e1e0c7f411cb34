//! One thread's work: a batch of windows, each a row in it, that join and leave between the tokens.

use std::time::Instant;

use super::alignment;
use super::batch::Place;
use super::beam::Beam;
use super::context;
use super::forward::{Copying, Forward, Next};
use super::row::Row;
use super::rules::Rules;
use super::spectrogram::{Analyser, MAX_FRAMES};
use super::vocabulary::Vocabulary;
use crate::audio::SAMPLE_RATE_HZ;
use crate::transcribe::probe::noise;
use crate::transcribe::wire::{Request, WindowText};

/// A second: below a few tenths the model hears nothing.
const MIN_SAMPLES: usize = SAMPLE_RATE_HZ as usize;

/// A position of the encoder.
const POSITION_MS: usize = 20;
const POSITION_SAMPLES: usize = SAMPLE_RATE_HZ as usize * POSITION_MS / 1_000;

/// A stream and the windows that are decoded on it.
pub struct Lane {
    forward: Forward,
    analyser: Analyser,
    rules: Rules,
    /// Each has `width` slots.
    seats: Vec<Option<Seat>>,
    width: usize,
    cut: bool,
}

struct Seat {
    id: u64,
    row: Row,
    /// More than one text of it is followed.
    width: usize,
    beam: Option<Beam>,
    /// Of the encoder, those of the window's own samples.
    positions: usize,
    since: Instant,
}

/// A window's answer.
pub type Answer = (u64, Result<WindowText, String>);

impl Lane {
    /// A lane of so many rows on a stream that has `width` slots for each: as many texts of a window can be followed.
    pub fn new(forward: Forward, rows: usize, width: usize, encodes_all: bool) -> Self {
        let model = forward.model();
        Self {
            analyser: Analyser::new(model.weights.hparams.mels as usize),
            rules: Rules::new(&model.vocabulary),
            seats: (0..rows.max(1)).map(|_| None).collect(),
            width: width.max(1),
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
        let seat = self.seats.iter().position(Option::is_none).ok_or("bug: the lane is full")?;
        let slot = seat * self.width;
        let pcm = clean(samples);
        let window = self.analyser.analyse(&pcm, MAX_FRAMES)?;
        let model = self.forward.model().clone();
        let full = model.weights.hparams.audio_context as usize;
        let cut = self.cut && !request.options.careful;
        let positions = if cut { context::positions(pcm.len(), full) } else { full };
        let seed = request.options.careful.then(|| seed(&pcm));
        let mut row = Row::new(slot, positions, &request.options, seed, &model.vocabulary)?;
        self.forward.hear(slot, &window, positions)?;
        feed(&mut self.forward, &mut row)?;
        // another reading is one text
        let asked = if request.options.careful { 1 } else { usize::from(request.options.beam_size) };
        let width = asked.clamp(1, self.width);
        if let Some(seat) = self.seats.get_mut(seat) {
            *seat = Some(Seat {
                id: request.id,
                row,
                width,
                beam: None,
                positions: samples.len().div_ceil(POSITION_SAMPLES).clamp(1, positions),
                since,
            });
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
        let mut seats: Vec<&mut Seat> = self.seats.iter_mut().flatten().collect();
        // of each row whose window it is, and which of its texts
        let mut whose = Vec::new();
        let mut next = Vec::new();
        for (seat, index) in seats.iter().zip(0..) {
            let rows = seat.next();
            whose.extend((0..rows.len()).map(|text| (index, text)));
            next.extend(rows);
        }
        let special = seats.iter().any(|seat| seat.row.asks_special());
        let text = usize::try_from(vocabulary.end_of_text).unwrap_or_default() + 1;
        let tokens = if special { vocabulary.size } else { text };
        let mut results: Vec<Result<bool, String>> = seats.iter().map(|_| Ok(false)).collect();
        let rules = &self.rules;
        self.forward.step(&next, tokens, |row, logits| {
            let Some((index, text)) = whose.get(row).copied() else { return Ok(()) };
            if let (Some(seat), Some(result)) = (seats.get_mut(index), results.get_mut(index)) {
                *result = seat.take(text, logits, vocabulary, rules);
            }
            Ok(())
        })?;
        for seat in seats {
            seat.go_on(&mut self.forward)?;
        }
        let mut answers = Vec::new();
        let taken = self.seats.iter_mut().filter(|seat| seat.is_some());
        for (seat, result) in taken.zip(results) {
            let over = seat.as_ref().and_then(|seat| seat.beam.as_ref()).is_some_and(Beam::is_over);
            let answer = match result {
                Ok(over_now) if !over_now && !over => continue,
                Ok(_) => Ok(()),
                Err(reason) => Err(reason),
            };
            if let Some(mut seat) = seat.take() {
                let answer = answer.and_then(|()| seat.align(&mut self.forward));
                answers.push((seat.id, answer.map(|()| seat.told(vocabulary))));
            }
        }
        Ok(answers)
    }

    /// Gives all rows up; returns whose they were.
    pub fn clear(&mut self) -> Vec<u64> {
        self.seats.iter_mut().filter_map(Option::take).map(|seat| seat.id).collect()
    }
}

impl Seat {
    /// What is decoded next of it.
    fn next(&self) -> Vec<Next> {
        let Row { place, token, .. } = self.row;
        match &self.beam {
            None => vec![Next { place, token }],
            Some(beam) => beam.next().map(|(slot, token)| Next { place: Place { slot, ..place }, token }).collect(),
        }
    }

    fn take(&mut self, text: usize, logits: &[f32], vocabulary: &Vocabulary, rules: &Rules) -> Result<bool, String> {
        if self.width > 1 && self.row.is_writing() {
            let (slot, width) = (self.row.place.slot, self.width);
            self.beam.get_or_insert_with(|| Beam::new(slot, width)).take(text, logits, vocabulary, rules);
            return Ok(false);
        }
        self.row.take(logits, vocabulary, rules)
    }

    /// What is between two tokens: texts that part are copied, a prompt that waited for the language is decoded.
    fn go_on(&mut self, forward: &mut Forward) -> Result<(), String> {
        let Some(beam) = &mut self.beam else { return feed(forward, &mut self.row) };
        let first = self.row.is_first();
        let end_of_text = forward.model().vocabulary.end_of_text;
        self.row.place.position += 1;
        let copies = beam.go_on(end_of_text);
        if first {
            let (slot, width) = (self.row.place.slot, self.width);
            let others: Vec<Copying> = (slot + 1..slot + width).map(|to| Copying { from: slot, to }).collect();
            forward.copy(&others, self.row.place.position, true)?;
        } else {
            forward.copy(&copies, self.row.place.position, false)?;
        }
        self.row.write(beam.best());
        Ok(())
    }

    /// Finds when each token was said.
    fn align(&mut self, forward: &mut Forward) -> Result<(), String> {
        let (tokens, decoded) = self.row.chosen();
        if tokens.is_empty() {
            return Ok(());
        }
        let before = self.row.before_text();
        // of texts that part the one that is left may have been decoded elsewhere; of the longest the last token never was
        let decoded = if self.beam.is_some() { 0 } else { decoded };
        if let Some(left) = tokens.get(decoded..).filter(|left| !left.is_empty()) {
            forward.feed(Place { position: before.position + 1 + decoded, ..before }, left)?;
        }
        let attended = forward.attended(before, tokens.len() + 1, self.positions)?;
        // what follows a token begins where the token's own row is entered
        let begins = alignment::begins(&attended, self.positions);
        let lag = alignment::lag_ms(&forward.model().weights.hparams);
        let ms =
            |position: usize| u32::try_from(position * POSITION_MS).unwrap_or(u32::MAX).saturating_add_signed(-lag);
        self.row.was_said(begins.into_iter().map(ms).collect());
        Ok(())
    }

    fn told(&self, vocabulary: &Vocabulary) -> WindowText {
        let busy_ms = u32::try_from(self.since.elapsed().as_millis()).unwrap_or(u32::MAX);
        WindowText { busy_ms, ..self.row.text(vocabulary) }
    }
}

fn feed(forward: &mut Forward, row: &mut Row) -> Result<(), String> {
    let known = row.take_known();
    if !known.is_empty() {
        forward.feed(row.place, &known)?;
        row.place.position += known.len();
    }
    Ok(())
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
