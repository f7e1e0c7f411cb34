#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;
use crate::audio::streams::Sink;
use crate::audio::{AudioOptions, Window, read_windows};

fn options(ffmpeg: Option<&Path>) -> AudioOptions {
    AudioOptions {
        channels: Default::default(),
        max_duration_secs: 60.0,
        ffmpeg: ffmpeg.map(Path::to_owned),
        clip: None,
    }
}

/// Reads `bytes`, which no built-in decoder knows, with `program` as ffmpeg.
fn read(program: &Path, bytes: &[u8]) -> (Result<AudioReport, Fault>, Vec<Window>) {
    read_with(Some(program), bytes)
}

fn read_with(program: Option<&Path>, bytes: &[u8]) -> (Result<AudioReport, Fault>, Vec<Window>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("-talk: 1.au");
    std::fs::write(&path, bytes).unwrap();
    let options = options(program);
    let mut windows = Vec::new();
    let report = read_windows(&path, "user/talk.au", &options, &mut |window: Window| {
        windows.push(window);
        ControlFlow::Continue(())
    });
    (report, windows)
}

/// A stand-in for ffmpeg, for what the real one cannot be made to do.
fn script(folder: &tempfile::TempDir, lines: &str) -> PathBuf {
    let path = folder.path().join("ffmpeg");
    std::fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Writes what ffmpeg would of so many seconds of silence, mono at 16 kHz, and answers how a script gives it.
fn given(folder: &tempfile::TempDir, secs: u16) -> String {
    let element = |id: &[u8], content: &[u8]| {
        let size = (content.len() as u32 | 0x1000_0000).to_be_bytes();
        [id, &size, content].concat()
    };
    let sound = [element(&[0xB5], &16_000.0_f32.to_be_bytes()), element(&[0x9F], &[1]), element(&[0x62, 0x64], &[32])];
    let track = [
        element(&[0xD7], &[1]),
        element(&[0x83], &[2]),
        element(&[0x86], b"A_PCM/FLOAT/IEEE"),
        element(&[0xE1], &sound.concat()),
    ];
    let tracks = element(&[0x16, 0x54, 0xAE, 0x6B], &element(&[0xAE], &track.concat()));
    // a segment of unknown size, and a cluster for each second
    let mut file = [&[0x1A, 0x45, 0xDF, 0xA3, 0x80, 0x18, 0x53, 0x80, 0x67, 0xFF], &tracks[..]].concat();
    for second in 0..secs {
        let time = element(&[0xE7], &(u32::from(second) * 1_000).to_be_bytes());
        let block = element(&[0xA3], &[&[0x81, 0, 0, 0x80], &[0; 64_000][..]].concat());
        file.extend(element(&[0x1F, 0x43, 0xB6, 0x75], &[time, block].concat()));
    }
    let path = folder.path().join("output");
    std::fs::write(&path, file).unwrap();
    // what is in the file is asked first, without a request for output
    format!("case \"$*\" in *pipe:1*) ;; *) exit 1;; esac\ncat '{}'", path.display())
}

fn installed() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join("ffmpeg")).find(|path| path.is_file())
}

/// The clip as Sun audio, 16-bit: a format that symphonia has not.
fn sun_audio() -> Vec<u8> {
    let wav = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audio/speech.wav")).unwrap();
    let header = [0x2E73_6E64_u32, 24, u32::MAX, 3, 16_000, 1];
    let samples = wav[44..].chunks_exact(2).flat_map(|pair| [pair[1], pair[0]]);
    header.iter().flat_map(|word| word.to_be_bytes()).chain(samples).collect()
}

#[test]
fn a_format_without_a_built_in_decoder_is_read_where_ffmpeg_is_installed() {
    let Some(program) = installed() else { return };
    let (report, windows) = read(&program, &sun_audio());
    let report = report.unwrap();
    assert!((report.audio.duration - 6.0).abs() < 0.001, "{} s", report.audio.duration);
    assert_eq!((report.audio.sample_rate_hz, report.audio.channels), (16_000, 1));
    assert_eq!((report.warnings.len(), windows.len()), (0, 1));
}

#[test]
fn a_sphere_file_is_read_and_named() {
    let Some(program) = installed() else { return };
    let wav = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audio/speech.wav")).unwrap();
    let mut file = b"NIST_1A\n   1024\nchannel_count -i 1\nsample_rate -i 16000\nsample_n_bytes -i 2\n\
        sample_byte_format -s2 01\nsample_coding -s3 pcm\nsample_sig_bits -i 16\nend_head\n"
        .to_vec();
    file.resize(1024, b' ');
    file.extend(&wav[44..]);
    let (report, windows) = read(&program, &file);
    let audio = report.unwrap().audio;
    assert!((audio.duration - 6.0).abs() < 0.001, "{} s", audio.duration);
    assert_eq!((audio.container.as_str(), audio.codec.as_str(), windows.len()), ("nistsphere", "pcm_s16le", 1));
    let fault = read_with(None, &file).0.unwrap_err();
    assert!(fault.to_string().contains("is a NIST SPHERE file"), "{fault}");
}

#[test]
fn an_error_names_the_file_and_not_where_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    let program = script(&folder, r#"while [ "$1" != -i ]; do shift; done; echo "$2: Invalid data" >&2; exit 1"#);
    let Err(Fault::Permanent(problem)) = read(&program, b"no audio").0 else { unreachable!("it is no audio") };
    assert!(problem.message.ends_with("user/talk.au: Invalid data"), "{}", problem.message);
}

#[test]
fn a_playlist_is_not_followed() {
    let Some(program) = installed() else { return };
    let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audio/speech.mp3");
    for list in [format!("#EXTM3U\n#EXTINF:6,\n{clip}\n"), format!("ffconcat version 1.0\nfile '{clip}'\n")] {
        let fault = read(&program, list.as_bytes()).0.unwrap_err();
        assert_eq!(fault.problem().map(|p| p.code), Some(Code::UnsupportedFormat), "{fault}");
    }
}

#[test]
fn a_child_that_never_ends_is_stopped_at_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let program = script(&folder, &format!("{}\nexec cat /dev/zero", given(&folder, 70)));
    let fault = read(&program, &sun_audio()).0.unwrap_err();
    assert_eq!(fault.problem().map(|p| p.code), Some(Code::AudioTooLong), "{fault}");
}

#[test]
fn a_child_that_is_killed_says_nothing_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    // before the first sample, and after two seconds of them
    let two_secs = given(&folder, 2);
    for lines in ["case \"$*\" in *pipe:1*) kill -9 $$;; esac".to_owned(), format!("{two_secs}\nkill -TERM $$")] {
        let (outcome, _) = read(&script(&folder, &lines), &sun_audio());
        assert!(matches!(&outcome, Err(Fault::Transient(p)) if p.message.contains("signal")), "{outcome:?}");
    }
    // its own exit is evidence
    let (outcome, _) = read(&script(&folder, &format!("{two_secs}\nexit 1")), &sun_audio());
    assert_eq!(outcome.unwrap().warnings.len(), 1);
}

#[test]
fn a_child_that_hangs_says_nothing_of_the_file() {
    let (folder, options) = (tempfile::tempdir().unwrap(), options(None));
    for lines in ["exec sleep 1000".to_owned(), format!("{}\nexec sleep 1000", given(&folder, 2))] {
        let mut ignored = |_: &[f32]| ();
        let mut streams = Streams::new("talk.au", &options, Sink::Samples(&mut ignored));
        let problem = Problem { code: Code::UnsupportedFormat, message: "unknown".to_owned() };
        let program = script(&folder, &lines);
        let silence = Duration::from_millis(500);
        let work = Work { program: &program, path: &program, name: "talk.au", silence };
        let outcome = decode_within(work, &mut streams, problem);
        assert!(matches!(&outcome, Err(Fault::Transient(p)) if p.message.contains("gave nothing")), "{outcome:?}");
    }
}

#[test]
fn signals_to_our_process_group_are_not_for_the_child() {
    let folder = tempfile::tempdir().unwrap();
    let lines = "read -r pid _ _ _ group _ < /proc/$$/stat; [ $pid = $group ] && echo 'by itself' >&2; exit 1";
    let fault = read(&script(&folder, lines), &sun_audio()).0.unwrap_err();
    assert!(fault.to_string().contains("by itself"), "{fault}");
}

#[test]
fn what_ffmpeg_says_is_in_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let program = script(&folder, "echo 'first line' >&2; echo 'the moon is down' >&2; exit 1");
    let fault = read(&program, &sun_audio()).0.unwrap_err();
    assert!(fault.to_string().starts_with("user/talk.au is a Sun audio file"), "{fault}");
    assert!(fault.to_string().contains("the moon is down"), "{fault}");
}

#[test]
fn a_missing_program_is_this_machines_fault_and_not_the_files() {
    let (outcome, _) = read(Path::new("/nonexistent/ffmpeg"), &sun_audio());
    assert!(matches!(outcome, Err(Fault::Transient(_))));
}
