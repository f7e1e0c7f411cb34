//! The receive loop: takes messages into free slots and hands each to the flow.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::drain::{Drain, Reason};
use crate::fault::{Fault, Problem};
use crate::queue::{Message, Queue, QueueTraits};
use crate::watchdog::Progress;
use crate::worker::attempt::Attempts;
use crate::worker::backoff::Backoff;
use crate::worker::counts::Counts;
use crate::worker::guard::bounded;

mod attempt;
pub mod backoff;
pub mod counts;
#[cfg(test)]
pub(crate) mod fakes;
mod groups;
pub(crate) mod guard;
#[cfg(test)]
mod tests;

/// SQS hands out at most this many messages at once.
const MOST_PER_RECEIVE: usize = 10;
/// A poll lasts 20 s at most; one that has not answered by now never will, and the loop must not stand still with it.
const RECEIVE_LIMIT: Duration = Duration::from_secs(60);
/// Between failed receives: the queue may be throttled or away for hours.
const RECEIVE_BACKOFF: Backoff = Backoff { base: Duration::from_secs(2), cap: Duration::from_secs(60) };
/// How often the loop looks for signs of life while it has nothing to do.
const LOOK_EVERY: Duration = Duration::from_secs(5);
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

/// Why the worker ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to stop, and nothing is at work any more.
    Drained(Reason),
    /// There was no work for `idle_after`.
    Idle,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drained(reason) => write!(f, "drained: {reason}"),
            Self::Idle => f.write_str("idle: there was no work"),
        }
    }
}

/// What control tells a running job.
#[derive(Debug, Clone, Default)]
pub struct Control {
    /// Give the work back: send no further window, keep what is finished, end with `Interrupted`.
    pub abort: CancellationToken,
    /// The message is another's now: write nothing more, end with `LeaseLost`.
    pub lease_lost: CancellationToken,
}

/// The flow as control sees it: a body in, an outcome out. Knows nothing of queues.
#[async_trait]
pub trait Handler: Send + Sync {
    /// Does the whole work of one message, store and publish included; `Ok` means the message may be deleted.
    /// `message_id` and `receive_count` are for logs and ids only. The current span has an empty field `job_id` for the
    /// handler to record, so that every line of the job carries it.
    async fn handle(&self, delivery: &Delivery, control: &Control) -> Result<(), Fault>;

    /// Publishes `failed` for a message that will not be tried again. An error means the report was not written and
    /// the message must stay.
    async fn report(&self, delivery: &Delivery, problem: &Problem) -> Result<(), Fault>;
}

/// What the flow may know of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The queue's message id, for logs.
    pub message_id: String,
    /// The body.
    pub body: String,
    /// How often it was delivered, this time included.
    pub receive_count: u32,
    /// When the producer sent it, milliseconds since the Unix epoch; 0 when unknown.
    pub sent_at_ms: i64,
    /// After so many deliveries the queue gives the message up; `None` when it never does.
    pub max_receive_count: Option<u32>,
}

impl Delivery {
    /// What of a queue's message the flow may know.
    pub fn of(message: &Message, traits: &QueueTraits) -> Self {
        Self {
            message_id: message.id.clone(),
            body: message.body.clone(),
            receive_count: message.receive_count,
            sent_at_ms: message.sent_at_ms,
            max_receive_count: traits.max_receive_count,
        }
    }
}

/// Receives and works until `drain` begins or the worker is idle, then until nothing is at work, at most until the
/// drain's deadline.
///
/// A message is only received when a slot is free. A stop never cancels a poll, which would hide the message it was
/// about to bring: the poll is awaited and what it brings is released. It does not cancel work either, until the
/// drain's abort; a handler that does not end then is dropped shortly before the deadline and its message released.
///
/// # Errors
/// A permanent fault of the queue before the first successful receive: it does not exist or refuses us. Later ones
/// are logged and retried.
pub async fn run(
    queue: Arc<dyn Queue>,
    handler: Arc<dyn Handler>,
    settings: Settings,
    drain: Drain,
    progress: Progress,
    counts: Arc<Counts>,
) -> Result<Ended, Fault> {
    let settings = Settings {
        slots: settings.slots.max(1),
        visibility: Duration::from_secs(settings.visibility.max(SHORTEST_VISIBILITY).as_secs()),
        ..settings
    };
    let aborter = drain.clone();
    // in a set, so that it ends with this function
    let mut background = JoinSet::new();
    background.spawn(async move { aborter.fire_abort().await });
    let Some(traits) = read_traits(queue.as_ref(), &drain).await? else { return Ok(drained(&drain)) };
    let attempts = Attempts::new(queue, handler, traits.clone(), settings, drain.clone(), counts);
    let mut worker =
        Worker { attempts: Arc::new(attempts), traits, settings, drain, progress, at_work: JoinSet::new() };
    let ended = worker.receive_until_stopped().await;
    worker.finish().await;
    ended
}

fn drained(drain: &Drain) -> Ended {
    // only called once a stop has begun; the fallback is never seen
    Ended::Drained(drain.stopping().map_or(Reason::Signal("stop"), |stopping| stopping.reason))
}

/// Reads the queue's traits, as long as that takes; `None` when a stop came first.
async fn read_traits(queue: &dyn Queue, drain: &Drain) -> Result<Option<QueueTraits>, Fault> {
    let mut failures = 0_u32;
    loop {
        let fault = tokio::select! {
            // reading attributes changes nothing, so it may be dropped
            () = drain.stop().cancelled() => return Ok(None),
            answer = bounded("read the queue's attributes", RECEIVE_LIMIT, queue.traits()) => match answer {
                Ok(traits) => return Ok(Some(traits)),
                Err(fault @ Fault::Permanent(_)) => return Err(fault),
                Err(fault) => fault,
            },
        };
        failures = failures.saturating_add(1);
        let wait = RECEIVE_BACKOFF.delay(failures);
        warn!(%fault, retry_secs = wait.as_secs(), "the queue cannot be reached");
        tokio::select! {
            () = drain.stop().cancelled() => return Ok(None),
            () = sleep(wait) => {}
        }
    }
}

struct Worker {
    attempts: Arc<Attempts>,
    traits: QueueTraits,
    settings: Settings,
    drain: Drain,
    progress: Progress,
    at_work: JoinSet<()>,
}

impl Worker {
    async fn receive_until_stopped(&mut self) -> Result<Ended, Fault> {
        let stop = self.drain.stop().clone();
        let mut received_before = false;
        let mut failures = 0_u32;
        let mut last_work = Instant::now();
        let mut steps_seen = self.progress.steps();
        self.progress.turn();
        loop {
            while self.at_work.try_join_next().is_some() {}
            if stop.is_cancelled() {
                return Ok(drained(&self.drain));
            }
            let free = self.settings.slots.saturating_sub(self.at_work.len());
            if free == 0 {
                self.wait_for_a_slot(&mut steps_seen).await;
                continue;
            }
            let asked_at = Instant::now();
            let mut poll = JoinSet::new();
            poll.spawn(self.attempts.clone().receive(self.most(free)));
            let answer = tokio::select! {
                biased;
                answer = poll.join_next() => answer.and_then(Result::ok),
                () = stop.cancelled() => {
                    self.at_work.spawn(self.attempts.clone().release_late(poll));
                    return Ok(drained(&self.drain));
                }
            };
            self.progress.turn();
            match answer.unwrap_or_else(|| Ok(Vec::new())) {
                Ok(messages) => {
                    received_before = true;
                    failures = 0;
                    if !messages.is_empty() || !self.at_work.is_empty() {
                        last_work = Instant::now();
                    }
                    for message in messages {
                        self.at_work.spawn(self.attempts.clone().attempt(message, asked_at));
                    }
                    let idle = self.at_work.is_empty().then(|| last_work.elapsed());
                    if self.settings.idle_after.zip(idle).is_some_and(|(limit, idle)| idle >= limit) {
                        info!("idle: there was no work");
                        return Ok(Ended::Idle);
                    }
                }
                Err(fault @ Fault::Permanent(_)) if !received_before => return Err(fault),
                Err(fault) => {
                    failures = failures.saturating_add(1);
                    self.back_off(&fault, failures).await;
                }
            }
        }
    }

    fn most(&self, free: usize) -> usize {
        if self.traits.fifo { 1 } else { free.min(MOST_PER_RECEIVE) }
    }

    /// Until a slot may be free. The loop has nothing to do meanwhile, so only steps of the work count as life.
    async fn wait_for_a_slot(&mut self, steps_seen: &mut u64) {
        tokio::select! {
            () = self.drain.stop().cancelled() => {}
            _ = self.at_work.join_next() => self.progress.turn(),
            () = sleep(LOOK_EVERY) => {
                let steps = self.progress.steps();
                if steps != *steps_seen {
                    self.progress.turn();
                }
                *steps_seen = steps;
            }
        }
    }

    async fn back_off(&self, fault: &Fault, failures: u32) {
        let wait = RECEIVE_BACKOFF.delay(failures);
        warn!(%fault, failures, retry_secs = wait.as_secs(), "failed to receive messages");
        tokio::select! {
            () = self.drain.stop().cancelled() => {}
            () = sleep(wait) => {}
        }
    }

    /// Waits for what is at work. Bounded by the deadline, so time alone may count as life here.
    async fn finish(&mut self) {
        let deadline = self.drain.clone();
        let deadline = deadline.deadline();
        tokio::pin!(deadline);
        while !self.at_work.is_empty() {
            tokio::select! {
                biased;
                _ = self.at_work.join_next() => {}
                () = &mut deadline => {
                    let left = self.at_work.len();
                    error!(left, "the deadline came first: messages stay hidden until their leases run out");
                    return self.at_work.shutdown().await;
                }
                () = sleep(LOOK_EVERY) => {}
            }
            self.progress.turn();
        }
    }
}
