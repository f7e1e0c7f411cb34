//! Seeds after seeds: each twice, on all cores.

use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use transcription_worker::queue::QueueTraits;

use crate::conformance;
use crate::queue::{MemoryQueue, Rules};
use crate::run::{Report, run};

/// In `make test`.
const SHORT: u64 = 300;

#[test]
fn every_job_ends_well_whatever_befalls_its_workers() {
    all(0..SHORT);
}

#[tokio::test(start_paused = true)]
async fn the_queue_in_memory_does_what_sqs_does() {
    let rules = Rules { poll: Duration::from_secs(1), ..Rules::default() };
    let traits = QueueTraits { max_receive_count: Some(conformance::MAX_RECEIVES), ..QueueTraits::default() };
    let queue = MemoryQueue::with(traits, rules);
    conformance::hold(&*queue, async || queue.dead()).await;
}

#[test]
#[ignore = "make simulate SEEDS=1000"]
fn simulate() {
    let number = |name| env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    match number("SEED") {
        Some(seed) => replay(seed),
        None => {
            let from = number("FROM").unwrap_or(0);
            all(from..from + number("SEEDS").unwrap_or(1000));
        }
    }
}

fn replay(seed: u64) {
    let report = run(seed, true);
    assert!(report.violations.is_empty(), "{:#?}", report.violations);
}

fn all(seeds: std::ops::Range<u64>) {
    let begun = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let failed: Mutex<Vec<(u64, Report, Report)>> = Mutex::default();
    let cores = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || failed.lock().unwrap().len() >= most_failures() {
                        return;
                    }
                    let (first, second) = (run(seed, false), run(seed, false));
                    if !first.violations.is_empty() || first.fingerprint != second.fingerprint {
                        failed.lock().unwrap().push((seed, first, second));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort_unstable_by_key(|(seed, ..)| *seed);
    for (seed, first, second) in &failed {
        if failed.len() == 1 {
            println!("{}", first.tail.join("\n"));
        }
        if first.fingerprint != second.fingerprint {
            println!("seed {seed}: two runs differ");
        }
        println!("seed {seed}, {:?}: {:#?}\nreplay: make simulate SEED={seed}", first.lasted, first.violations);
    }
    let secs = begun.elapsed().as_secs_f64();
    println!("{} seeds, each twice, in {secs:.1} s", next.load(Ordering::Relaxed).min(seeds.end) - seeds.start);
    assert!(failed.is_empty(), "seed {} fails: make simulate SEED={} shows it", failed[0].0, failed[0].0);
}

/// After so many failures the rest is not run.
fn most_failures() -> usize {
    env::var("FAILURES").ok().and_then(|value| value.parse().ok()).unwrap_or(1)
}
