//! What must hold of a world that is over.

use std::time::Duration;

use transcription_worker::fault::Code;
use transcription_worker::publish::Status;
use transcription_worker::transcript::json;

use crate::jobs::{Audio, Job, Outcome};
use crate::ledger::Settled;
use crate::world::World;

/// Receives of a message that no interruption explains.
const CHARGED_AT_MOST: usize = 3;

pub fn judge(world: &World) {
    for job in &world.jobs.jobs {
        ends(world, job);
    }
    receives(world);
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
    let code = told.iter().find_map(|event| event.error.as_ref().map(|error| error.code));
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
        world.ledger.violated(format!("{} ({:?}) failed with {code:?}", job.id, job.audio));
    }
    let Some(at) = &job.json else { return };
    let found = world.objects.get_now(at).and_then(|body| json::parse(&body).ok());
    match (job.outcome, found) {
        (Outcome::Failed, None) => {}
        (Outcome::Failed, Some(_)) => world.ledger.violated(format!("{} failed and has a transcript", job.id)),
        (_, None) => world.ledger.violated(format!("{} has no transcript", job.id)),
        (_, Some(found)) if found.text != job.text() => {
            world.ledger.violated(format!("{} says {:?}", job.id, found.text));
        }
        _ => {}
    }
}

/// Receives are spent on interruptions alone.
fn receives(world: &World) {
    let deliveries = world.ledger.deliveries();
    let mut ids: Vec<&str> = deliveries.iter().map(|delivery| delivery.message_id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    for id in ids {
        let charged: Vec<_> = deliveries
            .iter()
            .filter(|delivery| delivery.message_id == id)
            .filter(|delivery| matches!(delivery.settled, Some(Settled::Back(wait)) if wait > Duration::ZERO))
            .collect();
        if charged.len() > CHARGED_AT_MOST {
            world.ledger.violated(format!("{id} was put off {} times: {:?}", charged.len(), charged.first()));
        }
    }
}

/// Nothing of the workers' bookkeeping stays.
fn leftovers(world: &World) {
    for address in world.objects.addresses() {
        let is_bookkeeping = ["/.checkpoint/", "/.started/", "/.check/"].iter().any(|folder| address.contains(folder));
        if is_bookkeeping && world.ledger.was_lucky(&address) {
            world.ledger.violated(format!("{address} is left"));
        }
    }
}
