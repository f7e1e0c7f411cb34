//! What became of a message: one value that is the log line and the count.

use std::time::Duration;

use tracing::{info, warn};

use crate::counts::Counts;
use crate::fault::Problem;

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// Its work is done; it is deleted, or will be when it is delivered again.
    Done,
    /// Reported as failed, dead-lettered and deleted.
    Rejected(Problem),
    /// It will be delivered again after a back-off.
    Retried(Problem, Duration),
    /// Reported as `RETRIES_EXHAUSTED`; the queue moves it to the dead-letter queue.
    Exhausted(Problem),
    /// Visible to others at once, because the worker stops.
    Released,
    /// Visible to others after a pause, because this worker cannot do it. Never reported.
    Returned(Problem, Duration),
    /// Not ours any more: nothing was done.
    Lost,
}

impl Settled {
    /// Says it and counts it.
    pub fn tell(&self, counts: &Counts) {
        match self {
            // the flow's own line tells how the job went
            Self::Done => counts.done.add(),
            // so does its report of a failure
            Self::Rejected(_) => counts.rejected.add(),
            Self::Retried(Problem { code, message: reason }, wait) => {
                warn!(%code, reason, retry_secs = wait.as_secs(), "failed, will be retried");
                counts.retried.add();
            }
            Self::Exhausted(_) => counts.exhausted.add(),
            Self::Released => {
                info!("given back: the worker is stopping");
                counts.released.add();
            }
            Self::Returned(Problem { code, message: reason }, wait) => {
                warn!(%code, reason, retry_secs = wait.as_secs(), "given back: this worker cannot do it");
                counts.returned.add();
            }
            Self::Lost => {
                warn!("left alone: the lease was lost");
                counts.lost.add();
            }
        }
    }
}
