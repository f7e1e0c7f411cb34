//! The packets of a track of an MP4 file: those that its edit list plays, when it plays them.

use std::io;

use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::packet::Packet as Coded;
use symphonia::core::units::{Duration, Timestamp};

use super::Sample;
use super::edits::Edits;
use super::fragments::Fragments;
use super::samples::Samples;
use crate::audio::container::bytes::{Bytes, Window};
use crate::audio::container::format::Format;
use crate::audio::container::{Demuxer, Packet, Step};

/// A decoder needs what comes shortly before a cut, seconds: the packet that overlaps, and what Opus converges in.
const PREROLL_SECS: f64 = 0.1;

/// The largest packet. A second of 32 channels of uncompressed audio at 192 kHz is less.
const MOST_PACKET_BYTES: u64 = 32 << 20;

/// The packets of a track.
pub struct Mp4Packets {
    pub(super) bytes: Bytes,
    pub(super) window: Window,
    pub(super) samples: Option<Samples>,
    pub(super) fragments: Option<Fragments>,
    pub(super) formats: Vec<Format>,
    pub(super) description: Option<usize>,
    pub(super) has_delay: bool,
    pub(super) edits: Edits,
    pub(super) scale: f64,
    pub(super) zero_secs: f64,
    /// Of all packets so far.
    pub(super) read_bytes: u64,
    pub(super) is_over: bool,
    /// Seconds that the track promises.
    pub expected_secs: Option<f64>,
}

impl Mp4Packets {
    /// The parameters of the first packets, and the frames that their encoder put in front.
    pub fn format(&self) -> Option<Format> {
        let mut format = self.formats.first()?.clone();
        format.delay = if self.has_delay { format.delay } else { 0 };
        Some(format)
    }

    fn sample(&mut self) -> io::Result<Option<Sample>> {
        if self.is_over {
            return Ok(None);
        }
        if let Some(samples) = &mut self.samples {
            if let Some(sample) = samples.next()? {
                return Ok(Some(sample));
            }
            self.samples = None;
        }
        self.fragments.as_mut().map_or(Ok(None), Fragments::next)
    }

    /// Parameters, where a packet is described otherwise than the one before it.
    fn changed(&mut self, description: usize) -> Option<AudioCodecParameters> {
        let before = self.description.replace(description);
        let changed = before.unwrap_or(0) != description;
        changed.then(|| self.formats.get(description)).flatten().map(|format| format.params.clone())
    }
}

impl Demuxer for Mp4Packets {
    fn next(&mut self) -> io::Result<Step> {
        while let Some(sample) = self.sample()? {
            let end = sample.start.saturating_add(sample.ticks) as f64 / self.scale;
            let start = sample.start as f64 / self.scale;
            if self.edits.is_beyond(start) && sample.ticks > 0 {
                break;
            }
            if sample.bytes == 0 {
                continue;
            }
            self.read_bytes = self.read_bytes.saturating_add(sample.bytes);
            if sample.bytes > MOST_PACKET_BYTES || self.read_bytes > self.bytes.len().saturating_mul(2) {
                self.is_over = true;
                return Ok(Step::Damaged("its tables name more data than it has".to_owned()));
            }
            if !self.edits.is_near(start, end, PREROLL_SECS) {
                continue;
            }
            let Some(data) = self.window.get(sample.at, sample.bytes as usize)? else {
                self.is_over = true;
                return Ok(Step::End { cut_off: true });
            };
            let coded = Coded::new(0, Timestamp::new(0), Duration::new(0), data);
            let mut parts = self.edits.parts(start, end);
            for part in &mut parts {
                part.at_secs = part.at_secs.map(|at| at - self.zero_secs);
            }
            let changed = self.changed(sample.description);
            return Ok(Step::Packet(Packet {
                coded,
                secs: end - start,
                parts,
                cut_secs: 0.0,
                changed,
                restarts: false,
            }));
        }
        self.is_over = true;
        Ok(Step::End { cut_off: false })
    }
}
