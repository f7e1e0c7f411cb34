//! A window on its way to an engine, and whose it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;

use super::wire::{WindowOptions, WindowText};
use crate::fault::Fault;

/// Identifies a session, that is one job's stream of windows.
pub type SessionId = u64;

/// A window waiting for a lane, or in one.
#[derive(Debug)]
pub struct Task {
    /// Unique in this process; the wire's request id.
    pub id: u64,
    /// Whose window this is.
    pub session: SessionId,
    /// How its turns are counted.
    pub share: Share,
    /// How to transcribe it.
    pub options: WindowOptions,
    /// 16 kHz mono.
    pub pcm: Arc<Vec<f32>>,
    /// The engines that it is held to have failed, by their numbers, one for each time. A window with a strike is a suspect: it
    /// runs alone.
    pub strikes: Vec<usize>,
    /// Whether its job takes back what waits.
    pub withdrawn: Arc<AtomicBool>,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<WindowText, Fault>>,
}

/// Whose windows these are, and how they count against each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Share {
    /// The queue's group; jobs without one are one tenant.
    pub tenant: Option<Arc<str>>,
    /// Against the other jobs of the tenant, 1 to 10; 0 counts as 1.
    pub weight: u8,
}

impl Task {
    /// Answers it.
    pub fn answer(self, result: Result<WindowText, Fault>) {
        // nobody waits when the job was given up meanwhile
        let _ = self.reply.send(result);
    }

    /// Whether somebody waits for it.
    pub fn is_wanted(&self) -> bool {
        !self.reply.is_closed() && !self.withdrawn.load(Ordering::Relaxed)
    }
}
