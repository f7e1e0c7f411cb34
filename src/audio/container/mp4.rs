//! MP4 and QuickTime files: their audio tracks, and the packets of one of them on the time line that a player shows. Edit
//! lists and fragments' times are honoured; what a file claims is believed as far as it has bytes.

use std::io;

use self::boxes::BoxAt;
use self::edits::Edits;
use self::entry::Entry;
use self::fragments::{Defaults, Fragments};
use self::packets::Mp4Packets;
use self::samples::Samples;
use super::bytes::{Bytes, Window, u16_at, u32_at, u64_at};
use super::{Track, Unreadable};

mod boxes;
mod edits;
mod entry;
mod fragments;
mod packets;
mod samples;

/// The names of boxes that a file begins with.
const FIRST: [&[u8; 4]; 11] =
    [b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"pnot", b"sidx", b"uuid"];

/// More tracks than any recording has.
const MOST_TRACKS: usize = 1_000;

/// No audio is coded in less, bits per second: a duration that says so is not meant.
const LEAST_BITS_PER_SEC: f64 = 100.0;

/// A sample of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    /// Where it lies in the file.
    at: u64,
    /// Its size.
    bytes: u64,
    /// When it begins, ticks of the track.
    start: u64,
    /// How long it lasts, ticks.
    ticks: u64,
    /// Which of the track's entries describes it.
    description: usize,
}

/// Whether a file that begins so is one.
pub fn is_mp4(head: &[u8]) -> bool {
    head.get(4..8).is_some_and(|kind| FIRST.iter().any(|first| kind == *first))
}

/// An opened file.
pub struct Mp4 {
    bytes: Bytes,
    audio: Vec<Audio>,
    /// When the first sample of any track is played, of those without fragments.
    first_secs: f64,
    is_fragmented: bool,
    /// Seconds of the whole, where fragments say it ahead.
    fragmented_secs: Option<f64>,
}

/// An audio track.
struct Audio {
    id: u32,
    facts: Track,
    scale: f64,
    edits: Edits,
    has_edits: bool,
    entries: Vec<Entry>,
    table: BoxAt,
    defaults: Defaults,
}

impl Mp4 {
    /// Reads the movie's description, wherever it lies.
    ///
    /// # Errors
    /// Why the file cannot be read so.
    pub fn open(bytes: Bytes) -> Result<Self, Unreadable> {
        let file = BoxAt::file(&bytes);
        let (mut window, mut at, mut movie) = (Window::new(&bytes), 0, None);
        while let Some(next) = BoxAt::at(&mut window, at, file.end)? {
            at = next.end;
            if next.kind == *b"moov" {
                movie = Some(next);
                break;
            }
        }
        let Some(movie) = movie else {
            return Err(Unreadable::corrupt("it has no index (moov): it was cut off, or recording did not end well"));
        };
        let children = movie.children(&bytes, 0)?;
        let find = |kind: &[u8; 4]| children.iter().copied().find(|child| child.kind == *kind);
        if find(b"cmov").is_some() {
            return Err(Unreadable::unsupported("its index is compressed"));
        }
        let movie_scale = match find(b"mvhd") {
            Some(head) => full(&head.content(&bytes)?, 12, 20).filter(|scale| *scale > 0).map_or(1.0, f64::from),
            None => 1.0,
        };
        let extends = find(b"mvex").map(|extends| extends.children(&bytes, 0)).transpose()?;
        let mut defaults = Vec::new();
        let mut fragmented_secs = None;
        for child in extends.iter().flatten() {
            let content = child.content(&bytes)?;
            match &child.kind {
                b"trex" => defaults.push((
                    u32_at(&content, 4),
                    Defaults {
                        description: u32_at(&content, 8).unwrap_or(1),
                        ticks: u32_at(&content, 12).unwrap_or(0),
                        bytes: u32_at(&content, 16).unwrap_or(0),
                    },
                )),
                b"mehd" => fragmented_secs = long(&content, 4, 4).map(|ticks| ticks as f64 / movie_scale),
                _ => {}
            }
        }
        let is_fragmented = extends.is_some();
        let mut file = Self { bytes, audio: Vec::new(), first_secs: f64::INFINITY, is_fragmented, fragmented_secs };
        let mut others = Vec::new();
        for track in children.into_iter().filter(|child| child.kind == *b"trak").take(MOST_TRACKS) {
            file.track(track, movie_scale, &defaults, &mut others)?;
        }
        if file.is_fragmented {
            file.fragments_start(&others)?;
        }
        Ok(file)
    }

    /// The audio tracks, in order.
    pub fn tracks(&self) -> Vec<Track> {
        self.audio.iter().map(|audio| audio.facts.clone()).collect()
    }

    /// Takes in a track: audio is kept, of video only when it starts.
    fn track(
        &mut self,
        track: BoxAt,
        movie_scale: f64,
        defaults: &[(Option<u32>, Defaults)],
        others: &mut Vec<(u32, f64, Edits)>,
    ) -> Result<(), Unreadable> {
        let bytes = self.bytes.clone();
        let content = |path: &[&[u8; 4]]| -> io::Result<Vec<u8>> {
            track.find(&bytes, path)?.map_or(Ok(Vec::new()), |found| found.content(&bytes))
        };
        let head = content(&[b"tkhd"])?;
        let media = content(&[b"mdia", b"mdhd"])?;
        let handler = content(&[b"mdia", b"hdlr"])?;
        let (Some(id), Some(scale)) = (full(&head, 12, 20), full(&media, 12, 20).filter(|scale| *scale > 0)) else {
            return Ok(());
        };
        let scale = f64::from(scale);
        let list = track.find(&bytes, &[b"edts", b"elst"])?;
        let edits = match list {
            Some(list) => Edits::read(&bytes, list, movie_scale, scale, self.is_fragmented)?,
            None => Ok(Edits::none()),
        };
        let Some(table) = track.find(&bytes, &[b"mdia", b"minf", b"stbl"])? else { return Ok(()) };
        let has_samples =
            Samples::new(&bytes, table, None)?.map_or(Ok(false), |mut s| s.next().map(|s| s.is_some()))?;
        match handler.get(8..12) {
            Some(b"vide") => {
                let edits = edits.unwrap_or_else(|_| Edits::none());
                if has_samples {
                    self.first_secs = self.first_secs.min(edits.start_secs(0.0));
                }
                others.push((id, scale, edits));
            }
            Some(b"soun") => {
                let edits = edits.map_err(|reason| Unreadable::unsupported(&reason))?;
                if has_samples {
                    self.first_secs = self.first_secs.min(edits.start_secs(0.0));
                }
                let entries = match table.find(&bytes, &[b"stsd"])? {
                    Some(description) => Entry::all(&bytes, description)?,
                    None => Vec::new(),
                };
                let Some(first) = entries.first() else { return Ok(()) };
                let facts = Track {
                    codec: first.codec.clone(),
                    channels: first.channels,
                    language: long_at(&media, 20, 32).and_then(|at| u16_at(&media, at)).and_then(language),
                    title: title(&handler),
                    is_default: u32_at(&head, 0).is_some_and(|flags| flags & 1 != 0),
                    is_encrypted: entries.iter().any(|entry| entry.is_encrypted),
                };
                let defaults = defaults
                    .iter()
                    .find(|(track, _)| *track == Some(id))
                    .map_or_else(|| Defaults { description: 1, ..Defaults::default() }, |(_, defaults)| *defaults);
                let has_edits = list.is_some();
                self.audio.push(Audio { id, facts, scale, edits, has_edits, entries, table, defaults });
            }
            _ => {}
        }
        Ok(())
    }

    /// When the first sample of any track is played, where that is in fragments.
    fn fragments_start(&mut self, others: &[(u32, f64, Edits)]) -> Result<(), Unreadable> {
        let Some(first) = self.audio.first() else { return Ok(()) };
        let ours = self.audio.iter().map(|audio| (audio.id, audio.scale, audio.edits.clone()));
        let tracks: Vec<_> = ours.chain(others.iter().cloned()).collect();
        for (id, ticks) in Fragments::starts(&self.bytes, first.id)? {
            if let Some((_, scale, edits)) = tracks.iter().find(|(track, _, _)| *track == id) {
                self.first_secs = self.first_secs.min(edits.start_secs(ticks as f64 / scale));
            }
        }
        Ok(())
    }

    /// The packets of an audio track, by its place among those.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub fn packets(&self, index: usize) -> Result<Mp4Packets, Unreadable> {
        let Some(audio) = self.audio.get(index) else { return Err(Unreadable::corrupt("it has no such track")) };
        if let Some(entry) = audio.entries.iter().find(|entry| entry.format.is_none()) {
            return Err(Unreadable::unsupported(&format!("no built-in decoder for {} in isomp4", entry.codec)));
        }
        let frame_bytes = audio.entries.first().and_then(|entry| entry.frame_bytes);
        let samples = Samples::new(&self.bytes, audio.table, frame_bytes)?;
        let ticks = samples.map_or(Ok(None), |mut samples| samples.all_ticks().map(Some))?;
        let samples = Samples::new(&self.bytes, audio.table, frame_bytes)?;
        let secs = ticks.map(|ticks| audio.edits.played_secs(0.0, ticks as f64 / audio.scale));
        // all ones, and what nobody can have coded, is "not known"
        let possible = |secs: &f64| secs * LEAST_BITS_PER_SEC < self.bytes.len() as f64 * 8.0;
        let expected_secs = if self.is_fragmented { self.fragmented_secs.filter(possible) } else { secs };
        Ok(Mp4Packets {
            bytes: self.bytes.clone(),
            window: Window::new(&self.bytes),
            fragments: self
                .is_fragmented
                .then(|| Fragments::new(&self.bytes, audio.id, audio.defaults, ticks.unwrap_or(0))),
            samples,
            formats: audio.entries.iter().filter_map(|entry| entry.format.clone()).collect(),
            description: None,
            // an edit list leaves the encoder's delay out itself
            has_delay: !audio.has_edits,
            edits: audio.edits.clone(),
            scale: audio.scale,
            zero_secs: if self.first_secs.is_finite() { self.first_secs } else { 0.0 },
            read_bytes: 0,
            is_over: false,
            expected_secs,
        })
    }
}

/// A 32-bit field of a box whose versions 0 and 1 have it at different places.
fn full(bytes: &[u8], old: usize, new: usize) -> Option<u32> {
    u32_at(bytes, long_at(bytes, old, new)?)
}

fn long_at(bytes: &[u8], old: usize, new: usize) -> Option<usize> {
    Some(if *bytes.first()? == 1 { new } else { old })
}

/// A field of 32 bits in version 0 and 64 in version 1.
fn long(bytes: &[u8], old: usize, new: usize) -> Option<u64> {
    if *bytes.first()? == 1 { u64_at(bytes, new) } else { u32_at(bytes, old).map(u64::from) }
}

/// Three letters of five bits each.
fn language(packed: u16) -> Option<String> {
    let letters = [10, 5, 0].map(|shift| char::from((packed >> shift & 31) as u8 + 0x60));
    let code = String::from_iter(letters);
    (packed >= 0x400 && letters.iter().all(char::is_ascii_lowercase) && code != "und").then_some(code)
}

/// The name that a handler carries, where it is not what every writer puts there.
fn title(handler: &[u8]) -> Option<String> {
    let name = String::from_utf8_lossy(handler.get(24..)?);
    let name = name.trim_matches(|c: char| c.is_control() || c.is_whitespace());
    let generic = name.is_empty() || name.contains("Handler") || name.contains("handler") || name.contains("Media");
    (!generic).then(|| name.chars().take(200).collect())
}
