//! The receive loop: takes messages into free slots and hands each to the flow.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use crate::backoff::Backoff;
use crate::bounded::bounded;
use crate::counts::Counts;
use crate::drain::{Drain, Reason};
use crate::fault::{Code, Fault};
use crate::handler::Handler;
use crate::health::{Health, Sickness, State};
use crate::queue::{Queue, QueueTraits};
use crate::watchdog::Progress;
use crate::worker::attempt::Attempts;

mod attempt;
#[cfg(test)]
pub(crate) mod fakes;
mod groups;
#[cfg(test)]
mod tests;

/// SQS hands out at most this many messages at once.
const MOST_PER_RECEIVE: usize = 10;
/// A poll lasts 20 s at most; one that has not answered by now never will, and the loop must not stand still with it.
const RECEIVE_LIMIT: Duration = Duration::from_secs(60);
/// Between failed receives: the queue may be throttled or away for hours.
const RECEIVE_BACKOFF: Backoff = Backoff { base: Duration::from_secs(2), cap: Duration::from_secs(60) };
/// Between the single messages that a suspect worker receives.
const PROBE_BACKOFF: Backoff = Backoff { base: Duration::from_secs(4), cap: Duration::from_secs(60) };
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
        let Self { queue, handler, health, settings, drain, progress, counts } = self;
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
        let attempts = Attempts::new(queue, handler, health.clone(), settings, drain.clone(), counts);
        let mut receiver = Receiver {
            attempts: Arc::new(attempts),
            traits,
            health,
            settings,
            drain,
            progress,
            at_work: JoinSet::new(),
            probes: 0,
            probe_at: None,
        };
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

struct Receiver {
    attempts: Arc<Attempts>,
    traits: QueueTraits,
    health: Health,
    settings: Settings,
    drain: Drain,
    progress: Progress,
    at_work: JoinSet<()>,
    /// Messages received since the worker became suspect.
    probes: u32,
    /// When the next of them may be received.
    probe_at: Option<Instant>,
}

/// What the loop may do next.
enum Next {
    Receive(usize),
    Wait(Option<Duration>),
    End(Ended),
}

impl Receiver {
    async fn receive_until_stopped(&mut self) -> Result<Ended, Fault> {
        let stop = self.drain.stop().clone();
        let begun = Instant::now();
        let mut received_before = false;
        let mut failures = 0_u32;
        let mut last_work = Instant::now();
        let mut steps_seen = self.progress.steps();
        self.progress.turn();
        loop {
            while self.at_work.try_join_next().is_some() {}
            let most = match self.next() {
                Next::End(ended) => return Ok(ended),
                Next::Wait(pause) => {
                    self.wait(pause, &mut steps_seen).await;
                    continue;
                }
                Next::Receive(most) => most,
            };
            let asked_at = Instant::now();
            let mut poll = JoinSet::new();
            poll.spawn(self.attempts.clone().receive(most));
            let answer = tokio::select! {
                biased;
                answer = poll.join_next() => answer.and_then(Result::ok),
                () = stop.cancelled() => {
                    self.at_work.spawn(self.attempts.clone().release_late(poll, asked_at));
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
                    self.probes = self.probes.saturating_add(u32::from(!messages.is_empty()));
                    for message in messages {
                        self.at_work.spawn(self.attempts.clone().attempt(message, asked_at));
                    }
                    let idle = self.at_work.is_empty().then(|| last_work.elapsed());
                    if self.settings.idle_after.zip(idle).is_some_and(|(limit, idle)| idle >= limit) {
                        info!("idle: there was no work");
                        return Ok(Ended::Idle);
                    }
                }
                Err(fault) if !received_before && is_final(&fault, begun, self.health.patience().refusal) => {
                    return Err(fault);
                }
                Err(fault) => {
                    failures = failures.saturating_add(1);
                    self.back_off(&fault, failures).await;
                }
            }
        }
    }

    /// Slots, and the state of the worker's health.
    fn next(&mut self) -> Next {
        if self.drain.stop().is_cancelled() {
            return Next::End(drained(&self.drain));
        }
        let busy = self.at_work.len().saturating_sub(self.attempts.parking().parked());
        let free = self.settings.slots.saturating_sub(busy);
        match self.health.state() {
            State::Sick(sickness) => {
                self.drain.begin_abort(Reason::Sick);
                Next::End(Ended::Sick(sickness))
            }
            // one at a time: what is at work is the probe
            State::Suspect(_) if busy > 0 => {
                self.probe_at = None;
                Next::Wait(None)
            }
            State::Suspect(_) => {
                let now = Instant::now();
                let at = *self.probe_at.get_or_insert_with(|| now + PROBE_BACKOFF.delay(self.probes + 1));
                if at > now { Next::Wait(Some(at - now)) } else { Next::Receive(1) }
            }
            State::Well => {
                (self.probes, self.probe_at) = (0, None);
                match free {
                    0 => Next::Wait(None),
                    _ if self.traits.fifo => Next::Receive(1),
                    _ => Next::Receive(free.min(MOST_PER_RECEIVE)),
                }
            }
        }
    }

    /// For `pause`, else until a slot may be free or the verdict on the worker's health is another. The loop has nothing to
    /// do meanwhile, so only steps of the work count as life, or a pause that was meant.
    async fn wait(&mut self, pause: Option<Duration>, steps_seen: &mut u64) {
        let mut verdicts = self.health.verdicts();
        verdicts.borrow_and_update();
        tokio::select! {
            biased;
            () = self.drain.stop().cancelled() => {}
            // the health holds the sender, so this cannot fail
            _ = verdicts.changed() => {}
            () = sleep(pause.unwrap_or(LOOK_EVERY)), if pause.is_some() => self.progress.turn(),
            Some(_) = self.at_work.join_next(), if pause.is_none() => self.progress.turn(),
            () = self.attempts.parking().changed() => {}
            () = sleep(LOOK_EVERY), if pause.is_none() => {
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
            biased;
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
