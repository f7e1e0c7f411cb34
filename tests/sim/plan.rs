//! What a seed has in store: machines, their settings and sicknesses, and how each worker on them ends.

use std::time::Duration;

use crate::chance::Chance;

#[derive(Debug)]
pub struct Plan {
    pub seed: u64,
    pub machines: Vec<Machine>,
    /// Until here there is weather, sickness and interruption.
    pub calm_from: Duration,
    pub max_receives: u32,
    pub visibility: Duration,
    pub slots: usize,
    pub checkpoint_every: Option<Duration>,
    /// Some audio takes the worker down that decodes it.
    pub kills_workers: bool,
    pub multilingual: bool,
    /// Share of windows at which an engine dies, for no reason of the window's.
    pub engine_deaths: f64,
}

/// A place where one worker runs after the other.
#[derive(Debug)]
pub struct Machine {
    pub engines: Vec<Engine>,
    pub lanes: usize,
    /// How long a window takes.
    pub window: Duration,
    /// How wrong its clock is, in seconds, from when on.
    pub clock: Vec<(Duration, i64)>,
    /// How the workers on it end, one after the other; the last one stays.
    pub ends: Vec<End>,
}

/// A spell of an engine.
#[derive(Debug)]
pub struct Engine {
    pub temper: Temper,
    pub from: Duration,
    pub until: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temper {
    Well,
    /// Answers `Failed` to every window.
    Failing,
    /// Dies on every window.
    Dying,
    /// Does not start.
    Absent,
    /// Answers nothing.
    Hanging,
}

#[derive(Debug, Clone, Copy)]
pub struct End {
    pub way: Way,
    /// After it began.
    pub after: Duration,
    /// Until the next one begins.
    pub pause: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// All of it is gone at once.
    Crash,
    /// Likewise, in its n-th call that changes something: before the call has an effect, or after it and before the answer.
    CrashInCall {
        number: u32,
        after_effect: bool,
    },
    SpotNotice,
    Sigterm,
    Hibernation,
}

impl Plan {
    pub fn of(seed: u64) -> Self {
        let mut chance = Chance::of(seed, "plan");
        let calm_from = chance.secs(300.0..6000.0);
        let kills_workers = chance.one_in(8);
        let count = chance.pick(&[1, 1, 2, 2, 3, 4]);
        let machines = (0..count).map(|_| Machine::draw(&mut chance, calm_from)).collect();
        Self {
            seed,
            machines,
            calm_from,
            // where audio kills workers the guard must speak before the queue does
            max_receives: if kills_workers { 8 } else { 60 },
            visibility: Duration::from_secs(chance.pick(&[30, 60, 120])),
            slots: chance.pick(&[1, 2, 3, 5]),
            checkpoint_every: (!chance.one_in(6)).then(|| Duration::from_secs(chance.pick(&[10, 60]))),
            kills_workers,
            multilingual: chance.one_in(3),
            engine_deaths: chance.pick(&[0.0, 0.0, 0.0, 0.01, 0.05]),
        }
    }
}

impl Machine {
    fn draw(chance: &mut Chance, calm_from: Duration) -> Self {
        let engines = if chance.one_in(4) { 2 } else { 1 };
        let jumps = if chance.one_in(4) { chance.number(1..4) } else { 0 };
        let ends = if chance.one_in(3) { 0 } else { chance.number(1..6) };
        let mut clock: Vec<_> =
            // forwards by less than the grace of objects that are late
            (0..jumps).map(|_| (chance.secs(0.0..3000.0), i64::from(chance.number(0..20_000)) - 19_900)).collect();
        clock.sort_unstable();
        Self {
            engines: (0..engines).map(|_| Engine::draw(chance, calm_from)).collect(),
            lanes: chance.pick(&[1, 2, 4]),
            window: chance.secs(0.3..5.0),
            clock,
            ends: (0..ends).map(|_| End::draw(chance)).collect(),
        }
    }
}

impl Machine {
    /// Its engines are never sick.
    pub fn is_sound(&self) -> bool {
        self.engines.iter().all(|engine| engine.temper == Temper::Well)
    }
}

impl Engine {
    fn draw(chance: &mut Chance, calm_from: Duration) -> Self {
        let tempers = [Temper::Failing, Temper::Dying, Temper::Absent, Temper::Hanging];
        let temper = if chance.one_in(6) { chance.pick(&tempers) } else { Temper::Well };
        let from = if chance.one_in(2) { Duration::ZERO } else { chance.secs(0.0..calm_from.as_secs_f64()) };
        let until = if chance.one_in(2) { calm_from } else { (from + chance.secs(1.0..900.0)).min(calm_from) };
        Self { temper, from, until }
    }

    pub fn temper(&self, now: Duration) -> Temper {
        if (self.from..self.until).contains(&now) { self.temper } else { Temper::Well }
    }
}

impl End {
    fn draw(chance: &mut Chance) -> Self {
        let way = match chance.number(0..8) {
            0 | 1 => Way::Crash,
            2..=4 => Way::CrashInCall { number: chance.number(1..40), after_effect: chance.one_in(2) },
            5 => Way::SpotNotice,
            6 => Way::Sigterm,
            _ => Way::Hibernation,
        };
        Self { way, after: chance.secs(1.0..900.0), pause: chance.secs(1.0..60.0) }
    }
}
