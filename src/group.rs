//! The Auto Scaling group that this instance belongs to: protection while the worker is busy, the wait of a lifecycle hook
//! that ends when it has drained, and the instance's own end when there is no work.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use crate::bounded::bounded;
use crate::counts::Counts;
use crate::drain::{Drain, Reason};
use crate::fault::Fault;
use crate::worker::IdleEnd;

pub mod autoscaling;
#[cfg(test)]
mod tests;

/// One call to the group, the SDK's retries included.
const CALL_LIMIT: Duration = Duration::from_secs(20);
/// A hook's time-out is a minute or more: half of that is soon enough.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(30);
/// Between two tries to end a hook's wait, which begins some seconds after the group decided to take the instance away.
const COMPLETE_AGAIN: Duration = Duration::from_secs(5);
/// The hook's own time-out ends it in any case.
const COMPLETE_FOR: Duration = Duration::from_secs(60);
/// How often it is looked whether the worker is busy.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A pause between two jobs is no end of work: a call each way for every job would be throttled.
const CALM: Duration = Duration::from_secs(30);
/// After a refusal nothing is asked for so long.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// The group, as one of its instances sees it.
#[async_trait]
pub trait Group: Send + Sync {
    /// The wait of the lifecycle hook is to last longer.
    async fn heartbeat(&self) -> Result<(), Fault>;

    /// The wait of the lifecycle hook is over. A permanent fault where there is none yet.
    async fn complete(&self) -> Result<(), Fault>;

    /// The group is not to choose this instance when it scales in, or may again.
    async fn protect(&self, protected: bool) -> Result<(), Fault>;

    /// Ends this instance for good: the group wants one less. A permanent fault where it may not be smaller.
    async fn terminate(&self) -> Result<(), Fault>;
}

/// Keeps the hook waiting while the worker drains because the group takes the instance away. Never returns.
pub async fn keep_waiting(group: Arc<dyn Group>, drain: Drain) {
    drain.stop().cancelled().await;
    if drain.stopping().is_some_and(|stopping| stopping.reason == Reason::ScaleIn) {
        let mut beats = interval(HEARTBEAT_EVERY);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            if let Err(fault) = bounded("extend the wait of the lifecycle hook", CALL_LIMIT, group.heartbeat()).await {
                warn!(%fault, "the lifecycle hook may end before the worker has drained");
            }
        }
    }
    std::future::pending().await
}

/// Ends the hook's wait, since nothing is at work any more. What comes of it is logged: the hook times out by itself.
pub async fn let_go(group: &dyn Group) {
    let begun = Instant::now();
    loop {
        match bounded("end the wait of the lifecycle hook", CALL_LIMIT, group.complete()).await {
            Ok(()) => return info!("drained: the group may take the instance"),
            Err(fault) if begun.elapsed() >= COMPLETE_FOR => {
                return warn!(%fault, "the lifecycle hook waits until its time-out");
            }
            Err(_) => sleep(COMPLETE_AGAIN).await,
        }
    }
}

/// Protects the instance from scale-in while the worker is busy, and lets go of it some time after. Never returns.
pub async fn protect_while_busy(group: Arc<dyn Group>, counts: Arc<Counts>) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // a process before this one may have left it protected
    let mut protected = None;
    let mut last_busy: Option<Instant> = None;
    let mut not_before = Instant::now();
    loop {
        looks.tick().await;
        let now = Instant::now();
        if counts.in_flight.get() > 0 {
            last_busy = Some(now);
        }
        let wanted = last_busy.is_some_and(|at| now - at < CALM);
        if protected == Some(wanted) || now < not_before {
            continue;
        }
        match bounded("protect the instance from scale-in", CALL_LIMIT, group.protect(wanted)).await {
            Ok(()) => protected = Some(wanted),
            Err(fault) => {
                warn!(%fault, wanted, "the protection from scale-in could not be changed");
                not_before = Instant::now() + ASK_AGAIN;
            }
        }
    }
}

/// Lets go of a protected instance: this worker ends, whatever becomes of the instance.
pub async fn unprotect(group: &dyn Group) {
    if let Err(fault) = bounded("let go of the instance", CALL_LIMIT, group.protect(false)).await {
        warn!(%fault, "the instance may stay protected from scale-in although no worker runs on it");
    }
}

/// The end of an idle instance.
pub struct Leave(pub Arc<dyn Group>);

#[async_trait]
impl IdleEnd for Leave {
    /// Whether the group takes the instance. Where it may not be smaller the worker goes on: an instance without one would
    /// be paid for.
    async fn may_end(&self) -> bool {
        match bounded("end this idle instance", CALL_LIMIT, self.0.terminate()).await {
            Ok(()) => {
                info!("idle: the group ends this instance");
                true
            }
            Err(fault) => {
                info!(%fault, "idle, and kept by the group");
                false
            }
        }
    }
}
