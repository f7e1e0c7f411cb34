//! What is under way on this worker, and what failed lately: for those who look at it from outside.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::fault::{Code, Problem};

/// Failures that are remembered.
const MOST_FAILURES: usize = 20;

/// The board. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    seats: u64,
    jobs: BTreeMap<u64, JobAtWork>,
    failures: VecDeque<Failure>,
}

/// A job at work.
#[derive(Debug, Clone, PartialEq)]
pub struct JobAtWork {
    /// Its id.
    pub job_id: String,
    /// Where its audio is.
    pub source: String,
    /// How often its message was delivered, this time included.
    pub attempt: u32,
    /// When this attempt began.
    pub since: Timestamp,
    /// What is done with it now.
    pub stage: Stage,
    /// How much of its audio is transcribed.
    pub reached: Reached,
}

/// What is done with a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stage {
    /// It is looked at, and its audio waited for.
    #[default]
    Waiting,
    /// Its audio is downloaded.
    Fetching,
    /// Its audio is decoded and transcribed.
    Transcribing,
    /// Its transcripts are written and published.
    Storing,
}

impl Stage {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Fetching => "fetching",
            Self::Transcribing => "transcribing",
            Self::Storing => "storing",
        }
    }
}

/// How much of a job's audio is transcribed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Reached {
    /// Seconds that are transcribed.
    pub done_secs: f64,
    /// All of them, as the audio's container states it; `None` where it does not.
    pub whole_secs: Option<f64>,
}

impl Reached {
    /// Whole percent, rounded down; never 100, since what was heard is then still to be stored. `None` where it is not known
    /// how long the audio is.
    pub fn percent(self) -> Option<u8> {
        const MOST: f64 = 99.0;
        let percent = 100.0 * self.done_secs / self.whole_secs?.max(f64::MIN_POSITIVE);
        // not a number becomes 0
        Some(percent.clamp(0.0, MOST) as u8)
    }
}

/// Something that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// When.
    pub at: Timestamp,
    /// The job's id.
    pub job_id: String,
    /// The kind of failure.
    pub code: Code,
    /// The sentence.
    pub message: String,
}

impl Board {
    /// A job is at work for as long as the answer lives.
    pub fn enter(&self, job: JobAtWork) -> Seat {
        let mut state = self.state();
        state.seats += 1;
        let seat = state.seats;
        state.jobs.insert(seat, job);
        drop(state);
        Seat { board: self.clone(), seat }
    }

    /// A job failed, for good or for now.
    pub fn failed(&self, at: Timestamp, job_id: &str, problem: &Problem) {
        let Problem { code, message } = problem.clone();
        let mut state = self.state();
        state.failures.push_front(Failure { at, job_id: job_id.to_owned(), code, message });
        state.failures.truncate(MOST_FAILURES);
    }

    /// The jobs at work, those that came first before the others.
    pub fn jobs(&self) -> Vec<JobAtWork> {
        self.state().jobs.values().cloned().collect()
    }

    /// What failed lately, the last first.
    pub fn failures(&self) -> Vec<Failure> {
        self.state().failures.iter().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // whatever is half changed here is only looked at
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job's place on the board, until dropped. Clones of a reference to it may be told how far the job is from any thread.
#[derive(Debug)]
pub struct Seat {
    board: Board,
    seat: u64,
}

impl Seat {
    /// What is done with the job now.
    pub fn stage(&self, stage: Stage) {
        self.change(|job| job.stage = stage);
    }

    /// How long its audio is.
    pub fn lasts(&self, secs: Option<f64>) {
        self.change(|job| job.reached.whole_secs = secs);
    }

    /// So many seconds of its audio are transcribed; the answer is how far it is.
    pub fn reached(&self, secs: f64) -> Reached {
        let change = |job: &mut JobAtWork| {
            // channels that are transcribed by themselves take turns
            job.reached.done_secs = job.reached.done_secs.max(secs);
            job.reached
        };
        self.change(change).unwrap_or_default()
    }

    fn change<T>(&self, change: impl FnOnce(&mut JobAtWork) -> T) -> Option<T> {
        self.board.state().jobs.get_mut(&self.seat).map(change)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.board.state().jobs.remove(&self.seat);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(job_id: &str) -> JobAtWork {
        JobAtWork {
            job_id: job_id.to_owned(),
            source: "s3://b/k".to_owned(),
            attempt: 1,
            since: Timestamp::UNIX_EPOCH,
            stage: Stage::Waiting,
            reached: Reached::default(),
        }
    }

    #[test]
    fn a_job_is_on_the_board_while_it_is_at_work_and_never_goes_back() {
        let board = Board::default();
        let (first, second) = (board.enter(job("a")), board.enter(job("b")));
        first.lasts(Some(60.0));
        assert_eq!(first.reached(29.9).percent(), Some(49));
        assert_eq!(first.reached(10.0).percent(), Some(49), "the other channel's turn");
        assert_eq!(second.reached(10.0).percent(), None, "nobody knows how long it is");
        let jobs: Vec<_> = board.jobs().into_iter().map(|job| (job.job_id, job.reached.done_secs)).collect();
        assert_eq!(jobs, [("a".to_owned(), 29.9), ("b".to_owned(), 10.0)]);
        drop(first);
        assert_eq!(board.jobs().len(), 1);
    }

    #[test]
    fn a_percentage_never_says_that_all_is_done() {
        let percent = |done_secs, whole_secs| Reached { done_secs, whole_secs: Some(whole_secs) }.percent();
        assert_eq!((percent(0.0, 60.0), percent(61.0, 60.0), percent(5.0, 0.0)), (Some(0), Some(99), Some(99)));
        assert_eq!(percent(f64::NAN, 60.0), Some(0));
    }

    #[test]
    fn the_last_failures_are_remembered() {
        let board = Board::default();
        for n in 0..=MOST_FAILURES {
            let problem = Problem { code: Code::CorruptAudio, message: n.to_string() };
            board.failed(Timestamp::UNIX_EPOCH, "j", &problem);
        }
        let failures = board.failures();
        assert_eq!(failures.len(), MOST_FAILURES);
        assert_eq!(failures.first().map(|failure| failure.message.as_str()), Some("20"));
    }
}
