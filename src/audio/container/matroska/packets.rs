//! The packets of a track of a Matroska file, block by block.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};

use flate2::read::ZlibDecoder;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::packet::Packet as Coded;
use symphonia::core::units::{Duration, Timestamp};

use super::ebml::{Header, Reader, Source, signed, unsigned};
use super::tracks::{self, Audio, Packing};
use super::{CLUSTER, INFO, MOST_HEAD_BYTES, SEGMENT, TRACKS, block, info, is_damage};
use crate::audio::container::{Demuxer, Packet, Part, Step};

const CLUSTER_TIME: u32 = 0xE7;
const SIMPLE_BLOCK: u32 = 0xA3;
const BLOCK_GROUP: u32 = 0xA0;
const BLOCK: u32 = 0xA1;
const BLOCK_DURATION: u32 = 0x9B;
const DISCARD_PADDING: u32 = 0x75A2;

/// The largest block of audio.
const MOST_BLOCK_BYTES: u64 = 32 << 20;

/// The largest packet after decompression.
const MOST_PACKET_BYTES: u64 = 4 << 20;

/// The packets of a track.
pub struct MatroskaPackets<S> {
    pub(super) reader: Reader<S>,
    pub(super) track: Audio,
    pub(super) tick_secs: f64,
    pub(super) end: Option<u64>,
    pub(super) cluster_secs: f64,
    /// When the first track begins.
    pub(super) zero_secs: Option<f64>,
    pub(super) has_clock: bool,
    pub(super) earliest_secs: f64,
    pub(super) ready: VecDeque<Packet>,
    pub(super) changed: Option<AudioCodecParameters>,
    pub(super) restarts: bool,
    pub(super) is_over: bool,
}

/// What a block group says of its block.
#[derive(Default)]
struct Group {
    block: Option<Vec<u8>>,
    secs: f64,
    padding_secs: f64,
}

impl<S: Source> MatroskaPackets<S> {
    /// Takes times as they are: the file's other tracks, by which it may begin, are not in it. Or takes none.
    pub fn take_times_as_they_are(&mut self, has_clock: bool) {
        (self.zero_secs, self.has_clock) = (Some(0.0), has_clock);
    }

    /// Reads on to the next packets, or the end.
    fn read_on(&mut self) -> io::Result<Option<Step>> {
        let Some(Header { id, size }) = self.reader.header()? else {
            self.is_over = true;
            let cut_off = self.end.is_some_and(|end| end > self.reader.at);
            return Ok(Some(Step::End { cut_off }));
        };
        match (id, size) {
            (CLUSTER, _) => {}
            (SEGMENT, size) => {
                self.end = size.map(|size| self.reader.at.saturating_add(size));
                self.restarts = true;
            }
            (CLUSTER_TIME, Some(size)) => {
                self.cluster_secs = unsigned(&self.reader.content(size.min(8))?) as f64 * self.tick_secs;
            }
            (SIMPLE_BLOCK, Some(size)) => {
                if let Some(block) = self.block(size)? {
                    self.take(&Group { block: Some(block), ..Group::default() });
                }
            }
            (BLOCK_GROUP, Some(size)) => {
                let group = self.group(size)?;
                self.take(&group);
            }
            // of another file behind this one
            (TRACKS, Some(size)) if size <= MOST_HEAD_BYTES => {
                let (audio, _) = tracks::read(&self.reader.content(size)?);
                let same = audio.into_iter().find(|audio| audio.number == self.track.number && audio.format.is_some());
                if let Some(track) = same {
                    self.changed = track.format.as_ref().map(|format| format.params.clone());
                    self.track = track;
                }
            }
            (INFO, Some(size)) if size <= MOST_HEAD_BYTES => {
                self.tick_secs = info(&self.reader.content(size)?).0;
            }
            (_, Some(size)) if self.reader.skip(size)? => {}
            (_, Some(_)) => return Err(ErrorKind::UnexpectedEof.into()),
            (_, None) => return Err(ErrorKind::InvalidData.into()),
        }
        Ok(None)
    }

    /// The content of a block of `size` bytes, if it is our track's. Of others the time is looked at, as long as it is not
    /// known when the file begins.
    fn block(&mut self, size: u64) -> io::Result<Option<Vec<u8>>> {
        let head = self.reader.content(size.min(8))?;
        let rest = size - head.len() as u64;
        let known = block::start(&head);
        if let Some((_, ticks)) = known
            && self.zero_secs.is_none()
        {
            self.earliest_secs = self.earliest_secs.min(self.secs(ticks));
        }
        let is_ours = known.is_some_and(|(number, _)| number == self.track.number);
        if is_ours && rest <= MOST_BLOCK_BYTES {
            let rest = self.reader.content(rest)?;
            return Ok(Some([head, rest].concat()));
        }
        if self.reader.skip(rest)? { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    fn group(&mut self, size: u64) -> io::Result<Group> {
        let end = self.reader.at.saturating_add(size);
        let mut group = Group::default();
        while self.reader.at < end {
            let Some(Header { id, size: Some(size) }) = self.reader.header()? else {
                return Err(ErrorKind::InvalidData.into());
            };
            match id {
                BLOCK => group.block = self.block(size)?,
                BLOCK_DURATION => group.secs = unsigned(&self.reader.content(size.min(8))?) as f64 * self.tick_secs,
                DISCARD_PADDING => group.padding_secs = signed(&self.reader.content(size.min(8))?) as f64 / 1e9,
                _ if self.reader.skip(size)? => {}
                _ => return Err(ErrorKind::UnexpectedEof.into()),
            }
        }
        Ok(group)
    }

    fn secs(&self, ticks: i16) -> f64 {
        self.cluster_secs + f64::from(ticks) * self.tick_secs * self.track.time_scale
    }

    /// The packets of a block of our track.
    fn take(&mut self, group: &Group) {
        let Some(block) = &group.block else { return };
        let Some((_, ticks)) = block::start(block) else { return };
        let zero_secs = *self.zero_secs.get_or_insert(self.earliest_secs);
        let frames = block::frames(block);
        let count = frames.len();
        let at_secs = self.secs(ticks) - zero_secs - self.track.delay_secs;
        let mut at_secs = Some(at_secs).filter(|_| self.has_clock);
        let secs = if group.secs > 0.0 { group.secs / count.max(1) as f64 } else { self.track.packet_secs };
        for (index, frame) in frames.into_iter().enumerate() {
            let Some(data) = unpacked(frame, &self.track.packing) else { continue };
            let coded = Coded::new(0, Timestamp::new(0), Duration::new(0), data);
            // of packets that share a block only the first has a time
            let part = Part { skip_secs: 0.0, len_secs: f64::INFINITY, at_secs: at_secs.take() };
            let cut_secs = if index + 1 == count { group.padding_secs.max(0.0) } else { 0.0 };
            let (changed, restarts) = (self.changed.take(), std::mem::take(&mut self.restarts));
            self.ready.push_back(Packet { coded, secs, parts: vec![part], cut_secs, changed, restarts });
        }
    }
}

impl<S: Source> Demuxer for MatroskaPackets<S> {
    fn next(&mut self) -> io::Result<Step> {
        loop {
            if let Some(packet) = self.ready.pop_front() {
                return Ok(Step::Packet(packet));
            }
            if self.is_over {
                return Ok(Step::End { cut_off: false });
            }
            match self.read_on() {
                Ok(Some(step)) => return Ok(step),
                Ok(None) => {}
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => {
                    self.is_over = true;
                    return Ok(Step::End { cut_off: true });
                }
                Err(e) if is_damage(&e) => {
                    // clusters can be found again; what follows the identifier is the size, and then its elements
                    self.is_over = !self.reader.seek_id(CLUSTER)? || self.reader.size().is_err();
                    return Ok(Step::Damaged("a damaged stretch was left out".to_owned()));
                }
                Err(e) => return Err(e),
            }
        }
    }
}

/// A packet as its encoder made it; `None` where it cannot be had back.
fn unpacked(frame: &[u8], packing: &Packing) -> Option<Box<[u8]>> {
    match packing {
        Packing::None => Some(frame.into()),
        Packing::Stripped(start) => Some([start, frame].concat().into()),
        Packing::Zlib => {
            let mut data = Vec::new();
            ZlibDecoder::new(frame).take(MOST_PACKET_BYTES).read_to_end(&mut data).ok()?;
            Some(data.into())
        }
        Packing::Unknown => None,
    }
}
