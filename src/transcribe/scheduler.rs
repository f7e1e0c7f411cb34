//! Which window goes next: in turns over the jobs in flight, so that a short job never waits behind a long one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::line::Line;
use super::task::{SessionId, Task};
use crate::fault::{Code, Fault};

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
    line: Line,
    /// Why no window is taken any more.
    closed: Option<Fault>,
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
        waiting.line.push(task);
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
            } else if !task.strikes.is_empty() {
                waiting.suspects.push_front(task);
            } else {
                waiting.line.push_front(task);
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

    /// The next window if one waits, by turns ([`Line`]). Suspects go first, each to an engine
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
        std::iter::from_fn(|| waiting.line.pop()).find(Task::is_wanted)
    }

    /// Forgets the windows of a session that wait.
    pub fn forget(&self, session: SessionId) {
        let mut waiting = self.waiting();
        waiting.suspects.retain(|task| task.session != session);
        waiting.line.forget(session);
        drop(waiting);
        // a suspect may have barred others
        self.changed.notify_waiters();
    }

    /// Answers all that wait, and all that come: no engine is left.
    pub fn close(&self, reason: &str) {
        let fault = Fault::unable(Code::EngineUnavailable, reason);
        let mut waiting = self.waiting();
        let suspects = std::mem::take(&mut waiting.suspects).into_iter();
        let others = waiting.line.take_all();
        suspects.chain(others).for_each(|task| task.answer(Err(fault.clone())));
        waiting.closed = Some(fault);
    }

    /// Windows that wait for a lane.
    pub fn queued(&self) -> usize {
        let waiting = self.waiting();
        waiting.suspects.len() + waiting.line.windows()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // no code that can panic runs under the lock, so a poisoned one is still whole
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use tokio::sync::oneshot;

    use super::*;
    use crate::transcribe::task::Share;
    use crate::transcribe::wire::{WindowOptions, WindowText};

    type Answer = oneshot::Receiver<Result<WindowText, Fault>>;

    fn task(session: SessionId, id: u64) -> (Task, Answer) {
        let (reply, answer) = oneshot::channel();
        let (options, pcm, withdrawn) = (WindowOptions::default(), Arc::default(), Arc::default());
        (Task { id, session, share: Share::default(), options, pcm, strikes: Vec::new(), withdrawn, reply }, answer)
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

    /// Who had each turn while all have windows waiting.
    fn turns(scheduler: &Scheduler, jobs: &[(SessionId, Option<&str>, u8)], count: usize) -> Vec<SessionId> {
        let mut answers = Vec::new();
        let mut submit = |session: SessionId| {
            let (_, tenant, weight) = jobs.iter().find(|(id, ..)| *id == session).copied().unwrap();
            let (task, answer) = task(session, 0);
            answers.push(answer);
            scheduler.submit(Task { share: Share { tenant: tenant.map(Into::into), weight }, ..task });
        };
        jobs.iter().for_each(|(session, ..)| submit(*session));
        let mut turns = Vec::new();
        while turns.len() < count {
            let next = scheduler.take(true).unwrap().session;
            turns.push(next);
            submit(next);
        }
        turns
    }

    #[test]
    fn a_job_has_turns_by_its_weight_and_none_starves() {
        let turns = turns(&Scheduler::default(), &[(1, None, 1), (2, None, 4), (3, None, 10)], 1_500);
        let of = |session: SessionId| turns.iter().filter(|turn| **turn == session).count();
        for (session, share) in [(1, 100), (2, 400), (3, 1_000)] {
            assert!(of(session).abs_diff(share) <= 2, "job {session}: {} turns", of(session));
        }
        let first = turns.iter().position(|turn| *turn == 1).unwrap();
        assert!(first < 15, "the lightest waits no longer than a round: {first}");
    }

    #[test]
    fn tenants_have_the_same_share_however_many_jobs_they_have_and_of_whatever_priority() {
        let mut jobs: Vec<_> = (0..20).map(|session| (session, Some("many"), 10)).collect();
        jobs.push((100, Some("one"), 1));
        jobs.push((200, None, 1));
        let turns = turns(&Scheduler::default(), &jobs, 300);
        for session in [100, 200] {
            let count = turns.iter().filter(|turn| **turn == session).count();
            assert!(count.abs_diff(100) <= 1, "job {session}: {count} turns");
        }
        // within any few turns, not only in the end
        assert!(turns.windows(3).all(|three| three.contains(&100) && three.contains(&200)), "{turns:?}");
    }

    #[test]
    fn who_was_away_has_saved_no_turns_up() {
        let scheduler = Scheduler::default();
        let first = turns(&scheduler, &[(1, Some("a"), 1)], 50);
        assert_eq!(first, [1; 50]);
        let both = turns(&scheduler, &[(1, Some("a"), 1), (2, Some("b"), 1)], 20);
        let late = both.iter().filter(|turn| **turn == 2).count();
        assert!(late.abs_diff(10) <= 1, "{both:?}");
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
        suspect.strikes = vec![0];
        scheduler.put_back(vec![suspect]);
        assert!(scheduler.take(false).is_none());
        assert_eq!(scheduler.take(true).unwrap().id, 2);
        assert_eq!(scheduler.take(false).unwrap().id, 1);
        drop(answer);
        let (mut unwanted, _) = task(2, 3);
        unwanted.strikes = vec![0];
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
