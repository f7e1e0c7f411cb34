//! Stopping: who asked, how long there is, and the two tokens that follow from it.

use std::fmt;
use std::future::{Future, pending};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

#[cfg(test)]
mod tests;

/// The last part of the margin, in which messages are given back: one visibility call and its retry.
const RELEASE_RESERVE: Duration = Duration::from_secs(3);

/// Who asked the worker to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A signal, by name.
    Signal(&'static str),
    /// EC2 takes the spot instance away.
    SpotInterruption,
    /// The Auto Scaling group takes the instance away.
    ScaleIn,
    /// EC2 sees an elevated risk of interruption, and the operator chose to act on that.
    Rebalance,
    /// The worker itself cannot work.
    Sick,
    /// There is no further file in a folder's inbox.
    InboxEmpty,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(name) => f.write_str(name),
            Self::SpotInterruption => f.write_str("spot interruption notice"),
            Self::ScaleIn => f.write_str("scale-in of the Auto Scaling group"),
            Self::Rebalance => f.write_str("rebalance recommendation"),
            Self::Sick => f.write_str("the worker is sick"),
            Self::InboxEmpty => f.write_str("the inbox is empty"),
        }
    }
}

/// A stop that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopping {
    /// Who asked first.
    pub reason: Reason,
    /// When the worker must have ended: the earliest deadline anyone named.
    pub deadline: Instant,
}

/// The way from "receive nothing more" to "gone". Clones are the same drain.
///
/// *stop* fires when a stop begins: nothing more is received, work goes on. *abort* fires a margin before the deadline:
/// work is given back. Then, shortly before the deadline, work that is still running is dropped and its messages are
/// made visible.
#[derive(Debug, Clone)]
pub struct Drain {
    stop: CancellationToken,
    abort: CancellationToken,
    plan: Arc<Plan>,
    grace: Duration,
    margin: Duration,
}

/// The stop under way. Not a `watch`, which wakes those who wait in random order: a simulation could not repeat it.
#[derive(Debug, Default)]
struct Plan {
    stopping: Mutex<Option<Stopping>>,
    moved: Notify,
}

impl Plan {
    fn stopping(&self) -> MutexGuard<'_, Option<Stopping>> {
        // nothing under the lock can leave it half changed
        self.stopping.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drain {
    /// `grace` is what a stop gets that names no deadline of its own (a signal, a scale-in); keep it below systemd's
    /// `TimeoutStopSec`. `margin` is what one window of audio and the upload of a checkpoint need.
    pub fn new(grace: Duration, margin: Duration) -> Self {
        Self { stop: CancellationToken::new(), abort: CancellationToken::new(), plan: Arc::default(), grace, margin }
    }

    /// Begins to stop, to have ended by `deadline`. The first caller's reason stands; a later call can only bring the
    /// deadline forward.
    pub fn begin(&self, reason: Reason, deadline: Instant) {
        let changed = {
            let mut plan = self.plan.stopping();
            let before = *plan;
            let stopping = plan.get_or_insert(Stopping { reason, deadline });
            stopping.deadline = stopping.deadline.min(deadline);
            *plan != before
        };
        if changed {
            let left_secs = deadline.saturating_duration_since(Instant::now()).as_secs();
            info!(%reason, left_secs, "stopping: no further message is received");
            self.plan.moved.notify_waiters();
        }
        self.stop.cancel();
    }

    /// Begins to stop with the configured grace.
    pub fn begin_gracefully(&self, reason: Reason) {
        self.begin(reason, Instant::now() + self.grace);
    }

    /// Begins to stop and gives work back now.
    pub fn begin_abort(&self, reason: Reason) {
        self.begin(reason, Instant::now() + self.margin);
        self.abort.cancel();
    }

    /// The token that ends receiving.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// The token that ends work.
    pub fn abort(&self) -> &CancellationToken {
        &self.abort
    }

    /// The stop under way, if any.
    pub fn stopping(&self) -> Option<Stopping> {
        *self.plan.stopping()
    }

    /// Fires *abort* a margin before the deadline. `worker::run` drives it; it never returns before that.
    pub async fn fire_abort(&self) {
        self.reached(self.margin).await;
        self.abort.cancel();
    }

    /// Returns when work that still runs must be dropped, so that its message can be given back before the deadline.
    pub async fn last_call(&self) {
        self.reached(RELEASE_RESERVE.min(self.margin / 4)).await;
    }

    /// Returns at the deadline.
    pub async fn deadline(&self) {
        self.reached(Duration::ZERO).await;
    }

    /// Returns `before` the deadline, wherever it is moved meanwhile; never without a stop.
    async fn reached(&self, before: Duration) {
        loop {
            let moved = self.plan.moved.notified();
            let at = self.stopping().map(|stopping| stopping.deadline.checked_sub(before));
            let due = async {
                match at {
                    Some(Some(at)) => sleep_until(at).await,
                    // a deadline so early that the clock cannot express the margin before it
                    Some(None) => {}
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                () = due => return,
                () = moved => {}
            }
        }
    }
}

/// Turns SIGTERM and SIGINT into a stop, and a second SIGINT into an abort. Handlers are installed by the call itself;
/// the future never returns.
///
/// # Errors
/// When a handler cannot be installed.
pub fn listen_for_signals(drain: Drain) -> std::io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let mut interrupts = 0_u32;
        loop {
            tokio::select! {
                Some(()) = terminate.recv() => drain.begin_gracefully(Reason::Signal("SIGTERM")),
                Some(()) = interrupt.recv() => {
                    interrupts = interrupts.saturating_add(1);
                    if interrupts == 1 {
                        drain.begin_gracefully(Reason::Signal("SIGINT"));
                    } else {
                        warn!("second SIGINT: work in flight is given back now");
                        drain.begin_abort(Reason::Signal("SIGINT"));
                    }
                }
                else => pending::<()>().await,
            }
        }
    })
}
