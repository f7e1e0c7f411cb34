//! Follows the speakers of one recording while it is decoded: keeps the last ten seconds of each stream, gives windows of
//! them to the crew, and makes turns of all answers at the end. Whatever goes wrong here costs the labels, never the
//! decoding.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender};

use super::crew::{Crew, Reply, Task, Voices, replies};
use super::glimpse::Glimpse;
use super::segmentation::WINDOW_SAMPLES;
use super::turns::{Followed, turns};
use crate::audio::SAMPLE_RATE_HZ;
use crate::job::Channels;
use crate::job::speakers::SpeakerCount;

/// Samples from a window's beginning to the next one's, 5 s.
const HOP_SAMPLES: usize = WINDOW_SAMPLES / 2;

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
    /// Windows given away.
    given: usize,
    /// By window; those under way are missing.
    seen: Vec<Option<Glimpse>>,
    under_way: usize,
    reply: Sender<Reply>,
    answers: Receiver<Reply>,
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
        let (reply, answers) = replies();
        Self { ring: Vec::new(), before: Vec::new(), start, given: 0, seen: Vec::new(), under_way: 0, reply, answers }
    }

    fn hear(&mut self, crew: &Crew, mut samples: &[f32]) -> Result<(), String> {
        while !samples.is_empty() {
            let (now, later) = samples.split_at(samples.len().min(WINDOW_SAMPLES - self.ring.len()));
            self.ring.extend_from_slice(now);
            samples = later;
            // the window goes out when something follows it: the last one is given by `finish`
            if self.ring.len() == WINDOW_SAMPLES && !samples.is_empty() {
                self.give(crew)?;
                self.before = self.ring.drain(..HOP_SAMPLES).collect();
                self.start += HOP_SAMPLES as u64;
            }
        }
        Ok(())
    }

    /// Gives the ring away as it is.
    fn give(&mut self, crew: &Crew) -> Result<(), String> {
        while self.under_way > 2 * crew.size {
            self.take()?;
        }
        let task = Task { index: self.given, start: self.start, pcm: self.ring.clone(), reply: self.reply.clone() };
        crew.give(task)?;
        self.given += 1;
        self.under_way += 1;
        self.seen.push(None);
        Ok(())
    }

    fn take(&mut self) -> Result<(), String> {
        let (index, seen) = self.answers.recv().map_err(|_| "the speakers' threads have ended".to_owned())?;
        self.under_way -= 1;
        if let Some(slot) = self.seen.get_mut(index) {
            *slot = Some(seen?);
        }
        Ok(())
    }

    /// What was seen in all windows, and how long the stream is in seconds.
    fn finish(mut self, crew: &Crew) -> Result<(Vec<Glimpse>, f64), String> {
        let secs = (self.start + self.ring.len() as u64) as f64 / f64::from(SAMPLE_RATE_HZ);
        // the last window ends where the stream does
        let before = self.before.len().min(WINDOW_SAMPLES - self.ring.len());
        self.ring.splice(..0, self.before.split_off(self.before.len() - before));
        self.start -= before as u64;
        if !self.ring.is_empty() {
            self.give(crew)?;
        }
        while self.under_way > 0 {
            self.take()?;
        }
        Ok((self.seen.into_iter().flatten().collect(), secs))
    }
}
