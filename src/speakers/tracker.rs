//! Follows the speakers of one recording while it is decoded: keeps the last ten seconds of each stream, gives windows of
//! them to the crew, and makes turns of all answers at the end. Whatever goes wrong here costs the labels, never the
//! decoding.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::RATE_HZ;
use super::crew::{Answer, Crew, Voices};
use super::glimpse::Glimpse;
use super::segmentation::{FRAME_STEP, FRAMES, WINDOW_SAMPLES};
use super::turns::{Followed, turns};
use crate::job::Channels;
use crate::job::speakers::SpeakerCount;

/// Samples from a window's beginning to the next one's, 5 s.
const HOP_SAMPLES: usize = WINDOW_SAMPLES / 2;

/// Frames from a window's beginning to the next one's, the one that is begun too: none is between two windows' own.
const HOP_FRAMES: usize = HOP_SAMPLES.div_ceil(FRAME_STEP);
/// Of a window those frames are its own that are nearer to its middle than to that of the one before or after.
const OWN: Range<usize> = (FRAMES - HOP_FRAMES) / 2..(FRAMES + HOP_FRAMES) / 2;

/// Follows one recording.
pub struct Tracker {
    voices: Voices,
    count: SpeakerCount,
    channels: Channels,
    streams: Vec<Stream>,
    failed: Option<String>,
}

impl fmt::Debug for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracker").field("count", &self.count).finish_non_exhaustive()
    }
}

/// One channel, or the mix.
struct Stream {
    /// What no window has begun after yet.
    ring: Vec<f32>,
    /// What stood before the ring, a hop of it.
    before: Vec<f32>,
    /// Where the ring begins, in samples.
    start: u64,
    /// Windows with the crew, in their order.
    given: VecDeque<Answer>,
    /// What was seen in those before.
    seen: Vec<Glimpse>,
}

impl Tracker {
    /// See [`Voices::tracker`].
    pub fn new(voices: Voices, count: SpeakerCount, channels: Channels) -> Self {
        Self { voices, count, channels, streams: Vec::new(), failed: None }
    }

    /// Takes samples of a stream (16 kHz, in [-1, 1]), of which the first is the source's sample `position`; they follow
    /// those before. Waits while the crew is behind.
    pub fn hear(&mut self, stream: usize, position: u64, samples: &[f32]) {
        if self.failed.is_some() {
            return;
        }
        while self.streams.len() <= stream {
            self.streams.push(Stream::new(position));
        }
        let crew = self.voices.crew();
        let heard = crew.and_then(|crew| self.streams.get_mut(stream).map_or(Ok(()), |to| to.hear(&crew, samples)));
        self.failed = heard.err();
    }

    /// Forgets all that was heard: another decoder begins anew.
    pub fn restart(&mut self) {
        self.streams.clear();
    }

    /// The turns of each stream, once all was heard.
    ///
    /// # Errors
    /// Why there are none, in a sentence without anything that was heard.
    pub fn finish(mut self) -> Result<Vec<Followed>, String> {
        if let Some(why) = self.failed.take() {
            return Err(why);
        }
        let crew = self.voices.crew()?;
        let is_separate = self.channels == Channels::Separate;
        let count = self.count;
        let all = catch_unwind(AssertUnwindSafe(|| {
            let streams = self.streams.drain(..).enumerate();
            let of = |(index, stream): (usize, Stream)| {
                let channel = if is_separate { u16::try_from(index).ok() } else { None };
                let (glimpses, secs) = stream.finish(&crew)?;
                Ok(turns(channel, &glimpses, secs, count))
            };
            streams.map(of).collect()
        }));
        all.unwrap_or_else(|_| Err("the grouping of voices panicked".to_owned()))
    }
}

impl Stream {
    fn new(start: u64) -> Self {
        Self { ring: Vec::new(), before: Vec::new(), start, given: VecDeque::new(), seen: Vec::new() }
    }

    fn hear(&mut self, crew: &Crew, mut samples: &[f32]) -> Result<(), String> {
        while !samples.is_empty() {
            let (now, later) = samples.split_at(samples.len().min(WINDOW_SAMPLES - self.ring.len()));
            self.ring.extend_from_slice(now);
            samples = later;
            // the window goes out when something follows it: the last one is given by `finish`
            if self.ring.len() == WINDOW_SAMPLES && !samples.is_empty() {
                self.give(crew, OWN.end)?;
                self.before = self.ring.drain(..HOP_SAMPLES).collect();
                self.start += HOP_SAMPLES as u64;
            }
        }
        Ok(())
    }

    /// Gives the ring away as it is; its own frames end at `end`.
    fn give(&mut self, crew: &Crew, end: usize) -> Result<(), String> {
        self.await_all_but(2 * crew.size)?;
        let is_first = self.given.is_empty() && self.seen.is_empty();
        let own = if is_first { 0 } else { OWN.start }..end;
        self.given.push_back(crew.give(self.start, self.ring.clone(), own)?);
        Ok(())
    }

    /// Waits until the crew has no more than so many of its windows.
    fn await_all_but(&mut self, most: usize) -> Result<(), String> {
        while self.given.len() > most
            && let Some(answer) = self.given.pop_front()
        {
            self.seen.push(answer.wait()?);
        }
        Ok(())
    }

    /// What was seen in all windows, and how long the stream is in seconds.
    fn finish(mut self, crew: &Crew) -> Result<(Vec<Glimpse>, f64), String> {
        let secs = (self.start + self.ring.len() as u64) as f64 / RATE_HZ;
        // the last window ends where the stream does
        let before = self.before.len().min(WINDOW_SAMPLES - self.ring.len());
        self.ring.splice(..0, self.before.split_off(self.before.len() - before));
        self.start -= before as u64;
        if !self.ring.is_empty() {
            self.give(crew, FRAMES)?;
        }
        self.await_all_but(0)?;
        Ok((self.seen, secs))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::sync::mpsc::channel;

    use super::*;

    /// Somebody is heard in all of a window, who sounds like nobody.
    fn glimpse(start: u64) -> Glimpse {
        Glimpse { activity: vec![[255, 0, 0]; FRAMES], ..Glimpse::silent(start) }
    }

    fn follow(voices: &Voices, secs: usize) -> Result<Vec<Followed>, String> {
        let mut tracker = voices.tracker(SpeakerCount::default(), Channels::Mix);
        // in pieces that no window is a multiple of
        let (mut position, all) = (0, secs * RATE_HZ as usize);
        while position < all {
            let piece = vec![0.1; 12_345.min(all - position)];
            tracker.hear(0, position as u64, &piece);
            position += piece.len();
        }
        tracker.finish()
    }

    #[test]
    fn windows_begin_a_hop_apart_and_the_last_one_ends_where_the_stream_does() {
        for (secs, expected) in [(3, vec![0]), (10, vec![0]), (15, vec![0, 5]), (23, vec![0, 5, 10, 13])] {
            let (told, given) = channel();
            let voices = Voices::played(move |start, _| {
                told.send(start / RATE_HZ as u64).unwrap();
                Some(Ok(glimpse(start)))
            });
            follow(&voices, secs).unwrap();
            drop(voices);
            assert_eq!(given.iter().collect::<Vec<_>>(), expected, "{secs} s");
        }
    }

    #[test]
    fn every_frame_is_some_windows_own() {
        for secs in [3, 10, 11, 15, 23, 60] {
            let (told, given) = channel();
            let voices = Voices::played(move |start, own| {
                let first = start as usize;
                told.send(first + own.start * FRAME_STEP..first + own.end * FRAME_STEP).unwrap();
                Some(Ok(glimpse(start)))
            });
            follow(&voices, secs).unwrap();
            drop(voices);
            let own: Vec<_> = given.iter().collect();
            assert_eq!(own.first().unwrap().start, 0);
            assert!(own.windows(2).all(|pair| pair[1].start <= pair[0].end), "{secs} s: {own:?}");
            // no further frame fits behind a window's last one
            let behind = WINDOW_SAMPLES - FRAMES * FRAME_STEP;
            assert!(own.last().unwrap().end + behind >= secs * RATE_HZ as usize, "{secs} s: {own:?}");
        }
    }

    #[test]
    fn a_window_that_fails_costs_the_labels() {
        let voices =
            Voices::played(|start, _| Some(if start < 400_000 { Ok(glimpse(start)) } else { Err("ill".into()) }));
        assert_eq!(follow(&voices, 60), Err("ill".to_owned()));
    }

    #[test]
    fn a_crew_that_ends_with_windows_in_hand_is_not_waited_for() {
        for windows in 0..4 {
            let mut left = windows;
            let voices = Voices::played(move |start, _| {
                left -= 1;
                (left >= 0).then(|| Ok(glimpse(start)))
            });
            let failed = follow(&voices, 30).unwrap_err();
            assert!(failed.contains("have ended"), "{failed}");
        }
    }
}
