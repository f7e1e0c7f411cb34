//! What this worker is like at a moment: for the minute's metrics, and for whoever looks at it from outside.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::board::{Board, Failure, JobAtWork};
use crate::counts::Counts;
use crate::drain::Drain;
use crate::fault::Code;
use crate::gpus::Gpus;
use crate::health::{Health, State};
use crate::metrics::{Metric, Metrics, Reading};
use crate::transcribe::Transcriber;
use crate::watchdog::Progress;

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

/// How often CloudWatch is told.
const MINUTE: Duration = Duration::from_secs(60);

/// All that can be looked at. Clones look at the same.
#[derive(Clone)]
pub struct Status {
    /// What is measured, and whose it is.
    pub metrics: Metrics,
    /// What control counts.
    pub counts: Arc<Counts>,
    /// Whether the worker is well.
    pub health: Health,
    /// Whether it stops.
    pub drain: Drain,
    /// Whether it receives yet.
    pub progress: Progress,
    /// Jobs at work, and failures.
    pub board: Board,
    /// The engines, once they are ready.
    pub engines: Arc<OnceLock<Arc<Transcriber>>>,
    /// What they run on.
    pub gpus: Gpus,
    /// Where downloads lie.
    pub scratch_dir: PathBuf,
    /// When the worker began.
    pub begun: Instant,
}

/// What the worker is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The model is loaded, the places are tried.
    Loading,
    /// It receives.
    Working,
    /// It receives one message at a time.
    Suspect,
    /// It cannot work, and ends.
    Sick,
    /// It receives nothing more, and ends.
    Draining,
}

/// Everything, for `/status`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// Of this program.
    pub version: &'static str,
    /// This machine.
    pub instance: String,
    /// What kind of machine.
    pub instance_type: String,
    /// The fleet that it belongs to.
    pub fleet: String,
    /// The model it serves.
    pub model: String,
    /// What it is at.
    pub phase: Phase,
    /// Why, where that is not plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether it takes jobs.
    pub ready: bool,
    /// Since it began.
    pub up_seconds: u64,
    /// Jobs at work.
    pub jobs: Vec<JobView>,
    /// The engine processes.
    pub engines: Vec<EngineView>,
    /// Windows that wait for a lane.
    pub windows_queued: usize,
    /// Room for downloads; absent where it cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scratch_free_bytes: Option<u64>,
    /// What became of messages since the start.
    pub messages: MessagesView,
    /// What failed lately, the last first.
    pub failures: Vec<FailureView>,
}

/// A job at work.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobView {
    /// Its id.
    pub job_id: String,
    /// Where its audio is.
    pub source: String,
    /// How often its message was delivered.
    pub attempt: u32,
    /// What is done with it.
    pub stage: &'static str,
    /// When this attempt began.
    pub since: Timestamp,
    /// Seconds that are transcribed.
    pub processed: f64,
    /// Of so many, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// As "Transcription Progress" tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
}

/// An engine process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EngineView {
    /// Its process; 0 where there is none.
    pub pid: u64,
    /// Windows at a time; 0 while it is lost.
    pub lanes: u64,
    /// Windows it is at.
    pub lanes_busy: u64,
    /// Windows it answered.
    pub windows: u64,
    /// Processes that died before.
    pub restarts: u64,
}

/// What became of messages since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessagesView {
    /// Taken from the queue.
    pub received: u64,
    /// Done.
    pub done: u64,
    /// Failed for good.
    pub failed: u64,
    /// Given back to be tried again.
    pub retried: u64,
    /// Given back for another worker.
    pub released: u64,
    /// Lost to another worker.
    pub lost: u64,
}

/// Something that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureView {
    /// When.
    pub at: Timestamp,
    /// The job.
    pub job_id: String,
    /// The kind of failure.
    pub code: Code,
    /// The sentence.
    pub message: String,
}

impl Status {
    /// What the worker is at, and why.
    pub fn phase(&self) -> (Phase, Option<String>) {
        match (self.health.state(), self.drain.stopping()) {
            (State::Sick(sickness), _) => (Phase::Sick, Some(sickness.reason)),
            (_, Some(stop)) => (Phase::Draining, Some(stop.reason.to_string())),
            _ if self.progress.turns() == 0 => (Phase::Loading, None),
            (State::Suspect(reason), None) => (Phase::Suspect, Some(reason)),
            (State::Well, None) => (Phase::Working, None),
        }
    }

    /// Whether the worker takes jobs.
    pub fn is_ready(&self) -> bool {
        matches!(self.phase().0, Phase::Working | Phase::Suspect)
    }

    /// Everything.
    pub fn view(&self) -> View {
        let origin = self.metrics.origin();
        let (phase, reason) = self.phase();
        let counts = &self.counts;
        let engines = self.engines.get();
        View {
            version: env!("CARGO_PKG_VERSION"),
            instance: origin.instance.clone(),
            instance_type: origin.instance_type.clone(),
            fleet: origin.fleet.clone(),
            model: origin.model.clone(),
            phase,
            reason,
            ready: self.is_ready(),
            up_seconds: self.begun.elapsed().as_secs(),
            jobs: self.board.jobs().into_iter().map(JobView::from).collect(),
            engines: engines.map(|engines| engine_views(engines)).unwrap_or_default(),
            windows_queued: engines.map_or(0, |engines| engines.queued()),
            scratch_free_bytes: self.scratch_free(),
            messages: MessagesView {
                received: counts.received.get(),
                done: counts.done.get(),
                failed: counts.rejected.get() + counts.exhausted.get(),
                retried: counts.retried.get(),
                released: counts.released.get() + counts.returned.get(),
                lost: counts.lost.get(),
            },
            failures: self.board.failures().into_iter().map(FailureView::from).collect(),
        }
    }

    /// All that metrics are told each minute, of counters what came since the start. Asks disk and driver.
    pub fn readings(&self) -> Vec<Reading> {
        let counts = &self.counts;
        let health = match self.health.state() {
            State::Well => 1.0,
            State::Suspect(_) => 0.5,
            State::Sick(_) => 0.0,
        };
        let stats = self.engines.get().map(|engines| engines.stats());
        let queued = self.engines.get().map_or(0, |engines| engines.queued());
        let whole = |count: u64| count as f64;
        let mut values = vec![
            (Metric::Up, 1.0),
            (Metric::UpSeconds, self.begun.elapsed().as_secs_f64()),
            (Metric::JobsInFlight, whole(counts.in_flight.get())),
            (Metric::LanesBusy, stats.as_ref().map_or(0.0, |stats| whole(stats.busy()))),
            (Metric::WindowsQueued, queued as f64),
            (Metric::EngineRestarts, stats.as_ref().map_or(0.0, |stats| whole(stats.crashes()))),
            (Metric::LeasesLost, whole(counts.lost.get())),
            (Metric::ReceiveErrors, whole(counts.receive_errors.get())),
            (Metric::Retried, whole(counts.retried.get())),
            (Metric::Released, whole(counts.released.get() + counts.returned.get())),
            (Metric::DeadLettered, whole(counts.rejected.get() + counts.exhausted.get())),
            (Metric::Interruptions, whole(counts.interruptions.get())),
            (Metric::ResumedSeconds, self.metrics.total(Metric::ResumedSeconds)),
            (Metric::Health, health),
        ];
        if let Some(bytes) = self.scratch_free() {
            values.push((Metric::ScratchFree, whole(bytes)));
        }
        let ours = values.into_iter().map(|(metric, value)| Reading { metric, value, of: None });
        ours.chain(self.gpus.readings()).collect()
    }

    /// Tells CloudWatch each minute, for as long as it is polled. Begins with the first full minute.
    pub async fn tell_each_minute(self) {
        let mut minutes = interval_at(Instant::now() + MINUTE, MINUTE);
        // one that was late is not made up for: the counters hold it
        minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            minutes.tick().await;
            let status = self.clone();
            // the disk or the driver may hang; the next minute is then another's
            let _ = tokio::task::spawn_blocking(move || status.metrics.minute(&status.readings())).await;
        }
    }

    /// What came since the last full minute; nobody is up any more.
    pub fn tell_last(&self) {
        let mut readings = self.readings();
        readings.retain(|reading| reading.metric.is_counter());
        self.metrics.minute(&readings);
    }

    fn scratch_free(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(&self.scratch_dir).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

fn engine_views(engines: &Transcriber) -> Vec<EngineView> {
    use std::sync::atomic::Ordering::Relaxed;
    let stats = engines.stats();
    let view = |engine: &Arc<crate::transcribe::stats::EngineStats>| EngineView {
        pid: engine.pid.load(Relaxed),
        lanes: engine.lanes.load(Relaxed),
        lanes_busy: engine.busy.load(Relaxed),
        windows: engine.windows.load(Relaxed),
        restarts: engine.crashes.load(Relaxed),
    };
    stats.engines().iter().map(view).collect()
}

impl From<JobAtWork> for JobView {
    fn from(job: JobAtWork) -> Self {
        let tenths = |secs: f64| (secs * 10.0).round() / 10.0;
        Self {
            job_id: job.job_id,
            source: job.source,
            attempt: job.attempt,
            stage: job.stage.name(),
            since: whole_second(job.since),
            processed: tenths(job.reached.done_secs),
            duration: job.reached.whole_secs.map(tenths),
            percent: job.reached.percent(),
        }
    }
}

impl From<Failure> for FailureView {
    fn from(failure: Failure) -> Self {
        let Failure { at, job_id, code, message } = failure;
        Self { at: whole_second(at), job_id, code, message }
    }
}

fn whole_second(time: Timestamp) -> Timestamp {
    time.checked_sub(SignedDuration::from_nanos(i64::from(time.subsec_nanosecond()))).unwrap_or(time)
}
