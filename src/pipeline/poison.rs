//! The guard against jobs that take the whole worker down.
//!
//! While a job is decoded and transcribed, a small object beside its output says so: `.started/{job_id}.json`. It is
//! removed however that ends; a worker that lives and lets the job go (its lease was lost, its time was up) says so in it. A
//! later delivery of the same message that finds it otherwise knows that the worker died meanwhile. Such a job waits a
//! while for a quiet moment, so that it takes fewer others with it, and when workers died too often it is reported
//! instead of tried again.
//!
//! Deaths prove little by themselves: a spot instance may go without notice, a kernel may kill a neighbour. So two at
//! least are needed, in a row: a run that ended in any other way clears the count, and a run that got further than the
//! one before it (its checkpoint grew) counts as the first of a new row.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::backoff::Backoff;
use crate::fault::{Code, Fault};
use crate::handler::{Control, Delivery};
use crate::job::{Job, ids};
use crate::objects::{Condition, Found, Location, Objects};

#[cfg(test)]
mod tests;

/// Bytes; ours has 200.
const MAX_MARKER_BYTES: u64 = 64 * 1024;
/// The guard is best effort: a slow store must not hold a job up for longer.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// One death may be the machine's fault.
const LEAST_DEATHS: u32 = 2;
/// Where the queue sets no limit of its own, and would deliver forever.
const DEATHS_WITHOUT_LIMIT: u32 = 3;
/// How long a suspect waits for a moment in which nothing else is at work.
const QUIET_WAIT: Duration = Duration::from_secs(60);
/// How long a job that was let go is said to be: the network that lost its lease may be away for a while.
const SAY_SO_FOR: Duration = Duration::from_secs(600);
/// How often a marker is read at a message's last receive, before the job is run with nothing known of it.
const LAST_READS: u32 = 4;
/// Between two of these.
const READ_AGAIN: Backoff = Backoff { base: Duration::from_millis(500), cap: Duration::from_secs(4) };
/// Between two tries to say so.
const SAY_SO_AGAIN: Backoff = Backoff { base: Duration::from_secs(2), cap: Duration::from_secs(60) };

/// What a run leaves while it is under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    /// A message sent anew starts anew.
    message_id: String,
    receive_count: u32,
    /// Workers that died over it before this run.
    deaths: u32,
    /// The one at it, for people.
    worker: String,
    /// How many windows an earlier run had finished when this one began.
    from_window: usize,
    /// The worker lives and is at it no more.
    #[serde(default)]
    let_go: bool,
}

/// Shared by all jobs of a worker.
pub struct PoisonGuard {
    objects: Arc<dyn Objects>,
    worker: String,
    on: bool,
    /// Buckets that refuse markers: one that cannot be removed would accuse.
    off: Mutex<HashSet<String>>,
    at_work: AtWork,
    /// The markers of runs under way, by delivery: a message that comes again while its first run still ends has two.
    marked: Mutex<HashMap<(String, u32), (Location, Marker)>>,
    /// Those who still say that a job was let go.
    saying: TaskTracker,
}

/// One run of a job.
pub struct Run<'a> {
    /// Where its marker is.
    pub marker: Location,
    /// The delivery it is for.
    pub delivery: &'a Delivery,
    /// Windows that a checkpoint spares it.
    pub from_window: usize,
    /// Workers that died over it, from [`PoisonGuard::deaths`].
    pub deaths: u32,
}

/// Runs under way. Not a `watch`, which wakes those who wait in random order: a simulation could not repeat it.
#[derive(Default)]
struct AtWork {
    runs: AtomicUsize,
    ended: Notify,
}

/// A run under way, until dropped.
struct UnderWay<'a>(&'a AtWork);

impl AtWork {
    fn enter(&self) -> UnderWay<'_> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        UnderWay(self)
    }

    /// Returns in a moment without any.
    async fn quiet(&self) {
        loop {
            let ended = self.ended.notified();
            if self.runs.load(Ordering::Relaxed) == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.runs.fetch_sub(1, Ordering::Relaxed);
        self.0.ended.notify_waiters();
    }
}

impl PoisonGuard {
    /// A guard whose markers name `worker`. Switched off it does nothing.
    pub fn new(objects: Arc<dyn Objects>, worker: String, on: bool) -> Self {
        Self {
            objects,
            worker,
            on,
            off: Mutex::default(),
            at_work: AtWork::default(),
            marked: Mutex::default(),
            saying: TaskTracker::new(),
        }
    }

    /// The marker of a job whose JSON goes to `json`.
    pub fn marker(json: &Location, job: &Job) -> Location {
        json.sibling(&format!(".started/{}.json", ids::key_part(&job.id)))
    }

    /// How many workers in a row died over this message. Looks only at redeliveries, so it costs nothing else.
    /// `from_window` is how many windows a checkpoint spares it.
    ///
    /// # Errors
    /// A permanent `WorkerCrashed` after the queue's receive limit less one, at least two; at the message's last receive
    /// after two.
    pub async fn deaths(&self, marker: &Location, delivery: &Delivery, from_window: usize) -> Result<u32, Fault> {
        if delivery.receive_count < 2 {
            return Ok(0);
        }
        // one more death, and the queue would drop the message without a word
        let is_last = delivery.max_receive_count.is_some_and(|limit| delivery.receive_count >= limit);
        let Some(Found { body, .. }) = self.read(marker, if is_last { LAST_READS } else { 1 }).await else {
            return Ok(0);
        };
        let Ok(found) = serde_json::from_slice::<Marker>(&body) else {
            warn!("the start marker {marker} is damaged: nothing is known of earlier runs");
            return Ok(0);
        };
        let another = found.message_id != delivery.message_id || found.receive_count >= delivery.receive_count;
        if another || found.let_go {
            return Ok(0);
        }
        let deaths = if from_window > found.from_window { 1 } else { found.deaths.saturating_add(1) };
        let limit = delivery.max_receive_count.map_or(DEATHS_WITHOUT_LIMIT, |limit| limit.saturating_sub(1));
        warn!(deaths, worker = found.worker, "a worker died over this job");
        if deaths < if is_last { LEAST_DEATHS } else { limit.max(LEAST_DEATHS) } {
            return Ok(deaths);
        }
        // the marker stays: should the report fail, the next delivery must not run either
        let message = format!("{deaths} workers died while they transcribed it, the last was {}", found.worker);
        Err(Fault::permanent(Code::WorkerCrashed, message))
    }

    /// Does the work between setting the marker and removing it. Where a worker died over the job, it waits for a moment
    /// in which nothing else is at work, but bars nobody meanwhile and does not wait for long.
    ///
    /// # Errors
    /// The work's; `Interrupted` or `LeaseLost` while it waits.
    pub async fn run<T>(
        &self,
        run: Run<'_>,
        control: &Control,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        if control.lease_lost.is_cancelled() {
            // the next owner's marker is there, or soon will be
            return Err(Fault::LeaseLost);
        }
        if run.deaths > 0 {
            tokio::select! {
                biased;
                () = control.lease_lost.cancelled() => return Err(Fault::LeaseLost),
                () = control.abort.cancelled() => return Err(Fault::Interrupted),
                () = self.at_work.quiet() => {}
                () = sleep(QUIET_WAIT) => {}
            }
        }
        let _under_way = self.at_work.enter();
        let marker = Marker {
            message_id: run.delivery.message_id.clone(),
            receive_count: run.delivery.receive_count,
            deaths: run.deaths,
            worker: self.worker.clone(),
            from_window: run.from_window,
            let_go: false,
        };
        let is_watched = self.works_at(&run.marker);
        self.marked().insert(run.delivery.key(), (run.marker.clone(), marker.clone()));
        let put = put(&*self.objects, &run.marker, &marker, &Condition::Always);
        self.call(&run.marker, "write", put).await;
        let result = work.await;
        if !is_watched {
            self.marked().remove(&run.delivery.key());
        } else if control.lease_lost.is_cancelled() {
            // the message is another's, and by now its marker may be too
            self.let_go(run.delivery);
        } else {
            // one that was not written may yet be there, for an upload without an answer is not one that did not arrive
            self.call(&run.marker, "remove", self.objects.remove(&run.marker)).await;
            self.marked().remove(&run.delivery.key());
        }
        result
    }

    /// Says in the marker of this message, if it is still this run's, that the worker lives: in the background, and until it
    /// could be said.
    pub fn let_go(&self, delivery: &Delivery) {
        let Some((at, marker)) = self.marked().remove(&delivery.key()) else { return };
        let objects = Arc::clone(&self.objects);
        self.saying.spawn(async move {
            let begun = Instant::now();
            let mut failures = 0;
            while let Err(fault) = say_let_go(&*objects, &at, &marker).await {
                failures += 1;
                if !matches!(fault, Fault::Transient(_)) || begun.elapsed() > SAY_SO_FOR {
                    return warn!(%fault, "a start marker stays that will count as a death");
                }
                sleep(SAY_SO_AGAIN.delay(failures)).await;
            }
        });
    }

    /// Returns once everything was said, after `limit` at the latest.
    pub async fn end(&self, limit: Duration) {
        self.saying.close();
        if timeout(limit, self.saying.wait()).await.is_err() {
            debug!("start markers stay that will count as deaths");
        }
    }

    /// The marker, after so many tries at most.
    async fn read(&self, marker: &Location, tries: u32) -> Option<Found> {
        for failures in 1..=tries {
            if let Some(answer) = self.call(marker, "read", self.objects.read(marker, MAX_MARKER_BYTES)).await {
                return answer;
            }
            if failures < tries && self.works_at(marker) {
                sleep(READ_AGAIN.delay(failures)).await;
            }
        }
        None
    }

    fn works_at(&self, at: &Location) -> bool {
        self.on && !self.off().contains(&at.bucket)
    }

    /// Best effort: a failure is a warning, a refusal to write or remove the end of the guard in that bucket. A refusal to
    /// read is nothing there: without permission to list a bucket that is what a missing object looks like.
    async fn call<T>(&self, at: &Location, verb: &str, call: impl Future<Output = Result<T, Fault>>) -> Option<T> {
        // what was written must go, or it accuses, whatever was refused since
        if !self.works_at(at) && verb != "remove" {
            return None;
        }
        match timeout(CALL_LIMIT, call).await {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(fault @ Fault::Permanent(_))) if verb == "read" => debug!(%fault, "no start marker can be read"),
            Ok(Err(fault @ Fault::Permanent(_))) => {
                self.off().insert(at.bucket.clone());
                let bucket = &at.bucket;
                warn!(%fault, bucket, "the poison guard is off in this bucket until the next start: it failed to {verb} a \
                    start marker");
            }
            Ok(Err(fault)) => warn!(%fault, "failed to {verb} a start marker"),
            Err(_) => warn!("failed to {verb} a start marker: no answer within {CALL_LIMIT:?}"),
        }
        None
    }

    fn off(&self) -> MutexGuard<'_, HashSet<String>> {
        // single inserts are the only changes: a panic elsewhere left it whole
        self.off.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn marked(&self) -> MutexGuard<'_, HashMap<(String, u32), (Location, Marker)>> {
        // as above
        self.marked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lease has ended, and the next owner may have a marker of its own there: only ours is replaced.
async fn say_let_go(objects: &dyn Objects, at: &Location, marker: &Marker) -> Result<(), Fault> {
    let Some(Found { body, etag }) = objects.read(at, MAX_MARKER_BYTES).await? else { return Ok(()) };
    if serde_json::from_slice::<Marker>(&body).ok().as_ref() != Some(marker) {
        return Ok(());
    }
    let said = Marker { let_go: true, ..marker.clone() };
    match put(objects, at, &said, &Condition::Unchanged(etag)).await {
        Err(Fault::Transient(problem)) if problem.code == Code::ObjectChanged => Ok(()),
        said => said.map(drop),
    }
}

async fn put(objects: &dyn Objects, at: &Location, marker: &Marker, condition: &Condition) -> Result<String, Fault> {
    let body = serde_json::to_vec(marker).unwrap_or_default();
    objects.put_temporary(at, Bytes::from(body), "application/json", condition).await
}
