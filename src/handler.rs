//! The port between control and flow: control hands a message over, the flow does its work and answers with an outcome.
//! Neither knows more of the other than this.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::fault::{Fault, Problem};

/// So many messages of a worker may wait without a slot; the next ones keep theirs while they wait.
const MOST_PARKED: usize = 64;

/// The flow as control sees it: a body in, an outcome out. Knows nothing of queues.
#[async_trait]
pub trait Handler: Send + Sync {
    /// Does the whole work of one message, store and publish included; `Ok` means the message may be deleted once the
    /// letters in it are dead-lettered. The current span has an empty field `job_id` for the handler to record, so that
    /// every line of the job carries it.
    async fn handle(&self, delivery: &Delivery, control: &Control) -> Result<Handled, Fault>;

    /// Publishes `failed` for what of a message is not done and will not be tried again; what was done before is
    /// published as done. An error means that the report was not written and the message must stay.
    async fn report(&self, delivery: &Delivery, problem: &Problem, control: &Control) -> Result<(), Fault>;

    /// The work of this message was dropped before it ended, while the worker lives on.
    fn let_go(&self, delivery: &Delivery);
}

/// What came of a message that needs no further delivery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Handled {
    /// Its jobs that failed for good beside others that did not. They are reported; a copy of each is for the dead letters.
    pub letters: Vec<Letter>,
}

/// One job of a message of several that failed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// A message that asks for this job alone.
    pub body: String,
    /// Why it failed.
    pub problem: Problem,
}

/// What the flow may know of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The queue's message id.
    pub message_id: String,
    /// The body.
    pub body: String,
    /// How often it was delivered, this time included.
    pub receive_count: u32,
    /// When the producer sent it, milliseconds since the Unix epoch; 0 when unknown.
    pub sent_at_ms: i64,
    /// After so many deliveries the queue gives the message up; `None` when it never does.
    pub max_receive_count: Option<u32>,
    /// Who shares the worker fairly with others: the message's group.
    pub tenant: Option<String>,
    /// The trace header that it came with, for what is told of it.
    pub trace: Option<String>,
}

impl Delivery {
    /// Tells it from the message's other deliveries.
    pub fn key(&self) -> (String, u32) {
        (self.message_id.clone(), self.receive_count)
    }
}

/// What control tells a running job, and the job control.
#[derive(Debug, Clone, Default)]
pub struct Control {
    /// Give the work back: send no further window, keep what is finished, end with `Interrupted`.
    pub abort: CancellationToken,
    /// The message is another's now: write nothing more, end with `LeaseLost`.
    pub lease_lost: CancellationToken,
    /// Where a job that only waits lets go of its slot.
    pub parking: Parking,
}

/// Messages at work that need no slot at the moment. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Parking {
    parked: Arc<AtomicUsize>,
    changed: Arc<Notify>,
}

/// A message that waits without a slot, until dropped.
#[derive(Debug)]
pub struct Parked(Parking);

impl Parking {
    /// Lets go of the message's slot while the answer lives; `None` when too many wait already, and the slot is kept.
    pub fn park(&self) -> Option<Parked> {
        let room = |parked: usize| (parked < MOST_PARKED).then_some(parked + 1);
        self.parked.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).ok()?;
        self.changed.notify_one();
        Some(Parked(self.clone()))
    }

    /// How many wait without a slot.
    pub fn parked(&self) -> usize {
        self.parked.load(Ordering::Relaxed)
    }

    /// Returns when one more message has let go of its slot.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.0.parked.fetch_sub(1, Ordering::Relaxed);
    }
}
