//! Windows in, text out: the daemon's side of the engine. Jobs share the lanes of all engines by turns.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use tokio::sync::{Mutex, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::fault::{Code, Fault};
use crate::health::{Health, Part};
use child::EngineCommand;
use scheduler::Scheduler;
use stats::Stats;
use supervisor::{EngineSettings, Supervisor};
use task::{SessionId, Share, Task};
use wire::{EngineInfo, WindowOptions, WindowText};

pub mod child;
pub mod guard;
pub mod in_flight;
pub mod line;
pub mod link;
pub mod pace;
pub mod placement;
pub mod probe;
pub mod scheduler;
pub mod stats;
pub mod supervisor;
pub mod task;
pub mod trust;
pub mod wire;

/// How windows are listened to; bumped when the same window may come out as other text: by the guards, the second looks or
/// the engine's way of choosing. (Where windows are cut is `audio::WINDOWING`.)
pub const LISTENING: u32 = 4;

/// The engines, shared by all jobs. Ends them when dropped.
pub struct Transcriber {
    scheduler: Arc<Scheduler>,
    stats: Stats,
    engines: Vec<EngineInfo>,
    supervisors: Mutex<JoinSet<()>>,
    stop: CancellationToken,
}

impl Transcriber {
    /// Starts the engines and waits until each is ready. `health` is told how they do: that they work, that they fail where
    /// no window can be to blame, and that none is left.
    ///
    /// # Errors
    /// A sentence saying why an engine did not start: a missing or damaged model, no GPU, no memory.
    pub async fn start(engines: Vec<EngineSettings>, health: Health) -> Result<Self, String> {
        let scheduler = Scheduler::new();
        let stats = Stats::new(engines.len());
        let stop = CancellationToken::new();
        // what it holds ends with it, here too
        let mut supervisors = JoinSet::new();
        let mut starting = Vec::new();
        for (number, settings) in engines.into_iter().enumerate() {
            let (ready, is_ready) = watch::channel(Ok(None));
            let supervisor = Supervisor::new(number, settings, scheduler.clone(), stats.clone(), health.clone(), ready);
            supervisors.spawn(watch_over(supervisor, scheduler.clone(), health.clone(), stop.clone()));
            starting.push(is_ready);
        }
        let mut engines = Vec::new();
        for mut is_ready in starting {
            let answer = is_ready.wait_for(|ready| !matches!(ready, Ok(None))).await;
            let ready = answer.map_err(|_| "the engine's supervisor ended".to_owned())?.clone()?;
            engines.extend(ready);
        }
        Ok(Self { scheduler, stats, engines, supervisors: Mutex::new(supervisors), stop })
    }

    /// What the engines run on, one after the other.
    pub fn devices(&self) -> String {
        self.engines.iter().map(EngineInfo::to_string).collect::<Vec<_>>().join("; ")
    }

    /// Whether the model knows languages other than English.
    pub fn is_multilingual(&self) -> bool {
        self.engines.iter().any(|engine| engine.multilingual)
    }

    /// Windows at a time, over all engines that are not lost; at least one, so that something is tried.
    pub fn lanes(&self) -> usize {
        usize::try_from(self.stats.lanes()).unwrap_or(usize::MAX).max(1)
    }

    /// Counters, for progress, metrics and benchmarks.
    pub fn stats(&self) -> Stats {
        self.stats.clone()
    }

    /// Windows that wait for a lane.
    pub fn queued(&self) -> usize {
        self.scheduler.queued()
    }

    /// Opens a stream of windows that is nobody's job.
    pub fn session(&self) -> Session {
        self.session_of(Share::default())
    }

    /// Opens a job's stream of windows.
    pub fn session_of(&self, share: Share) -> Session {
        Session::new(self.scheduler.clone(), share)
    }

    /// Kills the engines and waits until they are gone.
    pub async fn end(&self) {
        self.stop.cancel();
        let mut supervisors = self.supervisors.lock().await;
        while supervisors.join_next().await.is_some() {}
    }
}

/// Runs a supervisor. Its end is asked for, or a bug after which this worker is not to go on.
async fn watch_over(supervisor: Supervisor, scheduler: Arc<Scheduler>, health: Health, stop: CancellationToken) {
    let ended = AssertUnwindSafe(supervisor.run(stop.clone())).catch_unwind().await;
    if ended.is_err() || !stop.is_cancelled() {
        let reason = "bug: the supervisor of an engine ended unasked";
        scheduler.close(reason);
        health.broke(Part::Engine, reason);
    }
}

/// One job's stream of windows; dropping it withdraws those that still wait.
pub struct Session {
    scheduler: Arc<Scheduler>,
    id: SessionId,
    share: Share,
    withdrawn: Arc<AtomicBool>,
}

impl Session {
    fn new(scheduler: Arc<Scheduler>, share: Share) -> Self {
        Self { id: scheduler.fresh_id(), scheduler, share, withdrawn: Arc::default() }
    }

    /// Queues a window at once; the future is its answer.
    ///
    /// # Errors
    /// `EngineCrashed` when engines that do other windows fail at this one; unable when no engine is left, or the session was
    /// withdrawn.
    pub fn submit(
        &self,
        pcm: Arc<Vec<f32>>,
        options: WindowOptions,
    ) -> impl Future<Output = Result<WindowText, Fault>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        let id = self.scheduler.fresh_id();
        // a second look that comes to mind while the work is given back would hold it up for windows
        if !self.withdrawn.load(Ordering::Relaxed) {
            let withdrawn = self.withdrawn.clone();
            let share = self.share.clone();
            self.scheduler.submit(Task {
                id,
                session: self.id,
                share,
                options,
                pcm,
                strikes: Vec::new(),
                withdrawn,
                reply,
            });
        }
        async move {
            // dropped by a supervisor when the worker ends, or withdrawn
            answer.await.unwrap_or_else(|_| Err(Fault::unable(Code::EngineUnavailable, "the engine was stopped")))
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
    weights: &str,
    beam_size: u8,
    lanes: usize,
    threads: usize,
    gpu: Option<u8>,
) -> std::io::Result<EngineCommand> {
    let mut args = vec!["engine".into(), "--model".into(), model.into()];
    args.extend(["--lanes".into(), lanes.to_string().into(), "--threads".into(), threads.to_string().into()]);
    args.extend(["--weights".into(), weights.into(), "--beam-size".into(), beam_size.to_string().into()]);
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
        let session = Session::new(scheduler.clone(), Share::default());
        let window = || session.submit(Arc::default(), WindowOptions::default());
        let before = window();
        assert_eq!(scheduler.queued(), 1);
        session.withdraw();
        let after = window();
        assert_eq!(scheduler.queued(), 0);
        for answer in [before.now_or_never(), after.now_or_never()] {
            assert!(matches!(answer, Some(Err(Fault::Unable(_)))), "{answer:?}");
        }
    }
}
