//! Keeps one engine at work: feeds it windows, starts another process when it dies or hangs, and finds the window that
//! fails it (`transcribe::trust`). A death is an event here, never the daemon's end; only an engine that none of the
//! machine's can stand in for is.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::in_flight::InFlight;
use super::link::{Launch, Link};
use super::scheduler::Scheduler;
use super::stats::{EngineStats, Stats};
use super::task::Task;
use super::trust::{Trust, Verdict};
use super::wire::{EngineInfo, Request, Response};
use crate::audio::SAMPLE_RATE_HZ;
use crate::fault::{Code, Fault};
use crate::health::{Health, Part};

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

/// What Whisper encodes, however short the window is, unless it is told to cut.
const WHOLE_WINDOW_SECS: f64 = 30.0;

/// However long a window may take by the settings.
const LONGEST_WINDOW: Duration = Duration::from_secs(3600);

/// A window that no engine could do so often, nor could be shown to be guilty, is given back.
const MOST_STRIKES: usize = 4;

/// A process that the kernel can end is gone at once; one that waits for a device in the kernel may never be.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// An engine that is asked to end gets some seconds before it is killed.
const END_LIMIT: Duration = Duration::from_secs(15);

/// How an engine is kept.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// What starts it.
    pub launch: Arc<dyn Launch>,
    /// An answer may take this long, and `timeout_factor` times what is to be encoded on top: the window's length, or
    /// 30 s where the engine encodes all of it. Then the engine counts as hung.
    pub timeout_base: Duration,
    /// See `timeout_base`.
    pub timeout_factor: f64,
    /// A new engine process after so many windows, against leaks.
    pub recycle_after_windows: u64,
}

impl EngineSettings {
    fn time_limit(&self, task: &Task, info: &EngineInfo) -> Duration {
        let secs = task.pcm.len() as f64 / f64::from(SAMPLE_RATE_HZ);
        let encodes_all = info.encodes_all || task.options.careful || task.options.beam_size > 1;
        let secs = if encodes_all { secs.max(WHOLE_WINDOW_SECS) } else { secs };
        let work = Duration::try_from_secs_f64(secs * self.timeout_factor).unwrap_or(LONGEST_WINDOW);
        self.timeout_base.saturating_add(work).min(LONGEST_WINDOW)
    }
}

/// What each supervisor tells of its engine: nothing yet, that it is ready, or why it is not.
pub type Ready = Result<Option<EngineInfo>, String>;

/// The keeper of one engine.
pub struct Supervisor {
    number: usize,
    settings: EngineSettings,
    scheduler: Arc<Scheduler>,
    own: Arc<EngineStats>,
    all: Stats,
    health: Health,
    ready: watch::Sender<Ready>,
    trust: Trust,
}

/// How the service of a process ended.
enum End {
    Stopped,
    Recycled,
    Failed(String),
}

impl Supervisor {
    /// The supervisor of the engine of this number among `all`; `ready` is told each time that it is ready or has failed to
    /// start.
    pub fn new(
        number: usize,
        settings: EngineSettings,
        scheduler: Arc<Scheduler>,
        all: Stats,
        health: Health,
        ready: watch::Sender<Ready>,
    ) -> Self {
        let own = all.engines().get(number).cloned().unwrap_or_default();
        Self { number, settings, scheduler, own, all, health, ready, trust: Trust::of(number) }
    }

    /// Runs until `stop`; the engine is killed then.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let launched = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                launched = self.settings.launch.launch() => launched,
            };
            let end = match launched {
                Ok(link) => {
                    self.report_ready(&*link);
                    self.serve(link, &stop).await
                }
                Err(reason) => {
                    tracing::error!("{reason}");
                    self.trust.did_not_start();
                    self.tell(Err(reason.clone()));
                    End::Failed(reason)
                }
            };
            match end {
                End::Stopped => return,
                End::Recycled => {}
                End::Failed(reason) => self.report_failure(&reason),
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep(self.trust.pause()) => {}
            }
        }
    }

    /// One process, from ready to its end.
    async fn serve(&mut self, mut link: Box<dyn Link>, stop: &CancellationToken) -> End {
        let mut in_flight = InFlight::default();
        let lanes = link.info().lanes.max(1);
        let mut windows = 0u64;
        self.trust.started();
        let end = loop {
            self.own.busy.store(in_flight.len() as u64, Ordering::Relaxed);
            if !self.trust.is_lost() {
                self.own.lanes.store(lanes as u64, Ordering::Relaxed);
            }
            let worn = windows >= self.settings.recycle_after_windows;
            let idle = in_flight.is_empty();
            if worn && idle {
                break End::Recycled;
            }
            let probe = self.trust.probe();
            let room = !worn && if probe.is_some() { idle } else { in_flight.has_room(lanes) };
            let next = async {
                match probe {
                    Some(probe) => probe.task(self.scheduler.fresh_id()),
                    None => self.scheduler.next(idle).await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break End::Stopped,
                response = link.receive() => {
                    windows += 1;
                    if let Err(reason) = response.and_then(|response| self.take(response, &mut in_flight)) {
                        break End::Failed(reason);
                    }
                }
                task = next, if room => {
                    let request = Request { id: task.id, options: task.options.clone() };
                    let deadline = Instant::now() + self.settings.time_limit(&task, link.info());
                    let pcm = task.pcm.clone();
                    in_flight.add(task, deadline);
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => break End::Stopped,
                        sent = link.send(&request, &pcm) => if let Err(reason) = sent {
                            break End::Failed(reason);
                        }
                    }
                }
                () = sleep_until(in_flight.late_at()) => {
                    break End::Failed("a window was not answered in time".to_owned());
                }
            }
        };
        self.own.busy.store(0, Ordering::Relaxed);
        match end {
            End::Stopped => drop(timeout(KILL_LIMIT, link.kill()).await),
            End::Recycled => {
                tracing::info!(windows, "engine recycled");
                if timeout(END_LIMIT, link.end()).await.is_err() {
                    self.trust.lose();
                    return End::Failed("a process that was to be replaced does not end".to_owned());
                }
            }
            End::Failed(ref reason) => self.bury(link, in_flight, reason).await,
        }
        end
    }

    /// Takes an answer.
    ///
    /// # Errors
    /// Why the engine is to be killed for it.
    fn take(&mut self, response: Response, in_flight: &mut InFlight) -> Result<(), String> {
        let (id, result) = match response {
            Response::Ready(_) => return Ok(()),
            Response::Done { id, text } => (id, Ok(text)),
            Response::Failed { id, reason } => (id, Err(reason)),
        };
        let task = in_flight.remove(id).ok_or("it answers what it was not asked")?;
        match result {
            Ok(_) if task.is_probe() => self.trust.proved(),
            Ok(text) => {
                self.trust.answered();
                self.health.works(Part::Engine);
                self.own.windows.fetch_add(1, Ordering::Relaxed);
                self.own.busy_ms.fetch_add(u64::from(text.busy_ms), Ordering::Relaxed);
                task.answer(Ok(text));
            }
            Err(reason) if task.is_probe() => return Err(format!("it refuses a window of noise: {reason}")),
            Err(reason) => {
                tracing::warn!(strikes = task.strikes.len(), "the engine refuses a window: {reason}");
                let verdict = self.trust.refused(&task);
                let suspect = self.sentence(task, verdict, &reason);
                self.scheduler.put_back(suspect.into_iter().collect());
            }
        }
        Ok(())
    }

    /// Takes back the windows of a process that failed, which others may be waiting to do, then sees to its end.
    async fn bury(&mut self, mut link: Box<dyn Link>, in_flight: InFlight, reason: &str) {
        let (pid, in_lanes) = (link.pid(), in_flight.len());
        self.own.crashes.fetch_add(1, Ordering::Relaxed);
        let (accused, others) = in_flight.accuse();
        let verdicts = self.trust.died(&accused, link.was_killed());
        let sentenced = accused.into_iter().zip(verdicts);
        let suspects = sentenced.filter_map(|(task, verdict)| self.sentence(task, verdict, reason));
        self.scheduler.put_back(suspects.chain(others).collect());
        match timeout(KILL_LIMIT, link.kill()).await {
            Ok(status) => tracing::error!(%status, in_flight = in_lanes, "engine died: {reason}"),
            Err(_) => {
                // it holds its device, so that another process will hardly do better
                tracing::error!(pid, in_flight = in_lanes, "engine cannot be killed: {reason}");
                self.trust.lose();
            }
        }
    }

    /// Answers the window, or returns it to run again.
    fn sentence(&self, mut task: Task, verdict: Verdict, reason: &str) -> Option<Task> {
        let reason = || format!("the engine fails at a window of the audio: {reason}");
        match verdict {
            Verdict::Guilty => {
                task.answer(Err(Fault::permanent(Code::EngineCrashed, reason())));
                None
            }
            Verdict::NotProven if self.is_last() || task.strikes.len() >= MOST_STRIKES => {
                self.health.fails(Part::Engine, &reason());
                task.answer(Err(Fault::unable(Code::EngineUnavailable, reason())));
                None
            }
            // another engine may do it
            Verdict::Suspect | Verdict::NotProven => {
                task.strikes.push(self.number);
                Some(task)
            }
        }
    }

    /// Says what it means to all that a process failed or did not start.
    fn report_failure(&self, reason: &str) {
        if self.trust.is_lost() && self.own.lanes.swap(0, Ordering::Relaxed) > 0 {
            tracing::error!(lanes_left = self.all.lanes(), "an engine is lost: {reason}");
        }
        // what another engine can do this worker can
        if !self.is_last() {
            return;
        }
        if self.trust.is_barren() {
            self.health.fails(Part::Engine, reason);
        }
        // until then work waits: given back it would come again, one receive the poorer
        if self.trust.is_broken() {
            self.scheduler.close(reason);
            self.health.broke(Part::Engine, reason);
        }
    }

    /// Whether no other engine is left.
    fn is_last(&self) -> bool {
        self.all.lanes() <= self.own.lanes.load(Ordering::Relaxed)
    }

    fn report_ready(&self, link: &dyn Link) {
        let info = link.info();
        // before it is told: whoever waits for that asks how many there are
        if !self.trust.is_lost() {
            self.own.lanes.store(info.lanes.max(1) as u64, Ordering::Relaxed);
        }
        self.own.pid.store(link.pid().map_or(0, u64::from), Ordering::Relaxed);
        tracing::info!(pid = link.pid(), load_ms = info.load_ms, lanes = info.lanes, backend = %info.backend,
            device = %info.device, capability = info.capability, memory_mib = info.memory_mib, driver = info.driver, "engine ready");
        self.tell(Ok(Some(info.clone())));
    }

    fn tell(&self, news: Ready) {
        // the last news is what counts, read or not
        drop(self.ready.send_replace(news));
    }
}
