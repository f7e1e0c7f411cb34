#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::ops::ControlFlow;
use std::path::PathBuf;

use super::*;
use crate::audio::{Window, likely_secs, read_samples, read_windows};
use crate::fault::Code;
use crate::job::Channels;
use crate::job::clip::Clip;

const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audio/speech.wav");
const CLIP_SECS: f64 = 6.0;

fn options() -> AudioOptions {
    AudioOptions { channels: Channels::Mix, max_duration_secs: 3_600.0, ffmpeg: None, clip: None }
}

fn read(path: impl AsRef<Path>, options: &AudioOptions) -> Result<(AudioReport, Vec<Window>), Fault> {
    let mut windows = Vec::new();
    let name = path.as_ref().to_string_lossy().into_owned();
    let report = read_windows(path.as_ref(), &name, options, &mut |window: Window| {
        windows.push(window);
        ControlFlow::Continue(())
    })?;
    Ok((report, windows))
}

fn clip(extension: &str) -> PathBuf {
    Path::new(CLIP).with_extension(extension)
}

/// The clip's samples: 16-bit PCM behind a 44-byte header.
fn clip_samples() -> Vec<i16> {
    let bytes = std::fs::read(CLIP).unwrap();
    bytes[44..].chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// A 16-bit WAV file; `data_bytes` is what its header claims.
fn wav(rate_hz: u32, channels: u16, samples: &[i16], data_bytes: u32) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(b"RIFF");
    file.extend(data_bytes.saturating_add(36).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0");
    file.extend(channels.to_le_bytes());
    file.extend(rate_hz.to_le_bytes());
    file.extend((rate_hz.saturating_mul(u32::from(channels) * 2)).to_le_bytes());
    file.extend((channels * 2).to_le_bytes());
    file.extend(b"\x10\0data");
    file.extend(data_bytes.to_le_bytes());
    file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    file
}

fn whole_wav(rate_hz: u32, channels: u16, samples: &[i16]) -> Vec<u8> {
    wav(rate_hz, channels, samples, samples.len() as u32 * 2)
}

/// Reads `bytes` as a file of that name.
fn read_bytes(name: &str, bytes: &[u8], options: &AudioOptions) -> Result<(AudioReport, Vec<Window>), Fault> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    read(path, options)
}

fn code_of<T>(result: Result<T, Fault>) -> Code {
    match result.err().expect("the file should be refused") {
        Fault::Permanent(problem) => problem.code,
        other => panic!("not permanent: {other}"),
    }
}

fn starts_and_ends_secs(windows: &[Window]) -> (f64, f64) {
    let spans = || windows.iter().flat_map(|window| &window.spans);
    let first = spans().next().unwrap().source_start;
    let last = spans().last().map(|span| span.source_start + span.len as u64).unwrap();
    (first as f64 / 16_000.0, last as f64 / 16_000.0)
}

#[test]
fn every_format_gives_the_same_duration_and_the_same_speech() {
    let (_, reference) = read(CLIP, &options()).unwrap();
    let (start, end) = starts_and_ends_secs(&reference);
    for (extension, codec) in [
        ("wav", "pcm_s16le"),
        ("mp3", "mp3"),
        ("opus", "opus"),
        ("webm", "opus"),
        ("ogg", "vorbis"),
        ("m4a", "aac"),
        ("flac", "flac"),
    ] {
        let (report, windows) = read(clip(extension), &options()).unwrap();
        assert!((report.audio.duration - CLIP_SECS).abs() < 0.03, "{extension}: {} s", report.audio.duration);
        assert_eq!(report.audio.codec, codec, "{extension}");
        assert_eq!(report.warnings, [], "{extension}");
        assert_eq!(windows.len(), 1, "{extension}: a short file is one window");
        let found = starts_and_ends_secs(&windows);
        assert!((found.0 - start).abs() < 0.2 && (found.1 - end).abs() < 0.2, "{extension}: {found:?}");
    }
}

#[test]
fn a_wrong_extension_does_not_matter() {
    let bytes = std::fs::read(clip("mp3")).unwrap();
    let (report, _) = read_bytes("speech.m4a", &bytes, &options()).unwrap();
    assert_eq!((report.audio.codec.as_str(), report.audio.container.as_str()), ("mp3", "mp3"));
}

#[test]
fn what_is_no_audio_is_refused_by_name() {
    let mut random = fastrand::Rng::with_seed(7);
    let noise: Vec<u8> = (0..50_000).map(|_| random.u8(..)).collect();
    for (name, bytes) in [("notes.mp3", b"Dear Sir, ".repeat(500)), ("noise.wav", noise), ("tiny.ogg", vec![1, 2])] {
        let fault = read_bytes(name, &bytes, &options()).unwrap_err();
        assert_eq!(fault.problem().map(|p| p.code), Some(Code::UnsupportedFormat), "{fault}");
        assert!(fault.to_string().contains(name), "{fault}");
    }
}

#[test]
fn a_file_without_a_sample_is_an_error_and_not_an_empty_transcript() {
    assert_eq!(code_of(read_bytes("empty.wav", &[], &options())), Code::CorruptAudio);
    assert_eq!(code_of(read_bytes("header.wav", &whole_wav(16_000, 1, &[]), &options())), Code::CorruptAudio);
}

#[test]
fn of_a_truncated_m4a_what_is_there_is_read_and_the_rest_is_told() {
    let bytes = std::fs::read(clip("m4a")).unwrap();
    let (report, windows) = read_bytes("cut.m4a", &bytes[..bytes.len() / 2], &options()).unwrap();
    assert_eq!(report.warnings.iter().map(|w| w.code).collect::<Vec<_>>(), [Code::TruncatedAudio]);
    assert!((1.0..5.0).contains(&report.audio.duration) && !windows.is_empty(), "{} s", report.audio.duration);
    // its tables are not all there
    assert_eq!(code_of(read_bytes("cut.m4a", &bytes[..600], &options())), Code::CorruptAudio);
}

#[test]
fn media_that_go_to_the_end_of_the_file_are_whole() {
    let mut bytes = std::fs::read(clip("m4a")).unwrap();
    let media = bytes.windows(4).position(|name| name == b"mdat").unwrap();
    let size = u32::from_be_bytes(bytes[media - 4..media].try_into().unwrap()) as usize;
    assert_eq!(media - 4 + size, bytes.len(), "the index comes first");
    bytes[media - 4..media].fill(0);
    let (report, _) = read_bytes("talk.m4a", &bytes, &options()).unwrap();
    assert_eq!(report.warnings, []);
    assert!((report.audio.duration - CLIP_SECS).abs() < 0.03, "{} s", report.audio.duration);
}

#[test]
fn audio_that_ends_before_its_header_says_is_warned_about() {
    let samples = clip_samples();
    let file = wav(16_000, 1, &samples, samples.len() as u32 * 4);
    let (report, windows) = read_bytes("cut.wav", &file, &options()).unwrap();
    assert_eq!(report.warnings.iter().map(|w| w.code).collect::<Vec<_>>(), [Code::TruncatedAudio]);
    assert!(report.warnings[0].message.contains("12.0 s") && report.warnings[0].message.contains("6.0 s"));
    assert_eq!(windows.len(), 1);
}

#[test]
fn a_wav_from_a_pipe_has_no_length_and_no_warning() {
    for unknown in [u32::MAX, 0x7FFF_F000] {
        let (report, _) = read_bytes("pipe.wav", &wav(16_000, 1, &clip_samples(), unknown), &options()).unwrap();
        assert_eq!(report.warnings, []);
        assert!((report.audio.duration - CLIP_SECS).abs() < 0.001);
    }
}

#[test]
fn damaged_packets_are_skipped_and_counted_and_times_stay_true() {
    let mut bytes = std::fs::read(clip("m4a")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 300].fill(0xFF);
    let (report, windows) = read_bytes("scratched.m4a", &bytes, &options()).unwrap();
    assert_eq!(report.warnings.iter().map(|w| w.code).collect::<Vec<_>>(), [Code::DamagedAudio]);
    assert!((report.audio.duration - CLIP_SECS).abs() < 0.03, "{} s", report.audio.duration);
    assert_eq!(windows.len(), 1);
}

#[test]
fn a_second_mp3_behind_the_first_is_read_too() {
    let bytes = std::fs::read(clip("mp3")).unwrap().repeat(2);
    let (report, _) = read_bytes("joined.mp3", &bytes, &options()).unwrap();
    assert!((report.audio.duration - 2.0 * CLIP_SECS).abs() < 0.2, "{} s", report.audio.duration);
}

#[test]
fn separate_channels_name_their_channel_and_keep_their_times() {
    let samples = clip_samples();
    let silence = vec![0; samples.len()];
    // left speaks first, right after it
    let left = samples.iter().chain(&silence);
    let right = silence.iter().chain(&samples);
    let both: Vec<i16> = left.zip(right).flat_map(|(l, r)| [*l, *r]).collect();
    let separate = AudioOptions { channels: Channels::Separate, ..options() };
    let (report, windows) = read_bytes("call.wav", &whole_wav(16_000, 2, &both), &separate).unwrap();
    assert_eq!(report.audio.channels, 2);
    assert_eq!(windows.iter().map(|w| (w.index, w.channel)).collect::<Vec<_>>(), [(0, Some(0)), (1, Some(1))]);
    let (left_start, left_end) = starts_and_ends_secs(&windows[..1]);
    let (right_start, _) = starts_and_ends_secs(&windows[1..]);
    assert!(left_start < 0.6 && left_end < 6.1 && (6.0..6.6).contains(&right_start));
    let (_, mixed) = read_bytes("call.wav", &whole_wav(16_000, 2, &both), &options()).unwrap();
    assert!(mixed.iter().all(|window| window.channel.is_none()));
}

#[test]
fn a_clip_is_heard_alone_and_keeps_the_files_own_times_in_every_format() {
    let part = |start, end| AudioOptions { clip: Clip::new(start, end).unwrap(), ..options() };
    for extension in ["wav", "mp3", "opus", "webm", "ogg", "m4a", "flac"] {
        let (report, windows) = read(clip(extension), &part(Some(2.0), Some(4.0))).unwrap();
        assert_eq!((report.audio.duration, report.warnings.as_slice()), (4.0, [].as_slice()), "{extension}");
        let (start, end) = starts_and_ends_secs(&windows);
        assert!((2.0..3.5).contains(&start) && (3.5..=4.001).contains(&end), "{extension}: {start} {end}");
        // a decoder's delay must not move it: the clip is what the whole file holds there
        let (mut whole, mut clipped) = (Vec::new(), Vec::new());
        read_samples(&clip(extension), "k", &options(), &mut |piece| whole.extend_from_slice(piece)).unwrap();
        let options = part(Some(2.0), Some(4.0));
        read_samples(&clip(extension), "k", &options, &mut |piece| clipped.extend_from_slice(piece)).unwrap();
        assert!(clipped.len().abs_diff(32_000) < 10, "{extension}: {} samples", clipped.len());
        let pairs = clipped[800..31_000].iter().zip(&whole[32_800..]);
        let (error, power) = pairs.fold((0.0, 0.0), |(e, p), (a, b)| (e + (a - b).powi(2), p + b.powi(2)));
        assert!(error < power * 1e-4, "{extension}: {error} of {power}");
    }
    let (report, windows) = read(CLIP, &part(Some(3.0), None)).unwrap();
    assert!((report.audio.duration - CLIP_SECS).abs() < 0.03 && starts_and_ends_secs(&windows).0 >= 3.0);
    // what ends before the limit may be part of what goes beyond it
    let short = AudioOptions { max_duration_secs: 5.0, ..part(None, Some(4.0)) };
    assert_eq!(read(CLIP, &short).unwrap().0.audio.duration, 4.0);
    assert_eq!(code_of(read(CLIP, &part(Some(CLIP_SECS + 1.0), None))), Code::BadMessage);
}

#[test]
fn a_file_over_the_limit_is_refused_before_it_is_decoded() {
    let short = AudioOptions { max_duration_secs: 5.0, ..options() };
    assert_eq!(code_of(read(CLIP, &short)), Code::AudioTooLong);
    // a pipe's header says nothing: found while decoding
    let file = wav(16_000, 1, &clip_samples(), u32::MAX);
    assert_eq!(code_of(read_bytes("pipe.wav", &file, &short)), Code::AudioTooLong);
}

#[test]
fn windows_come_while_the_file_is_being_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.wav");
    std::fs::write(&path, whole_wav(16_000, 1, &clip_samples().repeat(20))).unwrap();
    let mut count = 0;
    let report = read_windows(&path, "long.wav", &options(), &mut |window: Window| {
        count += 1;
        assert!(window.pcm.len() <= 29 * 16_000);
        // had the reader the whole file by now, it would not notice
        std::fs::File::options().write(true).open(&path).unwrap().set_len(44).unwrap();
        ControlFlow::Continue(())
    });
    assert!(report.unwrap().audio.duration < 60.0 && count >= 1);
}

#[test]
fn break_ends_the_work() {
    let file = whole_wav(16_000, 1, &clip_samples().repeat(20));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.wav");
    std::fs::write(&path, file).unwrap();
    let mut count = 0;
    let outcome = read_windows(&path, "long.wav", &options(), &mut |_: Window| {
        count += 1;
        ControlFlow::Break(())
    });
    assert_eq!((outcome, count), (Err(Fault::Interrupted), 1));
}

#[test]
fn headers_that_lie_about_the_rate_are_refused() {
    for rate_hz in [1, 767_999, u32::MAX] {
        let outcome = read_bytes("lie.wav", &whole_wav(rate_hz, 1, &clip_samples()), &options());
        assert_eq!(code_of(outcome), Code::UnsupportedFormat, "{rate_hz} Hz");
    }
}

#[test]
fn transport_streams_are_not_misread() {
    let mut packet = [0xFF; 188];
    packet[0] = 0x47;
    assert_eq!(code_of(read_bytes("talk.mp3", &packet.repeat(40), &options())), Code::UnsupportedFormat);
}

#[test]
fn all_samples_are_handed_over_where_no_speech_is_looked_for() {
    let mut samples = 0;
    let report = read_samples(&clip("flac"), "clip.flac", &options(), &mut |piece| samples += piece.len()).unwrap();
    assert_eq!(samples, clip_samples().len());
    assert_eq!(report.audio.speech_duration, 0.0);
}

#[test]
fn the_size_of_a_file_whose_container_states_no_length_tells_it_nearly() {
    let mut mp3 = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audio/speech.mp3")).unwrap();
    let said = mp3.windows(4).position(|four| four == b"Info" || four == b"Xing").expect("the header that states it");
    mp3[said..said + 4].fill(0);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("silent.mp3");
    std::fs::write(&path, mp3).unwrap();
    let secs = likely_secs(&path, "silent.mp3").expect("an estimate");
    assert!((secs - CLIP_SECS).abs() < 1.0, "{secs}");
}
