//! Edit lists: which stretches of a track's media are played, and when.

use std::io;

use super::boxes::{BoxAt, Table};
use crate::audio::container::Part;
use crate::audio::container::bytes::{Bytes, u16_at, u32_at, u64_at};

/// An edit list longer than this is no recording's.
const MOST_EDITS: u64 = 100_000;

/// Media times are rounded to the track's ticks and play times to the movie's: what differs by less is the same, seconds.
const SAME_SECS: f64 = 0.002;

/// A stretch of media and its place on the time line, seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edit {
    /// Where it begins in the media.
    pub media: f64,
    /// How long it is; infinite for all that is left.
    pub len: f64,
    /// When it is played.
    pub at: f64,
}

/// The edits of a track, in order of media time.
#[derive(Debug, Clone, PartialEq)]
pub struct Edits(Vec<Edit>);

impl Edits {
    /// A track without an edit list.
    pub fn none() -> Self {
        Self(vec![Edit { media: 0.0, len: f64::INFINITY, at: 0.0 }])
    }

    /// The edits of an `elst` box. `Err` of the inner result: they play media backwards or twice.
    ///
    /// # Errors
    /// The system's.
    pub fn read(
        bytes: &Bytes,
        list: BoxAt,
        movie_scale: f64,
        media_scale: f64,
        open_ended: bool,
    ) -> io::Result<Result<Self, String>> {
        let version = list.content_head(bytes)?.first().copied().unwrap_or(0);
        let width = if version == 1 { 20 } else { 12 };
        let mut table = Table::new(bytes, list, 4, width)?;
        if table.count() > MOST_EDITS {
            return Ok(Err(format!("its edit list has {} entries", table.count())));
        }
        let (mut edits, mut at) = (Vec::<Edit>::new(), 0.0);
        for index in 0..table.count() {
            let Some(entry) = table.entry(index)? else { break };
            let (ticks, media, rate) = match version {
                1 => (u64_at(entry, 0), u64_at(entry, 8).map(u64::cast_signed), u16_at(entry, 16)),
                _ => (
                    u32_at(entry, 0).map(u64::from),
                    u32_at(entry, 4).map(|media| i64::from(media.cast_signed())),
                    u16_at(entry, 8),
                ),
            };
            let (Some(ticks), Some(media), Some(rate)) = (ticks, media, rate) else { break };
            let is_last = index + 1 == table.count();
            let rest = is_last && (ticks == 0 || open_ended);
            let len = if rest { f64::INFINITY } else { ticks as f64 / movie_scale };
            // nothing is played, or one sample stands still
            if media >= 0 && rate != 0 && len > 0.0 {
                edits.push(Edit { media: media as f64 / media_scale, len, at });
            }
            at += if rest { 0.0 } else { len };
        }
        if edits.is_empty() {
            return Ok(Ok(Self::none()));
        }
        let ordered = edits.windows(2).all(|pair| match pair {
            [before, after] => after.media >= before.media + before.len - SAME_SECS,
            _ => true,
        });
        Ok(if ordered { Ok(Self(edits)) } else { Err("its edit list plays the recording out of order".to_owned()) })
    }

    /// When the first sample is played, of media that begins at `media_start`, seconds.
    pub fn start_secs(&self, media_start: f64) -> f64 {
        let first = self.0.iter().find(|edit| edit.media + edit.len > media_start);
        first.map_or(0.0, |edit| edit.at + (media_start - edit.media).max(0.0))
    }

    /// Seconds that are played of media from `start` to `end`.
    pub fn played_secs(&self, start: f64, end: f64) -> f64 {
        self.0.iter().map(|edit| ((edit.media + edit.len).min(end) - edit.media.max(start)).max(0.0)).sum()
    }

    /// What is played of media from `start` to `end`. What the packet decodes to beyond its stated end is played too, but
    /// for what an edit's end cuts off.
    pub fn parts(&self, start: f64, end: f64) -> Vec<Part> {
        let from = self.0.partition_point(|edit| edit.media + edit.len <= start);
        let mut parts = Vec::new();
        for edit in self.0.get(from..).unwrap_or_default() {
            if edit.media >= end {
                break;
            }
            let skip_secs = (edit.media - start).max(0.0);
            let edit_end = edit.media + edit.len;
            let len_secs = if edit_end < end - SAME_SECS { edit_end - start - skip_secs } else { f64::INFINITY };
            let at_secs = edit.at + (start - edit.media).max(0.0);
            parts.push(Part { skip_secs, len_secs, at_secs: Some(at_secs) });
        }
        parts
    }

    /// Whether media from `start` on is of no use: not played, and not needed to decode what is.
    pub fn is_beyond(&self, start: f64) -> bool {
        self.0.last().is_none_or(|edit| edit.media + edit.len <= start)
    }

    /// Whether something is played of media from `start` to `end`, or begins less than `secs` after it.
    pub fn is_near(&self, start: f64, end: f64, secs: f64) -> bool {
        let from = self.0.partition_point(|edit| edit.media + edit.len <= start);
        self.0.get(from).is_some_and(|edit| edit.media <= end + secs)
    }
}
