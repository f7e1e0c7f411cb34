//! Sample entries: how a track of an MP4 or QuickTime file is coded.

use std::io;

use symphonia::core::codecs::audio::well_known as known;

use super::boxes::BoxAt;
use crate::audio::container::bytes::{Bytes, u16_at, u32_at};
use crate::audio::container::format::{Format, Pcm};

/// More ways to code one track than any has.
const MOST_ENTRIES: usize = 64;

/// One way in which samples of a track are coded.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name for people.
    pub codec: String,
    /// Channels that it states.
    pub channels: u16,
    /// What a decoder must know; `None` where none of ours reads it.
    pub format: Option<Format>,
    /// Bytes of one frame, where samples are single frames.
    pub frame_bytes: Option<u64>,
    /// Nobody without a key can read it.
    pub is_encrypted: bool,
}

/// What an entry states before its boxes.
struct Stated {
    channels: u16,
    bits: u32,
    rate_hz: u32,
    /// The flags of the second version's uncompressed samples.
    lpcm: Option<u32>,
    /// Where its boxes begin, bytes into it.
    boxes_at: u64,
}

impl Entry {
    /// The entries of an `stsd` box.
    ///
    /// # Errors
    /// The system's.
    pub fn all(bytes: &Bytes, description: BoxAt) -> io::Result<Vec<Self>> {
        let version = description.content_head(bytes)?.first().copied().unwrap_or(0);
        let mut entries = Vec::new();
        for entry in description.children(bytes, 8)?.into_iter().take(MOST_ENTRIES) {
            entries.push(Self::read(bytes, entry, version)?);
        }
        Ok(entries)
    }

    fn read(bytes: &Bytes, entry: BoxAt, description_version: u8) -> io::Result<Self> {
        let content = entry.content(bytes)?;
        let kind = entry.kind;
        let Some(stated) = Stated::read(&content, description_version) else {
            let codec = codec_name(&kind);
            return Ok(Self { codec, channels: 0, format: None, frame_bytes: None, is_encrypted: false });
        };
        let mut boxes = entry.children(bytes, stated.boxes_at)?;
        // QuickTime puts what a decoder needs one box deeper
        if let Some(wave) = boxes.iter().copied().find(|inner| inner.kind == *b"wave") {
            boxes.extend(wave.children(bytes, 0)?);
        }
        let inner = |kind: &[u8; 4]| -> io::Result<Option<Vec<u8>>> {
            let found = boxes.iter().find(|inner| inner.kind == *kind);
            found.map(|inner| inner.content(bytes)).transpose()
        };
        // protected samples, FairPlay's, Audible's
        let is_encrypted = [*b"enca", *b"drms", *b"aavd", *b"p608"].contains(&kind) || inner(b"sinf")?.is_some();
        let (channels, rate_hz) = (stated.channels.max(1), stated.rate_hz);
        let big_endian = inner(b"enda")?.and_then(|bytes| u16_at(&bytes, 0)).is_none_or(|little| little == 0);
        let pcm = |bits, is_float, is_signed, is_big_endian| {
            Format::pcm(Pcm { bits, is_float, is_signed, is_big_endian }, rate_hz, channels)
        };
        let mut frame_bits = None;
        let mut uncompressed = |bits: u32, format: Option<Format>| {
            frame_bits = Some(bits);
            format
        };
        let format = match &kind {
            b"mp4a" => inner(b"esds")?.and_then(|esds| of_descriptor(&esds, rate_hz, channels)),
            b".mp3" | b"mp3 " | b"ms\0U" => Some(Format::new(known::CODEC_ID_MP3, rate_hz, channels)),
            b"alac" => inner(b"alac")?.and_then(|cookie| {
                Some(Format::new(known::CODEC_ID_ALAC, rate_hz, channels).with_header(cookie.get(4..)?))
            }),
            // a metadata block header and the stream's
            b"fLaC" => inner(b"dfLa")?.and_then(|header| {
                Some(Format::new(known::CODEC_ID_FLAC, rate_hz, channels).with_header(header.get(8..42)?))
            }),
            b"Opus" => inner(b"dOps")?.and_then(|header| {
                let channels = u16::from(*header.get(1)?);
                Some(Format::opus(channels, u32::from(u16_at(&header, 2)?)))
            }),
            b"ulaw" => uncompressed(8, Some(Format::new(known::CODEC_ID_PCM_MULAW, rate_hz, channels))),
            b"alaw" => uncompressed(8, Some(Format::new(known::CODEC_ID_PCM_ALAW, rate_hz, channels))),
            b"raw " | b"NONE" => uncompressed(stated.bits, pcm(stated.bits, false, false, true)),
            b"twos" => uncompressed(stated.bits, pcm(stated.bits, false, true, true)),
            b"sowt" => uncompressed(stated.bits, pcm(stated.bits, false, true, false)),
            b"in24" => uncompressed(24, pcm(24, false, true, big_endian)),
            b"in32" => uncompressed(32, pcm(32, false, true, big_endian)),
            b"fl32" => uncompressed(32, pcm(32, true, true, big_endian)),
            b"fl64" => uncompressed(64, pcm(64, true, true, big_endian)),
            b"lpcm" => match stated.lpcm {
                Some(flags) => {
                    uncompressed(stated.bits, pcm(stated.bits, flags & 1 != 0, flags & 4 != 0, flags & 2 != 0))
                }
                None => None,
            },
            b"ipcm" | b"fpcm" => inner(b"pcmC")?.and_then(|config| {
                let (flags, bits) = (*config.get(4)?, u32::from(*config.get(5)?));
                uncompressed(bits, pcm(bits, kind == *b"fpcm", true, flags & 1 == 0))
            }),
            _ => None,
        };
        let frame_bytes = frame_bits.map(|bits| u64::from(bits.div_ceil(8)) * u64::from(channels));
        let codec = codec_name(&kind);
        let format = format.filter(|_| !is_encrypted && frame_bytes != Some(0));
        Ok(Self { codec, channels: stated.channels, format, frame_bytes, is_encrypted })
    }
}

impl Stated {
    fn read(bytes: &[u8], description_version: u8) -> Option<Self> {
        let (version, channels, bits) = (u16_at(bytes, 8)?, u16_at(bytes, 16)?, u16_at(bytes, 18)?);
        let rate_hz = u32_at(bytes, 24)? >> 16;
        let old = Self { channels, bits: u32::from(bits), rate_hz, lpcm: None, boxes_at: 28 };
        Some(match version {
            // QuickTime's first; that of ISO, in descriptions of version 1, has no more fields
            1 if description_version == 0 => Self { boxes_at: 44, ..old },
            2 => {
                let rate_hz = f64::from_bits(super::super::bytes::u64_at(bytes, 32)?);
                let channels = u16::try_from(u32_at(bytes, 40)?).ok()?;
                let (bits, flags) = (u32_at(bytes, 48)?, u32_at(bytes, 52)?);
                // a cast of what is no rate gives 0, which is refused
                Self { channels, bits, rate_hz: rate_hz as u32, lpcm: Some(flags), boxes_at: 64 }
            }
            _ => old,
        })
    }
}

/// What an elementary stream descriptor says: AAC, or MP3 in its clothes.
fn of_descriptor(esds: &[u8], rate_hz: u32, channels: u16) -> Option<Format> {
    let stream = descriptor(esds.get(4..)?, 3)?;
    let flags = *stream.get(2)?;
    let mut at = 3;
    if flags & 0x80 != 0 {
        at += 2;
    }
    if flags & 0x40 != 0 {
        at += 1 + usize::from(*stream.get(at)?);
    }
    if flags & 0x20 != 0 {
        at += 2;
    }
    let config = descriptor(stream.get(at..)?, 4)?;
    match config.first()? {
        // MPEG-4 AAC, and the profiles of MPEG-2's
        0x40 | 0x66..=0x68 => Format::aac(descriptor(config.get(13..)?, 5)?),
        0x69 | 0x6B => Some(Format::new(known::CODEC_ID_MP3, rate_hz, channels)),
        _ => None,
    }
}

/// The content of the descriptor of that tag at the start of `bytes`.
fn descriptor(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let (first, mut rest) = bytes.split_first()?;
    let mut len = 0_usize;
    for _ in 0..4 {
        let (byte, after) = rest.split_first()?;
        len = len << 7 | usize::from(byte & 0x7F);
        rest = after;
        if byte & 0x80 == 0 {
            break;
        }
    }
    (*first == tag).then(|| rest.get(..len).unwrap_or(rest))
}

/// What people call a kind of entry.
fn codec_name(kind: &[u8; 4]) -> String {
    match kind {
        b"mp4a" => "aac".to_owned(),
        b"ac-3" => "ac3".to_owned(),
        b"ec-3" => "e-ac3".to_owned(),
        b"samr" => "amr".to_owned(),
        b"sawb" => "amr-wb".to_owned(),
        b"fLaC" => "flac".to_owned(),
        b"Opus" => "opus".to_owned(),
        b".mp3" | b"mp3 " | b"ms\0U" => "mp3".to_owned(),
        kind => {
            kind.iter().map(|byte| char::from(*byte)).filter(|c| !c.is_control()).collect::<String>().trim().to_owned()
        }
    }
}
