//! AAC in a row of frames, each with a header of its own. Rate and channels may change from one to the next.

use std::io;

use symphonia::core::packet::Packet as Coded;
use symphonia::core::units::{Duration, Timestamp};

use super::bytes::{Bytes, Window};
use super::format::{AAC_RATES_HZ, Format, lc_config};
use super::{Demuxer, Packet, Part, Step, Track};

/// Between a tag and the first frame there may be so much else, bytes.
const LEAD_BYTES: u64 = 4_096;

/// Frames of a row that are believed to be one.
const FRAMES_IN_A_ROW: usize = 3;

const HEADER_BYTES: usize = 7;
const SAMPLES: f64 = 1024.0;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    rate_index: u8,
    channels: u8,
    /// Bytes of header and checksum.
    head: u64,
    /// Bytes of all.
    len: u64,
}

impl Header {
    /// Of AAC-LC with one raw block to a frame and one or two channels: what is decoded here.
    fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, d, e, f, g] = *bytes.first_chunk::<HEADER_BYTES>()?;
        let is_lc = a == 0xFF && b & 0xF6 == 0xF0 && c >> 6 == 1 && g & 3 == 0;
        let (rate_index, channels) = (c >> 2 & 15, (c & 1) << 2 | d >> 6);
        let head = if b & 1 == 1 { 7 } else { 9 };
        let len = u64::from(d & 3) << 11 | u64::from(e) << 3 | u64::from(f >> 5);
        let is_plausible = usize::from(rate_index) < AAC_RATES_HZ.len() && (1..=2).contains(&channels) && len > head;
        (is_lc && is_plausible).then_some(Self { rate_index, channels, head, len })
    }

    fn is_alike(&self, other: &Self) -> bool {
        (self.rate_index, self.channels) == (other.rate_index, other.channels)
    }

    fn rate_hz(&self) -> u32 {
        AAC_RATES_HZ.get(usize::from(self.rate_index)).copied().unwrap_or(0)
    }

    fn format(&self) -> Option<Format> {
        Format::aac(&lc_config(self.rate_index, self.channels))
    }
}

/// A stream of frames.
pub struct Adts {
    window: Window,
    len: u64,
    at: u64,
    current: Header,
}

impl Adts {
    /// The stream that a file is, behind its tag if it has one.
    ///
    /// # Errors
    /// The system's.
    pub fn find(bytes: &Bytes) -> io::Result<Option<Self>> {
        let mut window = Window::new(bytes);
        let start = tag_len(&bytes.read(0, 10)?);
        for at in start..start + LEAD_BYTES.min(bytes.len()) {
            let Some(header) = header_at(&mut window, at)? else { continue };
            let (mut next, mut count) = (at + header.len, 1);
            while count < FRAMES_IN_A_ROW
                && let Some(header) = header_at(&mut window, next)?
            {
                (next, count) = (next + header.len, count + 1);
            }
            if count == FRAMES_IN_A_ROW {
                return Ok(Some(Self { window, len: bytes.len(), at, current: header }));
            }
        }
        Ok(None)
    }

    /// The one track.
    pub fn track(&self) -> Track {
        Track { codec: "aac".to_owned(), channels: u16::from(self.current.channels), ..Track::default() }
    }

    /// How the first frames are coded.
    pub fn format(&self) -> Format {
        let (rate_hz, channels) = (self.current.rate_hz(), u16::from(self.current.channels));
        self.current
            .format()
            .unwrap_or_else(|| Format::new(symphonia::core::codecs::audio::well_known::CODEC_ID_AAC, rate_hz, channels))
    }

    /// Goes on to where a frame begins that another one follows.
    fn sync(&mut self) -> io::Result<bool> {
        while self.at + (HEADER_BYTES as u64) < self.len {
            // a tag between two files that were joined is left out at once
            self.at += self.window.get(self.at, 10)?.map_or(0, tag_len).max(1);
            if let Some(header) = header_at(&mut self.window, self.at)?
                && header_at(&mut self.window, self.at + header.len)?.is_some_and(|next| next.is_alike(&header))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Demuxer for Adts {
    fn next(&mut self) -> io::Result<Step> {
        let Some(header) = header_at(&mut self.window, self.at)? else {
            let (from, is_tail) = (self.at, self.at + HEADER_BYTES as u64 >= self.len);
            return Ok(match !is_tail && self.sync()? {
                true if self.window.get(from, 3)?.is_some_and(|tag| tag == b"ID3") => return self.next(),
                true => Step::Damaged("a stretch without frames".to_owned()),
                false => Step::End { cut_off: false },
            });
        };
        let mut changed = None;
        if !header.is_alike(&self.current) {
            let next = header_at(&mut self.window, self.at + header.len)?;
            // a change that lasts, and no bits that look like a header
            if next.is_none_or(|next| next.is_alike(&header)) {
                self.current = header;
                changed = header.format().map(|format| format.params);
            }
        }
        let Some(frame) = self.window.get(self.at + header.head, (header.len - header.head) as usize)? else {
            return Ok(Step::End { cut_off: false });
        };
        let coded = Coded::new(0, Timestamp::new(0), Duration::new(0), frame);
        self.at += header.len;
        let secs = SAMPLES / f64::from(header.rate_hz().max(1));
        Ok(Step::Packet(Packet {
            coded,
            secs,
            parts: vec![Part::whole(None)],
            cut_secs: 0.0,
            changed,
            restarts: false,
        }))
    }
}

fn header_at(window: &mut Window, at: u64) -> io::Result<Option<Header>> {
    Ok(window.get(at, HEADER_BYTES)?.and_then(Header::read))
}

/// Length of an ID3v2 tag at the start of `bytes`, 0 where there is none.
fn tag_len(bytes: &[u8]) -> u64 {
    match bytes {
        [b'I', b'D', b'3', _, _, _, size @ ..] if size.len() >= 4 => {
            10 + size.iter().take(4).fold(0, |len, byte| len << 7 | u64::from(byte & 0x7F))
        }
        _ => 0,
    }
}
