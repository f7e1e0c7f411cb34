//! How long a short job takes while a long file is at work: a few windows of the long one, never the rest of it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use tempfile::TempDir;

use super::complain;
use crate::app;
use crate::audio::recording::LocalFile;
use crate::audio::{AudioOptions, SAMPLE_RATE_HZ, read_samples};
use crate::config::EngineConfig;
use crate::exit;
use crate::handler::Control;
use crate::health::Health;
use crate::job::Channels;
use crate::model::Model;
use crate::pipeline::Defaults;
use crate::pipeline::listen::{Heard, Listening, listen};
use crate::transcribe::Transcriber;
use crate::transcribe::stats::Stats;
use crate::transcribe::task::Share;

/// What the files are made of, seconds.
const LONG_SECS: usize = 2 * 3600;
const SHORT_SECS: usize = 10;

/// Short jobs, one after the other, each meeting the long one's windows at another point.
const ROUNDS: usize = 10;

/// The long file is well under way, and the engine warm, after so many of its windows per lane.
const WARM_UP_WINDOWS: u64 = 4;

/// Windows of the long file, beside one per lane, that may be answered before the short job is done: the one that was
/// next in turn, and what other lanes finish while the short one's window is in its own.
const FEW_WINDOWS: u64 = 3;

/// One short job.
#[derive(Debug, Clone, Copy, Serialize)]
struct Round {
    /// From submission to the end.
    secs: f64,
    /// Windows of the long file that were answered meanwhile.
    long_windows: u64,
}

#[derive(Debug, Serialize)]
struct Fairness {
    lanes: usize,
    rounds: Vec<Round>,
    /// Time of one window of the long file in its lane, mean.
    long_window_secs: f64,
    /// Windows of the long file that may go before.
    allowed_windows: u64,
}

/// Runs the measurement: 0 when every short job was done within the allowed number of the long one's windows.
pub async fn main(clip: &Path, json: bool, config: &EngineConfig, defaults: &Defaults, model: &Model) -> u8 {
    let found = match measure(clip, config, defaults, model).await {
        Ok(found) => found,
        Err(message) => return complain(&message, exit::FAILED),
    };
    if json {
        println!("{}", serde_json::json!({ "model": model.name, "fairness": found }));
    } else {
        found.print();
    }
    if found.rounds.iter().all(|round| round.long_windows <= found.allowed_windows) { exit::OK } else { exit::FAILED }
}

async fn measure(clip: &Path, config: &EngineConfig, defaults: &Defaults, model: &Model) -> Result<Fairness, String> {
    let folder = tempfile::tempdir().map_err(|e| format!("failed to make a temporary folder: {e}"))?;
    let speech = samples_of(clip, defaults)?;
    write_wav(&folder, "long.wav", &speech, LONG_SECS)?;
    write_wav(&folder, "short.wav", &speech, SHORT_SECS)?;
    let engine = app::start_engine(config, model, Health::default()).await?;
    let (stats, lanes) = (engine.stats(), engine.lanes());
    let long = hear("long.wav", &folder, defaults, &engine);
    let short = async {
        wait_for_windows(&stats, WARM_UP_WINDOWS * lanes as u64).await;
        let (windows, busy_ms) = (stats.windows(), stats.busy_ms());
        let mut rounds = Vec::new();
        while rounds.len() < ROUNDS {
            let submitted = Instant::now();
            let before = stats.windows();
            let heard = hear("short.wav", &folder, defaults, &engine).await?;
            let after = stats.windows();
            let own = u64::from(heard.quality.windows + heard.quality.windows_retried);
            rounds.push(Round {
                secs: submitted.elapsed().as_secs_f64(),
                long_windows: (after - before).saturating_sub(own),
            });
            // the next one comes at another point of the long file's windows
            wait_for_windows(&stats, after + 1).await;
        }
        let long_window_secs = busy_ms as f64 / 1000.0 / windows.max(1) as f64;
        Ok(Fairness { lanes, rounds, long_window_secs, allowed_windows: lanes as u64 + FEW_WINDOWS })
    };
    let found = tokio::select! {
        found = short => found,
        ended = long => Err(ended.err().unwrap_or_else(|| "the long file was done before the short ones".to_owned())),
    };
    engine.end().await;
    found
}

async fn hear(name: &str, folder: &TempDir, defaults: &Defaults, engine: &Transcriber) -> Result<Heard, String> {
    let listening = Listening {
        recording: Box::new(LocalFile::new(folder.path().join(name))),
        name: name.to_owned(),
        audio: defaults.audio.clone(),
        options: defaults.window.clone(),
        share: Share::default(),
        on_progress: None,
        on_step: Box::new(|| ()),
        resume: None,
    };
    listen(listening, engine, &Control::default()).await.map_err(|fault| fault.to_string())
}

async fn wait_for_windows(stats: &Stats, windows: u64) {
    while stats.windows() < windows {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The clip at 16 kHz.
fn samples_of(clip: &Path, defaults: &Defaults) -> Result<Vec<i16>, String> {
    let mut samples = Vec::new();
    let mut take = |piece: &[f32]| samples.extend(piece.iter().map(|sample| (sample * 32_767.0) as i16));
    let options = AudioOptions { channels: Channels::Mix, ..defaults.audio.clone() };
    read_samples(clip, &clip.display().to_string(), &options, &mut take).map_err(|fault| fault.to_string())?;
    if samples.is_empty() { Err(format!("{} holds no audio", clip.display())) } else { Ok(samples) }
}

/// `secs` of the clip, over and over, as 16-bit WAV.
fn write_wav(folder: &TempDir, name: &str, clip: &[i16], secs: usize) -> Result<(), String> {
    let path = folder.path().join(name);
    let samples = secs * SAMPLE_RATE_HZ as usize;
    let bytes = u32::try_from(samples * 2).unwrap_or(u32::MAX);
    let write = || -> io::Result<()> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        file.write_all(b"RIFF")?;
        file.write_all(&bytes.saturating_add(36).to_le_bytes())?;
        file.write_all(b"WAVEfmt \x10\0\0\0\x01\0\x01\0")?;
        file.write_all(&SAMPLE_RATE_HZ.to_le_bytes())?;
        file.write_all(&(SAMPLE_RATE_HZ * 2).to_le_bytes())?;
        file.write_all(b"\x02\0\x10\0data")?;
        file.write_all(&bytes.to_le_bytes())?;
        for sample in clip.iter().cycle().take(samples) {
            file.write_all(&sample.to_le_bytes())?;
        }
        file.flush()
    };
    write().map_err(|e| format!("failed to write {}: {e}", path.display()))
}

impl Fairness {
    fn print(&self) {
        let Self { lanes, rounds, long_window_secs, allowed_windows } = self;
        println!("{SHORT_SECS} s jobs beside a file of {} h, {lanes} lanes", LONG_SECS / 3600);
        println!("one window of the long file takes {long_window_secs:.2} s in its lane");
        println!("{:>5} {:>9} {:>17}", "round", "seconds", "windows before it");
        for (index, Round { secs, long_windows }) in rounds.iter().enumerate() {
            println!("{:>5} {secs:>9.2} {long_windows:>17}", index + 1);
        }
        let slowest = rounds.iter().map(|round| round.secs).fold(0.0, f64::max);
        let most = rounds.iter().map(|round| round.long_windows).max().unwrap_or_default();
        println!(
            "slowest {slowest:.2} s, at most {most} windows of the long file before it ({allowed_windows} allowed)"
        );
    }
}
