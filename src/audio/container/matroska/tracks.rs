//! What a Matroska file says of its tracks.

use symphonia::core::codecs::audio::well_known as known;

use super::ebml::{children, float, text, unsigned};
use crate::audio::container::Track;
use crate::audio::container::bytes::u16_at;
use crate::audio::container::format::{Format, Pcm};

/// More tracks than any recording has.
const MOST_TRACKS: usize = 1_000;

/// An audio track.
#[derive(Debug, Clone)]
pub struct Audio {
    /// By which blocks name it.
    pub number: u64,
    /// What people may be told.
    pub facts: Track,
    /// What a decoder must know; `None` where none of ours reads it.
    pub format: Option<Format>,
    /// What its encoder put in front, seconds.
    pub delay_secs: f64,
    /// Length of a packet where that is fixed, seconds, else 0.
    pub packet_secs: f64,
    /// How much slower its clock is than the file's.
    pub time_scale: f64,
    /// What was done to its packets, to be undone.
    pub packing: Packing,
}

/// What was done to packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packing {
    /// Nothing.
    None,
    /// They all begin so, and that was left out.
    Stripped(Vec<u8>),
    /// Compressed by zlib.
    Zlib,
    /// By something else.
    Unknown,
}

/// The audio tracks of a `Tracks` element, and how many tracks there are in all.
pub fn read(content: &[u8]) -> (Vec<Audio>, usize) {
    const TRACK_ENTRY: u32 = 0xAE;
    let entries = children(content).filter(|(id, _)| *id == TRACK_ENTRY).map(|(_, entry)| entry);
    let entries: Vec<&[u8]> = entries.take(MOST_TRACKS).collect();
    (entries.iter().filter_map(|entry| track(entry)).collect(), entries.len())
}

fn track(entry: &[u8]) -> Option<Audio> {
    const AUDIO: u64 = 2;
    let (mut number, mut kind, mut is_default, mut is_encrypted) = (0, 0, true, false);
    let (mut language, mut title) = (Some("eng".to_owned()), None);
    let (mut codec, mut private) = (String::new(), Vec::new());
    let (mut delay_secs, mut packet_secs, mut time_scale) = (0.0, 0.0, 1.0);
    let (mut rate_hz, mut channels, mut bits) = (8_000.0, 1, 0);
    let mut packing = Packing::None;
    for (id, value) in children(entry) {
        match id {
            0xD7 => number = unsigned(value),
            0x83 => kind = unsigned(value),
            0x88 => is_default = unsigned(value) != 0,
            0x22_B59C | 0x22_B59D => language = Some(text(value)),
            0x536E => title = Some(text(value)),
            0x86 => codec = text(value),
            0x63A2 => private = value.to_vec(),
            0x56AA => delay_secs = unsigned(value) as f64 / 1e9,
            0x23_E383 => packet_secs = unsigned(value) as f64 / 1e9,
            0x23_314F => time_scale = float(value),
            0xE1 => {
                for (id, value) in children(value) {
                    match id {
                        0xB5 => rate_hz = float(value),
                        0x9F => channels = unsigned(value),
                        0x6264 => bits = unsigned(value),
                        _ => {}
                    }
                }
            }
            0x6D80 => {
                for (_, encoding) in children(value).filter(|(id, _)| *id == 0x6240) {
                    match unpacking(encoding) {
                        Some(found) if packing == Packing::None => packing = found,
                        Some(_) => packing = Packing::Unknown,
                        None => is_encrypted = true,
                    }
                }
            }
            _ => {}
        }
    }
    if kind != AUDIO || number == 0 {
        return None;
    }
    let channels = u16::try_from(channels).unwrap_or(u16::MAX);
    // a cast of what is no rate gives 0, which is refused
    let format = format(&codec, &private, rate_hz as u32, channels, bits as u32);
    let delay_secs = match &format {
        // its header knows it in samples
        Some(format) if format.delay > 0 => f64::from(format.delay) / 48_000.0,
        _ => delay_secs,
    };
    let is_plausible = time_scale.is_finite() && time_scale > 0.0;
    let facts = Track {
        codec: codec.trim_start_matches("A_").split('/').next().unwrap_or_default().to_lowercase(),
        channels,
        language: language.filter(|code| code != "und"),
        title: title.filter(|title| !title.is_empty()),
        is_default,
        is_encrypted,
    };
    let time_scale = if is_plausible { time_scale } else { 1.0 };
    Some(Audio { number, facts, format, delay_secs, packet_secs, time_scale, packing })
}

/// What a `ContentEncoding` did to packets; `None` where it encrypted them.
fn unpacking(encoding: &[u8]) -> Option<Packing> {
    let find = |of: &[u8], wanted: u32| children(of).find(|(id, _)| *id == wanted).map(|(_, value)| value.to_vec());
    let kind = find(encoding, 0x5033).map_or(0, |kind| unsigned(&kind));
    // bit 0: packets are meant, and not only the codec's header
    let scope = find(encoding, 0x5032).map_or(1, |scope| unsigned(&scope));
    if kind == 1 {
        return None;
    }
    let compression = find(encoding, 0x5034).unwrap_or_default();
    Some(match find(&compression, 0x4254).map_or(0, |algorithm| unsigned(&algorithm)) {
        // a compressed header would have to be unpacked for the decoder
        _ if scope != 1 => Packing::Unknown,
        0 => Packing::Zlib,
        3 => Packing::Stripped(find(&compression, 0x4255).unwrap_or_default()),
        _ => Packing::Unknown,
    })
}

fn format(codec: &str, private: &[u8], rate_hz: u32, channels: u16, bits: u32) -> Option<Format> {
    let plain = |id| Some(Format::new(id, rate_hz, channels));
    let pcm = |is_float, is_big_endian| {
        // eight bits are without a sign
        Format::pcm(Pcm { bits, is_float, is_signed: bits > 8, is_big_endian }, rate_hz, channels)
    };
    match codec {
        "A_OPUS" => {
            let delay = u16_at(private, 10).map_or(0, |delay| u32::from(delay.swap_bytes()));
            Some(Format::opus(channels, delay))
        }
        "A_VORBIS" => Some(plain(known::CODEC_ID_VORBIS)?.with_header(&vorbis_headers(private)?)),
        "A_FLAC" => {
            // "fLaC", then metadata blocks, of which the first is the stream's
            Some(plain(known::CODEC_ID_FLAC)?.with_header(private.get(8..42)?))
        }
        "A_MPEG/L1" => plain(known::CODEC_ID_MP1),
        "A_MPEG/L2" => plain(known::CODEC_ID_MP2),
        "A_MPEG/L3" => plain(known::CODEC_ID_MP3),
        "A_ALAC" => Some(plain(known::CODEC_ID_ALAC)?.with_header(private)),
        "A_PCM/INT/LIT" => pcm(false, false),
        "A_PCM/INT/BIG" => pcm(false, true),
        "A_PCM/FLOAT/IEEE" => pcm(true, false),
        codec if codec.starts_with("A_AAC") => Format::aac(private),
        "A_MS/ACM" => match private.first().zip(private.get(1)) {
            // a WAVEFORMATEX: tag, channels, rate, bytes per second, block, bits
            Some((6, 0)) => plain(known::CODEC_ID_PCM_ALAW),
            Some((7, 0)) => plain(known::CODEC_ID_PCM_MULAW),
            Some((0x55, 0)) => plain(known::CODEC_ID_MP3),
            Some((1, 0)) => {
                let bits = u32::from(u16_at(private, 14)?.swap_bytes());
                let pcm = Pcm { bits, is_float: false, is_signed: bits > 8, is_big_endian: false };
                Format::pcm(pcm, rate_hz, channels)
            }
            _ => None,
        },
        _ => None,
    }
}

/// Of the three headers of Vorbis the first and the last, as the decoder wants them.
fn vorbis_headers(private: &[u8]) -> Option<Vec<u8>> {
    let (count, mut rest) = private.split_first()?;
    let mut sizes = Vec::new();
    while sizes.len() < usize::from(*count) {
        let mut size = 0;
        loop {
            let (byte, after) = rest.split_first()?;
            rest = after;
            size += usize::from(*byte);
            if *byte != 255 {
                break;
            }
        }
        sizes.push(size);
    }
    let first = rest.get(..*sizes.first()?)?;
    let last = rest.get(sizes.iter().sum()..)?;
    Some([first, last].concat())
}
