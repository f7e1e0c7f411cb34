//! Keeps one engine process at work: feeds it windows, restarts it when it dies or hangs, and finds the window that
//! kills it. A death is an event here, never the daemon's end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::link::{Launch, Link};
use super::scheduler::{Scheduler, Task};
use super::wire::{EngineInfo, Request, Response};
use crate::audio::SAMPLE_RATE_HZ;
use crate::fault::{Code, Fault};
use crate::health::{Health, Part};

/// A window that was in a lane at so many deaths is the cause: at the second it was alone.
const FATAL_STRIKES: u8 = 2;

/// After so many failed starts in a row the windows that wait are given back to their jobs, to be retried elsewhere.
const HOPELESS_STARTS: u32 = 3;

const RESTART_BACKOFF: Duration = Duration::from_millis(200);
const RESTART_BACKOFF_CAP: Duration = Duration::from_secs(30);

/// How an engine is kept.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// What starts it.
    pub launch: Arc<dyn Launch>,
    /// An answer may take this long, and `timeout_factor` times the window's length on top; then the engine counts
    /// as hung.
    pub timeout_base: Duration,
    /// See `timeout_base`.
    pub timeout_factor: f64,
    /// A new engine process after so many windows, against leaks.
    pub recycle_after_windows: u64,
}

/// What the outside may watch.
#[derive(Debug, Default)]
pub struct EngineStats {
    /// Answers received.
    pub windows: AtomicU64,
    /// Engine processes that died or were killed for hanging.
    pub crashes: AtomicU64,
    /// Windows in lanes now.
    pub busy: AtomicU64,
    /// Milliseconds that lanes were at work.
    pub busy_ms: AtomicU64,
    /// Process id of the engine that became ready last.
    pub pid: AtomicU64,
}

/// The keeper of one engine.
pub struct Supervisor {
    settings: EngineSettings,
    scheduler: Arc<Scheduler>,
    stats: Arc<EngineStats>,
    health: Health,
    ready: watch::Sender<Result<Option<EngineInfo>, String>>,
    /// Windows of a dead engine, to be sent again: those with a strike one at a time.
    again: VecDeque<Task>,
}

enum End {
    Stopped,
    Recycle,
    Died(String),
}

struct InFlight {
    task: Task,
    deadline: Instant,
}

impl Supervisor {
    /// A supervisor; `ready` is told each time an engine is ready or has failed to start.
    pub fn new(
        settings: EngineSettings,
        scheduler: Arc<Scheduler>,
        stats: Arc<EngineStats>,
        health: Health,
        ready: watch::Sender<Result<Option<EngineInfo>, String>>,
    ) -> Self {
        Self { settings, scheduler, stats, health, ready, again: VecDeque::new() }
    }

    /// Runs until `stop`; the engine is killed then.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut failed_starts = 0u32;
        while !stop.is_cancelled() {
            let started = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                started = self.settings.launch.launch() => started,
            };
            match started {
                Ok(child) => {
                    failed_starts = 0;
                    self.stats.pid.store(child.pid().map_or(0, u64::from), Ordering::Relaxed);
                    tracing::info!(pid = child.pid(), load_ms = child.info().load_ms, lanes = child.info().lanes,
                        backend = %child.info().backend, "engine ready");
                    self.tell(Ok(Some(child.info().clone())));
                    if matches!(self.serve(child, &stop).await, End::Stopped) {
                        return;
                    }
                }
                Err(reason) => {
                    failed_starts += 1;
                    tracing::error!("{reason}");
                    self.tell(Err(reason.clone()));
                    if failed_starts >= HOPELESS_STARTS {
                        self.give_back_all(&reason);
                    }
                    let pause = RESTART_BACKOFF.saturating_mul(1 << failed_starts.min(10)).min(RESTART_BACKOFF_CAP);
                    // a stop ends the pause; a pause that ran out is the normal case
                    let _ = timeout(pause, stop.cancelled()).await;
                }
            }
        }
    }

    async fn serve(&mut self, mut child: Box<dyn Link>, stop: &CancellationToken) -> End {
        let mut in_flight: BTreeMap<u64, InFlight> = BTreeMap::new();
        let mut windows = 0u64;
        let end = loop {
            self.stats.busy.store(in_flight.len() as u64, Ordering::Relaxed);
            let worn = windows >= self.settings.recycle_after_windows;
            if worn && in_flight.is_empty() {
                break End::Recycle;
            }
            let room = !worn && self.has_room(&in_flight, child.info().lanes);
            let hung_at = in_flight.values().map(|window| window.deadline).min().unwrap_or_else(far_future);
            tokio::select! {
                biased;
                () = stop.cancelled() => break End::Stopped,
                response = child.receive() => match response {
                    Ok(response) => {
                        windows += 1;
                        self.answer(response, &mut in_flight);
                    }
                    Err(reason) => break End::Died(reason),
                },
                task = next_task(&mut self.again, &self.scheduler), if room => {
                    let request = Request { id: task.id, options: task.options.clone() };
                    let deadline = Instant::now() + self.time_limit(&task);
                    let sent = child.send(&request, &task.pcm).await;
                    in_flight.insert(task.id, InFlight { task, deadline });
                    if let Err(reason) = sent {
                        break End::Died(reason);
                    }
                },
                () = sleep_until(hung_at) => break End::Died("a window was not answered in time".to_owned()),
            }
        };
        self.stats.busy.store(0, Ordering::Relaxed);
        match &end {
            End::Stopped => drop(child.kill().await),
            End::Recycle => {
                tracing::info!(windows, "engine recycled");
                child.end().await;
            }
            End::Died(reason) => {
                let status = child.kill().await;
                self.stats.crashes.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%status, in_flight = in_flight.len(), "engine died: {reason}");
                self.take_back(in_flight);
            }
        }
        end
    }

    fn tell(&self, news: Result<Option<EngineInfo>, String>) {
        // the last news is what counts, read or not
        drop(self.ready.send_replace(news));
    }

    fn has_room(&self, in_flight: &BTreeMap<u64, InFlight>, lanes: usize) -> bool {
        let suspect_at_work = in_flight.values().any(|window| window.task.strikes > 0);
        let suspect_next = self.again.front().is_some_and(|task| task.strikes > 0);
        if suspect_at_work || suspect_next { in_flight.is_empty() } else { in_flight.len() < lanes.max(1) }
    }

    fn answer(&self, response: Response, in_flight: &mut BTreeMap<u64, InFlight>) {
        let (id, result) = match response {
            Response::Ready(_) => return,
            Response::Done { id, text } => {
                self.health.works(Part::Engine);
                self.stats.busy_ms.fetch_add(u64::from(text.busy_ms), Ordering::Relaxed);
                (id, Ok(text))
            }
            Response::Failed { id, reason } => (id, Err(Fault::permanent(Code::EngineCrashed, reason))),
        };
        self.stats.windows.fetch_add(1, Ordering::Relaxed);
        if let Some(window) = in_flight.remove(&id) {
            // nobody waits when the job was given up meanwhile
            let _ = window.task.reply.send(result);
        }
    }

    /// Sorts the windows of a dead engine: at a hang the late ones are to blame, at a death any of them may be.
    fn take_back(&mut self, in_flight: BTreeMap<u64, InFlight>) {
        let now = Instant::now();
        let hang = in_flight.values().any(|window| window.deadline <= now);
        let mut windows: Vec<InFlight> = in_flight.into_values().collect();
        windows.sort_unstable_by_key(|window| window.task.id);
        for InFlight { mut task, deadline } in windows {
            if task.reply.is_closed() {
                continue;
            }
            if !hang || deadline <= now {
                task.strikes += 1;
            }
            if task.strikes >= FATAL_STRIKES {
                let fault = Fault::permanent(Code::EngineCrashed, "a window of the audio crashes the engine");
                let _ = task.reply.send(Err(fault));
            } else {
                self.again.push_back(task);
            }
        }
    }

    fn give_back_all(&mut self, reason: &str) {
        let waiting = std::mem::take(&mut self.again).into_iter().chain(std::iter::from_fn(|| self.scheduler.take()));
        for task in waiting {
            let _ = task.reply.send(Err(Fault::transient(Code::ServiceUnavailable, reason)));
        }
    }

    fn time_limit(&self, task: &Task) -> Duration {
        let window_secs = task.pcm.len() as f64 / f64::from(SAMPLE_RATE_HZ);
        self.settings.timeout_base + Duration::from_secs_f64(window_secs * self.settings.timeout_factor)
    }
}

async fn next_task(again: &mut VecDeque<Task>, scheduler: &Scheduler) -> Task {
    match again.pop_front() {
        Some(task) => task,
        None => scheduler.next().await,
    }
}

fn far_future() -> Instant {
    Instant::now() + Duration::from_secs(365 * 24 * 3600)
}
