//! Worlds that are made for one promise.

use std::sync::Arc;
use std::time::Duration;

use transcription_worker::fault::Code;

use crate::jobs::Jobs;
use crate::plan::{Engine, Machine, Plan, Temper};
use crate::queue::Whims;
use crate::run::run_world;
use crate::weather::{Service, Weather};
use crate::world::World;

const MINUTE: Duration = Duration::from_secs(60);
/// As a queue should have at the least.
const MAX_RECEIVES: u32 = 5;

/// One sound machine that nobody stops.
fn plan() -> Plan {
    let engine = Engine { temper: Temper::Well, from: Duration::ZERO, until: Duration::ZERO };
    let machine = Machine {
        engines: vec![engine],
        lanes: 2,
        window: Duration::from_secs(1),
        clock: Vec::new(),
        ends: Vec::new(),
    };
    Plan {
        seed: 0,
        machines: vec![machine],
        calm_from: 60 * MINUTE,
        max_receives: MAX_RECEIVES,
        visibility: 2 * MINUTE,
        slots: 3,
        checkpoint_every: Some(MINUTE),
        kills_workers: false,
        multilingual: false,
        engine_deaths: 0.0,
    }
}

/// The world after everything in it has happened, and no invariant was violated.
fn lived(jobs: Jobs, outages: &[(Service, Duration, Duration)]) -> Arc<World> {
    let plan = plan();
    let weather = Weather::with_outages(outages, plan.calm_from);
    let whims = Whims { twice: 0.0, undead: 0.0, chance: fastrand::Rng::with_seed(0) };
    let (report, world) = run_world(0, || World::with(plan, whims, weather, jobs, false));
    assert_eq!(report.violations, [""; 0], "{:#?}", report.tail);
    world
}

/// One event for each job, no dead letter, and each message received once.
fn assert_each_was_done_in_one_receive(world: &World) {
    for job in &world.jobs.jobs {
        assert_eq!(world.bus.about(&job.id).len(), 1, "{}", job.id);
    }
    assert!(world.queue.dead().is_empty());
    assert_eq!(world.ledger.deliveries().len(), world.jobs.sendings.len(), "a receive was spent on it");
}

#[test]
fn five_minutes_without_s3_or_eventbridge_cost_no_job_no_receive_and_no_second_event() {
    for service in [Service::Output, Service::Bus, Service::Input] {
        let mut jobs = Jobs::default();
        for number in 0..10 {
            // before, during and after
            jobs.plain(number, Duration::from_secs(45) * number, Some(Duration::ZERO), 4);
        }
        assert_each_was_done_in_one_receive(&lived(jobs, &[(service, MINUTE, 6 * MINUTE)]));
    }
}

#[test]
fn an_object_that_comes_after_its_event_is_waited_for_without_a_receive() {
    for late in [Duration::from_secs(8), 4 * MINUTE, 9 * MINUTE] {
        let mut jobs = Jobs::default();
        // more of them than slots, and one that must not wait behind them
        (0..6).for_each(|number| jobs.plain(number, MINUTE, Some(MINUTE + late), 4));
        jobs.plain(6, MINUTE + Duration::from_secs(5), Some(Duration::ZERO), 4);
        assert_each_was_done_in_one_receive(&lived(jobs, &[]));
    }
}

#[test]
fn an_object_that_never_comes_is_reported_as_missing_once_the_message_is_ten_minutes_old() {
    let mut jobs = Jobs::default();
    jobs.plain(0, MINUTE, None, 4);
    let world = lived(jobs, &[]);
    let told = world.bus.about("j0");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].error.as_ref().map(|error| error.code), Some(Code::ObjectNotFound));
    assert_eq!((world.queue.dead().len(), world.ledger.deliveries().len()), (1, 1));
}
