//! The queue port: SQS, or a folder.

use std::time::Duration;

use async_trait::async_trait;

use crate::fault::{Fault, Problem};

pub mod dead_letters;
pub mod folder;
pub mod sqs;

/// One delivery of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The queue's own id, for logs.
    pub id: String,
    /// What the producer sent.
    pub body: String,
    /// The handle of this delivery, for `extend` and `delete`.
    pub receipt: String,
    /// How often the message was delivered, this time included (1 at first).
    pub receive_count: u32,
    /// When the producer sent it, milliseconds since the Unix epoch; 0 when unknown.
    pub sent_at_ms: i64,
    /// The FIFO group, when the queue has groups.
    pub group: Option<String>,
    /// Who shares the worker fairly with others: the group, of a FIFO or a fair queue.
    pub tenant: Option<String>,
    /// The trace header that it came with.
    pub trace: Option<String>,
}

/// What a queue is like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueTraits {
    /// After this many receives the queue moves a message to its dead-letter queue by itself; `None` without one.
    pub max_receive_count: Option<u32>,
    /// FIFO: messages are taken one at a time.
    pub fifo: bool,
    /// URL of the dead-letter queue, when one is configured and known.
    pub dead_letter_url: Option<String>,
}

/// What control needs of a queue. Only `settle` calls `delete` and `dead_letter`; `settle` and `lease` call `extend`.
#[async_trait]
pub trait Queue: Send + Sync {
    /// The queue's own settings, as they were minutes ago at the most; fails with a permanent fault when there is no such
    /// queue or it refuses us.
    async fn traits(&self) -> Result<QueueTraits, Fault>;

    /// Waits for messages (long poll, at most 20 s) and takes at most `max` of them, invisible to others for
    /// `visibility`. An empty answer is normal. Not to be dropped while it waits: what it was about to bring would stay
    /// invisible (see `worker`).
    async fn receive(&self, max: usize, visibility: Duration) -> Result<Vec<Message>, Fault>;

    /// Makes the message visible to others `visibility` from now; zero gives it back at once. `LeaseLost` when the
    /// receipt is no longer valid.
    async fn extend(&self, message: &Message, visibility: Duration) -> Result<(), Fault>;

    /// Removes the message for good. A receipt that is no longer valid is `LeaseLost`.
    async fn delete(&self, message: &Message) -> Result<(), Fault>;

    /// Copies `body` to the dead-letter queue with the reason as attributes; does nothing without one. It is the
    /// message's own, or one that asks for a single one of its jobs.
    async fn dead_letter(&self, message: &Message, body: &str, reason: &Problem) -> Result<(), Fault>;

    /// Sends a new message, for `submit`.
    async fn send(&self, body: &str, group: Option<&str>) -> Result<String, Fault>;
}
