//! The receive loop: takes messages into free slots and hands each to an attempt.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use super::attempt::Attempts;
use super::{Ended, IdleEnd, RECEIVE_BACKOFF, Settings, drained, is_final};
use crate::backoff::Backoff;
use crate::drain::{Drain, Reason};
use crate::fault::Fault;
use crate::health::{Health, State};
use crate::queue::QueueTraits;
use crate::watchdog::Progress;

/// SQS hands out at most this many messages at once.
const MOST_PER_RECEIVE: usize = 10;
/// Between the single messages that a suspect worker receives.
const PROBE_BACKOFF: Backoff = Backoff { base: Duration::from_secs(4), cap: Duration::from_secs(60) };
/// How often the loop looks for signs of life while it has nothing to do.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The loop's state.
pub(super) struct Receiver {
    attempts: Arc<Attempts>,
    traits: QueueTraits,
    health: Health,
    settings: Settings,
    drain: Drain,
    progress: Progress,
    idle_end: Option<Arc<dyn IdleEnd>>,
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
    pub(super) fn new(
        attempts: Attempts,
        traits: QueueTraits,
        health: Health,
        settings: Settings,
        drain: Drain,
        progress: Progress,
        idle_end: Option<Arc<dyn IdleEnd>>,
    ) -> Self {
        Self {
            attempts: Arc::new(attempts),
            traits,
            health,
            settings,
            drain,
            progress,
            idle_end,
            at_work: JoinSet::new(),
            probes: 0,
            probe_at: None,
        }
    }

    /// Receives and spawns attempts until there is a reason to end.
    pub(super) async fn receive_until_stopped(&mut self) -> Result<Ended, Fault> {
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
                        if self.may_end().await {
                            info!("idle: there was no work");
                            return Ok(Ended::Idle);
                        }
                        last_work = Instant::now();
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

    /// Whether an idle worker may end.
    async fn may_end(&self) -> bool {
        match &self.idle_end {
            Some(idle_end) => idle_end.may_end().await,
            None => true,
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
    pub(super) async fn finish(&mut self) {
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
