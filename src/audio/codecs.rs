//! The built-in decoders: symphonia, and libopus for Opus.

use std::fs::File;
use std::io::{ErrorKind, Read};
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
use symphonia::core::packet::Packet;
use symphonia::core::units::{TimeBase, Timestamp};

use super::AudioReport;
use super::decode::Failure;
use super::streams::{MAX_CHANNELS, Streams};
use crate::fault::{Code, Fault};
use crate::transcript::{AudioRef, Warning};

static CODECS: LazyLock<CodecRegistry> = LazyLock::new(|| {
    let mut codecs = CodecRegistry::new();
    symphonia::default::register_enabled_codecs(&mut codecs);
    codecs.register_audio_decoder::<symphonia_adapter_libopus::OpusDecoder>();
    codecs
});

/// A data chunk from this size on is what programs write that stream to a pipe and never learn the length.
const UNKNOWN_WAV_BYTES: f64 = 0x7FFF_0000_u32 as f64;

/// A lost packet is replaced by silence of its length, but no longer than any codec's packet, seconds: the length is
/// the file's word only.
const MAX_GAP_SECS: f64 = 1.0;

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
}

/// What was met on the way.
#[derive(Default)]
struct Tally {
    good_packets: u64,
    packet_bytes: u64,
    damaged: u64,
    last_error: String,
}

/// Decodes the first audio track of `path` into `streams`.
pub fn decode(path: &Path, streams: &mut Streams<'_>) -> Result<AudioReport, Failure> {
    let file_bytes = std::fs::metadata(path).map(|m| m.len()).map_err(|e| unopenable(path, &e))?;
    let mut source = open(path, streams.name())?;
    let expected_secs = expected_secs(&source, file_bytes);
    if let Some(secs) = expected_secs {
        streams.check_duration(secs)?;
    }
    let tally = pump(&mut source, streams)?;
    let audio = |streams: &Streams<'_>| AudioRef {
        duration: streams.secs(),
        codec: source.codec.to_owned(),
        container: source.container.to_owned(),
        sample_rate_hz: streams.rate_hz(),
        channels: streams.channels(),
        speech_duration: streams.speech_secs(),
    };
    judge(&source, &tally, streams, expected_secs, file_bytes)?;
    streams.finish()?;
    let mut warnings = Vec::new();
    if tally.damaged > 0 {
        let message = format!("{} damaged packets were skipped ({})", tally.damaged, tally.last_error);
        warnings.push(Warning { code: Code::DamagedAudio, message });
    }
    if let Some(expected) = expected_secs.filter(|expected| is_short(streams.secs(), *expected)) {
        let message = format!("the container promises {expected:.1} s of audio, {:.1} s are there", streams.secs());
        warnings.push(Warning { code: Code::TruncatedAudio, message });
    }
    Ok(AudioReport { audio: audio(streams), warnings })
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
    let format = probed.map_err(|e| {
        let message = format!("{name} is in no audio format that can be read ({e})");
        Failure::unreadable(Code::UnsupportedFormat, message)
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
    let (track_id, time_base) = (track.id, track.time_base);
    let decoder = guarded(|| CODECS.make_audio_decoder(params, &AudioDecoderOptions::default())).map_err(|e| {
        let message = format!("{name}: no built-in decoder for {} in {container} ({e})", codec_name(params));
        Failure::unreadable(Code::UnsupportedFormat, message)
    })?;
    let codec = decoder.codec_info().short_name;
    Ok(Source { format, decoder, track_id, time_base, container, codec })
}

/// The default audio track, else the first.
fn audio_track(format: &dyn FormatReader) -> Option<(&Track, &AudioCodecParameters)> {
    let track = format.default_track(TrackType::Audio).or_else(|| format.first_track(TrackType::Audio))?;
    match &track.codec_params {
        Some(CodecParameters::Audio(params)) => Some((track, params)),
        _ => None,
    }
}

/// Decodes packet by packet until the file ends.
fn pump(source: &mut Source, streams: &mut Streams<'_>) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    let mut planes: Vec<Vec<f32>> = Vec::new();
    loop {
        let packet = match guarded(|| source.format.next_packet()) {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            // the next stream of a chained file: new parameters, same track order
            Err(Error::ResetRequired) => match reopen(source) {
                Ok(()) => continue,
                Err(e) => {
                    tally.last_error = e.to_string();
                    tally.damaged += 1;
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
                tally.last_error = e.to_string();
                tally.damaged += 1;
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
                streams.push(rate_hz, &planes)?;
            }
            Err(e) => {
                tally.last_error = e.to_string();
                tally.damaged += 1;
                if tally.good_packets > 0 {
                    streams.push_silence(packet_secs(source, &packet).min(MAX_GAP_SECS))?;
                }
            }
        }
    }
    Ok(tally)
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

/// A decoder for the track as it is described now.
fn reopen(source: &mut Source) -> CodecResult<()> {
    let Some((track, params)) = audio_track(source.format.as_ref()) else {
        return Err(Error::DecodeError("the audio track ends"));
    };
    source.decoder = CODECS.make_audio_decoder(params, &AudioDecoderOptions::default())?;
    (source.track_id, source.time_base) = (track.id, track.time_base);
    Ok(())
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

fn packet_secs(source: &Source, packet: &Packet) -> f64 {
    let ticks = Timestamp::new(i64::try_from(packet.dur.get()).unwrap_or(i64::MAX));
    source.time_base.and_then(|base| base.calc_time(ticks)).map_or(0.0, |time| time.as_secs_f64())
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
