//! FIFO groups at work: two messages of one group are never handled at once.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// The groups that have a message at work.
#[derive(Debug, Default)]
pub struct Groups {
    busy: Mutex<HashSet<String>>,
    freed: Notify,
}

/// A group's turn; ends when dropped.
#[derive(Debug)]
pub struct Turn {
    groups: Arc<Groups>,
    group: String,
}

impl Groups {
    /// Waits until no other message of `group` is at work. Messages without a group never wait.
    pub async fn turn(self: &Arc<Self>, group: Option<&str>) -> Option<Turn> {
        let group = group?.to_owned();
        loop {
            let freed = self.freed.notified();
            if self.busy.lock().unwrap_or_else(PoisonError::into_inner).insert(group.clone()) {
                return Some(Turn { groups: Arc::clone(self), group });
            }
            freed.await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.groups.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.group);
        self.groups.freed.notify_waiters();
    }
}
