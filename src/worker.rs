//! A worker: its settings, how it begins and how it can end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::backoff::Backoff;
use crate::bounded::bounded;
use crate::counts::Counts;
use crate::drain::{Drain, Reason};
use crate::fault::{Code, Fault};
use crate::handler::Handler;
use crate::health::{Health, Sickness};
use crate::queue::{Queue, QueueTraits};
use crate::watchdog::Progress;
use crate::worker::attempt::Attempts;
use crate::worker::receiver::Receiver;

mod attempt;
#[cfg(test)]
pub(crate) mod fakes;
mod groups;
mod receiver;
#[cfg(test)]
mod tests;

/// A poll lasts 20 s at most; one that has not answered by now never will, and the loop must not stand still with it.
const RECEIVE_LIMIT: Duration = Duration::from_secs(60);
/// Between failed receives: the queue may be throttled or away for hours.
const RECEIVE_BACKOFF: Backoff = Backoff { base: Duration::from_secs(2), cap: Duration::from_secs(60) };
/// The lease counts from the call of the receive, which may have waited 20 s: anything shorter would be lost at birth.
const SHORTEST_VISIBILITY: Duration = Duration::from_secs(30);

/// How the worker receives and retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Messages at work at once; at least 1.
    pub slots: usize,
    /// How long a message stays invisible without a heartbeat: how late another worker takes over from one that died.
    /// At least 30 s, in whole seconds.
    pub visibility: Duration,
    /// The wait before a message is tried again.
    pub backoff: Backoff,
    /// End after this long without work.
    pub idle_after: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            slots: 4,
            visibility: Duration::from_secs(120),
            backoff: Backoff { base: Duration::from_secs(10), cap: Duration::from_secs(900) },
            idle_after: None,
        }
    }
}

/// Why the worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to stop, and nothing is at work any more.
    Drained(Reason),
    /// There was no work for `idle_after`.
    Idle,
    /// It cannot work, and has given back what it had.
    Sick(Sickness),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drained(reason) => write!(f, "drained: {reason}"),
            Self::Idle => f.write_str("idle: there was no work"),
            Self::Sick(sickness) => write!(f, "sick: {}", sickness.reason),
        }
    }
}

/// Asked before an idle worker ends.
#[async_trait]
pub trait IdleEnd: Send + Sync {
    /// Whether it may; else it goes on, and asks again when it was idle for so long once more.
    async fn may_end(&self) -> bool;
}

/// A worker, before it runs.
pub struct Worker {
    /// Where messages come from.
    pub queue: Arc<dyn Queue>,
    /// Who does their work.
    pub handler: Arc<dyn Handler>,
    /// Whether it is fit to work.
    pub health: Health,
    /// How it receives and retries.
    pub settings: Settings,
    /// When it stops.
    pub drain: Drain,
    /// Told of every turn, for the watchdog.
    pub progress: Progress,
    /// Counts what happens.
    pub counts: Arc<Counts>,
    /// Who is asked before it ends for want of work; without one it just ends.
    pub idle_end: Option<Arc<dyn IdleEnd>>,
}

impl Worker {
    /// Receives and works until the drain begins, the worker is idle or sick, then until nothing is at work, at most
    /// until the drain's deadline.
    ///
    /// A message is only received when a slot is free, and when the worker is well; while it is suspect, one at a time. A
    /// stop never cancels a poll, which would hide the message it was about to bring: the poll is awaited and what it
    /// brings is released. It does not cancel work either, until the drain's abort; a handler that does not end then is
    /// dropped shortly before the deadline and its message released.
    ///
    /// # Errors
    /// A permanent fault of the queue before the first successful receive, once it lasted for the health's patience with
    /// refusals: it does not exist or refuses us. Later ones are logged and retried.
    pub async fn run(self) -> Result<Ended, Fault> {
        let Self { queue, handler, health, settings, drain, progress, counts, idle_end } = self;
        let settings = Settings {
            slots: settings.slots.max(1),
            visibility: Duration::from_secs(settings.visibility.max(SHORTEST_VISIBILITY).as_secs()),
            ..settings
        };
        let aborter = drain.clone();
        // in a set, so that it ends with this function
        let mut background = JoinSet::new();
        background.spawn(async move { aborter.fire_abort().await });
        let patience = health.patience().refusal;
        let Some(traits) = read_traits(queue.as_ref(), &drain, patience).await? else { return Ok(drained(&drain)) };
        let attempts = Attempts::new(queue, handler, health.clone(), settings, drain.clone(), counts, progress.clone());
        let mut receiver = Receiver::new(attempts, traits, health, settings, drain, progress, idle_end);
        let ended = receiver.receive_until_stopped().await;
        receiver.finish().await;
        ended
    }
}

fn drained(drain: &Drain) -> Ended {
    // only called once a stop has begun; the fallback is never seen
    Ended::Drained(drain.stopping().map_or(Reason::Signal("stop"), |stopping| stopping.reason))
}

/// Reads the queue's traits, as long as that takes; `None` when a stop came first. A refusal is believed after `patience`:
/// a role that was attached a moment ago is refused too.
async fn read_traits(queue: &dyn Queue, drain: &Drain, patience: Duration) -> Result<Option<QueueTraits>, Fault> {
    let begun = Instant::now();
    let mut failures = 0_u32;
    loop {
        let fault = tokio::select! {
            biased;
            // reading attributes changes nothing, so it may be dropped
            () = drain.stop().cancelled() => return Ok(None),
            answer = bounded("read the queue's attributes", RECEIVE_LIMIT, queue.traits()) => match answer {
                Ok(traits) => return Ok(Some(traits)),
                Err(fault) if is_final(&fault, begun, patience) => return Err(fault),
                Err(fault) => fault,
            },
        };
        failures = failures.saturating_add(1);
        let wait = RECEIVE_BACKOFF.delay(failures);
        warn!(%fault, retry_secs = wait.as_secs(), "the queue cannot be reached");
        tokio::select! {
            biased;
            () = drain.stop().cancelled() => return Ok(None),
            () = sleep(wait) => {}
        }
    }
}

/// Whether a fault of the queue is believed: that it does not exist at once, a refusal after `patience`.
fn is_final(fault: &Fault, begun: Instant, patience: Duration) -> bool {
    match fault {
        Fault::Permanent(problem) => problem.code == Code::ObjectNotFound || begun.elapsed() >= patience,
        _ => false,
    }
}
