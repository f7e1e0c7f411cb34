//! Matroska and WebM: their audio tracks, and the packets of one of them on the time line that a player shows. Of other
//! tracks nothing but the first time is read. Also what ffmpeg hands over, through a pipe.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};

use self::ebml::{Reader, Source, children, float, unsigned};
use self::packets::MatroskaPackets;
use self::tracks::{Audio, Packing};
use super::format::Format;
use super::{Track, Unreadable};

mod block;
pub mod ebml;
mod packets;
mod tracks;

const EBML: u32 = 0x1A45_DFA3;
const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_A966;
const TRACKS: u32 = 0x1654_AE6B;
const CLUSTER: u32 = 0x1F43_B675;

/// The largest description that is read into memory.
const MOST_HEAD_BYTES: u64 = 4 << 20;

/// Whether a file that begins so is one.
pub fn is_matroska(head: &[u8]) -> bool {
    head.starts_with(&EBML.to_be_bytes())
}

/// An opened file, at its first cluster.
pub struct Matroska<S> {
    reader: Reader<S>,
    audio: Vec<Audio>,
    /// Seconds of a tick of the file's clock.
    tick_secs: f64,
    /// Seconds of the whole, if it is only one track's.
    pub expected_secs: Option<f64>,
    /// Where the segment ends, if that is known.
    end: Option<u64>,
}

impl<S: Source> Matroska<S> {
    /// Reads what stands before the first cluster.
    ///
    /// # Errors
    /// Why the file cannot be read so.
    pub fn open(source: S) -> Result<Self, Unreadable> {
        let reader = Reader::new(source);
        let mut file = Self { reader, audio: Vec::new(), tick_secs: 1e-3, expected_secs: None, end: None };
        let (mut count, mut ticks) = (None, None);
        loop {
            let header = match file.reader.header() {
                Ok(Some(header)) => header,
                Ok(None) => break,
                Err(e) if is_damage(&e) => break,
                Err(e) => return Err(e.into()),
            };
            match (header.id, header.size) {
                (SEGMENT, size) => file.end = size.map(|size| file.reader.at.saturating_add(size)),
                (CLUSTER, _) => break,
                (INFO | TRACKS, Some(size)) if size <= MOST_HEAD_BYTES => {
                    let content = file.reader.content(size)?;
                    if header.id == TRACKS {
                        let (audio, all) = tracks::read(&content);
                        (file.audio, count) = (audio, Some(all));
                    } else {
                        (file.tick_secs, ticks) = info(&content);
                    }
                }
                (_, Some(size)) if file.reader.skip(size)? => {}
                _ => break,
            }
        }
        let Some(count) = count else {
            return Err(Unreadable::corrupt("it has no tracks"));
        };
        // a video that goes on longer is no lack of audio
        let secs = ticks.map(|ticks: f64| ticks * file.tick_secs);
        file.expected_secs = secs.filter(|secs| count == 1 && secs.is_finite() && *secs > 0.0);
        Ok(file)
    }

    /// The audio tracks, in order.
    pub fn tracks(&self) -> Vec<Track> {
        self.audio.iter().map(|audio| audio.facts.clone()).collect()
    }

    /// The packets of an audio track, by its place among those, and how they are coded.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub fn packets(self, index: usize) -> Result<(MatroskaPackets<S>, Format), Unreadable> {
        let Self { reader, audio, tick_secs, end, .. } = self;
        let Some(track) = audio.into_iter().nth(index) else { return Err(Unreadable::corrupt("it has no such track")) };
        let Some(format) = track.format.clone() else {
            let codec = &track.facts.codec;
            return Err(Unreadable::unsupported(&format!("no built-in decoder for {codec} in matroska")));
        };
        if track.packing == Packing::Unknown {
            return Err(Unreadable::unsupported("its packets are compressed in a way that no built-in decoder undoes"));
        }
        let packets = MatroskaPackets {
            reader,
            track,
            tick_secs,
            end,
            // the header of the first cluster was just read
            cluster_secs: 0.0,
            zero_secs: None,
            has_clock: true,
            earliest_secs: f64::INFINITY,
            ready: VecDeque::new(),
            changed: None,
            restarts: false,
            is_over: false,
        };
        Ok((packets, format))
    }
}

fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
}

/// Seconds of a tick, and how many the whole has.
fn info(content: &[u8]) -> (f64, Option<f64>) {
    let (mut tick_secs, mut ticks) = (1e-3, None);
    for (id, value) in children(content) {
        match id {
            0x2A_D7B1 => tick_secs = unsigned(value).max(1) as f64 / 1e9,
            0x4489 => ticks = Some(float(value)),
            _ => {}
        }
    }
    (tick_secs, ticks)
}
