//! The built-in decoders: symphonia, and libopus for Opus.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::LazyLock;

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions, well_known};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::errors::{Error, Result as CodecResult};

use self::packets::Tally;
use super::AudioReport;
use super::container::{self, Opened, Track, Unreadable};
use super::decode::Failure;
use super::resample::RATES_HZ;
use super::streams::{Sink, Streams};
use super::tracks;
use crate::fault::{Code, Fault};
use crate::transcript::{AudioRef, Warning};

pub mod packets;
mod places;

static CODECS: LazyLock<CodecRegistry> = LazyLock::new(|| {
    let mut codecs = CodecRegistry::new();
    symphonia::default::register_enabled_codecs(&mut codecs);
    codecs.register_audio_decoder::<symphonia_adapter_libopus::OpusDecoder>();
    codecs
});

/// Missing audio up to this long, or this share of the whole, is a rounded duration and not a truncated file.
const TOLERATED_MISSING_SECS: f64 = 1.0;
const TOLERATED_MISSING_SHARE: f64 = 0.02;

/// A found stream of frames without a container that is shorter than this and fills less than this share of its file
/// was found in the noise of some other format. Large tags around a real one are why the share is small.
const CHANCE_FIND_SECS: f64 = 2.0;
const CHANCE_FIND_SHARE: f64 = 0.2;

/// An opened track, and what decodes it.
pub struct Source {
    opened: Opened,
    decoder: Box<dyn AudioDecoder>,
    codec: &'static str,
}

impl Source {
    /// A decoder for an opened track.
    ///
    /// # Errors
    /// There is none, or the decoder cannot do this.
    pub fn new(opened: Opened) -> CodecResult<Self> {
        let decoder = guarded(|| make_decoder(&opened.format.params))?;
        let codec = decoder.codec_info().short_name;
        Ok(Self { opened, decoder, codec })
    }
}

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
        duration: streams.secs(),
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
        let message = format!("{name}: no built-in decoder for {} in {container} ({e})", codec_name(&params));
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
    if bare && secs < CHANCE_FIND_SECS && filled < CHANCE_FIND_SHARE {
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

/// A decoder that leaves trimming to us where symphonia's would lose audio.
fn make_decoder(params: &AudioCodecParameters) -> CodecResult<Box<dyn AudioDecoder>> {
    let mpeg = [well_known::CODEC_ID_MP1, well_known::CODEC_ID_MP2, well_known::CODEC_ID_MP3].contains(&params.codec);
    CODECS.make_audio_decoder(params, &AudioDecoderOptions::default().gapless(!mpeg))
}

/// The duration in seconds that a file's container states; `None` where it does not, or cannot be read.
pub fn stated_secs(path: &Path, name: &str) -> Option<f64> {
    container::open(path, name, 0).ok()?.expected_secs
}

fn is_short(secs: f64, expected: f64) -> bool {
    expected - secs > TOLERATED_MISSING_SECS && expected - secs > expected * TOLERATED_MISSING_SHARE
}

/// Runs decoder code; a panic in it is an error of the file.
pub fn guarded<T>(work: impl FnOnce() -> CodecResult<T>) -> CodecResult<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Error::DecodeError("the decoder panicked")))
}

fn failure(name: &str, reason: Unreadable) -> Failure {
    match reason {
        Unreadable::Reason(code, reason) => Failure::unreadable(code, format!("{name} {reason}")),
        Unreadable::Io(error) => unopenable(name, &error).into(),
    }
}

fn unopenable(name: &str, error: &std::io::Error) -> Fault {
    Fault::transient(Code::Internal, format!("failed to read the downloaded copy of {name}: {error}"))
}

/// What people call a codec.
pub fn codec_name(params: &AudioCodecParameters) -> String {
    let known = [
        (well_known::CODEC_ID_AAC, "aac"),
        (well_known::CODEC_ID_AC3, "ac3"),
        (well_known::CODEC_ID_EAC3, "e-ac3"),
        (well_known::CODEC_ID_AC4, "ac4"),
        (well_known::CODEC_ID_DCA, "dts"),
        (well_known::CODEC_ID_TRUEHD, "truehd"),
        (well_known::CODEC_ID_OPUS, "opus"),
        (well_known::CODEC_ID_VORBIS, "vorbis"),
        (well_known::CODEC_ID_FLAC, "flac"),
        (well_known::CODEC_ID_MP3, "mp3"),
        (well_known::CODEC_ID_SPEEX, "speex"),
        (well_known::CODEC_ID_WAVPACK, "wavpack"),
        (well_known::CODEC_ID_TTA, "tta"),
        (well_known::CODEC_ID_WMA, "wma"),
    ];
    let name = known.iter().find(|(id, _)| *id == params.codec).map(|(_, name)| (*name).to_owned());
    name.unwrap_or_else(|| format!("codec {}", params.codec))
}
