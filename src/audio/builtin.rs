//! The built-in decoders: symphonia, and libopus for Opus.

use std::path::Path;

use symphonia::core::audio::Channels;

use super::AudioReport;
use super::codec;
use super::container::{self, Step, Track, Unreadable};
use super::failure::{Failure, unopenable};
use super::packets::{self, Source, Tally};
use super::resample::RATES_HZ;
use super::streams::{Sink, Streams};
use super::tracks;
use crate::fault::{Code, Fault};
use crate::transcript::{AudioRef, Warning};

mod places;

/// Missing audio up to this long, or this share of the whole, is a rounded duration and not a truncated file.
const TOLERATED_MISSING_SECS: f64 = 1.0;
const TOLERATED_MISSING_SHARE: f64 = 0.02;

/// A found stream of frames without a container that is shorter than this and fills less than this share of its file
/// was found in the noise of some other format. Large tags around a real one are why the share is small.
const CHANCE_FIND_SECS: f64 = 2.0;
const CHANCE_FIND_SHARE: f64 = 0.2;

/// Packets that tell how many seconds a byte is, some 10 s of them.
const PACKETS_OF_AN_ESTIMATE: usize = 400;

/// Decodes an audio track of `path` into `streams`: the default one, else the first with sound.
pub fn decode(path: &Path, streams: &mut Streams<'_>) -> Result<AudioReport, Failure> {
    let name = streams.name();
    let file_bytes = std::fs::metadata(path).map(|m| m.len()).map_err(|e| unopenable(name, &e))?;
    if file_bytes == 0 {
        return Err(Fault::permanent(Code::CorruptAudio, format!("{name} is empty: 0 bytes")).into());
    }
    let all = container::tracks(path, name).map_err(|e| failure(name, e))?;
    let choice = choose(path, streams, &all)?;
    let mut source = open(path, name, choice.index)?;
    let expected_secs = source.opened.expected_secs;
    let expected_secs = expected_secs.map(|secs| streams.wanted(secs));
    if let Some(secs) = expected_secs {
        streams.check_duration(secs)?;
    }
    // containers that say nothing mean what all mean by so many channels
    if let Some(channels @ Channels::Positioned(_)) = &source.opened.format.params.channels {
        streams.place(places::places(channels));
    }
    let tally = packets::pump(&mut source, streams)?;
    judge(&source, &tally, streams, expected_secs, file_bytes)?;
    streams.finish()?;
    let mut warnings = Vec::new();
    if tally.damaged > 0 {
        let message = format!("{} damaged places were skipped ({})", tally.damaged, tally.last_error);
        warnings.push(Warning { code: Code::DamagedAudio, message });
    }
    match expected_secs.filter(|expected| is_short(streams.secs(), *expected)) {
        Some(expected) => {
            let message = format!("the container promises {expected:.1} s of audio, {:.1} s are there", streams.secs());
            warnings.push(Warning { code: Code::TruncatedAudio, message });
        }
        None if tally.is_cut_off => {
            let message = format!("the file ends before its container says, after {:.1} s of audio", streams.secs());
            warnings.push(Warning { code: Code::TruncatedAudio, message });
        }
        None => {}
    }
    warnings.extend(choice.warning(tally.is_silent, &all));
    let audio = AudioRef {
        duration: streams.end_secs(),
        codec: source.codec.to_owned(),
        container: source.opened.container.to_owned(),
        sample_rate_hz: streams.rate_hz(),
        channels: streams.channels(),
        speech_duration: streams.speech_secs(),
        tracks: choice.listed(&all),
    };
    Ok(AudioReport { audio, warnings, sounds: streams.sounds() })
}

/// Which of the tracks is to be decoded.
fn choose(path: &Path, streams: &Streams<'_>, all: &[Track]) -> Result<tracks::Choice, Failure> {
    let name = streams.name();
    if all.is_empty() {
        return Err(Failure::unreadable(Code::NoAudioTrack, format!("{name} has no audio track")));
    }
    let choice = tracks::choose(all, |index| has_sound(path, streams, index));
    if all.get(choice.index).is_some_and(|track| track.is_encrypted) {
        let message = format!("{name} is encrypted: its audio cannot be read without a key");
        return Err(Fault::permanent(Code::EncryptedAudio, message).into());
    }
    Ok(choice)
}

/// Whether a track can be decoded and holds more than silence.
fn has_sound(path: &Path, streams: &Streams<'_>, index: usize) -> bool {
    let Ok(mut source) = open(path, streams.name(), index) else { return false };
    let mut ignored = |_: &[f32]| ();
    let mut trial = Streams::new(streams.name(), streams.options(), Sink::Samples(&mut ignored));
    packets::finds_sound(&mut source, &mut trial)
}

/// Finds container, track and decoder.
fn open(path: &Path, name: &str, index: usize) -> Result<Source, Failure> {
    let opened = container::open(path, name, index).map_err(|e| failure(name, e))?;
    let params = opened.format.params.clone();
    let container = opened.container;
    if let Some(rate_hz) = params.sample_rate.filter(|rate_hz| !RATES_HZ.contains(rate_hz)) {
        let message = format!("{name} ({container}): a sample rate of {rate_hz} Hz is not plausible");
        return Err(Failure::unreadable(Code::UnsupportedFormat, message));
    }
    Source::new(opened).map_err(|e| {
        let message = format!("{name}: no built-in decoder for {} in {container} ({e})", codec::name(&params));
        Failure::unreadable(Code::UnsupportedFormat, message)
    })
}

/// Whether what was decoded is what the file holds.
fn judge(
    source: &Source,
    tally: &Tally,
    streams: &Streams<'_>,
    expected_secs: Option<f64>,
    file_bytes: u64,
) -> Result<(), Failure> {
    let (name, codec, container, secs) = (streams.name(), source.codec, source.opened.container, streams.secs());
    let bare = matches!(source.codec, "mp1" | "mp2" | "mp3") || container == "aac";
    let filled = tally.packet_bytes as f64 / file_bytes.max(1) as f64;
    if bare && !streams.is_over() && secs < CHANCE_FIND_SECS && filled < CHANCE_FIND_SHARE {
        let message = format!("{name} is in no audio format that can be read (a few bytes of it look like {codec})");
        return Err(Failure::unreadable(Code::UnsupportedFormat, message));
    }
    if tally.good_packets > 0 && secs > 0.0 && tally.damaged <= tally.good_packets {
        return Ok(());
    }
    let expected = expected_secs.map_or(String::new(), |secs| format!(" of the {secs:.1} s it promises"));
    let reason = if tally.last_error.is_empty() { "it holds no packets" } else { &tally.last_error };
    let message = format!("{name} ({codec} in {container}): {secs:.1} s{expected} could be decoded: {reason}");
    Err(Failure::unreadable(Code::CorruptAudio, message))
}

/// The duration in seconds that a file's container states, or that its first packets let expect of its size; `None` where
/// neither is to be had.
pub fn likely_secs(path: &Path, name: &str) -> Option<f64> {
    let mut opened = container::open(path, name, 0).ok()?;
    opened.expected_secs.or_else(|| {
        let file_bytes = std::fs::metadata(path).ok()?.len();
        let (mut secs, mut bytes) = (0.0, 0);
        for _ in 0..PACKETS_OF_AN_ESTIMATE {
            match opened.demuxer.next().ok()? {
                Step::Packet(packet) => {
                    secs += packet.secs;
                    bytes += packet.coded.data.len();
                }
                Step::Damaged(_) => {}
                Step::End { .. } => break,
            }
        }
        (secs > 0.0 && bytes > 0).then(|| secs * file_bytes as f64 / bytes as f64)
    })
}

fn is_short(secs: f64, expected: f64) -> bool {
    expected - secs > TOLERATED_MISSING_SECS && expected - secs > expected * TOLERATED_MISSING_SHARE
}

fn failure(name: &str, reason: Unreadable) -> Failure {
    match reason {
        Unreadable::Reason(code, reason) => Failure::unreadable(code, format!("{name} {reason}")),
        Unreadable::Io(error) => unopenable(name, &error).into(),
    }
}
