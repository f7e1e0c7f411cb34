//! A worker that has done nothing yet.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Status;
use crate::board::Board;
use crate::drain::Drain;
use crate::gpus::Gpus;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::watchdog::Progress;

pub fn status(metrics: Metrics) -> Status {
    Status {
        metrics,
        counts: Arc::default(),
        health: Health::default(),
        drain: Drain::new(Duration::from_secs(90), Duration::from_secs(20)),
        progress: Progress::default(),
        board: Board::default(),
        engines: Arc::default(),
        gpus: Gpus::default(),
        scratch_dir: PathBuf::from("/"),
        begun: Instant::now(),
    }
}
