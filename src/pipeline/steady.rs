//! Calls to S3 and EventBridge that outlast their troubles: while the lease is held a retry costs no receive of the
//! message, so an outage is waited out inside the attempt.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::debug;

use crate::backoff::Backoff;
use crate::fault::{Code, Fault};
use crate::handler::Control;
use crate::health::{Health, Part};
use crate::watchdog::Progress;

/// Between two tries.
const TRY_AGAIN: Backoff = Backoff { base: Duration::from_secs(2), cap: Duration::from_secs(30) };

/// Whose place a call goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The job's: a refusal there is the job's fault.
    Jobs,
    /// The worker's own: a refusal there is the worker's fault.
    Ours,
}

/// Makes calls for one message.
#[derive(Debug, Clone, Copy)]
pub struct Steady<'a> {
    /// Told how each call went.
    pub health: &'a Health,
    /// Ends the waiting.
    pub control: &'a Control,
    /// Told of each try: a wait that is bounded and meant is no standstill.
    pub progress: &'a Progress,
}

impl Steady<'_> {
    /// Makes a call until it is answered. Throttling, 5xx and lost networks are waited out for as long as the worker's
    /// patience lasts, and refusals at places of our own for a few minutes, since permissions take so long to spread.
    ///
    /// # Errors
    /// The call's, at once or in the end; a refusal at a place of our own is `Unable` then. `Interrupted` while it waits,
    /// `LeaseLost` at any time.
    pub async fn call<T, F>(&self, part: Part, whose: Whose, mut call: impl FnMut() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let begun = Instant::now();
        let mut failures = 0_u32;
        loop {
            let answer = tokio::select! {
                biased;
                () = self.control.lease_lost.cancelled() => return Err(Fault::LeaseLost),
                answer = call() => answer,
            };
            let (fault, limit) = match answer {
                Ok(value) => {
                    self.health.works(part);
                    return Ok(value);
                }
                Err(Fault::Transient(problem)) if problem.code == Code::ServiceUnavailable => {
                    self.health.fails(part, &problem.message);
                    (Fault::Transient(problem), self.health.patience().outage)
                }
                Err(Fault::Permanent(problem)) if whose == Whose::Ours && is_refusal(problem.code) => {
                    self.health.refuses(part, &problem.message);
                    (Fault::Unable(problem), self.health.patience().refusal)
                }
                Err(fault) => return Err(fault),
            };
            self.progress.step();
            failures = failures.saturating_add(1);
            let wait = TRY_AGAIN.delay(failures);
            if begun.elapsed() + wait > limit || self.health.is_sick() {
                return Err(fault);
            }
            debug!(%fault, retry_secs = wait.as_secs(), "waited out");
            tokio::select! {
                biased;
                () = self.control.lease_lost.cancelled() => return Err(Fault::LeaseLost),
                () = self.control.abort.cancelled() => return Err(Fault::Interrupted),
                () = sleep(wait) => {}
            }
        }
    }
}

/// Codes by which a place says that it is not for us, or not there.
fn is_refusal(code: Code) -> bool {
    matches!(code, Code::AccessDenied | Code::ObjectNotFound)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::health::Patience;

    const PATIENCE: Patience = Patience { outage: Duration::from_secs(3600), refusal: Duration::from_secs(300) };

    struct Bench {
        health: Health,
        control: Control,
        progress: Progress,
        calls: Cell<u32>,
        begun: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let (health, control) = (Health::new(PATIENCE), Control::default());
            Self { health, control, progress: Progress::default(), calls: Cell::new(0), begun: Instant::now() }
        }

        /// A call that answers `fault` for so many seconds, then succeeds.
        async fn call(&self, whose: Whose, fault: Fault, secs: u64) -> Result<u32, Fault> {
            let steady = Steady { health: &self.health, control: &self.control, progress: &self.progress };
            let answer = || async {
                self.calls.set(self.calls.get() + 1);
                if self.begun.elapsed().as_secs() < secs { Err(fault.clone()) } else { Ok(5) }
            };
            steady.call(Part::Output, whose, answer).await
        }
    }

    fn outage() -> Fault {
        Fault::transient(Code::ServiceUnavailable, "failed to write s3://b/k: SlowDown")
    }

    fn refusal() -> Fault {
        Fault::permanent(Code::AccessDenied, "failed to write s3://b/k: AccessDenied")
    }

    #[tokio::test(start_paused = true)]
    async fn five_minutes_of_trouble_are_waited_out_and_make_the_worker_suspect_meanwhile() {
        let bench = Bench::new();
        assert_eq!(bench.call(Whose::Jobs, outage(), 300).await, Ok(5));
        assert!(bench.calls.get() < 60, "{} calls", bench.calls.get());
        assert_eq!(bench.progress.steps(), u64::from(bench.calls.get() - 1), "the watchdog sees each try");
        assert_eq!(bench.health.state(), crate::health::State::Well);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_without_end_is_given_back_after_the_patience() {
        let bench = Bench::new();
        assert_eq!(bench.call(Whose::Jobs, outage(), u64::MAX).await, Err(outage()));
        let secs = bench.begun.elapsed().as_secs();
        assert!((3570..=3600).contains(&secs), "{secs}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_the_jobs_own_fault_at_its_own_place_and_the_workers_at_the_workers() {
        let bench = Bench::new();
        assert_eq!(bench.call(Whose::Jobs, refusal(), u64::MAX).await, Err(refusal()));
        assert_eq!((bench.calls.get(), bench.health.state()), (1, crate::health::State::Well));
        assert_eq!(bench.call(Whose::Ours, refusal(), 60).await, Ok(5), "a role that was just attached");
        let bench = Bench::new();
        let fault = bench.call(Whose::Ours, refusal(), u64::MAX).await;
        assert!(matches!(fault, Err(Fault::Unable(problem)) if problem.code == Code::AccessDenied));
        assert!(bench.begun.elapsed() <= PATIENCE.refusal);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_and_a_lost_lease_end_the_waiting() {
        for lost in [false, true] {
            let bench = Bench::new();
            let told = async {
                sleep(Duration::from_secs(100)).await;
                if lost { bench.control.lease_lost.cancel() } else { bench.control.abort.cancel() }
            };
            let (answer, ()) = tokio::join!(bench.call(Whose::Jobs, outage(), u64::MAX), told);
            let expected = if lost { Fault::LeaseLost } else { Fault::Interrupted };
            assert_eq!((answer, bench.begun.elapsed().as_secs()), (Err(expected), 100));
        }
    }
}
