//! Which window goes next: round robin over the jobs in flight, so that a short job never waits behind a long one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

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
    /// How to transcribe it.
    pub options: WindowOptions,
    /// 16 kHz mono.
    pub pcm: Arc<Vec<f32>>,
    /// How many engine processes died with this window in a lane.
    pub strikes: u8,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<WindowText, Fault>>,
}

/// The queue between jobs and engines.
#[derive(Debug, Default)]
pub struct Scheduler {
    turns: Mutex<VecDeque<(SessionId, VecDeque<Task>)>>,
    arrived: Notify,
    ids: AtomicU64,
}

impl Scheduler {
    /// A new scheduler, shared by sessions and supervisors.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A number no one else got from this scheduler.
    pub fn fresh_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Queues a window behind the others of its session.
    pub fn submit(&self, task: Task) {
        let mut turns = self.turns();
        match turns.iter_mut().find(|(session, _)| *session == task.session) {
            Some((_, tasks)) => tasks.push_back(task),
            None => turns.push_back((task.session, VecDeque::from([task]))),
        }
        drop(turns);
        self.arrived.notify_one();
    }

    /// The next window, as soon as there is one. Dropping the future loses nothing.
    pub async fn next(&self) -> Task {
        loop {
            let arrived = self.arrived.notified();
            if let Some(task) = self.take() {
                // one notification may stand for several windows: hand the wake-up on to the next supervisor
                self.arrived.notify_one();
                return task;
            }
            arrived.await;
        }
    }

    /// The next window if one waits; its session then goes to the back of the line. Windows nobody waits for any more
    /// are skipped.
    pub fn take(&self) -> Option<Task> {
        let mut turns = self.turns();
        while let Some((session, mut tasks)) = turns.pop_front() {
            let task = tasks.pop_front();
            if !tasks.is_empty() {
                turns.push_back((session, tasks));
            }
            match task {
                Some(task) if !task.reply.is_closed() => return Some(task),
                _ => {}
            }
        }
        None
    }

    /// Forgets the windows of a session that wait.
    pub fn forget(&self, session: SessionId) {
        self.turns().retain(|(id, _)| *id != session);
    }

    /// Windows that wait for a lane.
    pub fn queued(&self) -> usize {
        self.turns().iter().map(|(_, tasks)| tasks.len()).sum()
    }

    fn turns(&self) -> MutexGuard<'_, VecDeque<(SessionId, VecDeque<Task>)>> {
        // no code that can panic runs under the lock, so a poisoned one is still whole
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    type Answer = oneshot::Receiver<Result<WindowText, Fault>>;

    fn submit(scheduler: &Scheduler, session: SessionId, id: u64) -> Answer {
        let (reply, answer) = oneshot::channel();
        let options = WindowOptions::default();
        scheduler.submit(Task { id, session, options, pcm: Arc::default(), strikes: 0, reply });
        answer
    }

    #[test]
    fn a_short_job_never_waits_behind_a_long_one() {
        let scheduler = Scheduler::default();
        let _long: Vec<Answer> = (0..10).map(|id| submit(&scheduler, 1, id)).collect();
        let _short = submit(&scheduler, 2, 100);
        let first_two: Vec<u64> = (0..2).map(|_| scheduler.take().unwrap().id).collect();
        assert_eq!(first_two, [0, 100]);
    }

    #[test]
    fn a_jobs_own_windows_keep_their_order() {
        let scheduler = Scheduler::default();
        let _answers: Vec<Answer> = (0..5).map(|id| submit(&scheduler, 1, id)).collect();
        let order: Vec<u64> = std::iter::from_fn(|| scheduler.take()).map(|task| task.id).collect();
        assert_eq!(order, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn windows_of_a_job_that_was_given_up_are_skipped() {
        let scheduler = Scheduler::default();
        drop(submit(&scheduler, 1, 0));
        let _kept = submit(&scheduler, 2, 1);
        assert_eq!(scheduler.take().unwrap().id, 1);
        let _forgotten = submit(&scheduler, 3, 2);
        scheduler.forget(3);
        assert!(scheduler.take().is_none());
    }

    #[tokio::test]
    async fn every_waiting_engine_is_woken() {
        let scheduler = Scheduler::new();
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                tokio::spawn({
                    let scheduler = scheduler.clone();
                    async move { scheduler.next().await.id }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        let _answers: Vec<Answer> = (0..3).map(|id| submit(&scheduler, id, id)).collect();
        let mut ids = vec![];
        for task in waiting {
            ids.push(task.await.unwrap());
        }
        ids.sort_unstable();
        assert_eq!(ids, [0, 1, 2]);
    }
}
