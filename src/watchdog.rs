//! What systemd is told: ready, alive, stopping. Alive only when something moved, never because time passed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::debug;

use crate::counts::Counts;
use crate::drain::Drain;
use crate::health::{Health, State};

#[cfg(test)]
mod tests;

/// systemd is told at most this often, however fast the loop turns.
const SHORTEST_BEAT: Duration = Duration::from_secs(1);

/// Signs of life. Clones are the same. The receive loop reports its turns; the flow reports steps of work (bytes
/// fetched, windows decoded or answered), which count as life while every slot is busy and the loop has nothing to do.
#[derive(Debug, Clone)]
pub struct Progress {
    turns: Arc<watch::Sender<u64>>,
    steps: Arc<AtomicU64>,
    at_work: Arc<watch::Sender<()>>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            turns: Arc::new(watch::Sender::new(0)),
            steps: Arc::default(),
            at_work: Arc::new(watch::Sender::new(())),
        }
    }
}

impl Progress {
    /// The receive loop went round once.
    pub fn turn(&self) {
        self.turns.send_modify(|turns| *turns = turns.wrapping_add(1));
    }

    /// Some job came a step further.
    pub fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Something is at work that was not before, or is no more: the status changes, but it is no sign of life.
    pub fn at_work(&self) {
        self.at_work.send_replace(());
    }

    /// Turns so far; 0 until the worker receives.
    pub fn turns(&self) -> u64 {
        *self.turns.borrow()
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }
}

/// Tells systemd, for as long as it is polled: READY with the first turn of the receive loop, WATCHDOG after turns, STATUS
/// whenever it changes, STOPPING when `drain` begins. Does nothing without `NOTIFY_SOCKET`.
///
/// `WatchdogSec` must be longer than the longest time without a turn: 60 s (a hanging poll, a back-off) and a margin;
/// while every slot is busy, the longest time between two steps of the flow.
pub async fn attend(progress: Progress, counts: Arc<Counts>, health: Health, drain: Drain) {
    attend_with(progress, counts, health, drain, |states| {
        if let Err(error) = sd_notify::notify(states) {
            debug!(%error, "failed to notify systemd");
        }
    })
    .await;
}

async fn attend_with(
    progress: Progress,
    counts: Arc<Counts>,
    health: Health,
    drain: Drain,
    tell: impl Fn(&[NotifyState<'_>]),
) {
    let mut verdicts = health.verdicts();
    let mut turns = progress.turns.subscribe();
    let mut at_work = progress.at_work.subscribe();
    let mut ready = false;
    let mut stopping = false;
    let status = |ready| status(ready, &counts, &health, &drain);
    tell(&[NotifyState::Status(&status(ready))]);
    loop {
        tokio::select! {
            biased;
            // `progress` holds the sender, so this cannot fail
            _ = turns.changed() => {
                if !ready && !stopping {
                    tell(&[NotifyState::Ready]);
                }
                ready = true;
                tell(&[NotifyState::Watchdog, NotifyState::Status(&status(ready))]);
                sleep(SHORTEST_BEAT).await;
            }
            // as above; a fleet of short jobs is not told one by one
            _ = at_work.changed() => {
                tell(&[NotifyState::Status(&status(ready))]);
                sleep(SHORTEST_BEAT).await;
            }
            // as above
            _ = verdicts.changed() => tell(&[NotifyState::Status(&status(ready))]),
            () = drain.stop().cancelled(), if !stopping => {
                stopping = true;
                tell(&[NotifyState::Stopping, NotifyState::Status(&status(ready))]);
            }
        }
    }
}

/// One line for `systemctl status`.
fn status(ready: bool, counts: &Counts, health: &Health, drain: &Drain) -> String {
    let failed = counts.rejected.get() + counts.exhausted.get();
    let at_work = format!("{} at work, {} done, {failed} failed", counts.in_flight.get(), counts.done.get());
    match (health.state(), drain.stopping()) {
        (State::Sick(sickness), _) => format!("sick ({}), {at_work}", sickness.reason),
        (_, Some(stop)) => format!("stopping ({}), {at_work}", stop.reason),
        (State::Suspect(reason), None) => format!("suspect ({reason}), {at_work}"),
        (State::Well, None) if !ready => "starting: the model is loaded, output and bus are tried".to_owned(),
        (State::Well, None) => at_work,
    }
}
