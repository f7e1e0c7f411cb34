//! What the workers of a world do, and what they must not: checked at the moment they do it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;
use transcription_worker::publish::Status;
use transcription_worker::queue::Message;

use crate::wire::Wire;
use crate::world::World;

/// Timers are whole milliseconds, and a loss takes a few turns to be known.
const SLACK: Duration = Duration::from_millis(20);
/// A job is at work this soon after its audio is here: a suspect's quiet moment, and the guard's calls.
const BARRED_AT_MOST: Duration = Duration::from_secs(80);

/// One delivery, by its receipt.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub life: String,
    pub message_id: String,
    pub body: String,
    pub handed_over: Instant,
    until: Instant,
    /// The worker has it.
    pub received: bool,
    /// What the worker has said becomes of the message, and when.
    pub settled: Option<(Settled, Instant)>,
}

impl Delivery {
    /// Until when its worker could think that the message was its own.
    pub fn ended(&self, ledger: &Ledger) -> Instant {
        let ends = [self.settled.map(|(_, at)| at), ledger.end_of(&self.life)];
        ends.into_iter().flatten().fold(self.until, Instant::min)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    Deleted,
    /// Visible again, after so long.
    Back(Duration),
}

/// A window that an engine answered.
#[derive(Debug, Clone)]
pub struct Hearing {
    pub life: String,
    pub number: u32,
    pub window: u32,
    pub at: Instant,
}

#[derive(Default)]
struct Books {
    deliveries: BTreeMap<String, Delivery>,
    hearings: Vec<Hearing>,
    /// Windows that were in a lane of an engine that died.
    struck: BTreeSet<(u32, u32)>,
    ends: BTreeMap<String, Instant>,
    drained: BTreeSet<String>,
    /// What was asked of AWS and went otherwise than usual.
    unlucky: BTreeSet<String>,
    fetched: BTreeMap<(String, u32), Instant>,
    violations: Vec<String>,
}

#[derive(Default)]
pub struct Ledger(Mutex<Books>);

impl Ledger {
    pub fn handed_over(&self, life: &str, message: &Message, until: Instant) {
        let delivery = Delivery {
            life: life.to_owned(),
            message_id: message.id.clone(),
            body: message.body.clone(),
            handed_over: Instant::now(),
            until,
            received: false,
            settled: None,
        };
        self.books().deliveries.insert(message.receipt.clone(), delivery);
    }

    pub fn received(&self, message: &Message) {
        self.with(message, |delivery| delivery.received = true);
    }

    pub fn extends(&self, wire: &Wire, message: &Message, visibility: Duration) {
        self.only_in_time(wire, message, "extends");
        if visibility != wire.world.plan.visibility {
            self.with(message, |delivery| delivery.settled = Some((Settled::Back(visibility), Instant::now())));
        }
    }

    pub fn extended(&self, message: &Message, until: Instant) {
        self.with(message, |delivery| delivery.until = delivery.until.max(until));
    }

    pub fn buries(&self, wire: &Wire, message: &Message) {
        self.only_in_time(wire, message, "dead-letters");
    }

    /// Nothing is deleted before store and event.
    pub fn deletes(&self, wire: &Wire, message: &Message) {
        self.only_in_time(wire, message, "deletes");
        self.with(message, |delivery| delivery.settled = Some((Settled::Deleted, Instant::now())));
        let world = &wire.world;
        for job in world.jobs.of_body(&message.body).iter().map(|job| &world.jobs.jobs[*job]) {
            let told = world.bus.about(&job.id);
            let succeeded = told.iter().any(|event| event.status != Status::Failed);
            let is_there = job.json.as_ref().is_some_and(|json| world.objects.get_now(json).is_some());
            if told.is_empty() {
                wire.world
                    .violated(format!("{} deletes {} before {} has its event", wire.life, message.receipt, job.id));
            } else if succeeded && !is_there {
                wire.world.violated(format!("{} deletes {} before {} is stored", wire.life, message.receipt, job.id));
            } else if !succeeded && world.queue.dead().is_empty() {
                wire.world.violated(format!(
                    "{} deletes {} of {}, which failed, without a copy",
                    wire.life, message.receipt, job.id
                ));
            }
        }
    }

    /// Nothing is written or published for a message that is not held.
    pub fn acts(&self, wire: &Wire, job: usize, what: &str) {
        let now = Instant::now();
        let holds = self.books().deliveries.values().any(|delivery| {
            delivery.life == wire.life
                && delivery.settled.is_none()
                && delivery.until + SLACK >= now
                && wire.world.jobs.of_body(&delivery.body).contains(&job)
        });
        if !holds {
            wire.world.violated(format!("{} does not hold the message of job {job} any more: {what}", wire.life));
        }
    }

    /// A call did not go as calls go.
    pub fn unlucky(&self, what: &str) {
        self.books().unlucky.insert(what.to_owned());
    }

    /// Whether all receives of a message of this job were taken by the ends of workers.
    pub fn was_worn_out(&self, world: &World, job: usize) -> bool {
        let mut spent: BTreeMap<String, u32> = BTreeMap::new();
        for delivery in self.deliveries() {
            let interrupted = !matches!(delivery.settled, Some((Settled::Back(wait), _)) if wait > Duration::ZERO);
            if interrupted && world.jobs.of_body(&delivery.body).contains(&job) {
                *spent.entry(delivery.message_id).or_default() += 1;
            }
        }
        spent.values().any(|spent| spent + 1 >= world.plan.max_receives)
    }

    /// Whether two workers held messages of this job at once.
    pub fn was_contested(&self, world: &World, job: usize) -> bool {
        let deliveries = self.deliveries();
        let of_job: Vec<_> = deliveries.iter().filter(|one| world.jobs.of_body(&one.body).contains(&job)).collect();
        let spans = of_job.iter().map(|one| (one.handed_over, one.ended(self)));
        let mut spans: Vec<_> = spans.filter(|(from, until)| until > from).collect();
        spans.sort_unstable();
        spans.windows(2).any(|pair| pair[1].0 < pair[0].1)
    }

    /// Whether every call about this object went as calls go.
    pub fn was_lucky(&self, address: &str) -> bool {
        !self.books().unlucky.iter().any(|what| what.contains(address))
    }

    /// Whether this object could not be looked at: a store that refuses a read says as much of what is not there.
    pub fn was_hidden(&self, address: &str) -> bool {
        self.books().unlucky.iter().any(|what| what.starts_with("refused") && what.contains(address))
    }

    /// Whether a call was refused.
    pub fn knows_refusal(&self) -> bool {
        self.books().unlucky.iter().any(|what| what.starts_with("refused"))
    }

    pub fn ended(&self, life: &str, at: Instant) {
        self.books().ends.insert(life.to_owned(), at);
    }

    pub fn heard(&self, life: &str, number: u32, window: u32) {
        let hearing = Hearing { life: life.to_owned(), number, window, at: Instant::now() };
        self.books().hearings.push(hearing);
    }

    /// An engine is to die by chance at this window, with these in its lanes; false where one of them has seen a death.
    pub fn may_strike(&self, windows: &[(u32, u32)]) -> bool {
        windows.iter().all(|window| !self.books().struck.contains(window))
    }

    /// An engine died with these windows in its lanes.
    pub fn struck(&self, windows: &[(u32, u32)]) {
        self.books().struck.extend(windows);
    }

    pub fn fetched(&self, life: &str, number: u32) {
        self.books().fetched.insert((life.to_owned(), number), Instant::now());
    }

    /// A suspect never bars other jobs for long.
    pub fn decoding(&self, wire: &Wire, number: u32) {
        let world: &World = &wire.world;
        let fetched = self.books().fetched.get(&(wire.life.clone(), number)).copied();
        let waited = fetched.map(|at| at.elapsed()).unwrap_or_default();
        if world.weather.is_calm() && waited > BARRED_AT_MOST {
            wire.world.violated(format!(
                "job{number} was barred for {} s from beginning in {}",
                waited.as_secs(),
                wire.life
            ));
        }
    }

    /// A worker was drained, and had its time.
    pub fn drained(&self, life: &str) {
        self.books().drained.insert(life.to_owned());
    }

    /// What drained workers were handed over, then or later, and have not given back: receipts, and who had them.
    pub fn left_hidden(&self) -> Vec<(String, String)> {
        let books = self.books();
        // by another worker that had it as well: there is nothing to give back then
        let is_deleted = |id: &str, end: Instant| {
            let deleted = |one: &Delivery| matches!(one.settled, Some((Settled::Deleted, at)) if at <= end);
            books.deliveries.values().any(|one| one.message_id == id && deleted(one))
        };
        let is_left = |one: &Delivery| {
            let end = books.ends.get(&one.life);
            one.settled.is_none()
                && books.drained.contains(&one.life)
                && end.is_some_and(|end| one.until > *end && !is_deleted(&one.message_id, *end))
        };
        let left = books.deliveries.iter().filter(|(_, one)| is_left(one));
        left.map(|(receipt, one)| (receipt.clone(), one.life.clone())).collect()
    }

    pub fn violated(&self, what: String) {
        self.books().violations.push(what);
    }

    pub fn violations(&self) -> Vec<String> {
        self.books().violations.clone()
    }

    pub fn deliveries(&self) -> Vec<Delivery> {
        self.books().deliveries.values().cloned().collect()
    }

    pub fn hearings(&self) -> Vec<Hearing> {
        self.books().hearings.clone()
    }

    pub fn end_of(&self, life: &str) -> Option<Instant> {
        self.books().ends.get(life).copied()
    }

    fn only_in_time(&self, wire: &Wire, message: &Message, verb: &str) {
        let now = Instant::now();
        let late = self.books().deliveries.get(&message.receipt).is_none_or(|delivery| delivery.until + SLACK < now);
        if late {
            wire.world.violated(format!("{} {verb} {} after its lease's end", wire.life, message.receipt));
        }
    }

    fn with(&self, message: &Message, change: impl FnOnce(&mut Delivery)) {
        self.books().deliveries.get_mut(&message.receipt).map(change);
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap()
    }
}
