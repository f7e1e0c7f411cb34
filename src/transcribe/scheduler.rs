//! Which window goes next: round robin over the jobs in flight, so that a short job never waits behind a long one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::wire::{WindowOptions, WindowText};
use crate::fault::{Code, Fault};

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
    /// How often it is held to have failed an engine. A window with a strike is a suspect: it runs alone.
    pub strikes: u8,
    /// Whether its job takes back what waits.
    pub withdrawn: Arc<AtomicBool>,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<WindowText, Fault>>,
}

/// The queue between jobs and engines.
#[derive(Debug, Default)]
pub struct Scheduler {
    waiting: Mutex<Waiting>,
    changed: Notify,
    ids: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    suspects: VecDeque<Task>,
    turns: VecDeque<(SessionId, VecDeque<Task>)>,
    /// Why no window is taken any more.
    closed: Option<Fault>,
}

impl Task {
    /// Answers it.
    pub fn answer(self, result: Result<WindowText, Fault>) {
        // nobody waits when the job was given up meanwhile
        let _ = self.reply.send(result);
    }

    fn is_wanted(&self) -> bool {
        !self.reply.is_closed() && !self.withdrawn.load(Ordering::Relaxed)
    }
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
        let mut waiting = self.waiting();
        if let Some(fault) = waiting.closed.clone() {
            return task.answer(Err(fault));
        }
        match waiting.turns.iter_mut().find(|(session, _)| *session == task.session) {
            Some((_, tasks)) => tasks.push_back(task),
            None => waiting.turns.push_back((task.session, VecDeque::from([task]))),
        }
        drop(waiting);
        self.changed.notify_waiters();
    }

    /// Takes back the windows of an engine that failed, in the order they are to run again: before all others. Those
    /// nobody waits for are forgotten.
    pub fn put_back(&self, tasks: Vec<Task>) {
        let mut waiting = self.waiting();
        for task in tasks.into_iter().rev().filter(Task::is_wanted) {
            if let Some(fault) = waiting.closed.clone() {
                task.answer(Err(fault));
            } else if task.strikes > 0 {
                waiting.suspects.push_front(task);
            } else {
                let at = waiting.turns.iter().position(|(session, _)| *session == task.session);
                let (session, mut tasks) =
                    at.and_then(|at| waiting.turns.remove(at)).unwrap_or((task.session, VecDeque::new()));
                tasks.push_front(task);
                waiting.turns.push_front((session, tasks));
            }
        }
        drop(waiting);
        self.changed.notify_waiters();
    }

    /// The next window, as soon as there is one. Dropping the future loses nothing. See [`Scheduler::take`].
    pub async fn next(&self, idle: bool) -> Task {
        loop {
            // heard from here on, polled or not
            let changed = self.changed.notified();
            if let Some(task) = self.take(idle) {
                return task;
            }
            changed.await;
        }
    }

    /// The next window if one waits; its session then goes to the back of the line. Suspects go first, each to an engine
    /// that is idle; while one waits, engines that are not idle get nothing, so that one of them soon is.
    pub fn take(&self, idle: bool) -> Option<Task> {
        let mut waiting = self.waiting();
        waiting.suspects.retain(Task::is_wanted);
        if !waiting.suspects.is_empty() {
            let suspect = if idle { waiting.suspects.pop_front() } else { None };
            drop(waiting);
            if suspect.is_some() {
                // it barred the others
                self.changed.notify_waiters();
            }
            return suspect;
        }
        while let Some((session, mut tasks)) = waiting.turns.pop_front() {
            let task = tasks.pop_front();
            if !tasks.is_empty() {
                waiting.turns.push_back((session, tasks));
            }
            match task {
                Some(task) if task.is_wanted() => return Some(task),
                _ => {}
            }
        }
        None
    }

    /// Forgets the windows of a session that wait.
    pub fn forget(&self, session: SessionId) {
        let mut waiting = self.waiting();
        waiting.suspects.retain(|task| task.session != session);
        waiting.turns.retain(|(id, _)| *id != session);
        drop(waiting);
        // a suspect may have barred others
        self.changed.notify_waiters();
    }

    /// Answers all that wait, and all that come: no engine is left.
    pub fn close(&self, reason: &str) {
        let fault = Fault::unable(Code::EngineUnavailable, reason);
        let mut waiting = self.waiting();
        let suspects = std::mem::take(&mut waiting.suspects).into_iter();
        let others = std::mem::take(&mut waiting.turns).into_iter().flat_map(|(_, tasks)| tasks);
        suspects.chain(others).for_each(|task| task.answer(Err(fault.clone())));
        waiting.closed = Some(fault);
    }

    /// Windows that wait for a lane.
    pub fn queued(&self) -> usize {
        let waiting = self.waiting();
        waiting.suspects.len() + waiting.turns.iter().map(|(_, tasks)| tasks.len()).sum::<usize>()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // no code that can panic runs under the lock, so a poisoned one is still whole
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    type Answer = oneshot::Receiver<Result<WindowText, Fault>>;

    fn task(session: SessionId, id: u64) -> (Task, Answer) {
        let (reply, answer) = oneshot::channel();
        let (options, pcm, withdrawn) = (WindowOptions::default(), Arc::default(), Arc::default());
        (Task { id, session, options, pcm, strikes: 0, withdrawn, reply }, answer)
    }

    fn submit(scheduler: &Scheduler, session: SessionId, id: u64) -> Answer {
        let (task, answer) = task(session, id);
        scheduler.submit(task);
        answer
    }

    /// The ids of all that wait, in the order that an idle engine gets them.
    fn drain(scheduler: &Scheduler) -> Vec<u64> {
        std::iter::from_fn(|| scheduler.take(true)).map(|task| task.id).collect()
    }

    #[test]
    fn a_short_job_never_waits_behind_a_long_one() {
        let scheduler = Scheduler::default();
        let _long: Vec<Answer> = (0..10).map(|id| submit(&scheduler, 1, id)).collect();
        let _short = submit(&scheduler, 2, 100);
        let first_two: Vec<u64> = (0..2).map(|_| scheduler.take(true).unwrap().id).collect();
        assert_eq!(first_two, [0, 100]);
    }

    #[test]
    fn a_jobs_own_windows_keep_their_order() {
        let scheduler = Scheduler::default();
        let _answers: Vec<Answer> = (0..5).map(|id| submit(&scheduler, 1, id)).collect();
        let order: Vec<u64> = drain(&scheduler);
        assert_eq!(order, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn windows_of_a_job_that_was_given_up_are_skipped() {
        let scheduler = Scheduler::default();
        drop(submit(&scheduler, 1, 0));
        let _kept = submit(&scheduler, 2, 1);
        assert_eq!(scheduler.take(true).unwrap().id, 1);
        let _forgotten = submit(&scheduler, 3, 2);
        scheduler.forget(3);
        assert!(scheduler.take(true).is_none());
    }

    #[test]
    fn what_an_engine_gives_back_goes_first_and_in_its_order() {
        let scheduler = Scheduler::default();
        let _others: Vec<Answer> = [(1, 10), (2, 20), (1, 11)].map(|(job, id)| submit(&scheduler, job, id)).into();
        let (given_back, _answers): (Vec<Task>, Vec<Answer>) =
            [(1, 3), (1, 4), (3, 5)].map(|(job, id)| task(job, id)).into_iter().unzip();
        scheduler.put_back(given_back);
        assert_eq!(drain(&scheduler), [3, 5, 20, 4, 10, 11]);
    }

    #[test]
    fn a_suspect_goes_to_an_idle_engine_and_the_others_wait_for_that() {
        let scheduler = Scheduler::default();
        let _innocent = submit(&scheduler, 1, 1);
        let (mut suspect, answer) = task(2, 2);
        suspect.strikes = 1;
        scheduler.put_back(vec![suspect]);
        assert!(scheduler.take(false).is_none());
        assert_eq!(scheduler.take(true).unwrap().id, 2);
        assert_eq!(scheduler.take(false).unwrap().id, 1);
        drop(answer);
        let (mut unwanted, _) = task(2, 3);
        unwanted.strikes = 1;
        scheduler.put_back(vec![unwanted]);
        assert_eq!(scheduler.queued(), 0);
    }

    #[test]
    fn what_an_engine_gives_back_of_a_withdrawn_session_is_answered_and_not_run_again() {
        let scheduler = Scheduler::default();
        let (in_lane, mut answer) = task(1, 1);
        in_lane.withdrawn.store(true, Ordering::Relaxed);
        scheduler.put_back(vec![in_lane]);
        assert_eq!(scheduler.queued(), 0);
        assert!(matches!(answer.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
    }

    #[test]
    fn a_closed_scheduler_answers_what_waits_and_what_comes() {
        let scheduler = Scheduler::default();
        let waiting = submit(&scheduler, 1, 1);
        scheduler.close("no engine");
        let late = submit(&scheduler, 1, 2);
        for mut answer in [waiting, late] {
            assert!(matches!(answer.try_recv(), Ok(Err(Fault::Unable(_)))));
        }
    }

    #[tokio::test]
    async fn every_waiting_engine_is_woken() {
        let scheduler = Scheduler::new();
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                tokio::spawn({
                    let scheduler = scheduler.clone();
                    async move { scheduler.next(true).await.id }
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
