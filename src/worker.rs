//! The receive loop: takes messages into free slots and hands each to the flow.

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::fault::{Fault, Problem};

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
    /// `message_id` and `receive_count` are for logs and ids only.
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
}
