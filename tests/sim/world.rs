//! One world: AWS in memory, its weather, its producers, and a ledger of what the workers in it do.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};
use transcription_worker::clock::Clock;
use transcription_worker::queue::QueueTraits;

use crate::bus::MemoryBus;
use crate::chance::Chance;
use crate::jobs::{Audio, Job, Jobs, Upload};
use crate::ledger::Ledger;
use crate::objects::MemoryObjects;
use crate::plan::Plan;
use crate::queue::{MemoryQueue, Rules, Whims};
use crate::trace::Trace;
use crate::weather::Weather;

/// Between two looks of a consumer.
const CONSUMED_AFTER: Duration = Duration::from_secs(3);
/// When a world begins.
const BEGINNING: i64 = 1_767_600_000;

pub struct World {
    pub plan: Plan,
    pub begun: Instant,
    pub trace: Trace,
    pub weather: Weather,
    pub jobs: Jobs,
    pub queue: Arc<MemoryQueue>,
    pub objects: Arc<MemoryObjects>,
    pub bus: Arc<MemoryBus>,
    pub ledger: Ledger,
}

impl World {
    pub fn new(seed: u64, loud: bool) -> Arc<Self> {
        let plan = Plan::of(seed);
        let weather = Weather::of(seed, plan.machines.len(), plan.calm_from);
        let jobs = Jobs::of(seed, plan.calm_from / 2, plan.kills_workers);
        let mut chance = Chance::of(seed, "queue");
        let whims = Whims {
            twice: chance.pick(&[0.0, 0.0, 0.01, 0.1]),
            undead: chance.pick(&[0.0, 0.0, 0.02]),
            chance: chance.into_rng(),
        };
        Self::with(plan, whims, weather, jobs, loud)
    }

    pub fn with(plan: Plan, whims: Whims, weather: Weather, jobs: Jobs, loud: bool) -> Arc<Self> {
        let begun = Instant::now();
        // the queue's clock is right, whatever those of the workers are
        let rules = Rules { clock: Some(clock(begun, Vec::new())), whims: Some(whims), ..Rules::default() };
        let traits = QueueTraits { max_receive_count: Some(plan.max_receives), ..QueueTraits::default() };
        let traits = QueueTraits { dead_letter_url: Some("dead".to_owned()), ..traits };
        let world = Self {
            begun,
            trace: Trace::new(loud),
            weather,
            jobs,
            queue: MemoryQueue::with(traits, rules),
            objects: Arc::default(),
            bus: Arc::default(),
            ledger: Ledger::default(),
            plan,
        };
        world.trace.note("world", format_args!("{:?}", world.plan));
        world.trace.note("world", format_args!("{}", world.weather.forecast()));
        Arc::new(world)
    }

    /// Since the world began.
    pub fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Moves the audio of some jobs away once they are told as done, as consumers do.
    pub async fn consume(self: Arc<Self>) {
        let mut chance = Chance::of(self.plan.seed, "consumer");
        let moved: Vec<&Upload> = self.jobs.uploads.iter().filter(|_| chance.one_in(4)).collect();
        loop {
            sleep(CONSUMED_AFTER).await;
            for upload in &moved {
                let told = self.bus.of_source(&upload.location);
                if told && self.objects.get_now(&upload.location).is_some() {
                    self.trace.note("cons", format_args!("moves {}", upload.location));
                    self.objects.take_away(&upload.location);
                }
            }
        }
    }

    /// Something that must not be.
    pub fn violated(&self, what: String) {
        self.trace.note("!!!!!", format_args!("{what}"));
        self.ledger.violated(what);
    }

    /// Nothing in it makes a sound machine sick.
    pub fn is_healthy(&self) -> bool {
        let kills = |job: &Job| job.audio == Audio::KillsEngines;
        self.weather.is_calm() && self.plan.engine_deaths == 0.0 && !self.jobs.jobs.iter().any(kills)
    }

    /// Sends the messages and uploads the audio, each at its time.
    pub async fn produce(self: Arc<Self>) {
        let mut due: Vec<(Duration, usize, bool)> = Vec::new();
        due.extend(self.jobs.uploads.iter().enumerate().map(|(n, upload)| (upload.at, n, false)));
        due.extend(self.jobs.sendings.iter().enumerate().map(|(n, sending)| (sending.at, n, true)));
        due.sort_unstable();
        for (at, n, is_message) in due {
            sleep(at.saturating_sub(self.now())).await;
            if is_message {
                let sending = &self.jobs.sendings[n];
                self.trace.note("prod", format_args!("sends {}", sending.body));
                self.queue.put(&sending.body, None);
            } else {
                let upload = &self.jobs.uploads[n];
                self.trace.note("prod", format_args!("uploads {}", upload.location));
                self.objects.place(&upload.location, upload.body.clone());
            }
        }
    }
}

/// A wall clock that is wrong by so many seconds from each time on.
pub fn clock(begun: Instant, jumps: Vec<(Duration, i64)>) -> Clock {
    Clock::new(move || {
        let passed = begun.elapsed();
        let wrong_secs: i64 = jumps.iter().rev().find(|(from, _)| *from <= passed).map_or(0, |(_, secs)| *secs);
        let ms = BEGINNING * 1000 + passed.as_millis() as i64;
        Timestamp::from_millisecond(ms).unwrap() + SignedDuration::from_secs(wrong_secs)
    })
}
