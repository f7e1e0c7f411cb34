//! The lease of one message: the heartbeat that keeps it invisible to others while it is worked on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, warn};

use crate::bounded::caught;
use crate::counts::Counts;
use crate::fault::{Code, Fault};
use crate::queue::{Message, Queue};

#[cfg(test)]
mod tests;

/// SQS keeps no message invisible for longer than 12 hours after its receive.
pub const LONGEST: Duration = Duration::from_secs(12 * 3600);

/// One extension, the SDK's own retries included.
const EXTEND_LIMIT: Duration = Duration::from_secs(10);
/// What an extension in flight gets to end when the lease is released: dropped earlier it might reach the queue after
/// the message was made visible, and hide it again.
const JOIN_LIMIT: Duration = Duration::from_secs(2);
/// SQS counts visibility in whole seconds.
const SHORTEST: Duration = Duration::from_secs(1);

/// A running heartbeat. Dropping it stops the heartbeat too, without waiting.
#[derive(Debug)]
pub struct Lease {
    stop: CancellationToken,
    heartbeat: JoinHandle<()>,
    expires: watch::Receiver<Instant>,
}

impl Lease {
    /// Keeps `message` invisible from now on: every third of `visibility` it is extended to `visibility` from then.
    /// `asked_at` is when the receive that brought it was called, so that the lease is never thought longer than it is.
    ///
    /// `lost` is cancelled when the queue says that the receipt is no longer valid, when no extension succeeded before
    /// the lease ran out, or 12 hours after the receive.
    pub fn hold(
        queue: Arc<dyn Queue>,
        message: Message,
        visibility: Duration,
        asked_at: Instant,
        lost: CancellationToken,
        counts: Arc<Counts>,
    ) -> Self {
        let stop = CancellationToken::new();
        // a poll that was sent again may bring a message when its time is up already
        if Instant::now() >= asked_at + visibility {
            lost.cancel();
        }
        let (granted, expires) = watch::channel(asked_at + visibility);
        let beat = Heartbeat { queue, message, visibility, asked_at, lost, counts, stop: stop.clone(), granted };
        Self { stop, heartbeat: tokio::spawn(beat.run().in_current_span()), expires }
    }

    /// Stops the heartbeat and waits until it has ended: afterwards it touches the message no more. Returns until when the
    /// message is ours.
    pub async fn release(mut self) -> Instant {
        self.stop.cancel();
        if let Err(error) = (&mut self.heartbeat).await {
            warn!(%error, "the visibility heartbeat ended badly");
        }
        *self.expires.borrow()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}

struct Heartbeat {
    queue: Arc<dyn Queue>,
    message: Message,
    visibility: Duration,
    asked_at: Instant,
    lost: CancellationToken,
    counts: Arc<Counts>,
    stop: CancellationToken,
    granted: watch::Sender<Instant>,
}

impl Heartbeat {
    async fn run(self) {
        let every = self.visibility / 3;
        // four tries fit between the first failure and half of what is left of the lease
        let retry = (self.visibility / 12).max(SHORTEST);
        let last_moment = self.asked_at + LONGEST;
        let mut expires = self.asked_at + self.visibility;
        let mut next = self.asked_at + every;
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = sleep_until(next.min(expires)) => {}
            }
            let now = Instant::now();
            if now >= expires {
                warn!("the lease ran out: the message may be another worker's now");
                return self.lost.cancel();
            }
            let grant = Duration::from_secs(self.visibility.min(last_moment.saturating_duration_since(now)).as_secs());
            if now + grant <= expires {
                // the 12 hours are used up: nothing to gain any more, only `expires` to wait for
                next = expires;
                continue;
            }
            let Some(answer) = self.extend(grant, expires.min(now + EXTEND_LIMIT)).await else { return };
            match answer {
                Ok(()) => {
                    self.counts.extensions.add();
                    expires = now + grant;
                    self.granted.send_replace(expires);
                    next = now + every;
                }
                Err(Fault::LeaseLost) => {
                    warn!("the queue says that the message's receipt is no longer valid");
                    return self.lost.cancel();
                }
                Err(fault) => {
                    let left_secs = expires.saturating_duration_since(Instant::now()).as_secs();
                    debug!(%fault, left_secs, "failed to extend the message's visibility");
                    next = Instant::now() + retry;
                }
            }
        }
    }

    /// One extension, until `limit` at most; `None` when the lease was released meanwhile and it did not end in time.
    async fn extend(&self, grant: Duration, limit: Instant) -> Option<Result<(), Fault>> {
        let call = timeout_at(limit, caught("extend", self.queue.extend(&self.message, grant)));
        let released = async {
            self.stop.cancelled().await;
            sleep(JOIN_LIMIT).await;
        };
        tokio::select! {
            biased;
            answer = call => Some(answer.unwrap_or_else(|_| {
                let text = format!("failed to extend message {}: no answer", self.message.id);
                Err(Fault::transient(Code::ServiceUnavailable, text))
            })),
            () = released => None,
        }
    }
}
