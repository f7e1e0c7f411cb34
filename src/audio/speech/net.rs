//! The net under the detector: where something sounds and no voice was found for long, the engine is asked all the same.
//! What it costs is bounded: two minutes of each stream, and an eighth of the rest.

use std::collections::VecDeque;

use super::activity::Kind;
use super::packing::{KEPT_SOUND_SAMPLES, Packer};
use super::{FRAME_SAMPLES, Speech};
use crate::audio::{Found, SAMPLE_RATE_HZ};

/// Without voice for so long, 10 s, and with so much sound in it, 3 s: more than a breath, a door or a laugh.
const LONG_SAMPLES: u64 = 10 * SAMPLE_RATE_HZ as u64;
const LEAST_SOUND_SAMPLES: u64 = 3 * SAMPLE_RATE_HZ as u64;

/// In a stream without any voice, 0.5 s.
const LEAST_WITHOUT_VOICE_SAMPLES: u64 = SAMPLE_RATE_HZ as u64 / 2;

/// What may be sent: so much at once, and of all that passes this part.
const AT_ONCE_SAMPLES: u64 = 120 * SAMPLE_RATE_HZ as u64;
const PART: u64 = 8;

/// Collects sound between two voices.
pub struct Net {
    packer: Packer,
    /// Windows of sound that may turn out to be between voices that are near each other.
    caught: Vec<Speech>,
    /// The last 2 s: they belong to a voice that comes next.
    late: VecDeque<(Vec<f32>, bool)>,
    /// Where the frame after the late ones lies in the source.
    position: u64,
    /// Samples since the last voice, or since the beginning; those of them that were packed; those with sound.
    since: u64,
    packed: u64,
    sounding: u64,
    after_voice: bool,
    /// It is known that these are to be sent.
    is_due: bool,
    allowed: u64,
    heard: u64,
}

impl Net {
    /// A net whose first frame lies at `position` of the source.
    pub fn new(position: u64) -> Self {
        Self {
            packer: Packer::new(position, Found::Sound),
            caught: Vec::new(),
            late: VecDeque::new(),
            position,
            since: 0,
            packed: 0,
            sounding: 0,
            after_voice: false,
            is_due: false,
            allowed: AT_ONCE_SAMPLES,
            heard: 0,
        }
    }

    /// Samples of sound in the windows that were sent.
    pub fn heard(&self) -> u64 {
        self.heard
    }

    /// Takes the next frame. Whether it is now that what was caught turns out to be long.
    pub fn push(&mut self, frame: Vec<f32>, kind: Kind) -> bool {
        let len = frame.len() as u64;
        self.position += len;
        self.allowed += len / PART;
        if kind == Kind::Voice {
            if self.since > 0 {
                self.packer.flush(&mut self.caught);
                self.late.clear();
                (self.since, self.packed, self.sounding) = (0, 0, 0);
            }
            self.after_voice = true;
            return false;
        }
        // the first two seconds are the pause after the voice
        if !self.after_voice || self.since >= KEPT_SOUND_SAMPLES as u64 {
            self.late.push_back((frame, kind == Kind::Sound));
        }
        self.since += len;
        if self.late.len() > KEPT_SOUND_SAMPLES / FRAME_SAMPLES {
            self.take_late();
        }
        let was_due = self.is_due;
        self.is_due |= self.since >= LONG_SAMPLES && self.sounding >= LEAST_SOUND_SAMPLES;
        self.is_due && !was_due
    }

    /// Appends what is to be sent to `out`, and lets the rest go once voice is back.
    pub fn haul(&mut self, out: &mut Vec<Speech>) {
        if self.is_due {
            for window in self.caught.drain(..) {
                let cost = window.pcm.len() as u64;
                if cost <= self.allowed {
                    self.allowed -= cost;
                    self.heard += window.spans.iter().map(|span| span.len as u64).sum::<u64>();
                    out.push(window);
                }
            }
        }
        if self.since == 0 {
            self.caught.clear();
            self.is_due = false;
        }
    }

    /// Ends the stream. `has_voice` tells whether any of it is in windows of voice: a click or two is not.
    pub fn finish(&mut self, has_voice: bool, out: &mut Vec<Speech>) {
        while !self.late.is_empty() {
            self.take_late();
        }
        self.packer.flush(&mut self.caught);
        self.is_due |= match has_voice {
            true => self.since >= LONG_SAMPLES && self.sounding >= LEAST_SOUND_SAMPLES,
            false => self.sounding >= LEAST_WITHOUT_VOICE_SAMPLES,
        };
        self.haul(out);
    }

    fn take_late(&mut self) {
        let held: usize = self.late.iter().map(|(frame, _)| frame.len()).sum();
        let Some((frame, sounds)) = self.late.pop_front() else { return };
        if self.packed == 0 {
            self.packer = Packer::new(self.position - held as u64, Found::Sound);
        }
        self.packed += frame.len() as u64;
        self.sounding += if sounds { frame.len() as u64 } else { 0 };
        let kind = if sounds { Kind::Voice } else { Kind::Quiet };
        self.packer.push(&frame, kind, &mut self.caught);
    }
}
