//! The guard against jobs that take the whole worker down.
//!
//! While a job is decoded and transcribed, a small object beside its output says so: `.started/{job_id}.json`. It is
//! removed however that ends. A later delivery of the same message that finds it knows that the worker died meanwhile.
//! Such a job runs with no other beside it, and when it has died too often it is reported instead of tried again.
//!
//! Deaths prove little by themselves: a spot instance may go without notice, a kernel may kill a neighbour. So two at
//! least are needed, in a row: a run that ended in any other way clears the count, and a run that got further than the
//! one before it (its checkpoint grew) counts as the first of a new row.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::RwLock;
use tokio::time::timeout;
use tracing::warn;

use crate::fault::{Code, Fault};
use crate::handler::{Control, Delivery};
use crate::job::{Job, ids};
use crate::objects::{Condition, Location, Objects};

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
}

/// Shared by all jobs of a worker.
pub struct PoisonGuard {
    objects: Arc<dyn Objects>,
    worker: String,
    /// Switches itself off when the store refuses: a marker that cannot be removed would accuse.
    on: AtomicBool,
    /// Jobs share it; a suspect has it to itself.
    company: RwLock<()>,
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

impl PoisonGuard {
    /// A guard whose markers name `worker`. Switched off it does nothing.
    pub fn new(objects: Arc<dyn Objects>, worker: String, on: bool) -> Self {
        Self { objects, worker, on: AtomicBool::new(on), company: RwLock::new(()) }
    }

    /// The marker of a job whose JSON goes to `json`.
    pub fn marker(json: &Location, job: &Job) -> Location {
        let folder = json.key.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        Location::new(&json.bucket, format!("{folder}.started/{}.json", ids::key_part(&job.id)))
    }

    /// How many workers in a row died over this message. Looks only at redeliveries, so it costs nothing else.
    /// `from_window` is how many windows a checkpoint spares it.
    ///
    /// # Errors
    /// A permanent `WorkerCrashed` after the queue's receive limit less one, at least two.
    pub async fn deaths(&self, marker: &Location, delivery: &Delivery, from_window: usize) -> Result<u32, Fault> {
        if delivery.receive_count < 2 {
            return Ok(0);
        }
        let Some(body) = self.call("read", self.objects.read(marker, MAX_MARKER_BYTES)).await.flatten() else {
            return Ok(0);
        };
        let Ok(found) = serde_json::from_slice::<Marker>(&body.body) else {
            warn!("the start marker {marker} is damaged: nothing is known of earlier runs");
            return Ok(0);
        };
        if found.message_id != delivery.message_id || found.receive_count >= delivery.receive_count {
            return Ok(0);
        }
        let deaths = if from_window > found.from_window { 1 } else { found.deaths.saturating_add(1) };
        let limit = delivery.max_receive_count.map_or(DEATHS_WITHOUT_LIMIT, |limit| limit.saturating_sub(1));
        warn!(deaths, worker = found.worker, "a worker died over this job");
        if deaths < limit.max(LEAST_DEATHS) {
            return Ok(deaths);
        }
        // the marker stays: should the report fail, the next delivery must not run either
        let message = format!("{deaths} workers died while they transcribed it, the last was {}", found.worker);
        Err(Fault::permanent(Code::WorkerCrashed, message))
    }

    /// Does the work between setting the marker and removing it: with others, or alone where a worker died over it.
    ///
    /// # Errors
    /// The work's; `Interrupted` or `LeaseLost` while it waits to be alone.
    pub async fn run<T>(
        &self,
        run: Run<'_>,
        control: &Control,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let turn = async {
            if run.deaths > 0 {
                (None, Some(self.company.write().await))
            } else {
                (Some(self.company.read().await), None)
            }
        };
        let _turn = tokio::select! {
            biased;
            () = control.lease_lost.cancelled() => return Err(Fault::LeaseLost),
            () = control.abort.cancelled() => return Err(Fault::Interrupted),
            turn = turn => turn,
        };
        let marker = Marker {
            message_id: run.delivery.message_id.clone(),
            receive_count: run.delivery.receive_count,
            deaths: run.deaths,
            worker: self.worker.clone(),
            from_window: run.from_window,
        };
        let body = serde_json::to_vec(&marker).unwrap_or_default();
        self.call("write", self.objects.put(&run.marker, Bytes::from(body), "application/json", &Condition::Always))
            .await;
        let result = work.await;
        // of a message that is another's, the marker is another's too; one that was not written may yet be there, for an
        // upload without an answer is not one that did not arrive
        if !control.lease_lost.is_cancelled() {
            self.call("remove", self.objects.remove(&run.marker)).await;
        }
        result
    }

    /// Best effort: a failure is a warning, a refusal the end of the guard.
    async fn call<T>(&self, verb: &str, call: impl Future<Output = Result<T, Fault>>) -> Option<T> {
        if !self.on.load(Ordering::Relaxed) {
            return None;
        }
        match timeout(CALL_LIMIT, call).await {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(fault @ Fault::Permanent(_))) => {
                self.on.store(false, Ordering::Relaxed);
                warn!(%fault, "the poison guard is off until the next start: it failed to {verb} a start marker");
            }
            Ok(Err(fault)) => warn!(%fault, "failed to {verb} a start marker"),
            Err(_) => warn!("failed to {verb} a start marker: no answer within {CALL_LIMIT:?}"),
        }
        None
    }
}
