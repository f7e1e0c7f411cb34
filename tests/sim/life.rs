//! The life of one worker: built as `app::daemon` builds it, with the world for its places.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::Parser;
use tokio::time::{Instant, sleep};
use transcription_worker::app::places::Places;
use transcription_worker::app::proof;
use transcription_worker::audio::AudioOptions;
use transcription_worker::backoff::Backoff;
use transcription_worker::board::Board;
use transcription_worker::config::PlacesConfig;
use transcription_worker::counts::Counts;
use transcription_worker::drain::{Drain, Reason};
use transcription_worker::health::Health;
use transcription_worker::job::allow::AllowList;
use transcription_worker::job::{Channels, Task};
use transcription_worker::metrics::Metrics;
use transcription_worker::model::Model;
use transcription_worker::pipeline::news::News;
use transcription_worker::pipeline::poison::PoisonGuard;
use transcription_worker::pipeline::{Defaults, Pipeline};
use transcription_worker::speakers::Voices;
use transcription_worker::store::Store;
use transcription_worker::transcribe::Transcriber;
use transcription_worker::transcribe::supervisor::EngineSettings;
use transcription_worker::transcribe::wire::WindowOptions;
use transcription_worker::transcript::WorkerRef;
use transcription_worker::watchdog::Progress;
use transcription_worker::worker::{self, Worker};

use crate::audio::Fetcher;
use crate::engine::Launcher;
use crate::jobs;
use crate::plan::{End, Way};
use crate::wire::Wire;
use crate::world::{World, clock};

const GRACE: Duration = Duration::from_secs(90);
const MARGIN: Duration = Duration::from_secs(20);
/// EC2's notice.
const NOTICE: Duration = Duration::from_secs(120);
/// As the daemon's.
const LAST_WORDS: Duration = Duration::from_secs(3);
const OBJECT_GRACE: Duration = Duration::from_secs(600);
const BACKOFF: Backoff = Backoff { base: Duration::from_secs(10), cap: Duration::from_secs(900) };

/// One worker after the other on machine number `number`, until `over`.
pub async fn lives(world: Arc<World>, number: usize, over: Drain) {
    for n in 0.. {
        let end = world.plan.machines[number].ends.get(n).copied();
        let life = format!("w{number}.{n}");
        let fuse = end.and_then(|end| match end.way {
            Way::CrashInCall { number, after_effect } => Some((number, after_effect)),
            _ => None,
        });
        let wire = Wire::new(world.clone(), life, number, fuse);
        wire.note(format_args!("begins"));
        let ended = {
            let life = live(wire.clone(), end, over.clone());
            tokio::select! {
                biased;
                () = wire.crashed.notified() => "crash".to_owned(),
                ended = life => ended,
            }
        };
        wire.cut();
        wire.note(format_args!("ended: {ended}"));
        let hurried = end.is_some_and(|end| end.way == Way::Hibernation);
        if ended.starts_with("drained") && !hurried {
            world.ledger.drained(&wire.life);
        }
        let machine = wire.machine();
        if ended.starts_with("sick") && machine.is_sound() && world.is_healthy() {
            world.violated(format!("{} is called {ended} and nothing ails it", wire.life));
        }
        if over.stop().is_cancelled() {
            return;
        }
        sleep(end.map_or(Duration::from_secs(30), |end| end.pause)).await;
    }
}

/// One life, to its end by itself or by plan.
async fn live(wire: Arc<Wire>, end: Option<End>, over: Drain) -> String {
    let drain = Drain::new(GRACE, MARGIN);
    let running = run(wire.clone(), drain.clone());
    tokio::pin!(running);
    let fate = async {
        let after = end.filter(|end| !matches!(end.way, Way::CrashInCall { .. })).map(|end| end.after);
        tokio::select! {
            biased;
            () = over.stop().cancelled() => drain.begin_gracefully(Reason::Signal("SIGTERM")),
            () = sleep(after.unwrap_or(Duration::MAX)), if after.is_some() => match end.map(|end| end.way) {
                Some(Way::SpotNotice) => drain.begin(Reason::SpotInterruption, Instant::now() + NOTICE),
                Some(Way::Sigterm) => drain.begin_gracefully(Reason::Signal("SIGTERM")),
                Some(Way::Hibernation) => drain.begin_abort(Reason::SpotInterruption),
                _ => wire.crash("as planned"),
            },
        }
        wire.note(format_args!("{:?}", drain.stopping().map(|stopping| stopping.reason)));
        std::future::pending::<String>().await
    };
    tokio::select! {
        biased;
        ended = &mut running => ended,
        ended = fate => ended,
    }
}

async fn run(wire: Arc<Wire>, drain: Drain) -> String {
    let world = wire.world.clone();
    let plan = &world.plan;
    let health = Health::default();
    let engines = (0..wire.machine().engines.len()).map(|engine| EngineSettings {
        launch: Arc::new(Launcher { wire: wire.clone(), engine }),
        timeout_base: Duration::from_secs(30),
        timeout_factor: 1.0,
        recycle_after_windows: 500,
    });
    let engines = engines.collect();
    let start = async {
        let (queue, objects, publisher) = (wire.clone(), wire.clone(), wire.clone());
        let places = Places { queue, objects, publisher, folder: None };
        proof::prove(&places, places_config(), &wire.life, health.patience())
            .await
            .map_err(|it| it.message().to_owned())?;
        Transcriber::start(engines, health.clone()).await
    };
    let transcriber = tokio::select! {
        biased;
        started = start => match started {
            Ok(transcriber) => Arc::new(transcriber),
            Err(reason) => return reason,
        },
        () = drain.stop().cancelled() => return "stopped before it was ready".to_owned(),
    };
    let model = Model {
        name: "script".to_owned(),
        path: "script".into(),
        sha256: "script".to_owned(),
        languages: if plan.multilingual { 99 } else { 1 },
        translates: plan.multilingual,
        size_bytes: 1,
    };
    let (counts, progress) = (Arc::<Counts>::default(), Progress::default());
    let pipeline = Arc::new(Pipeline {
        objects: wire.clone(),
        fetcher: Arc::new(Fetcher(wire.clone())),
        publisher: wire.clone(),
        store: Store { objects: wire.clone(), ..jobs::store(Arc::default()) },
        transcriber: transcriber.clone(),
        voices: Voices::none(),
        model,
        defaults: defaults(),
        checkpoint_every: plan.checkpoint_every,
        object_grace: OBJECT_GRACE,
        allow: AllowList::default(),
        news: News { started: true, every_percent: 25 },
        board: Board::default(),
        metrics: Metrics::default(),
        poison: PoisonGuard::new(wire.clone(), wire.life.clone(), true),
        worker: WorkerRef { version: "1".to_owned(), instance: wire.life.clone() },
        health: health.clone(),
        progress: progress.clone(),
        clock: clock(world.begun, wire.machine().clock.clone()),
    });
    let settings =
        worker::Settings { slots: plan.slots, visibility: plan.visibility, backoff: BACKOFF, idle_after: None };
    let handler = pipeline.clone();
    let ended =
        Worker { queue: wire.clone(), handler, health, settings, drain, progress, counts, idle_end: None }.run().await;
    pipeline.poison.end(LAST_WORDS).await;
    transcriber.end().await;
    match ended {
        Ok(ended) => ended.to_string(),
        Err(fault) => fault.to_string(),
    }
}

/// The settings of the worker's own places, as [`jobs::store`] has them.
fn places_config() -> &'static PlacesConfig {
    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        places: PlacesConfig,
    }
    static CONFIG: OnceLock<PlacesConfig> = OnceLock::new();
    CONFIG.get_or_init(|| {
        let flags = ["sim", "--queue-url", "jobs", "--output-bucket", "transcripts", "--output-prefix", "out/"];
        Flags::parse_from(flags).places
    })
}

fn defaults() -> Defaults {
    Defaults {
        audio: AudioOptions { channels: Channels::Mix, max_duration_secs: 36_000.0, ffmpeg: None, clip: None },
        window: WindowOptions { language: None, task: Task::Transcribe, ..WindowOptions::default() },
        word_timestamps: false,
        speakers: None,
        wording: Default::default(),
        subtitles: Default::default(),
    }
}
