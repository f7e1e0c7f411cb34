//! One world from its beginning to its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use transcription_worker::drain::{Drain, Reason};

use crate::life::lives;
use crate::verdict;
use crate::world::World;

/// A world in which work is left after so long has lost it.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// Between two looks for work that is left.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// A worker that was told to stop and still runs after so long never ends.
const LONGEST_END: Duration = Duration::from_secs(600);
/// What is still on its way when the last worker has ended arrives within this.
const AFTERMATH: Duration = Duration::from_secs(180);

/// What came of a seed.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    pub fingerprint: u64,
    /// What must not be and was.
    pub violations: Vec<String>,
    /// The last lines of the trace.
    pub tail: Vec<String>,
    /// How long it was, in its own time.
    pub lasted: Duration,
}

/// Runs the world of `seed`; `loud` prints its trace.
pub fn run(seed: u64, loud: bool) -> Report {
    run_world(seed, || World::new(seed, loud)).0
}

/// Runs the world that `make` makes.
pub fn run_world(seed: u64, make: impl FnOnce() -> Arc<World>) -> (Report, Arc<World>) {
    // the workers' back-off draws from the thread's generator
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let lived = runtime.block_on(async {
        let world = make();
        (live(world.clone()).await, world)
    });
    runtime.shutdown_background();
    lived
}

async fn live(world: Arc<World>) -> Report {
    let over = Drain::new(Duration::from_secs(90), Duration::ZERO);
    let mut tasks = JoinSet::new();
    tasks.spawn(world.clone().produce());
    for machine in 0..world.plan.machines.len() {
        tasks.spawn(lives(world.clone(), machine, over.clone()));
    }
    let mut consumer = JoinSet::new();
    consumer.spawn(world.clone().consume());
    let lost = loop {
        sleep(LOOK_EVERY).await;
        if world.now() > world.plan.calm_from && is_done(&world) {
            break false;
        }
        if world.now() > LONGEST {
            break true;
        }
    };
    world.trace.note("world", format_args!("over"));
    over.begin_gracefully(Reason::Signal("SIGTERM"));
    let end = async {
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                world.violated(format!("a worker panicked: {error}"));
            }
        }
    };
    if timeout(LONGEST_END, end).await.is_err() {
        world.violated("a worker does not end".to_owned());
    }
    sleep(AFTERMATH).await;
    if lost {
        world.violated(format!("work is left after {LONGEST:?}: {:?}", world.queue.bodies()));
    }
    verdict::judge(&world);
    Report {
        fingerprint: world.trace.fingerprint(),
        violations: world.ledger.violations(),
        tail: world.trace.tail(60),
        lasted: world.now(),
    }
}

/// Nothing is in the queue, and all of it was sent.
fn is_done(world: &Arc<World>) -> bool {
    let last = world.jobs.sendings.iter().map(|sending| sending.at).max().unwrap_or_default();
    world.now() > last && world.queue.bodies().is_empty()
}
