//! Builds the daemon from its parts and runs it until it is drained.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::machine::{Machine, Membership};
use super::places::Places;
use super::proof;
use crate::backoff::Backoff;
use crate::board::Board;
use crate::clock::Clock;
use crate::config::{Emf, PlacesConfig, RunConfig, WatchConfig};
use crate::counts::Counts;
use crate::drain::{self, Drain, Reason};
use crate::exit::Trouble;
use crate::fault::Fault;
use crate::fetch::{Downloader, FetchLimits, Scratch};
use crate::gpus::Gpus;
use crate::health::Health;
use crate::http;
use crate::metrics::emf::Sink;
use crate::metrics::{Metrics, Origin};
use crate::model::Model;
use crate::pipeline::Pipeline;
use crate::pipeline::news::News;
use crate::pipeline::poison::PoisonGuard;
use crate::queue::folder::FolderQueue;
use crate::status::Status;
use crate::watchdog::{self, Progress};
use crate::worker::{self, Ended, Worker};

/// No retry is put off for longer than this.
const BACKOFF_CAP: Duration = Duration::from_secs(900);

/// How often `--until-empty` looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Left free on the scratch disk, for neighbours and logs.
pub(super) const DISK_RESERVE_BYTES: u64 = 512 << 20;

/// What is left of the time to stop for saying which jobs were let go.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Runs the worker until it is drained, idle or sick.
///
/// # Errors
/// It could not start, cannot go on, or the queue refused it for good.
pub async fn run(config: RunConfig) -> Result<(), Trouble> {
    let RunConfig { engine, places: place_config, delivery, watch, group } = config;
    let defaults = super::defaults(&engine).map_err(Trouble::Config)?;
    let allow = place_config.allow_list().map_err(Trouble::Config)?;
    super::suits_processor(&engine).map_err(Trouble::Config)?;
    let model = super::resolve_model(&engine).map_err(Trouble::Config)?;
    let voices = super::voices(&engine).map_err(Trouble::Config)?;
    let places = Places::open(&place_config, &delivery).await?;
    let scratch_dir = place_config.scratch_dir.clone().unwrap_or_else(std::env::temp_dir);
    let scratch = Scratch::open(&scratch_dir)
        .map_err(|e| Trouble::Config(format!("failed to use the scratch directory {}: {e}", scratch_dir.display())))?;
    let drain = Drain::new(secs(delivery.drain_secs), secs(delivery.drain_margin_secs));
    let signals = drain::listen_for_signals(drain.clone())
        .map_err(|e| Trouble::Unavailable(format!("failed to listen for signals: {e}")))?;
    let health = Health::new(delivery.patience());
    let (counts, progress) = (Arc::new(Counts::default()), Progress::default());
    let machine = Machine::look(places.folder.is_some()).await;
    let membership = machine.membership(&group).await?;
    let status = Status {
        metrics: Metrics::new(origin(&watch, &model, &machine), sink(&watch.emf)?),
        counts: counts.clone(),
        health: health.clone(),
        drain: drain.clone(),
        progress: progress.clone(),
        board: Board::default(),
        engines: Arc::default(),
        gpus: Gpus::open(super::gpus(&engine).map_err(Trouble::Config)?),
        scratch_dir,
        begun: Instant::now(),
    };
    // in a set, so that all of it ends with this function
    let mut background = JoinSet::new();
    background.spawn(signals);
    background.spawn(watchdog::attend(progress.clone(), counts.clone(), health.clone(), drain.clone()));
    background.spawn(status.clone().tell_each_minute());
    if let Some(address) = watch.http.0 {
        let listener = http::open(address).await.map_err(Trouble::Unavailable)?;
        let address = listener.local_addr().unwrap_or(address);
        tracing::info!(%address, "status is served");
        background.spawn(http::serve(listener, status.clone()));
    }
    machine.watch(&mut background, &delivery, &drain, &counts);
    if let Some(membership) = &membership {
        membership.attend(&mut background, &drain, &counts);
    }
    if place_config.until_empty {
        background.spawn(stop_when_empty(places.folder.clone(), drain.clone()));
    }

    let start = async {
        proof::prove(&places, &place_config, &machine.name, health.patience()).await?;
        super::start_engine(&engine, &model, health.clone()).await.map_err(Trouble::Unavailable)
    };
    let transcriber = tokio::select! {
        biased;
        started = start => Arc::new(started?),
        () = drain.stop().cancelled() => {
            tracing::info!("stopped before it was ready");
            if let Some(membership) = &membership {
                membership.stopped(drain.stopping().map(|stopping| stopping.reason)).await;
            }
            return Ok(());
        }
    };
    // set once
    let _ = status.engines.set(transcriber.clone());
    let settings = worker::Settings {
        slots: delivery.slots(transcriber.lanes()),
        visibility: secs(delivery.visibility_secs),
        backoff: Backoff { base: Duration::from_secs_f64(delivery.backoff_secs.max(0.0)), cap: BACKOFF_CAP },
        idle_after: delivery.idle_after(),
    };
    tracing::info!(
        model = %model.name,
        lanes = transcriber.lanes(),
        jobs = settings.slots,
        backend = %transcriber.devices(),
        version = env!("CARGO_PKG_VERSION"),
        "worker ready"
    );
    let fetcher = Downloader {
        objects: places.objects.clone(),
        scratch,
        limits: limits(&place_config),
        progress: progress.clone(),
    };
    let pipeline = Arc::new(Pipeline {
        store: places.store(&place_config),
        allow,
        news: News { started: place_config.started_events, every_percent: place_config.progress_percent },
        board: status.board.clone(),
        metrics: status.metrics.clone(),
        poison: PoisonGuard::new(places.objects.clone(), machine.name.clone(), delivery.poison_guard),
        fetcher: Arc::new(fetcher),
        objects: places.objects,
        publisher: places.publisher,
        transcriber: transcriber.clone(),
        voices,
        model,
        defaults,
        checkpoint_every: delivery.checkpoint_every(),
        object_grace: secs(delivery.object_grace_secs),
        worker: super::worker_ref(machine.name.clone()),
        health: health.clone(),
        progress: progress.clone(),
        clock: Clock::default(),
    });
    let idle_end = membership.as_ref().and_then(Membership::idle_end);
    let handler = pipeline.clone();
    let worker = Worker { queue: places.queue, handler, health, settings, drain, progress, counts, idle_end };
    let ended = worker.run().await;
    pipeline.poison.end(LAST_WORDS).await;
    transcriber.end().await;
    status.tell_last();
    if let Some(membership) = &membership {
        match &ended {
            Ok(Ended::Idle) => membership.idle().await,
            Ok(Ended::Drained(reason)) => membership.stopped(Some(*reason)).await,
            Ok(Ended::Sick(_)) | Err(_) => membership.stopped(None).await,
        }
    }
    match ended {
        Ok(Ended::Sick(sickness)) if sickness.needs_a_person => Err(Trouble::Config(sickness.reason)),
        Ok(Ended::Sick(sickness)) => Err(Trouble::Unavailable(sickness.reason)),
        Ok(ended) => {
            tracing::info!("{ended}");
            Ok(())
        }
        Err(Fault::Permanent(problem)) => Err(Trouble::Config(problem.message)),
        Err(fault) => Err(Trouble::Unavailable(fault.to_string())),
    }
}

fn limits(config: &PlacesConfig) -> FetchLimits {
    let max_bytes = (config.max_object_gib * f64::from(1 << 30)) as u64;
    FetchLimits { max_bytes, reserve_bytes: DISK_RESERVE_BYTES }
}

/// Whose measurements this worker's are.
fn origin(watch: &WatchConfig, model: &Model, machine: &Machine) -> Origin {
    Origin {
        fleet: watch.fleet.clone(),
        model: model.name.clone(),
        instance_type: machine.kind.clone(),
        instance: machine.name.clone(),
    }
}

/// Where CloudWatch's lines go.
fn sink(emf: &Emf) -> Result<Option<Sink>, Trouble> {
    match emf {
        Emf::Off => Ok(None),
        Emf::Stdout => Ok(Some(Sink::stdout())),
        Emf::File(path) => Sink::file(path)
            .map(Some)
            .map_err(|e| Trouble::Config(format!("failed to write metrics to {}: {e}", path.display()))),
    }
}

async fn stop_when_empty(folder: Option<Arc<FolderQueue>>, drain: Drain) {
    let Some(folder) = folder else { return };
    while !folder.is_empty() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    drain.begin_gracefully(Reason::InboxEmpty);
}

fn secs(secs: u32) -> Duration {
    Duration::from_secs(u64::from(secs))
}
