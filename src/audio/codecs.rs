//! The built-in decoders: symphonia, and libopus for Opus.

use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::LazyLock;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions, well_known};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::errors::{Error, Result as CodecResult};
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;
use symphonia::core::units::{TimeBase, Timestamp};

use self::packets::Tally;
use super::AudioReport;
use super::decode::Failure;
use super::resample::RATES_HZ;
use super::streams::Streams;
use crate::fault::{Code, Fault};
use crate::transcript::{AudioRef, Warning};

mod packets;
mod places;

static CODECS: LazyLock<CodecRegistry> = LazyLock::new(|| {
    let mut codecs = CodecRegistry::new();
    symphonia::default::register_enabled_codecs(&mut codecs);
    codecs.register_audio_decoder::<symphonia_adapter_libopus::OpusDecoder>();
    codecs
});

/// A data chunk from this size on is what programs write that stream to a pipe and never learn the length.
const UNKNOWN_WAV_BYTES: f64 = 0x7FFF_0000_u32 as f64;

/// Missing audio up to this long, or this share of the whole, is a rounded duration and not a truncated file.
const TOLERATED_MISSING_SECS: f64 = 1.0;
const TOLERATED_MISSING_SHARE: f64 = 0.02;

/// A found stream of frames without a container that is shorter than this and fills less than this share of its file
/// was found in the noise of some other format. Large tags around a real one are why the share is small.
const CHANCE_FIND_SECS: f64 = 2.0;
const CHANCE_FIND_SHARE: f64 = 0.2;

/// An opened file.
struct Source {
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track_id: u32,
    time_base: Option<TimeBase>,
    container: &'static str,
    codec: &'static str,
    /// Decoded frames at the start that the encoder put there and the decoder leaves in.
    priming: usize,
    /// Packets after the stated end are padding.
    end_is_known: bool,
}

/// Decodes the first audio track of `path` into `streams`.
pub fn decode(path: &Path, streams: &mut Streams<'_>) -> Result<AudioReport, Failure> {
    let file_bytes = std::fs::metadata(path).map(|m| m.len()).map_err(|e| unopenable(path, &e))?;
    if file_bytes == 0 {
        return Err(Fault::permanent(Code::CorruptAudio, format!("{} is empty: 0 bytes", streams.name())).into());
    }
    let mut source = open(path, streams.name())?;
    let expected_secs = expected_secs(&source, file_bytes);
    if let Some(secs) = expected_secs {
        streams.check_duration(secs)?;
    }
    if let Some(channels) = audio_track(source.format.as_ref()).and_then(|(_, params)| params.channels.as_ref()) {
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
    if let Some(expected) = expected_secs.filter(|expected| is_short(streams.secs(), *expected)) {
        let message = format!("the container promises {expected:.1} s of audio, {:.1} s are there", streams.secs());
        warnings.push(Warning { code: Code::TruncatedAudio, message });
    }
    let audio = AudioRef {
        duration: streams.secs(),
        codec: source.codec.to_owned(),
        container: source.container.to_owned(),
        sample_rate_hz: streams.rate_hz(),
        channels: streams.channels(),
        speech_duration: streams.speech_secs(),
    };
    Ok(AudioReport { audio, warnings, sounds: streams.sounds() })
}

/// Finds container, track and decoder.
fn open(path: &Path, name: &str) -> Result<Source, Failure> {
    let mut file = File::open(path).map_err(|e| unopenable(path, &e))?;
    if is_mpeg_ts(&mut file) {
        let message = format!("{name} is an MPEG transport stream, which no built-in decoder reads");
        return Err(Failure::unreadable(Code::UnsupportedFormat, message));
    }
    let file = File::open(path).map_err(|e| unopenable(path, &e))?;
    let stream = MediaSourceStream::new(Box::new(file), Default::default());
    let mut hint = Hint::new();
    if let Some((_, extension)) = name.rsplit_once('.') {
        hint.with_extension(extension);
    }
    let probed = guarded(|| {
        symphonia::default::get_probe().probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
    });
    let format = probed.map_err(|e| match e {
        // the format was recognised by then
        Error::DecodeError(reason) | Error::Unsupported(reason) if !reason.starts_with("core") => {
            Failure::unreadable(Code::CorruptAudio, format!("{name} cannot be opened: {reason}"))
        }
        e => {
            let message = format!("{name} is in no audio format that can be read ({e})");
            Failure::unreadable(Code::UnsupportedFormat, message)
        }
    })?;
    let container = format.format_info().short_name;
    let Some((track, params)) = audio_track(format.as_ref()) else {
        let known = format.tracks().iter().all(|track| track.codec_params.is_some());
        let message = format!("{name} ({container}) has no audio track");
        return Err(match known {
            true => Fault::permanent(Code::NoAudioTrack, message).into(),
            // a track of a codec that symphonia has no name for may be audio
            false => Failure::unreadable(Code::NoAudioTrack, message),
        });
    };
    if let Some(rate_hz) = params.sample_rate.filter(|rate_hz| !RATES_HZ.contains(rate_hz)) {
        let message = format!("{name} ({container}): a sample rate of {rate_hz} Hz is not plausible");
        return Err(Failure::unreadable(Code::UnsupportedFormat, message));
    }
    let decoder = guarded(|| make_decoder(params)).map_err(|e| {
        let message = format!("{name}: no built-in decoder for {} in {container} ({e})", codec_name(params));
        Failure::unreadable(Code::UnsupportedFormat, message)
    })?;
    let codec = decoder.codec_info().short_name;
    let (track_id, time_base) = (track.id, track.time_base);
    let priming = aac_priming(format.as_ref(), track, codec);
    Ok(Source { format, decoder, track_id, time_base, container, codec, priming, end_is_known: true })
}

/// The default audio track, else the first.
fn audio_track(format: &dyn FormatReader) -> Option<(&Track, &AudioCodecParameters)> {
    let track = format.default_track(TrackType::Audio).or_else(|| format.first_track(TrackType::Audio))?;
    match &track.codec_params {
        Some(CodecParameters::Audio(params)) => Some((track, params)),
        _ => None,
    }
}

/// What an AAC encoder puts before the first sample, in frames: the edit list, which symphonia does not read, makes
/// the movie shorter than its track by that and the padding. Apple's encoders put 2112, the others 1024.
fn aac_priming(format: &dyn FormatReader, track: &Track, codec: &str) -> usize {
    let secs = |base: Option<TimeBase>, duration| base.zip(duration).and_then(|(base, d)| base.calc_duration(d));
    let media = format.media_info();
    let Some((whole, edited)) = secs(track.time_base, track.duration).zip(secs(media.time_base, media.duration)) else {
        return 0;
    };
    let rate_hz = track.time_base.map_or(0.0, |base| 1.0 / base.calc_time_saturating(Timestamp::new(1)).as_secs_f64());
    let surplus = (whole.as_secs_f64() - edited.as_secs_f64()) * rate_hz;
    // movie times are often in milliseconds
    let at_least = |frames: f64| edited.as_secs_f64() > 0.0 && surplus > frames - 0.001 * rate_hz;
    match codec {
        "aac" if at_least(2112.0) => 2112,
        "aac" if at_least(1024.0) => 1024,
        _ => 0,
    }
}

/// Whether what was decoded is what the file holds.
fn judge(
    source: &Source,
    tally: &Tally,
    streams: &Streams<'_>,
    expected_secs: Option<f64>,
    file_bytes: u64,
) -> Result<(), Failure> {
    let (name, codec, container, secs) = (streams.name(), source.codec, source.container, streams.secs());
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
    let source = open(path, name).ok()?;
    expected_secs(&source, std::fs::metadata(path).ok()?.len())
}

/// The duration that the container states; `None` where it does not know or only estimates.
fn expected_secs(source: &Source, file_bytes: u64) -> Option<f64> {
    let (track, params) = audio_track(source.format.as_ref())?;
    let mpeg = matches!(source.codec, "mp1" | "mp2" | "mp3");
    if source.container == "aac" || (mpeg && track.delay.is_none() && track.padding.is_none()) {
        return None;
    }
    let media = source.format.media_info();
    let of_track = track.time_base.zip(track.duration);
    let (base, duration) = of_track.or(media.time_base.zip(media.duration))?;
    let secs = base.calc_duration(duration)?.as_secs_f64();
    let bytes_per_sec = f64::from(params.sample_rate.unwrap_or(1))
        * f64::from(params.bits_per_sample.unwrap_or(8).div_ceil(8))
        * params.channels.as_ref().map_or(1, |c| c.count()) as f64;
    let endless = source.container == "wave"
        && secs * bytes_per_sec >= UNKNOWN_WAV_BYTES
        && secs * bytes_per_sec > file_bytes as f64;
    (!endless).then_some(secs)
}

fn is_short(secs: f64, expected: f64) -> bool {
    expected - secs > TOLERATED_MISSING_SECS && expected - secs > expected * TOLERATED_MISSING_SHARE
}

/// 188-byte packets that begin with 0x47: symphonia finds MPEG audio frames in them and reads a fraction of a second.
fn is_mpeg_ts(file: &mut File) -> bool {
    let mut start = Vec::new();
    let read = file.take(5 * 188).read_to_end(&mut start);
    read.is_ok() && start.len() > 2 * 188 && start.iter().step_by(188).all(|byte| *byte == 0x47)
}

/// Runs decoder code; a panic in it is an error of the file.
fn guarded<T>(work: impl FnOnce() -> CodecResult<T>) -> CodecResult<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Error::DecodeError("the decoder panicked")))
}

fn unopenable(path: &Path, error: &std::io::Error) -> Fault {
    Fault::transient(Code::Internal, format!("failed to open {}: {error}", path.display()))
}

fn codec_name(params: &AudioCodecParameters) -> String {
    let known = [
        (well_known::CODEC_ID_AAC, "aac"),
        (well_known::CODEC_ID_AC3, "ac3"),
        (well_known::CODEC_ID_EAC3, "e-ac3"),
        (well_known::CODEC_ID_AC4, "ac4"),
        (well_known::CODEC_ID_DCA, "dts"),
        (well_known::CODEC_ID_TRUEHD, "truehd"),
        (well_known::CODEC_ID_OPUS, "opus"),
        (well_known::CODEC_ID_SPEEX, "speex"),
        (well_known::CODEC_ID_WAVPACK, "wavpack"),
        (well_known::CODEC_ID_TTA, "tta"),
        (well_known::CODEC_ID_WMA, "wma"),
    ];
    let name = known.iter().find(|(id, _)| *id == params.codec).map(|(_, name)| (*name).to_owned());
    name.unwrap_or_else(|| format!("codec {}", params.codec))
}
