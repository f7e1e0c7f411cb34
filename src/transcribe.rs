//! Windows in, text out: the daemon's side of the engine. Jobs share the lanes of all engines round robin.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::fault::{Code, Fault};
use crate::health::Health;
use child::EngineCommand;
use scheduler::{Scheduler, SessionId, Task};
use supervisor::{EngineSettings, EngineStats, Supervisor};
use wire::{EngineInfo, WindowOptions, WindowText};

pub mod child;
pub mod guard;
pub mod link;
pub mod pace;
pub mod placement;
pub mod scheduler;
pub mod supervisor;
pub mod wire;

/// How windows are listened to; bumped when the same window may come out as other text: by the guards, the second looks or
/// the engine's way of choosing. (Where windows are cut is `audio::WINDOWING`.)
pub const LISTENING: u32 = 1;

/// The engines, shared by all jobs. Ends them when dropped.
pub struct Transcriber {
    scheduler: Arc<Scheduler>,
    stats: Arc<EngineStats>,
    info: EngineInfo,
    lanes: usize,
    tracker: TaskTracker,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

impl Transcriber {
    /// Starts the engines and waits until each is ready. `health` is told how they do.
    ///
    /// # Errors
    /// A sentence saying why an engine did not start: a missing or damaged model, no GPU, no memory.
    pub async fn start(engines: Vec<EngineSettings>, health: Health) -> Result<Self, String> {
        let scheduler = Scheduler::new();
        let stats: Arc<EngineStats> = Arc::default();
        let stop = CancellationToken::new();
        let tracker = TaskTracker::new();
        let guard = stop.clone().drop_guard();
        let mut starting = Vec::new();
        for settings in engines {
            let (ready, is_ready) = watch::channel(Ok(None));
            let supervisor = Supervisor::new(settings, scheduler.clone(), stats.clone(), health.clone(), ready);
            tracker.spawn(supervisor.run(stop.clone()));
            starting.push(is_ready);
        }
        let (mut info, mut lanes) = (EngineInfo::default(), 0);
        for mut is_ready in starting {
            let answer = is_ready.wait_for(|ready| !matches!(ready, Ok(None))).await;
            let ready = answer.map_err(|_| "the engine's supervisor ended".to_owned())?.clone()?;
            info = ready.unwrap_or_default();
            lanes += info.lanes;
        }
        tracker.close();
        Ok(Self { scheduler, stats, info, lanes, tracker, stop, _stop_on_drop: guard })
    }

    /// What the engines run on.
    pub fn info(&self) -> &EngineInfo {
        &self.info
    }

    /// Windows at a time, over all engines.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// Counters, for progress, metrics and benchmarks.
    pub fn stats(&self) -> Arc<EngineStats> {
        self.stats.clone()
    }

    /// Opens a job's stream of windows.
    pub fn session(&self) -> Session {
        Session::new(self.scheduler.clone())
    }

    /// Kills the engines and waits until they are gone.
    pub async fn end(&self) {
        self.stop.cancel();
        self.tracker.wait().await;
    }
}

/// One job's stream of windows; dropping it withdraws those that still wait.
pub struct Session {
    scheduler: Arc<Scheduler>,
    id: SessionId,
    withdrawn: AtomicBool,
}

impl Session {
    fn new(scheduler: Arc<Scheduler>) -> Self {
        Self { id: scheduler.fresh_id(), scheduler, withdrawn: AtomicBool::new(false) }
    }

    /// Queues a window at once; the future is its answer.
    ///
    /// # Errors
    /// `EngineCrashed` when this window kills the engine or whisper.cpp refuses it, transient when no engine starts or the
    /// session was withdrawn.
    pub fn submit(
        &self,
        pcm: Arc<Vec<f32>>,
        options: WindowOptions,
    ) -> impl Future<Output = Result<WindowText, Fault>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        let id = self.scheduler.fresh_id();
        // a second look that comes to mind while the work is given back would hold it up for windows
        if !self.withdrawn.load(Ordering::Relaxed) {
            self.scheduler.submit(Task { id, session: self.id, options, pcm, strikes: 0, reply });
        }
        async move {
            // dropped by a supervisor when the worker ends, or withdrawn
            answer.await.unwrap_or_else(|_| Err(Fault::transient(Code::ServiceUnavailable, "the engine was stopped")))
        }
    }

    /// Takes back the windows that wait for a lane, and takes no more; their answers are errors. Those in a lane are
    /// answered.
    pub fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Relaxed);
        self.scheduler.forget(self.id);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.withdraw();
    }
}

/// The command that runs this very binary as the engine.
///
/// # Errors
/// The path of the running program cannot be read.
pub fn own_engine(
    model: &Path,
    decoder: Option<&Path>,
    lanes: usize,
    threads: usize,
    gpu: Option<u8>,
) -> std::io::Result<EngineCommand> {
    let mut args = vec!["engine".into(), "--model".into(), model.into()];
    args.extend(["--lanes".into(), lanes.to_string().into(), "--threads".into(), threads.to_string().into()]);
    if let Some(decoder) = decoder {
        args.extend(["--decoder-model".into(), decoder.into()]);
    }
    if let Some(gpu) = gpu {
        args.extend(["--gpu".into(), gpu.to_string().into()]);
    }
    Ok(EngineCommand { program: std::env::current_exe()?, args })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_session_that_was_withdrawn_answers_at_once_and_queues_nothing_more() {
        let scheduler = Scheduler::new();
        let session = Session::new(scheduler.clone());
        let window = || session.submit(Arc::default(), WindowOptions::default());
        let before = window();
        assert_eq!(scheduler.queued(), 1);
        session.withdraw();
        let after = window();
        assert_eq!(scheduler.queued(), 0);
        for answer in [before.now_or_never(), after.now_or_never()] {
            assert!(matches!(answer, Some(Err(Fault::Transient(_)))), "{answer:?}");
        }
    }
}
