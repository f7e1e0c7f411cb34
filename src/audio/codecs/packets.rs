//! Packet by packet through a file: damage is skipped and counted, its time kept as silence, padding removed.

use std::io::ErrorKind;

use symphonia::core::errors::{Error, Result as CodecResult};
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, TimeBase};

use super::{Source, audio_track, guarded, make_decoder};
use crate::audio::decode::Failure;
use crate::audio::streams::{MAX_CHANNELS, Streams};
use crate::fault::{Code, Fault};

/// A lost packet is replaced by silence of its length, but no longer than any codec's packet, seconds: the length is
/// the file's word only.
const MAX_PACKET_SECS: f64 = 1.0;

/// Between these lengths a jump of the time stamps is lost audio, seconds. Less is rounding, more is another clock.
const GAP_SECS: std::ops::Range<f64> = 0.1..600.0;

/// Packets after the stated end of an MP3 that are its encoder's padding; more are a second file behind the first.
const PADDING_PACKETS: usize = 3;

/// What was met on the way.
#[derive(Default)]
pub struct Tally {
    /// Packets that decoded.
    pub good_packets: u64,
    /// Bytes of all packets of the track.
    pub packet_bytes: u64,
    /// Packets that did not decode, and gaps where the demuxer skipped damaged ones.
    pub damaged: u64,
    /// What the last damage was.
    pub last_error: String,
}

impl Tally {
    fn damage(&mut self, error: impl ToString) {
        self.damaged += 1;
        self.last_error = error.to_string();
    }
}

/// Where the next packet should begin, and what was held back.
#[derive(Default)]
struct Progress {
    /// Time stamp at which the last packet's audio ended, seconds.
    next_secs: Option<f64>,
    /// Decoded packets that lie after the stated end.
    beyond: Vec<Vec<Vec<f32>>>,
}

/// Decodes packet by packet until the file ends.
pub fn pump(source: &mut Source, streams: &mut Streams<'_>) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    let mut progress = Progress::default();
    let mut planes: Vec<Vec<f32>> = Vec::new();
    loop {
        let packet = match guarded(|| source.format.next_packet()) {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            // the next stream of a chained file
            Err(Error::ResetRequired) => match reopen(source) {
                Ok(()) => {
                    progress.next_secs = None;
                    continue;
                }
                Err(e) => {
                    tally.damage(e);
                    break;
                }
            },
            Err(Error::IoError(e)) if e.kind() == ErrorKind::UnexpectedEof => break,
            Err(Error::IoError(e)) if e.raw_os_error().is_some() => {
                let message = format!("failed to read the downloaded copy of {}: {e}", streams.name());
                return Err(Fault::transient(Code::Internal, message).into());
            }
            // the container cannot be followed further
            Err(e) => {
                tally.damage(e);
                break;
            }
        };
        if packet.track_id != source.track_id {
            continue;
        }
        tally.packet_bytes += packet.data.len() as u64;
        let decoded = guarded(|| {
            let decoded = source.decoder.decode(&packet)?;
            let spec = (decoded.spec().rate(), decoded.num_planes());
            if spec.1 <= MAX_CHANNELS {
                decoded.copy_to_vecs_planar::<f32>(&mut planes);
            }
            Ok(spec)
        });
        match decoded {
            Ok((_, channels)) if channels > MAX_CHANNELS => {
                let message = format!("{} has {channels} channels, more than {MAX_CHANNELS}", streams.name());
                return Err(Fault::permanent(Code::UnsupportedFormat, message).into());
            }
            Ok((rate_hz, _)) => {
                tally.good_packets += 1;
                fill_gap(source, &packet, rate_hz, &planes, &mut progress, &mut tally, streams)?;
                for planes in trim(source, &packet, rate_hz, &mut planes, &mut progress) {
                    streams.push(rate_hz, &planes)?;
                }
            }
            Err(e) => {
                tally.damage(e);
                let secs = secs(source.time_base, packet.dur).min(MAX_PACKET_SECS);
                progress.next_secs = progress.next_secs.map(|next| next + secs);
                if tally.good_packets > 0 {
                    streams.push_silence(secs)?;
                }
            }
        }
    }
    Ok(tally)
}

/// Silence where time stamps jump: the demuxer skipped pages or frames with a wrong checksum without a word, and all
/// times after them would be early. In Matroska a jump may also be silence that was never sent: no damage.
fn fill_gap(
    source: &Source,
    packet: &Packet,
    rate_hz: u32,
    planes: &[Vec<f32>],
    progress: &mut Progress,
    tally: &mut Tally,
    streams: &mut Streams<'_>,
) -> Result<(), Fault> {
    let Some(base) = source.time_base.filter(|_| matches!(source.container, "ogg" | "flac" | "matroska")) else {
        return Ok(());
    };
    let start_secs = base.calc_time_saturating(packet.pts).as_secs_f64();
    let gap_secs = progress.next_secs.map_or(0.0, |next| start_secs - next);
    let frames = planes.first().map_or(0, Vec::len);
    progress.next_secs = Some(start_secs + frames as f64 / f64::from(rate_hz.max(1)));
    if !GAP_SECS.contains(&gap_secs) {
        return Ok(());
    }
    if source.container != "matroska" {
        tally.damage(format!("{gap_secs:.1} s are missing at {:.1} s", streams.secs()));
    }
    streams.push_silence(gap_secs)
}

/// Removes what the encoder added at the start and end. Answers what is to be pushed: usually the packet's audio, now
/// and then nothing, or packets that were held back.
fn trim(
    source: &mut Source,
    packet: &Packet,
    rate_hz: u32,
    planes: &mut Vec<Vec<f32>>,
    progress: &mut Progress,
) -> Vec<Vec<Vec<f32>>> {
    let frames = planes.first().map_or(0, Vec::len);
    let in_frames = source.time_base == TimeBase::try_from_recip(rate_hz);
    let count = |duration: Duration| usize::try_from(duration.get()).unwrap_or(usize::MAX);
    match (source.container, source.codec) {
        ("isomp4", "aac") if in_frames => {
            let wanted = count(packet.dur);
            let kept = if wanted == 0 { frames } else { frames.min(wanted) };
            let skipped = source.priming.min(kept);
            source.priming -= skipped;
            shorten(planes, skipped, kept);
        }
        ("mp1" | "mp2" | "mp3", _) if in_frames && source.end_is_known => {
            let (start, end) = (count(packet.trim_start), count(packet.trim_end));
            if end >= frames {
                progress.beyond.push(std::mem::take(planes));
                source.end_is_known = progress.beyond.len() <= PADDING_PACKETS;
                return if source.end_is_known { Vec::new() } else { std::mem::take(&mut progress.beyond) };
            }
            shorten(planes, start, frames.saturating_sub(end));
        }
        _ => {}
    }
    vec![std::mem::take(planes)]
}

/// Keeps frames `from..to`.
fn shorten(planes: &mut [Vec<f32>], from: usize, to: usize) {
    for plane in planes {
        plane.truncate(to);
        plane.drain(..from.min(plane.len()));
    }
}

/// A decoder for the track as it is described now.
fn reopen(source: &mut Source) -> CodecResult<()> {
    let Some((track, params)) = audio_track(source.format.as_ref()) else {
        return Err(Error::DecodeError("the audio track ends"));
    };
    source.decoder = make_decoder(params)?;
    (source.track_id, source.time_base) = (track.id, track.time_base);
    Ok(())
}

fn secs(base: Option<TimeBase>, duration: Duration) -> f64 {
    base.map_or(0.0, |base| base.calc_duration_saturating(duration).as_secs_f64())
}
