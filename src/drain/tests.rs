#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use super::*;

const GRACE: Duration = Duration::from_secs(300);
const MARGIN: Duration = Duration::from_secs(40);

fn drain() -> Drain {
    let drain = Drain::new(GRACE, MARGIN);
    let driver = drain.clone();
    tokio::spawn(async move { driver.fire_abort().await });
    drain
}

/// How long the abort token stays quiet from now on.
async fn until_abort(drain: &Drain) -> Duration {
    let begun = Instant::now();
    drain.abort().cancelled().await;
    begun.elapsed()
}

fn within(value: Duration, expected_secs: u64) -> bool {
    // the paused clock has a resolution of 1 ms
    value.abs_diff(Duration::from_secs(expected_secs)) < Duration::from_millis(5)
}

#[tokio::test(start_paused = true)]
async fn abort_fires_at_deadline_minus_margin() {
    let drain = drain();
    drain.begin(Reason::SpotInterruption, Instant::now() + Duration::from_secs(120));
    assert!(drain.stop().is_cancelled(), "receiving must end at once");
    assert!(!drain.abort().is_cancelled());
    let waited = until_abort(&drain).await;
    assert!(within(waited, 80), "abort after {waited:?}");
}

#[tokio::test(start_paused = true)]
async fn an_earlier_deadline_tightens_the_first() {
    let drain = drain();
    drain.begin_gracefully(Reason::Signal("SIGTERM"));
    drain.begin(Reason::SpotInterruption, Instant::now() + Duration::from_secs(100));
    let waited = until_abort(&drain).await;
    assert!(within(waited, 60), "abort after {waited:?}");
    assert_eq!(drain.stopping().map(|s| s.reason), Some(Reason::Signal("SIGTERM")), "the first reason stands");
}

#[tokio::test(start_paused = true)]
async fn a_later_deadline_never_extends_the_first() {
    let drain = drain();
    drain.begin(Reason::SpotInterruption, Instant::now() + Duration::from_secs(60));
    drain.begin_gracefully(Reason::Signal("SIGTERM"));
    let waited = until_abort(&drain).await;
    assert!(within(waited, 20), "abort after {waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_nearer_than_the_margin_aborts_at_once() {
    let drain = drain();
    drain.begin(Reason::SpotInterruption, Instant::now() + Duration::from_secs(5));
    let waited = until_abort(&drain).await;
    assert!(within(waited, 0), "abort after {waited:?}");
}

#[tokio::test(start_paused = true)]
async fn work_is_dropped_before_the_deadline_so_that_messages_can_be_released() {
    let drain = drain();
    let deadline = Instant::now() + Duration::from_secs(120);
    drain.begin(Reason::SpotInterruption, deadline);
    drain.last_call().await;
    assert!(drain.abort().is_cancelled());
    assert!(within(deadline - Instant::now(), 3));
}

#[tokio::test(start_paused = true)]
async fn nothing_fires_without_a_stop() {
    let drain = drain();
    let quiet = tokio::time::timeout(Duration::from_secs(86_400), drain.deadline()).await;
    assert!(quiet.is_err() && !drain.abort().is_cancelled());
}

#[tokio::test]
async fn one_interrupt_stops_and_a_second_aborts() {
    use rustix::process::{Signal, getpid, kill_process};
    let drain = drain();
    tokio::spawn(listen_for_signals(drain.clone()).expect("handlers can be installed"));
    kill_process(getpid(), Signal::INT).expect("a signal to ourselves");
    drain.stop().cancelled().await;
    assert_eq!(drain.stopping().map(|stopping| stopping.reason), Some(Reason::Signal("SIGINT")));
    assert!(!drain.abort().is_cancelled(), "work in flight goes on");
    kill_process(getpid(), Signal::INT).expect("a signal to ourselves");
    drain.abort().cancelled().await;
}
