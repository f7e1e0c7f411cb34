//! Decoding per format: to 16 kHz samples, and to windows of speech. Throughput is seconds of audio (as "elements") per
//! second of one core. The files are a minute of speech, made with `ffmpeg` from the clip in tests/audio.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use transcription_worker::audio::{AudioOptions, Window, read_samples, read_windows};

/// Length of each file, seconds.
const SECS: u64 = 60;

/// Name, and what `ffmpeg` is told: what phones, browsers, recorders and calls upload, and the clip's own rate.
const FILES: [(&str, &str); 10] = [
    ("mp3-44k1-stereo.mp3", "-ar 44100 -ac 2 -c:a libmp3lame -b:a 128k"),
    ("mp3-16k-mono.mp3", "-ar 16000 -ac 1 -c:a libmp3lame -b:a 48k"),
    ("flac-44k1-stereo.flac", "-ar 44100 -ac 2 -sample_fmt s16"),
    ("flac-16k-mono.flac", "-ar 16000 -ac 1 -sample_fmt s16"),
    ("vorbis-44k1-stereo.ogg", "-ar 44100 -ac 2 -c:a libvorbis -q:a 4"),
    ("opus-48k-stereo.opus", "-ar 48000 -ac 2 -c:a libopus -b:a 64k"),
    ("opus-48k-mono.webm", "-ar 48000 -ac 1 -c:a libopus -b:a 32k"),
    ("aac-44k1-stereo.m4a", "-ar 44100 -ac 2 -c:a aac -b:a 128k"),
    ("pcm-44k1-stereo.wav", "-ar 44100 -ac 2 -c:a pcm_s16le"),
    ("pcm-48k-stereo.wav", "-ar 48000 -ac 2 -c:a pcm_s16le"),
];

fn samples(criterion: &mut Criterion) {
    measure(criterion, "samples", |path, options| {
        let read = read_samples(path, "speech", options, &mut |samples| {
            black_box(samples);
        });
        assert!(read.is_ok(), "{read:?}");
    });
}

fn windows(criterion: &mut Criterion) {
    measure(criterion, "windows", |path, options| {
        let read = read_windows(path, "speech", options, &mut |window: Window| {
            black_box(window);
            ControlFlow::Continue(())
        });
        assert!(read.is_ok(), "{read:?}");
    });
}

fn measure(criterion: &mut Criterion, group: &str, read: impl Fn(&Path, &AudioOptions)) {
    let options = AudioOptions { channels: Default::default(), max_duration_secs: 3_600.0, ffmpeg: None, clip: None };
    let mut group: BenchmarkGroup<'_, _> = criterion.benchmark_group(group);
    group.throughput(Throughput::Elements(SECS)).sampling_mode(SamplingMode::Flat).sample_size(10);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    for (name, settings) in FILES {
        match file(name, settings) {
            Ok(path) => drop(group.bench_function(name, |bencher| bencher.iter(|| read(&path, &options)))),
            Err(reason) => eprintln!("{name} is left out: {reason}"),
        }
    }
    group.finish();
}

/// The file, made at the first time.
fn file(name: &str, settings: &str) -> Result<PathBuf, String> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("decode").join(name);
    if path.is_file() {
        return Ok(path);
    }
    let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audio/speech.wav");
    let part = path.with_file_name(format!("part-{name}"));
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(|e| e.to_string())?;
    let made = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y", "-stream_loop", "-1", "-i", clip, "-t", &SECS.to_string()])
        .args(settings.split(' '))
        .arg(&part)
        .status();
    match made {
        Ok(status) if status.success() => std::fs::rename(&part, &path).map(|()| path).map_err(|e| e.to_string()),
        Ok(status) => Err(format!("ffmpeg: {status}")),
        Err(e) => Err(format!("ffmpeg: {e}")),
    }
}

criterion_group!(benches, samples, windows);
criterion_main!(benches);
