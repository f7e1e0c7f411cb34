//! Builds the daemon from its parts and runs it until it is drained.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::aws;
use crate::backoff::Backoff;
use crate::config::{DeliveryConfig, PlacesConfig, RunConfig};
use crate::counts::Counts;
use crate::drain::{self, Drain, Reason};
use crate::fault::Fault;
use crate::fetch::{FetchLimits, Scratch};
use crate::handler::Handler;
use crate::health::Health;
use crate::objects::Objects;
use crate::objects::folder::FolderObjects;
use crate::objects::s3::S3Objects;
use crate::pipeline::Pipeline;
use crate::pipeline::poison::PoisonGuard;
use crate::publish::Publish;
use crate::publish::eventbridge::EventBridge;
use crate::publish::log::EventLog;
use crate::queue::Queue;
use crate::queue::folder::FolderQueue;
use crate::queue::sqs::SqsQueue;
use crate::spot;
use crate::store::Store;
use crate::watchdog::{self, Progress};
use crate::worker::{self, Ended, Worker};

/// No retry is put off for longer than this.
const BACKOFF_CAP: Duration = Duration::from_secs(900);

/// How often `--until-empty` looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Left free on the scratch disk, for neighbours and logs.
const DISK_RESERVE_BYTES: u64 = 512 << 20;

/// Why the daemon could not run, and the exit status that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// A setting is wrong: 78.
    Config(String),
    /// Something that is needed is not there: 69.
    Unavailable(String),
}

impl Trouble {
    /// A sentence.
    pub fn message(&self) -> &str {
        match self {
            Self::Config(message) | Self::Unavailable(message) => message,
        }
    }

    /// The exit status.
    pub fn status(&self) -> u8 {
        match self {
            Self::Config(_) => crate::cli::exit::CONFIG,
            Self::Unavailable(_) => crate::cli::exit::UNAVAILABLE,
        }
    }
}

/// The three places a worker deals with.
pub struct Places {
    /// Where messages come from.
    pub queue: Arc<dyn Queue>,
    /// Where audio comes from and transcripts go.
    pub objects: Arc<dyn Objects>,
    /// Where events go.
    pub publisher: Arc<dyn Publish>,
    /// The folder behind all three, if that is what they are.
    pub folder: Option<Arc<FolderQueue>>,
}

/// Builds the adapters; nothing is asked of AWS yet.
///
/// # Errors
/// A setting is missing or wrong.
pub async fn places(config: &PlacesConfig, delivery: &DeliveryConfig) -> Result<Places, Trouble> {
    if let Some(dir) = &config.folder {
        let unusable = |e| Trouble::Config(format!("failed to use the folder {}: {e}", dir.display()));
        let queue = Arc::new(FolderQueue::open(dir).map_err(unusable)?);
        return Ok(Places {
            queue: queue.clone(),
            objects: Arc::new(FolderObjects::new(dir)),
            publisher: Arc::new(EventLog::new(dir.join("events.jsonl"))),
            folder: Some(queue),
        });
    }
    let Some(queue_url) = &config.queue_url else {
        return Err(Trouble::Config("no queue: set TRANSCRIPTION_QUEUE_URL, or work on a --folder".to_owned()));
    };
    let sdk = aws::sdk_config().await.map_err(Trouble::Config)?;
    let wait = Duration::from_secs(u64::from(delivery.poll_secs));
    Ok(Places {
        queue: Arc::new(SqsQueue::new(aws_sdk_sqs::Client::new(&sdk), queue_url, wait)),
        objects: Arc::new(S3Objects::new(aws::s3_client(&sdk), config.kms_key_id.clone())),
        publisher: Arc::new(EventBridge::new(aws_sdk_eventbridge::Client::new(&sdk), &config.event_bus)),
        folder: None,
    })
}

/// Runs the worker until it is drained or idle.
///
/// # Errors
/// It could not start, or the queue refused it for good.
pub async fn run(config: RunConfig) -> Result<(), Trouble> {
    let RunConfig { engine, places: place_config, delivery } = config;
    let defaults = super::defaults(&engine).map_err(Trouble::Config)?;
    let allow = place_config.allow_list().map_err(Trouble::Config)?;
    let model = super::resolve_model(&engine).map_err(Trouble::Config)?;
    let places = places(&place_config, &delivery).await?;
    let scratch_dir = place_config.scratch_dir.clone().unwrap_or_else(std::env::temp_dir);
    let scratch = Scratch::open(&scratch_dir)
        .map_err(|e| Trouble::Config(format!("failed to use the scratch directory {}: {e}", scratch_dir.display())))?;
    let drain = Drain::new(secs(delivery.drain_secs), secs(delivery.drain_margin_secs));
    let signals = drain::listen_for_signals(drain.clone())
        .map_err(|e| Trouble::Unavailable(format!("failed to listen for signals: {e}")))?;
    let (counts, progress) = (Arc::new(Counts::default()), Progress::default());
    // in a set, so that all of it ends with this function
    let mut background = JoinSet::new();
    background.spawn(signals);
    background.spawn(watchdog::attend(progress.clone(), counts.clone(), drain.clone()));
    let instance = watch_instance(&mut background, &places, &delivery, &drain, &counts).await;
    if place_config.until_empty {
        background.spawn(stop_when_empty(places.folder.clone(), drain.clone()));
    }

    let health = Health::default();
    let started = super::start_engine(&engine, &model, health.clone()).await;
    let transcriber = Arc::new(started.map_err(Trouble::Unavailable)?);
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
    let pipeline: Arc<dyn Handler> = Arc::new(Pipeline {
        store: store(&place_config, &places),
        allow,
        poison: PoisonGuard::new(places.objects.clone(), instance.clone(), delivery.poison_guard),
        objects: places.objects,
        publisher: places.publisher,
        transcriber: transcriber.clone(),
        model,
        scratch,
        limits: limits(&place_config),
        defaults,
        checkpoint_every: delivery.checkpoint_every(),
        worker: super::worker_ref(instance),
        progress: progress.clone(),
    });
    let worker = Worker { queue: places.queue, handler: pipeline, health, settings, drain, progress, counts };
    let ended = worker.run().await;
    transcriber.end().await;
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

/// Where transcripts go.
fn store(config: &PlacesConfig, places: &Places) -> Store {
    // the folder's jobs always name their output
    let bucket = config.output_bucket.clone().unwrap_or_default();
    Store {
        objects: places.objects.clone(),
        bucket,
        prefix: config.output_prefix.clone(),
        formats: config.formats.clone(),
    }
}

fn limits(config: &PlacesConfig) -> FetchLimits {
    let max_bytes = (config.max_object_gib * f64::from(1 << 30)) as u64;
    FetchLimits { max_bytes, reserve_bytes: DISK_RESERVE_BYTES }
}

/// Starts the watch for spot notices; returns what transcripts call this machine.
async fn watch_instance(
    background: &mut JoinSet<()>,
    places: &Places,
    delivery: &DeliveryConfig,
    drain: &Drain,
    counts: &Arc<Counts>,
) -> String {
    let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    if places.folder.is_some() {
        return host();
    }
    let Some(imds) = spot::Imds::new(None) else { return host() };
    let settings = spot::Settings {
        poll_every: Duration::from_secs_f64(delivery.spot_poll_secs.max(0.05)),
        act_on_rebalance: delivery.drain_on_rebalance,
    };
    let instance = imds.instance_id().await;
    background.spawn(spot::watch(imds, drain.clone(), settings, counts.clone()));
    instance.unwrap_or_else(host)
}

async fn stop_when_empty(folder: Option<Arc<FolderQueue>>, drain: Drain) {
    let Some(folder) = folder else { return };
    while !folder.is_empty() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    drain.begin_gracefully(Reason::InboxEmpty);
}

/// The queue, for `submit`.
///
/// # Errors
/// The SDK cannot be configured.
pub async fn sqs(queue_url: &str) -> Result<Arc<dyn Queue>, String> {
    let sdk = aws::sdk_config().await?;
    Ok(Arc::new(SqsQueue::new(aws_sdk_sqs::Client::new(&sdk), queue_url, Duration::ZERO)))
}

/// Copies a file into a folder's inbox, visible at once and whole; returns where it is.
///
/// # Errors
/// The file cannot be read or the folder not be written.
pub fn submit_file(folder: &Path, file: &Path) -> std::io::Result<PathBuf> {
    let inbox = folder.join("inbox");
    std::fs::create_dir_all(&inbox)?;
    let name = file.file_name().ok_or_else(|| std::io::Error::other("it has no file name"))?;
    let mut copy = tempfile::Builder::new().prefix(".submit-").tempfile_in(&inbox)?;
    std::io::copy(&mut std::fs::File::open(file)?, &mut copy)?;
    copy.as_file().sync_all()?;
    let placed = inbox.join(name);
    copy.persist_noclobber(&placed).map_err(|e| e.error)?;
    Ok(placed)
}

fn secs(secs: u32) -> Duration {
    Duration::from_secs(u64::from(secs))
}
