//! Decoding, resampling and finding speech, per format: throughput is seconds of audio (as "elements") per second.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use transcription_worker::audio::{AudioOptions, read_windows};

/// Length of the clip in tests/audio, seconds.
const CLIP_SECS: u64 = 6;

fn decode(criterion: &mut Criterion) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audio");
    let options = AudioOptions { channels: Default::default(), max_duration_secs: 60.0, ffmpeg: None };
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(CLIP_SECS));
    for extension in ["wav", "flac", "mp3", "ogg", "opus", "m4a", "webm"] {
        let path = folder.join("speech").with_extension(extension);
        group.bench_function(extension, |bencher| {
            bencher.iter(|| {
                read_windows(&path, "speech", &options, &mut |window| {
                    black_box(window);
                    ControlFlow::Continue(())
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
