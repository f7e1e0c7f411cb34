//! What control counts, for metrics and the status page.

use std::sync::atomic::{AtomicU64, Ordering};

/// One number that many tasks add to.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds one.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one away, for gauges.
    pub fn sub(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Reads it.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters since start, and the one gauge `in_flight`. A message counts in exactly one of `done`, `rejected`,
/// `retried`, `exhausted`, `released`, `returned` and `lost` each time it is settled.
#[derive(Debug, Default)]
pub struct Counts {
    /// Messages at work now.
    pub in_flight: Count,
    /// Messages taken from the queue.
    pub received: Count,
    /// Calls to `receive` that failed.
    pub receive_errors: Count,
    /// Done.
    pub done: Count,
    /// Failed for good: reported, dead-lettered, deleted.
    pub rejected: Count,
    /// Given back with a back-off.
    pub retried: Count,
    /// Reported as `RETRIES_EXHAUSTED` and left to the queue's redrive.
    pub exhausted: Count,
    /// Given back at once, because the worker stops.
    pub released: Count,
    /// Given back, because this worker cannot do them.
    pub returned: Count,
    /// Left alone, because the lease was lost.
    pub lost: Count,
    /// Visibility extensions that the queue accepted.
    pub extensions: Count,
    /// Rebalance recommendations seen.
    pub rebalances: Count,
    /// Spot interruption notices seen.
    pub interruptions: Count,
}
