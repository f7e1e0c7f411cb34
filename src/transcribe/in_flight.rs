//! The windows that are with an engine.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::task::Task;

/// The windows that are with an engine, by id, and when each must be answered.
#[derive(Debug, Default)]
pub struct InFlight {
    windows: BTreeMap<u64, (Task, Instant)>,
}

impl InFlight {
    /// How many.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether the engine has nothing to do.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Whether there is a lane for another window: a suspect is left alone.
    pub fn has_room(&self, lanes: usize) -> bool {
        let suspect = self.windows.values().any(|(task, _)| !task.strikes.is_empty());
        !suspect && self.windows.len() < lanes
    }

    /// A window was sent, to be answered before `deadline`.
    pub fn add(&mut self, task: Task, deadline: Instant) {
        self.windows.insert(task.id, (task, deadline));
    }

    /// The window that was answered.
    pub fn remove(&mut self, id: u64) -> Option<Task> {
        self.windows.remove(&id).map(|(task, _)| task)
    }

    /// When the first window is late.
    pub fn late_at(&self) -> Instant {
        let first = self.windows.values().map(|(_, deadline)| *deadline).min();
        first.unwrap_or_else(|| Instant::now() + Duration::from_secs(365 * 24 * 3600))
    }

    /// Those that may have ended the engine, and the others: at a hang the late ones are to blame, at a death any may be.
    pub fn accuse(self) -> (Vec<Task>, Vec<Task>) {
        let now = Instant::now();
        let is_hang = self.windows.values().any(|(_, deadline)| *deadline <= now);
        let (accused, others): (Vec<_>, Vec<_>) =
            self.windows.into_values().partition(|(_, deadline)| !is_hang || *deadline <= now);
        let tasks = |windows: Vec<(Task, Instant)>| windows.into_iter().map(|(task, _)| task).collect();
        (tasks(accused), tasks(others))
    }
}
