//! How long a short job takes while a long file is at work: a few windows of the long one, never the rest of it.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::complain;
use super::shares::{self, Shares};
use super::stage::Stage;
use crate::app;
use crate::config::EngineConfig;
use crate::exit;
use crate::health::Health;
use crate::model::Model;
use crate::pipeline::Defaults;
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
    /// What several long jobs got of the engine side by side.
    shares: Shares,
}

/// Runs the measurement: 0 when every short job was done within the allowed number of the long one's windows, and long ones
/// got what is theirs.
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
    let waited = found.rounds.iter().all(|round| round.long_windows <= found.allowed_windows);
    if waited && found.shares.are_fair() { exit::OK } else { exit::FAILED }
}

async fn measure(clip: &Path, config: &EngineConfig, defaults: &Defaults, model: &Model) -> Result<Fairness, String> {
    let stage = Stage::new(clip, defaults)?;
    stage.make("long.wav", LONG_SECS)?;
    stage.make("short.wav", SHORT_SECS)?;
    let engine = app::start_engine(config, model, Health::default()).await?;
    let (stats, lanes) = (engine.stats(), engine.lanes());
    let hear = |name| stage.hear(name, Share::default(), |_| (), defaults, &engine);
    let long = hear("long.wav");
    let short = async {
        wait_for_windows(&stats, WARM_UP_WINDOWS * lanes as u64).await;
        let (windows, busy_ms) = (stats.windows(), stats.busy_ms());
        let mut rounds = Vec::new();
        while rounds.len() < ROUNDS {
            let submitted = Instant::now();
            let before = stats.windows();
            let heard = hear("short.wav").await?;
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
        Ok((rounds, long_window_secs))
    };
    let short = tokio::select! {
        found = short => found,
        ended = long => Err(ended.err().unwrap_or_else(|| "the long file was done before the short ones".to_owned())),
    };
    let found = async {
        let (rounds, long_window_secs) = short?;
        let shares = shares::measure("long.wav", &stage, defaults, &engine).await?;
        Ok(Fairness { lanes, rounds, long_window_secs, allowed_windows: lanes as u64 + FEW_WINDOWS, shares })
    };
    let found = found.await;
    engine.end().await;
    found
}

async fn wait_for_windows(stats: &Stats, windows: u64) {
    while stats.windows() < windows {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Fairness {
    fn print(&self) {
        let Self { lanes, rounds, long_window_secs, allowed_windows, shares } = self;
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
        shares.print();
    }
}
