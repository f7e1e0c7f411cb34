//! What befalls calls to AWS: fronts that last minutes, and single mishaps.

use std::sync::Mutex;
use std::time::Duration;

use transcription_worker::fault::{Code, Fault};

use crate::chance::Chance;

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Queue,
    /// The bucket of the audio, and those that jobs name.
    Input,
    /// The worker's own bucket.
    Output,
    Bus,
}

/// How a service fares while a front passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// 503 to everything.
    Unavailable,
    /// AccessDenied to everything.
    Refusing,
    /// Seconds instead of milliseconds.
    Slow,
    /// Requests do not arrive.
    Deaf,
    /// Answers do not arrive.
    Mute,
}

#[derive(Debug, Clone, Copy)]
struct Front {
    service: Option<Service>,
    /// One machine's network only.
    machine: Option<usize>,
    sort: Sort,
    from: Duration,
    until: Duration,
}

/// What becomes of one call.
#[derive(Debug)]
pub struct Fate {
    /// When it is carried out, counted from the call; more than once where the SDK sends it again.
    pub effects: Vec<Duration>,
    /// What the caller hears: of the last effect, so long after it; or a fault, so long after the call.
    pub answer: Answer,
    /// One word for the trace.
    pub name: &'static str,
}

#[derive(Debug)]
pub enum Answer {
    AfterEffect(Duration),
    Fault(Duration, Fault),
}

pub struct Weather {
    fronts: Vec<Front>,
    /// Share of calls with a mishap while there is weather at all.
    mishaps: f64,
    /// From here on it is calm.
    calm_from: Duration,
    chance: Mutex<Chance>,
}

impl Weather {
    pub fn of(seed: u64, machines: usize, calm_from: Duration) -> Self {
        let mut chance = Chance::of(seed, "weather");
        let fronts = if chance.one_in(4) { 0 } else { chance.number(0..6) };
        let fronts = (0..fronts).map(|_| Front::draw(&mut chance, machines, calm_from)).collect();
        let mishaps = chance.pick(&[0.0, 0.0, 0.005, 0.02, 0.05]);
        Self { fronts, mishaps, calm_from, chance: Mutex::new(chance) }
    }

    /// Fine, but for services that answer 503 from then to then.
    pub fn with_outages(outages: &[(Service, Duration, Duration)], calm_from: Duration) -> Self {
        let front = |(service, from, until): &(Service, Duration, Duration)| {
            let (service, from, until) = (Some(*service), *from, *until);
            Front { service, machine: None, sort: Sort::Unavailable, from, until }
        };
        let fronts = outages.iter().map(front).collect();
        Self { fronts, mishaps: 0.0, calm_from, chance: Mutex::new(Chance::of(0, "weather")) }
    }

    /// What it will be like, for the trace.
    pub fn forecast(&self) -> String {
        format!("{:?}, mishaps {}", self.fronts, self.mishaps)
    }

    /// What befalls a call that is made at `now`.
    pub fn fate(&self, now: Duration, service: Service, machine: usize) -> Fate {
        let mut chance = self.chance.lock().unwrap();
        let front = self.fronts.iter().find(|front| {
            (front.from..front.until).contains(&now)
                && front.service.is_none_or(|of| of == service)
                && front.machine.is_none_or(|of| of == machine)
        });
        match front.map(|front| front.sort) {
            Some(Sort::Unavailable) => Fate::fault(chance.secs(0.5..8.0), unavailable("503"), "unavailable"),
            // a job's own bucket refuses for good, and that is its fault
            Some(Sort::Refusing) if service != Service::Input => {
                Fate::fault(chance.secs(0.02..0.1), refused(), "refused")
            }
            Some(Sort::Deaf) => Fate::fault(chance.secs(10.0..60.0), unavailable("no answer"), "unheard"),
            Some(Sort::Mute) => {
                Fate { effects: vec![chance.secs(0.005..0.06)], ..Fate::no_answer(&mut chance, "unanswered") }
            }
            Some(Sort::Slow) => Fate {
                effects: vec![chance.secs(0.5..10.0)],
                answer: Answer::AfterEffect(chance.secs(0.5..10.0)),
                name: "slow",
            },
            _ if now < self.calm_from && chance.share(self.mishaps) => Fate::mishap(&mut chance),
            _ => Fate {
                effects: vec![chance.secs(0.005..0.06)],
                answer: Answer::AfterEffect(chance.secs(0.005..0.06)),
                name: "",
            },
        }
    }

    /// Whether calls of this machine met a front or mishaps at any time.
    pub fn is_calm(&self) -> bool {
        self.fronts.is_empty() && self.mishaps == 0.0
    }
}

impl Front {
    fn draw(chance: &mut Chance, machines: usize, calm_from: Duration) -> Self {
        let from = chance.secs(0.0..calm_from.as_secs_f64());
        let lasts = chance.secs(5.0..700.0);
        let services = [Service::Queue, Service::Input, Service::Output, Service::Bus];
        let sorts = [Sort::Unavailable, Sort::Unavailable, Sort::Refusing, Sort::Slow, Sort::Deaf, Sort::Mute];
        // a machine whose network is gone loses everything
        let machine = chance.one_in(3).then(|| chance.number(0..machines as u32) as usize);
        let service = (machine.is_none() || chance.one_in(2)).then(|| chance.pick(&services));
        Self { service, machine, sort: chance.pick(&sorts), from, until: (from + lasts).min(calm_from) }
    }
}

impl Fate {
    fn fault(after: Duration, fault: Fault, name: &'static str) -> Self {
        Self { effects: Vec::new(), answer: Answer::Fault(after, fault), name }
    }

    fn no_answer(chance: &mut Chance, name: &'static str) -> Self {
        Self::fault(chance.secs(10.0..60.0), unavailable("no answer"), name)
    }

    fn mishap(chance: &mut Chance) -> Self {
        let there = chance.secs(0.005..0.06);
        match chance.number(0..6) {
            0 => Self::no_answer(chance, "lost"),
            1 => Self { effects: vec![there], ..Self::no_answer(chance, "answer-lost") },
            // it reaches the service long after the caller has given up
            2 => Self { effects: vec![chance.secs(5.0..90.0)], ..Self::no_answer(chance, "late") },
            // the SDK sends it again when no answer comes
            3 => Self {
                effects: vec![there, there + chance.secs(3.0..32.0)],
                answer: Answer::AfterEffect(chance.secs(0.005..0.06)),
                name: "twice",
            },
            4 => Self::fault(chance.secs(0.5..8.0), unavailable("503"), "throttled"),
            _ => Self {
                effects: vec![chance.secs(0.5..15.0)],
                answer: Answer::AfterEffect(chance.secs(0.5..15.0)),
                name: "slow",
            },
        }
    }
}

fn unavailable(how: &str) -> Fault {
    Fault::transient(Code::ServiceUnavailable, how)
}

fn refused() -> Fault {
    Fault::permanent(Code::AccessDenied, "access denied")
}
