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

/// So many seconds of audio are done when the shares are read, all jobs together.
const ENOUGH_SECS: u64 = 1_800;

/// A share may be off by so much of itself: windows in flight, and the first ones, which came before others were there.
const TOLERATED: f64 = 0.25;

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
    let enough = async {
        while secs().sum::<u64>() < ENOUGH_SECS {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = enough => {}
        (ended, ..) = select_all(jobs) => {
            return Err(ended.err().unwrap_or_else(|| "a file was done before the shares could be read".to_owned()));
        }
    }
    let all = secs().sum::<u64>().max(1) as f64;
    let parts = JOBS.iter().zip(secs()).map(|((tenant, weight), secs)| {
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
