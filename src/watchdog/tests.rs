#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::Mutex;

use super::*;
use crate::drain::Reason;

const MINUTE: Duration = Duration::from_secs(60);

/// Attends in the background; what systemd was told, in order, STATUS left out.
fn attended() -> (Progress, Drain, Arc<Mutex<Vec<String>>>) {
    let (progress, drain) = (Progress::default(), Drain::new(MINUTE, MINUTE / 2));
    let told = attended_with(&progress, &Arc::default(), &drain, |state| !state.starts_with("STATUS"));
    (progress, drain, told)
}

fn attended_with(
    progress: &Progress,
    counts: &Arc<Counts>,
    drain: &Drain,
    is_meant: fn(&str) -> bool,
) -> Arc<Mutex<Vec<String>>> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    tokio::spawn(attend_with(progress.clone(), counts.clone(), Health::default(), drain.clone(), move |states| {
        let mut log = log.lock().expect("no test panics here");
        log.extend(states.iter().map(ToString::to_string).filter(|state| is_meant(state)));
    }));
    told
}

#[tokio::test(start_paused = true)]
async fn the_status_is_true_a_moment_after_it_changed() {
    let (progress, drain, counts) = (Progress::default(), Drain::new(MINUTE, MINUTE / 2), Arc::<Counts>::default());
    let told = attended_with(&progress, &counts, &drain, |state| state.starts_with("STATUS"));
    let last = || told.lock().expect("told").last().cloned().expect("a status");
    let moment = || sleep(3 * SHORTEST_BEAT);
    moment().await;
    assert!(last().contains("starting"), "{}", last());
    progress.turn();
    moment().await;
    // no turn of the loop from here on: it waits in a poll
    counts.in_flight.add();
    progress.at_work();
    moment().await;
    assert_eq!(last(), "STATUS=1 at work, 0 done, 0 failed");
    drain.begin_gracefully(Reason::SpotInterruption);
    moment().await;
    assert!(last().contains("stopping") && last().contains("1 at work"), "{}", last());
    counts.in_flight.sub();
    counts.done.add();
    progress.at_work();
    moment().await;
    assert!(last().ends_with("0 at work, 1 done, 0 failed"), "{}", last());
}

#[tokio::test(start_paused = true)]
async fn ready_is_said_once_and_only_when_the_loop_turns() {
    let (progress, _drain, told) = attended();
    sleep(MINUTE).await;
    assert!(told.lock().expect("told").is_empty());
    progress.turn();
    sleep(MINUTE).await;
    progress.turn();
    sleep(MINUTE).await;
    assert_eq!(*told.lock().expect("told"), ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]);
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_stands_still_is_not_called_alive() {
    let (progress, _drain, told) = attended();
    progress.turn();
    sleep(MINUTE).await;
    let before = told.lock().expect("told").len();
    progress.step();
    sleep(60 * MINUTE).await;
    assert_eq!(told.lock().expect("told").len(), before);
}

#[tokio::test(start_paused = true)]
async fn a_busy_loop_does_not_flood_systemd() {
    let (progress, _drain, told) = attended();
    for _ in 0..1000 {
        progress.turn();
        sleep(Duration::from_millis(10)).await;
    }
    let beats = told.lock().expect("told").iter().filter(|state| *state == "WATCHDOG=1").count();
    assert!((9..=11).contains(&beats), "{beats} beats in 10 s");
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_said_to_be_stopping() {
    let (progress, drain, told) = attended();
    progress.turn();
    sleep(MINUTE).await;
    drain.begin_gracefully(Reason::SpotInterruption);
    sleep(MINUTE).await;
    assert_eq!(told.lock().expect("told").last().map(String::as_str), Some("STOPPING=1"));
}
