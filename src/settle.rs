//! What becomes of a message: the one place that deletes it, releases it or lets it be tried again.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::fault::{Code, Fault, Problem};
use crate::queue::{Message, Queue, QueueTraits};
use crate::worker::backoff::Backoff;
use crate::worker::counts::Counts;
use crate::worker::guard::bounded;
use crate::worker::{Delivery, Handler};

#[cfg(test)]
mod tests;

/// One call to the queue or of the report; the SDK's own retries end well before.
const CALL_LIMIT: Duration = Duration::from_secs(20);
/// Calls are tried this often, then the message is left to its visibility: it is delivered again.
const TRIES: u32 = 3;
/// Between two tries; short, for the lease is no longer extended here.
const TRY_AGAIN: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(3) };

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Its work is done; it is deleted, or will be when it is delivered again.
    Deleted,
    /// Reported as failed, dead-lettered and deleted.
    Rejected,
    /// It will be delivered again after a back-off.
    Retried,
    /// Reported as `RETRIES_EXHAUSTED`; the queue moves it to the dead-letter queue.
    Exhausted,
    /// Visible to others at once.
    Released,
    /// Not ours any more: nothing was done.
    Lost,
}

/// Turns outcomes into what happens to messages.
pub struct Settle {
    /// Where the messages are.
    pub queue: Arc<dyn Queue>,
    /// Who reports a failure.
    pub handler: Arc<dyn Handler>,
    /// How often the queue redelivers.
    pub traits: QueueTraits,
    /// The wait before a retry, by receive count.
    pub backoff: Backoff,
    /// Counts what was decided.
    pub counts: Arc<Counts>,
}

impl Settle {
    /// Decides and does it. The heartbeat must have ended. Failures of the calls made here are logged: they leave the
    /// message to its visibility, so it is delivered again, never lost. Called within the message's span, which carries
    /// its ids.
    ///
    /// | outcome | the message |
    /// |---|---|
    /// | done | deleted |
    /// | permanent | `failed` reported, body copied to the dead-letter queue, then deleted; stays if either fails |
    /// | transient | visible after a back-off; on the last receive `RETRIES_EXHAUSTED` is reported, the queue redrives |
    /// | interrupted | visible at once; on the last receive reported likewise, for the queue would drop it silently |
    /// | lease lost | untouched |
    pub async fn settle(&self, message: &Message, outcome: Result<(), Fault>) -> Settled {
        let settled = match outcome {
            Ok(()) => {
                self.delete(message).await;
                Settled::Deleted
            }
            Err(Fault::LeaseLost) => {
                warn!("left alone: the lease was lost");
                Settled::Lost
            }
            Err(Fault::Permanent(problem)) => self.reject(message, &problem).await,
            Err(Fault::Transient(problem)) if self.is_last_receive(message) => {
                self.give_up(message, &problem.message).await
            }
            Err(Fault::Transient(problem)) => {
                let wait = self.backoff.delay(message.receive_count);
                let (code, reason) = (problem.code, problem.message);
                warn!(%code, reason, retry_secs = wait.as_secs(), "failed, will be retried");
                self.make_visible(message, wait).await;
                Settled::Retried
            }
            Err(Fault::Interrupted) if self.is_last_receive(message) => {
                self.give_up(message, "interrupted by the stop of the worker").await
            }
            Err(Fault::Interrupted) => {
                info!("given back: the worker is stopping");
                self.make_visible(message, Duration::ZERO).await;
                Settled::Released
            }
        };
        let counts = &self.counts;
        match settled {
            Settled::Deleted => &counts.deleted,
            Settled::Rejected => &counts.rejected,
            Settled::Retried => &counts.retried,
            Settled::Exhausted => &counts.exhausted,
            Settled::Released => &counts.released,
            Settled::Lost => &counts.lost,
        }
        .add();
        settled
    }

    async fn delete(&self, message: &Message) {
        match self.tried("delete the message", || self.queue.delete(message)).await {
            Ok(()) => {}
            Err(Fault::LeaseLost) => warn!("done, but the receipt is no longer valid"),
            Err(fault) => warn!(%fault, "done, but not deleted: it will be delivered again"),
        }
    }

    /// Report, then dead-letter, then delete: whatever fails, the message is still there.
    async fn reject(&self, message: &Message, problem: &Problem) -> Settled {
        let (code, reason) = (problem.code, &problem.message);
        error!(%code, reason, "failed for good");
        let delivery = Delivery::of(message, &self.traits);
        let kept = match self.tried("report the failure", || self.handler.report(&delivery, problem)).await {
            Ok(()) => self.tried("dead-letter the message", || self.queue.dead_letter(message, problem)).await,
            Err(fault) => Err(fault),
        };
        match kept {
            Ok(()) => {
                self.delete(message).await;
                Settled::Rejected
            }
            Err(Fault::LeaseLost) => Settled::Lost,
            Err(fault) => {
                warn!(%fault, "the message stays, its failure could not be recorded");
                self.make_visible(message, self.backoff.delay(message.receive_count)).await;
                Settled::Retried
            }
        }
    }

    /// The queue moves the message itself when it becomes visible; all that is ours is to say so.
    async fn give_up(&self, message: &Message, cause: &str) -> Settled {
        let receive_count = message.receive_count;
        let text = format!("gave up after {receive_count} deliveries, the last: {cause}");
        error!(code = %Code::RetriesExhausted, reason = text, "failed for good");
        let problem = Problem { code: Code::RetriesExhausted, message: text };
        let delivery = Delivery::of(message, &self.traits);
        if let Err(fault) = self.tried("report the failure", || self.handler.report(&delivery, &problem)).await {
            error!(%fault, "no consumer was told of this failure");
        }
        self.make_visible(message, Duration::ZERO).await;
        Settled::Exhausted
    }

    fn is_last_receive(&self, message: &Message) -> bool {
        self.traits.max_receive_count.is_some_and(|limit| message.receive_count >= limit)
    }

    async fn make_visible(&self, message: &Message, wait: Duration) {
        match self.tried("release the message", || self.queue.extend(message, wait)).await {
            // another worker has it already, which is what was wanted
            Ok(()) | Err(Fault::LeaseLost) => {}
            Err(fault) => warn!(%fault, "the message stays hidden until its lease runs out"),
        }
    }

    /// Tries a call a few times. A permanent answer and a lost lease end it at once: another try changes neither.
    async fn tried<F>(&self, what: &str, call: impl Fn() -> F) -> Result<(), Fault>
    where
        F: Future<Output = Result<(), Fault>>,
    {
        let mut tries = 1;
        loop {
            match bounded(what, CALL_LIMIT, call()).await {
                Err(Fault::Transient(_)) if tries < TRIES => sleep(TRY_AGAIN.delay(tries)).await,
                answer => return answer,
            }
            tries += 1;
        }
    }
}
