//! The samples (packets) of a track, from the tables in its `stbl`: where they lie, how long they are, when they come.

use std::io;

use super::Sample;
use super::boxes::{BoxAt, Table};
use crate::audio::container::bytes::{Bytes, big_endian, u32_at};

/// Uncompressed frames are samples of their own; so many are read together.
const FRAMES_TOGETHER: u64 = 2_048;

/// Time deltas from here on are negative ones of broken writers.
const NEGATIVE: u32 = 1 << 31;

/// Goes through a track's samples in order.
#[derive(Debug)]
pub struct Samples {
    times: Table,
    sizes: Sizes,
    runs: Table,
    chunks: Table,
    chunk_bytes: usize,
    /// Bytes of one frame where samples are single frames.
    frame_bytes: Option<u64>,
    next: Next,
}

#[derive(Debug)]
enum Sizes {
    All { bytes: u64, count: u64 },
    Each { table: Table, bits: u64 },
}

/// What comes next.
#[derive(Debug, Default)]
struct Next {
    sample: u64,
    ticks: u64,
    time_run: u64,
    /// Samples left of the run of equal durations, and their duration.
    alike: u64,
    delta: u32,
    chunk: u64,
    chunk_run: u64,
    left_in_chunk: u64,
    description: usize,
    at: u64,
}

impl Samples {
    /// The samples of the `stbl` box of a track. `None` where a table is missing.
    ///
    /// # Errors
    /// The system's.
    pub fn new(bytes: &Bytes, table: BoxAt, frame_bytes: Option<u64>) -> io::Result<Option<Self>> {
        let children = table.children(bytes, 0)?;
        let find = |kind: &[u8; 4]| children.iter().copied().find(|child| child.kind == *kind);
        let (Some(times), Some(runs)) = (find(b"stts"), find(b"stsc")) else { return Ok(None) };
        let sizes = match (find(b"stsz"), find(b"stz2")) {
            (Some(sizes), _) => {
                let head = sizes.content_head(bytes)?;
                let (size, count) = (u32_at(&head, 4).unwrap_or(0), u32_at(&head, 8).unwrap_or(0));
                match size {
                    0 => Sizes::Each { table: Table::new(bytes, sizes, 8, 4)?, bits: 32 },
                    size => Sizes::All { bytes: u64::from(size), count: u64::from(count) },
                }
            }
            (None, Some(sizes)) => {
                let bits = sizes.content_head(bytes)?.get(7).copied().unwrap_or(0);
                // four bits a sample: no audio is so small
                let width = if bits == 16 { 2 } else { 1 };
                Sizes::Each { table: Table::new(bytes, sizes, 8, width)?, bits: width * 8 }
            }
            (None, None) => return Ok(None),
        };
        let (chunks, chunk_bytes) = match (find(b"stco"), find(b"co64")) {
            (Some(chunks), _) => (Table::new(bytes, chunks, 4, 4)?, 4),
            (None, Some(chunks)) => (Table::new(bytes, chunks, 4, 8)?, 8),
            (None, None) => return Ok(None),
        };
        Ok(Some(Self {
            times: Table::new(bytes, times, 4, 8)?,
            sizes,
            runs: Table::new(bytes, runs, 4, 12)?,
            chunks,
            chunk_bytes,
            frame_bytes,
            next: Next::default(),
        }))
    }

    /// Ticks of all samples together, as the table of times says.
    ///
    /// # Errors
    /// The system's.
    pub fn all_ticks(&mut self) -> io::Result<u64> {
        let mut ticks = 0_u64;
        for index in 0..self.times.count() {
            let Some((count, delta)) = times(&mut self.times, index)? else { break };
            ticks = ticks.saturating_add(count.saturating_mul(u64::from(delta)));
        }
        Ok(ticks)
    }

    /// The next sample; `None` behind the last.
    ///
    /// # Errors
    /// The system's.
    pub fn next(&mut self) -> io::Result<Option<Sample>> {
        if self.next.left_in_chunk == 0 && !self.next_chunk()? {
            return Ok(None);
        }
        while self.next.alike == 0 {
            match times(&mut self.times, self.next.time_run)? {
                Some((count, delta)) => (self.next.alike, self.next.delta) = (count, delta),
                // times are missing: go on as before
                None => self.next.alike = u64::MAX,
            }
            self.next.time_run += 1;
        }
        let Some(size) = self.size()? else { return Ok(None) };
        let (count, bytes) = match self.frame_bytes {
            Some(frame_bytes) => {
                let count = self.next.left_in_chunk.min(FRAMES_TOGETHER).min(self.next.alike).min(size.1);
                (count, count.saturating_mul(frame_bytes))
            }
            None => (1, size.0),
        };
        let ticks = count.saturating_mul(u64::from(self.next.delta));
        let sample =
            Sample { at: self.next.at, bytes, start: self.next.ticks, ticks, description: self.next.description };
        self.next.at = self.next.at.saturating_add(bytes);
        self.next.ticks = self.next.ticks.saturating_add(ticks);
        self.next.alike -= count;
        self.next.left_in_chunk -= count;
        self.next.sample += count;
        Ok(Some(sample))
    }

    /// Size of the next sample, bytes, and how many are left in all.
    fn size(&mut self) -> io::Result<Option<(u64, u64)>> {
        let index = self.next.sample;
        Ok(match &mut self.sizes {
            Sizes::All { bytes, count } => (index < *count).then(|| (*bytes, *count - index)),
            Sizes::Each { table, bits } => {
                let left = table.count().saturating_sub(index);
                let count = (*bits / 8) as usize;
                table.entry(index)?.and_then(|entry| big_endian(entry, count)).map(|bytes| (bytes, left))
            }
        })
    }

    /// Goes on to the next chunk that has samples.
    fn next_chunk(&mut self) -> io::Result<bool> {
        while self.next.left_in_chunk == 0 {
            let chunk = self.next.chunk;
            // runs name their first chunk, counted from 1
            while let Some(first) = self.runs.entry(self.next.chunk_run + 1)?.and_then(|run| u32_at(run, 0)) {
                if u64::from(first) > chunk + 1 {
                    break;
                }
                self.next.chunk_run += 1;
            }
            let Some(run) = self.runs.entry(self.next.chunk_run)? else { return Ok(false) };
            let (Some(samples), Some(description)) = (u32_at(run, 4), u32_at(run, 8)) else { return Ok(false) };
            let bytes = self.chunk_bytes;
            let Some(at) = self.chunks.entry(chunk)?.and_then(|entry| big_endian(entry, bytes)) else {
                return Ok(false);
            };
            self.next.left_in_chunk = u64::from(samples);
            self.next.description = description.saturating_sub(1) as usize;
            self.next.at = at;
            self.next.chunk += 1;
        }
        Ok(true)
    }
}

/// An entry of the table of times: how many samples, and the ticks of each.
fn times(table: &mut Table, index: u64) -> io::Result<Option<(u64, u32)>> {
    Ok(table.entry(index)?.and_then(|entry| {
        let (count, delta) = (u32_at(entry, 0)?, u32_at(entry, 4)?);
        Some((u64::from(count), if delta >= NEGATIVE { 0 } else { delta }))
    }))
}
