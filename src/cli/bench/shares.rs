//! What long jobs get of the engine side by side: tenants the same, the jobs of one by their weights.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::select_all;
use serde::Serialize;

use super::stage::Stage;
use crate::pipeline::Defaults;
use crate::transcribe::Transcriber;
use crate::transcribe::task::Share;

/// Tenants and weights of the jobs: one has a single job, the other five, of which one counts four times.
const JOBS: [(&str, u8); 6] = [("one", 1), ("many", 4), ("many", 1), ("many", 1), ("many", 1), ("many", 1)];

/// Shares are of so many seconds of audio, all jobs together, from when each has its first answer.
const ENOUGH_SECS: u64 = 5_400;

/// A share may be off by so much of itself: windows are whole, and come in order.
const TOLERATED: f64 = 0.25;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// One job's.
#[derive(Debug, Serialize)]
pub struct Part {
    tenant: &'static str,
    weight: u8,
    /// Of all audio that was done.
    share: f64,
    /// What it should be.
    due: f64,
}

/// Of each job.
#[derive(Debug, Serialize)]
pub struct Shares(Vec<Part>);

/// Hears the file in all jobs at once, until enough of it is done.
///
/// # Errors
/// The engine's, or that a file was too short.
pub async fn measure(file: &str, stage: &Stage, defaults: &Defaults, engine: &Transcriber) -> Result<Shares, String> {
    let done: Vec<Arc<AtomicU64>> = JOBS.iter().map(|_| Arc::default()).collect();
    let jobs = JOBS.iter().zip(&done).map(|((tenant, weight), done)| {
        let share = Share { tenant: Some((*tenant).into()), weight: *weight };
        let done = done.clone();
        Box::pin(stage.hear(file, share, move |secs| done.store(secs as u64, Ordering::Relaxed), defaults, engine))
    });
    let secs = || done.iter().map(|done| done.load(Ordering::Relaxed));
    let gained = async {
        // a slow speaker's first windows are heard twice, until he is known to be slow
        while secs().any(|secs| secs == 0) {
            tokio::time::sleep(LOOK).await;
        }
        let before: Vec<u64> = secs().collect();
        loop {
            tokio::time::sleep(LOOK).await;
            let gained: Vec<u64> = secs().zip(&before).map(|(now, before)| now - before).collect();
            if gained.iter().sum::<u64>() >= ENOUGH_SECS {
                return gained;
            }
        }
    };
    let gained = tokio::select! {
        gained = gained => gained,
        (ended, ..) = select_all(jobs) => {
            return Err(ended.err().unwrap_or_else(|| "a file was done before the shares could be read".to_owned()));
        }
    };
    let all = gained.iter().sum::<u64>() as f64;
    let parts = JOBS.iter().zip(gained).map(|((tenant, weight), secs)| {
        let of_tenant = JOBS.iter().filter(|(other, _)| other == tenant).map(|(_, weight)| f64::from(*weight));
        Part {
            tenant,
            weight: *weight,
            share: secs as f64 / all,
            due: f64::from(*weight) / of_tenant.sum::<f64>() / 2.0,
        }
    });
    Ok(Shares(parts.collect()))
}

impl Shares {
    /// Whether each has about what is due to it.
    pub fn are_fair(&self) -> bool {
        self.0.iter().all(|part| (part.share - part.due).abs() <= TOLERATED * part.due)
    }

    /// As a table.
    pub fn print(&self) {
        println!("{:>8} {:>7} {:>8} {:>8}", "tenant", "weight", "share %", "due %");
        for Part { tenant, weight, share, due } in &self.0 {
            println!("{tenant:>8} {weight:>7} {:>8.1} {:>8.1}", 100.0 * share, 100.0 * due);
        }
    }
}
