//! Any bytes as a file: windows of finite samples, or a permanent fault.
#![no_main]

use std::io::Write;
use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use transcription_worker::audio::{self, AudioOptions};
use transcription_worker::fault::Fault;
use transcription_worker::job::Channels;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("room for it");
    // a minute: a longer one would be time, not coverage
    let options = AudioOptions { channels: Channels::Mix, max_duration_secs: 60.0, ffmpeg: None, clip: None };
    let read = audio::read_windows(file.path(), "input", &options, &mut |window: audio::Window| {
        assert!(window.pcm.iter().all(|sample| sample.is_finite()));
        ControlFlow::Continue(())
    });
    assert!(matches!(read, Ok(_) | Err(Fault::Permanent(_))), "{read:?}");
});
