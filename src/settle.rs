//! What becomes of a message: the one place that deletes it, releases it or lets it be tried again.

use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tracing::{error, warn};

use crate::backoff::Backoff;
use crate::bounded::bounded;
use crate::counts::Counts;
use crate::fault::{Code, Fault, Problem};
use crate::handler::{Control, Delivery, Handled, Handler, Letter};
use crate::health::Health;
use crate::lease::Lease;
use crate::queue::{Message, Queue};

mod settled;
#[cfg(test)]
mod tests;

pub use settled::Settled;

/// One call to the queue. The SDK tries four times and may take longer over a dead connection: then the next try here
/// has a new one.
const CALL_LIMIT: Duration = Duration::from_secs(20);
/// A report beyond the outage that it may wait out.
const REPORT_LIMIT: Duration = Duration::from_secs(300);
/// Calls are tried this often, then the message is left to its visibility: it is delivered again.
const TRIES: u32 = 3;
/// Between two tries.
const TRY_AGAIN: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(3) };
/// Ids of messages whose failure is reported but could not be dead-lettered; more than this are not remembered.
const MOST_UNBURIED: usize = 10_000;

/// Turns outcomes into what happens to messages.
pub struct Settle {
    /// Where the messages are.
    pub queue: Arc<dyn Queue>,
    /// Who reports a failure.
    pub handler: Arc<dyn Handler>,
    /// Whether this worker is in a state to say that a job failed.
    pub health: Health,
    /// The wait before a retry, by receive count.
    pub backoff: Backoff,
    /// Counts what was decided.
    pub counts: Arc<Counts>,
    /// Messages that this worker has reported, and may not copy to the dead letters: reported once, not at each receive.
    pub unburied: Mutex<HashSet<String>>,
}

/// The last call about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastCall {
    Delete,
    Visible(Duration),
    None,
}

impl Settle {
    /// Decides and does it. The lease is held until the last call: while a failure is reported the message stays ours, and
    /// after the lease's end nothing is done any more. Failures of the calls made here are logged: they leave the
    /// message to its visibility, so it is delivered again, never lost. Called within the message's span, which carries
    /// its ids.
    ///
    /// | outcome | the message |
    /// |---|---|
    /// | done | deleted, once those of its jobs that failed are dead-lettered |
    /// | permanent | `failed` reported, body copied to the dead-letter queue, then deleted; stays if either fails |
    /// | transient | visible after a back-off; on the last receive `RETRIES_EXHAUSTED` is reported, the queue redrives |
    /// | unable | visible after a back-off; never reported |
    /// | interrupted | visible at once; on the last receive reported likewise, for the queue would drop it silently |
    /// | lease lost | untouched |
    pub async fn settle(
        &self,
        message: &Message,
        delivery: &Delivery,
        control: &Control,
        lease: Lease,
        outcome: Result<Handled, Fault>,
    ) -> Settled {
        let (settled, last_call) = tokio::select! {
            biased;
            () = control.lease_lost.cancelled() => (Settled::Lost, LastCall::None),
            decided = self.decide(message, delivery, control, outcome) => decided,
        };
        let ours_until = lease.release().await;
        let settled = if control.lease_lost.is_cancelled() { Settled::Lost } else { settled };
        if settled != Settled::Lost {
            self.finish(message, last_call, ours_until).await;
        }
        settled.tell(&self.counts);
        settled
    }

    /// All that comes before the last call.
    async fn decide(
        &self,
        message: &Message,
        delivery: &Delivery,
        control: &Control,
        outcome: Result<Handled, Fault>,
    ) -> (Settled, LastCall) {
        match outcome {
            Ok(Handled { letters }) => match self.bury_all(message, &letters).await {
                Ok(()) => (Settled::Done, LastCall::Delete),
                Err(fault) => self.unsettled(message, fault),
            },
            Err(Fault::LeaseLost) => (Settled::Lost, LastCall::None),
            Err(Fault::Permanent(problem)) => self.reject(message, delivery, control, problem).await,
            Err(Fault::Unable(problem)) => self.return_it(message, problem),
            Err(Fault::Transient(problem)) if self.is_last_receive(message).await => {
                self.give_up(message, delivery, control, problem).await
            }
            Err(Fault::Transient(problem)) => self.retry(message, problem),
            Err(Fault::Interrupted) if self.is_last_receive(message).await => {
                let cause = "interrupted by the stop of the worker".to_owned();
                let problem = Problem { code: Code::RetriesExhausted, message: cause };
                self.give_up(message, delivery, control, problem).await
            }
            Err(Fault::Interrupted) => (Settled::Released, LastCall::Visible(Duration::ZERO)),
        }
    }

    fn retry(&self, message: &Message, problem: Problem) -> (Settled, LastCall) {
        let wait = self.backoff.delay(message.receive_count);
        (Settled::Retried(problem, wait), LastCall::Visible(wait))
    }

    fn return_it(&self, message: &Message, problem: Problem) -> (Settled, LastCall) {
        let wait = self.backoff.delay(message.receive_count);
        (Settled::Returned(problem, wait), LastCall::Visible(wait))
    }

    /// Report, then dead-letter, then delete: whatever fails, the message is still there.
    async fn reject(
        &self,
        message: &Message,
        delivery: &Delivery,
        control: &Control,
        problem: Problem,
    ) -> (Settled, LastCall) {
        if !self.unburied().contains(&message.id)
            && let Err(fault) = self.report(delivery, &problem, control).await
        {
            return self.unsettled(message, fault);
        }
        let letter = Letter { body: message.body.clone(), problem };
        match self.bury_all(message, std::slice::from_ref(&letter)).await {
            Ok(()) => (Settled::Rejected(letter.problem), LastCall::Delete),
            Err(fault) => self.unsettled(message, fault),
        }
    }

    /// The queue moves the message itself when it becomes visible; all that is ours is to say so.
    async fn give_up(
        &self,
        message: &Message,
        delivery: &Delivery,
        control: &Control,
        cause: Problem,
    ) -> (Settled, LastCall) {
        if self.health.is_sick() {
            // what a sick worker could not do is not what failed
            return self.return_it(message, cause);
        }
        let receive_count = message.receive_count;
        let text = format!("gave up after {receive_count} deliveries, the last: {}", cause.message);
        let problem = Problem { code: Code::RetriesExhausted, message: text };
        if let Err(fault) = self.report(delivery, &problem, control).await {
            error!(code = %problem.code, reason = problem.message, %fault, "failed for good, and no consumer was told of it");
        }
        (Settled::Exhausted(problem), LastCall::Visible(Duration::ZERO))
    }

    /// The message of which we could not say what became of it.
    fn unsettled(&self, message: &Message, fault: Fault) -> (Settled, LastCall) {
        let told = |problem: Problem| Problem {
            code: problem.code,
            message: format!("the message stays, its failure could not be recorded: {}", problem.message),
        };
        match fault {
            Fault::LeaseLost => (Settled::Lost, LastCall::None),
            Fault::Interrupted => (Settled::Released, LastCall::Visible(Duration::ZERO)),
            Fault::Unable(problem) => self.return_it(message, told(problem)),
            Fault::Permanent(problem) | Fault::Transient(problem) => self.retry(message, told(problem)),
        }
    }

    /// The flow waits out an outage itself; what takes much longer hangs.
    async fn report(&self, delivery: &Delivery, problem: &Problem, control: &Control) -> Result<(), Fault> {
        let limit = self.health.patience().outage + REPORT_LIMIT;
        bounded("report the failure", limit, self.handler.report(delivery, problem, control)).await
    }

    async fn bury_all(&self, message: &Message, letters: &[Letter]) -> Result<(), Fault> {
        for Letter { body, problem } in letters {
            let buried = tried("dead-letter the message", || self.queue.dead_letter(message, body, problem)).await;
            if matches!(buried, Err(Fault::Permanent(_))) {
                let mut unburied = self.unburied();
                if unburied.len() < MOST_UNBURIED {
                    unburied.insert(message.id.clone());
                }
            }
            buried?;
        }
        Ok(())
    }

    /// The last call, while the message is ours.
    async fn finish(&self, message: &Message, call: LastCall, ours_until: Instant) {
        let made = async {
            match call {
                LastCall::None => Ok(()),
                LastCall::Delete => tried("delete the message", || self.queue.delete(message)).await,
                LastCall::Visible(wait) => tried("release the message", || self.queue.extend(message, wait)).await,
            }
        };
        let made = match ours_until.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => timeout_at(ours_until, made).await,
            _ => return warn!("the lease ended before the last call about the message: it will be delivered again"),
        };
        let left_alone = match (made, call) {
            (Ok(Ok(())), _) => return,
            // another worker has it already, which is what a release wants
            (Ok(Err(Fault::LeaseLost)), LastCall::Visible(_)) => return,
            (Ok(Err(fault)), _) => fault.to_string(),
            (Err(_), _) => "the lease ended first".to_owned(),
        };
        match call {
            LastCall::Delete => warn!("done, but not deleted, it will be delivered again: {left_alone}"),
            _ => warn!("the message stays hidden until its lease runs out: {left_alone}"),
        }
    }

    /// By the queue's limit of today: it may have been raised while this worker runs.
    async fn is_last_receive(&self, message: &Message) -> bool {
        let traits = bounded("read the queue's attributes", CALL_LIMIT, self.queue.traits()).await;
        traits.is_ok_and(|traits| traits.max_receive_count.is_some_and(|limit| message.receive_count >= limit))
    }

    fn unburied(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        // an insert is the only change: a panic elsewhere left it whole
        self.unburied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tries a call a few times. A permanent answer and a lost lease end it at once: another try changes neither.
async fn tried<F>(what: &str, call: impl Fn() -> F) -> Result<(), Fault>
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
