//! What must hold of a world that is over.

use std::collections::BTreeMap;
use std::time::Duration;

use transcription_worker::fault::Code;
use transcription_worker::publish::Status;
use transcription_worker::transcript::json;

use crate::jobs::{Audio, Job, Outcome};
use crate::ledger::{Delivery, Hearing, Settled};
use crate::world::World;

/// So often one worker may put a message off.
const PUT_OFF_AT_MOST: u32 = 2;
/// A finished window waits for those before it, one of which may hang, and its checkpoint for its turn.
const UNSAVED_AT_MOST: Duration = Duration::from_secs(90);

/// An engine still answers a window for so long whose job is given up.
const UNDER_WAY: Duration = Duration::from_secs(5);

pub fn judge(world: &World) {
    for (number, job) in world.jobs.jobs.iter().enumerate() {
        // the queue gives up what never had the time
        if !world.ledger.was_worn_out(world, number) {
            ends(world, job);
        }
    }
    dead_letters(world);
    hidden(world);
    receives(world);
    repeats(world);
    leftovers(world);
}

/// Each job ends in exactly one meaning, the right one, and its transcript says what was said.
fn ends(world: &World, job: &Job) {
    let told = world.bus.about(&job.id);
    let mut meanings: Vec<Outcome> = told
        .iter()
        .map(|event| match event.status {
            Status::Completed => Outcome::Completed,
            Status::Partial => Outcome::Partial,
            Status::Failed => Outcome::Failed,
        })
        .collect();
    meanings.dedup();
    // a marker that could not be read or written accuses nobody
    if job.audio == Audio::KillsWorkers && meanings.is_empty() && !world.ledger.was_lucky("/.started/") {
        return;
    }
    let code = told.iter().find_map(|event| event.error.as_ref().map(|error| error.code));
    // delivered again when its audio was moved away and its transcript could not be seen
    if meanings == [job.outcome, Outcome::Failed] && code == Some(Code::ObjectNotFound) && done_was_hidden(world, job) {
        return;
    }
    if meanings != [job.outcome] {
        world
            .ledger
            .violated(format!("{} ({:?}) was told as {meanings:?} {code:?}, not {:?}", job.id, job.audio, job.outcome));
        return;
    }
    let expected = match job.audio {
        Audio::Corrupt => Some(Code::CorruptAudio),
        Audio::KillsEngines => Some(Code::EngineCrashed),
        Audio::KillsWorkers => Some(Code::WorkerCrashed),
        _ => None,
    };
    if expected.is_some_and(|expected| code != Some(expected)) {
        world.violated(format!("{} ({:?}) failed with {code:?}", job.id, job.audio));
    }
    let Some(at) = &job.json else { return };
    let found = world.objects.get_now(at).and_then(|body| json::parse(&body).ok());
    match (job.outcome, found) {
        (Outcome::Failed, None) => {}
        (Outcome::Failed, Some(_)) => world.violated(format!("{} failed and has a transcript", job.id)),
        (_, None) => world.violated(format!("{} has no transcript", job.id)),
        (_, Some(found)) if found.text != job.text() => {
            world.violated(format!("{} says {:?}", job.id, found.text));
        }
        _ => {}
    }
}

fn done_was_hidden(world: &World, job: &Job) -> bool {
    job.json.as_ref().is_some_and(|json| world.ledger.was_hidden(&json.to_string()))
}

/// No message of sound jobs is given up.
fn dead_letters(world: &World) {
    for body in world.queue.dead() {
        let jobs = world.jobs.of_body(&body);
        let is_sound = |number: &usize| {
            let job = &world.jobs.jobs[*number];
            job.outcome != Outcome::Failed && !world.ledger.was_worn_out(world, *number) && !done_was_hidden(world, job)
        };
        if !jobs.is_empty() && jobs.iter().all(is_sound) {
            world.violated(format!("a sound message is a dead letter: {body}"));
        }
    }
}

/// A worker that had its time to end gives back all that is handed over to it, the poll under way then included.
fn hidden(world: &World) {
    if world.weather.is_calm() {
        for (receipt, life) in world.ledger.left_hidden() {
            world.violated(format!("{life} ended and left {receipt} hidden"));
        }
    }
}

/// Receives are spent on interruptions, on workers that find out that they are sick, and until guilt is proven.
fn receives(world: &World) {
    let mut put_off: BTreeMap<(String, String), u32> = BTreeMap::new();
    for delivery in world.ledger.deliveries() {
        let of = |job: &usize| world.jobs.jobs[*job].audio;
        let kills = world.jobs.of_body(&delivery.body).iter().any(|job| of(job) == Audio::KillsEngines);
        if !kills && matches!(delivery.settled, Some((Settled::Back(wait), _)) if wait > Duration::ZERO) {
            *put_off.entry((delivery.message_id, delivery.life)).or_default() += 1;
        }
    }
    for ((id, life), times) in put_off {
        if times > PUT_OFF_AT_MOST {
            world.violated(format!("{life} put {id} off {times} times"));
        }
    }
}

/// After an interruption only windows in lanes are heard again, and those since the last checkpoint.
fn repeats(world: &World) {
    let Some(every) = world.plan.checkpoint_every else { return };
    let ledger = &world.ledger;
    let (deliveries, hearings) = (ledger.deliveries(), ledger.hearings());
    let mut heard: BTreeMap<(u32, u32), Hearing> = BTreeMap::new();
    for hearing in &hearings {
        let Some(before) = heard.insert((hearing.number, hearing.window), hearing.clone()) else { continue };
        // what fails for good is not kept
        let fits = |job: &Job| job.number == hearing.number && job.outcome != Outcome::Failed;
        let Some(job) = world.jobs.jobs.iter().position(fits) else { continue };
        let is_this = |one: &&Delivery| {
            one.life == before.life
                && world.jobs.of_body(&one.body).contains(&job)
                && (one.handed_over..=one.ended(ledger) + UNDER_WAY).contains(&before.at)
        };
        // where the next delivery has come meanwhile, it is the one before that an answer was for
        let Some(attempt) = deliveries.iter().filter(is_this).min_by_key(|one| one.handed_over) else { continue };
        let end = attempt.ended(ledger);
        let old = end.duration_since(before.at);
        // answers are taken in order: one behind a window that no engine lived to answer waits for it
        let was_answered =
            |window| hearings.iter().any(|one| (one.number, one.window) == (hearing.number, window) && one.at <= end);
        let waited = !(0..hearing.window).all(was_answered);
        // where nothing could be written nothing could be saved
        let folder = world.jobs.jobs[job].json.as_ref().map(|json| json.sibling("").to_string()).unwrap_or_default();
        if old > every + UNSAVED_AT_MOST && !waited && ledger.was_lucky(&folder) && !ledger.was_contested(world, job) {
            let Hearing { life, number, window, .. } = hearing;
            world.violated(format!(
                "{life} hears job{number} part{window} again, heard {} s before the end",
                old.as_secs()
            ));
        }
    }
}

/// Nothing of the workers' bookkeeping stays, but the marker of a job that too many died over.
fn leftovers(world: &World) {
    for (number, job) in world.jobs.jobs.iter().enumerate() {
        let gave_up = job.audio == Audio::KillsWorkers || world.ledger.was_worn_out(world, number);
        let Some(json) = job.json.as_ref().filter(|_| !gave_up) else { continue };
        for folder in [".checkpoint", ".started"] {
            let at = json.sibling(&format!("{folder}/{}.json", job.id));
            let is_left = world.objects.get_now(&at).is_some();
            // a guard that was refused something is off, and touches no marker
            let lucky = world.ledger.was_lucky(&json.sibling("").to_string())
                && !(folder == ".started" && world.ledger.knows_refusal());
            if is_left && lucky && !world.ledger.was_contested(world, number) {
                world.violated(format!("{at} is left"));
            }
        }
    }
}
