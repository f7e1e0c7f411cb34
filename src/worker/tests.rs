//! The worker over a queue in memory, on a paused clock.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::fakes::{Faulty, MemoryQueue, POLL, Rules, Scripted, StaleReceipts, Trouble, What};
use super::*;
use crate::fault::Code;
use crate::health::Patience;

mod failing;
mod health;
mod stopping;
mod working;

const SECOND: Duration = Duration::from_secs(1);
const GRACE: Duration = Duration::from_secs(300);
const MARGIN: Duration = Duration::from_secs(40);
const SETTINGS: Settings = Settings {
    slots: 2,
    visibility: Duration::from_secs(120),
    backoff: Backoff { base: Duration::from_secs(10), cap: Duration::from_secs(900) },
    idle_after: None,
};

/// A worker that runs, and all that can be seen of it.
struct Rig {
    handler: Arc<Scripted>,
    health: Health,
    drain: Drain,
    progress: Progress,
    counts: Arc<Counts>,
    running: JoinHandle<Result<Ended, Fault>>,
}

fn standard() -> Arc<MemoryQueue> {
    MemoryQueue::new(QueueTraits::default())
}

/// A queue that refuses the receipts of earlier deliveries, as a FIFO queue does; a standard one accepts them.
fn refusing() -> Arc<MemoryQueue> {
    let rules = Rules { stale_receipts: StaleReceipts::Refused, ..Rules::default() };
    MemoryQueue::with(QueueTraits::default(), rules)
}

impl Rig {
    fn start(queue: &Arc<MemoryQueue>) -> Self {
        Self::with(queue.clone(), SETTINGS)
    }

    fn with(port: Arc<dyn Queue>, settings: Settings) -> Self {
        let handler = Arc::<Scripted>::default();
        let (drain, progress, counts) = (Drain::new(GRACE, MARGIN), Progress::default(), Arc::<Counts>::default());
        let health = Health::default();
        let worker = Worker {
            queue: port,
            handler: handler.clone(),
            health: health.clone(),
            settings,
            drain: drain.clone(),
            progress: progress.clone(),
            counts: Arc::clone(&counts),
            idle_end: None,
        };
        Self { handler, health, drain, progress, counts, running: tokio::spawn(worker.run()) }
    }

    fn stop(&self) {
        self.drain.begin_gracefully(Reason::Signal("SIGTERM"));
    }

    async fn ended(self) -> Result<Ended, Fault> {
        self.running.await.expect("the worker never panics")
    }

    fn done(&self) -> Vec<String> {
        self.handler.done.lock().unwrap().clone()
    }

    fn begun(&self) -> Vec<String> {
        self.handler.begun.lock().unwrap().clone()
    }
}

fn throttled() -> Trouble {
    Trouble::Fail(Fault::transient(Code::ServiceUnavailable, "throttled"))
}
