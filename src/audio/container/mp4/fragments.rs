//! Movie fragments: samples that are described piecewise, each piece before its data, as streaming and recorders that may be
//! cut off write them.

use std::collections::VecDeque;
use std::io;

use super::Sample;
use super::boxes::BoxAt;
use crate::audio::container::bytes::{Bytes, Window, u32_at, u64_at};

/// What a run that states nothing has, by track.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Defaults {
    /// Ticks of a sample.
    pub ticks: u32,
    /// Bytes of a sample.
    pub bytes: u32,
    /// Its description, from 1.
    pub description: u32,
}

/// More samples than this in one fragment are an attack: it would be hours.
const MOST_SAMPLES: usize = 1 << 20;

/// Goes through the samples of one track in all fragments.
#[derive(Debug)]
pub struct Fragments {
    bytes: Bytes,
    window: Window,
    at: u64,
    track: u32,
    defaults: Defaults,
    ticks: u64,
    ready: VecDeque<Sample>,
}

impl Fragments {
    /// The samples of `track` in the fragments of the file. Where the first does not say when it begins, it is at `ticks`.
    pub fn new(bytes: &Bytes, track: u32, defaults: Defaults, ticks: u64) -> Self {
        let (bytes, window) = (bytes.clone(), Window::new(bytes));
        Self { bytes, window, at: 0, track, defaults, ticks, ready: VecDeque::new() }
    }

    /// The next sample; `None` behind the last.
    ///
    /// # Errors
    /// The system's.
    pub fn next(&mut self) -> io::Result<Option<Sample>> {
        while self.ready.is_empty() {
            let Some(next) = BoxAt::at(&mut self.window, self.at, self.bytes.len())? else { return Ok(None) };
            self.at = next.end;
            if next.kind == *b"moof" {
                self.read(next)?;
            }
        }
        Ok(self.ready.pop_front())
    }

    /// The samples of a fragment.
    fn read(&mut self, fragment: BoxAt) -> io::Result<()> {
        // where the data of the track fragment before ended
        let mut data_end = fragment.start;
        for traf in fragment.children(&self.bytes, 0)?.into_iter().filter(|child| child.kind == *b"traf") {
            let children = traf.children(&self.bytes, 0)?;
            let Some(head) = children.iter().find(|child| child.kind == *b"tfhd") else { continue };
            let head = head.content(&self.bytes)?;
            let Some(header) = Header::read(&head, self.defaults) else { continue };
            let is_ours = header.track == self.track;
            if is_ours && let Some(time) = children.iter().find(|child| child.kind == *b"tfdt") {
                let time = time.content(&self.bytes)?;
                let ticks = if time.first() == Some(&1) { u64_at(&time, 4) } else { u32_at(&time, 4).map(u64::from) };
                self.ticks = ticks.unwrap_or(self.ticks);
            }
            let base = header.base.unwrap_or(if header.base_is_fragment { fragment.start } else { data_end });
            data_end = base;
            for run in children.iter().filter(|child| child.kind == *b"trun") {
                data_end = self.run(*run, &header, base, data_end, is_ours)?;
            }
        }
        Ok(())
    }

    /// The samples of a run, whose data follow `data_end` where it does not say otherwise. Answers where they end.
    fn run(&mut self, run: BoxAt, header: &Header, base: u64, data_end: u64, is_ours: bool) -> io::Result<u64> {
        let mut window = Window::new(&self.bytes);
        let Some(head) = window.get(run.body, 8)? else { return Ok(data_end) };
        let (flags, count) = (u32_at(head, 0).unwrap_or(0), u32_at(head, 4).unwrap_or(0));
        let mut at = run.body + 8;
        let mut data_at = data_end;
        if flags & 1 != 0 {
            let offset = window.get(at, 4)?.and_then(|bytes| u32_at(bytes, 0)).unwrap_or(0);
            data_at = base.saturating_add_signed(i64::from(offset.cast_signed()));
            at += 4;
        }
        if flags & 4 != 0 {
            at += 4;
        }
        let fields: Vec<u32> = [0x100, 0x200, 0x400, 0x800].into_iter().filter(|flag| flags & flag != 0).collect();
        let place = |flag| fields.iter().position(|field| *field == flag).map(|index| index * 4);
        let (ticks_at, bytes_at, width) = (place(0x100), place(0x200), fields.len() * 4);
        if !is_ours && bytes_at.is_none() {
            return Ok(data_at.saturating_add(u64::from(count) * u64::from(header.defaults.bytes)));
        }
        for _ in 0..count {
            if at.saturating_add(width as u64) > run.end || self.ready.len() >= MOST_SAMPLES {
                break;
            }
            let entry = window.get(at, width)?.unwrap_or_default();
            let field = |place: Option<usize>, default| place.and_then(|at| u32_at(entry, at)).unwrap_or(default);
            let (ticks, bytes) = (field(ticks_at, header.defaults.ticks), field(bytes_at, header.defaults.bytes));
            at += width as u64;
            if is_ours {
                let sample = Sample {
                    at: data_at,
                    bytes: u64::from(bytes),
                    start: self.ticks,
                    ticks: u64::from(ticks),
                    description: header.defaults.description.saturating_sub(1) as usize,
                };
                self.ticks = self.ticks.saturating_add(u64::from(ticks));
                self.ready.push_back(sample);
            }
            data_at = data_at.saturating_add(u64::from(bytes));
            // nothing comes of samples beyond the file, nor of a run of empty ones
            if data_at > self.bytes.len() || (bytes == 0 && width == 0) {
                break;
            }
        }
        Ok(data_at)
    }

    /// Where the first fragment of each track that comes no later than the first of `track` begins: track, ticks.
    ///
    /// # Errors
    /// The system's.
    pub fn starts(bytes: &Bytes, track: u32) -> io::Result<Vec<(u32, u64)>> {
        let (mut window, mut at, mut starts) = (Window::new(bytes), 0, Vec::new());
        while let Some(next) = BoxAt::at(&mut window, at, bytes.len())? {
            at = next.end;
            if next.kind != *b"moof" {
                continue;
            }
            for traf in next.children(bytes, 0)?.into_iter().filter(|child| child.kind == *b"traf") {
                let find = |kind| traf.find(bytes, &[kind]);
                let Some(head) = find(b"tfhd")?.map(|head| head.content(bytes)).transpose()? else { continue };
                let Some(id) = u32_at(&head, 4) else { continue };
                let time = find(b"tfdt")?.map(|time| time.content(bytes)).transpose()?.unwrap_or_default();
                let ticks = if time.first() == Some(&1) { u64_at(&time, 4) } else { u32_at(&time, 4).map(u64::from) };
                if !starts.iter().any(|(known, _)| *known == id) {
                    starts.push((id, ticks.unwrap_or(0)));
                }
            }
            if starts.iter().any(|(id, _)| *id == track) {
                break;
            }
        }
        Ok(starts)
    }
}

/// A `tfhd`.
struct Header {
    track: u32,
    base: Option<u64>,
    base_is_fragment: bool,
    defaults: Defaults,
}

impl Header {
    fn read(bytes: &[u8], mut defaults: Defaults) -> Option<Self> {
        let (flags, track) = (u32_at(bytes, 0)?, u32_at(bytes, 4)?);
        let mut at = 8;
        let mut base = None;
        if flags & 1 != 0 {
            base = Some(u64_at(bytes, at)?);
            at += 8;
        }
        for (flag, field) in [(2, &mut defaults.description), (8, &mut defaults.ticks), (0x10, &mut defaults.bytes)] {
            if flags & flag != 0 {
                *field = u32_at(bytes, at)?;
                at += 4;
            }
        }
        Some(Self { track, base, base_is_fragment: flags & 0x2_0000 != 0, defaults })
    }
}
