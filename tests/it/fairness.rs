//! A short job beside a long one waits for a few of the long one's windows, however many there are.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use transcription_worker::audio::AudioOptions;
use transcription_worker::audio::recording::LocalFile;
use transcription_worker::handler::Control;
use transcription_worker::health::Health;
use transcription_worker::job::Channels;
use transcription_worker::pipeline::listen::{Heard, Listening, listen};
use transcription_worker::transcribe::Transcriber;
use transcription_worker::transcribe::child::EngineCommand;
use transcription_worker::transcribe::supervisor::EngineSettings;
use transcription_worker::transcribe::wire::WindowOptions;

use crate::rig::{long_speech, scratch, scripted_engine, speech, wait_until};

async fn hear(path: PathBuf, engine: &Transcriber) -> Heard {
    // lanes are what is scarce: each window takes longer than decoding the next
    let options = WindowOptions { prompt: Some("slow".into()), ..WindowOptions::default() };
    let audio = AudioOptions { channels: Channels::Mix, max_duration_secs: 7_200.0, ffmpeg: None, clip: None };
    let work = Listening {
        recording: Box::new(LocalFile::new(path)),
        name: "talk.wav".into(),
        audio,
        options,
        share: Default::default(),
        on_progress: None,
        on_step: Box::new(|| ()),
        resume: None,
    };
    listen(work, engine, &Control::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_job_is_done_after_a_few_windows_of_a_long_one() {
    let folder = scratch();
    let (long, short) = (folder.path().join("long.wav"), folder.path().join("short.wav"));
    std::fs::write(&long, long_speech(1_200)).unwrap();
    std::fs::write(&short, speech("wav")).unwrap();
    let settings = EngineSettings {
        launch: Arc::new(EngineCommand { program: scripted_engine(), args: vec![] }),
        timeout_base: Duration::from_secs(60),
        timeout_factor: 8.0,
        recycle_after_windows: 20_000,
    };
    let engine = Transcriber::start(vec![settings], Health::default()).await.unwrap();
    let (stats, lanes) = (engine.stats(), engine.lanes() as u64);
    let answered = || stats.windows();
    let meanwhile = async {
        wait_until("the long job is under way", async || answered() >= 2 * lanes).await;
        let before = answered();
        let heard = hear(short, &engine).await;
        answered() - before - u64::from(heard.quality.windows)
    };
    let windows = tokio::select! {
        windows = meanwhile => windows,
        _ = hear(long, &engine) => panic!("the short job waited for all of the long one"),
    };
    // those that were in lanes, the one that was next in turn, and one for the time until we look
    assert!(windows <= lanes + 2, "{windows} windows of the long job were answered first, with {lanes} lanes");
}
