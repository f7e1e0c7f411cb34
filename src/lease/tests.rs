#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::fault::{Code, Fault};
use crate::queue::QueueTraits;
use crate::worker::fakes::{Faulty, MemoryQueue, Rules, StaleReceipts, Trouble, What};

const VISIBILITY: Duration = Duration::from_secs(120);

async fn received(queue: &MemoryQueue) -> Message {
    queue.put("work", None);
    queue.receive(1, VISIBILITY).await.unwrap().remove(0)
}

fn hold(queue: Arc<dyn Queue>, message: &Message) -> (Lease, CancellationToken) {
    let lost = CancellationToken::new();
    let lease = Lease::hold(queue, message.clone(), VISIBILITY, Instant::now(), lost.clone(), Arc::default());
    (lease, lost)
}

fn failure() -> Trouble {
    Trouble::Fail(Fault::transient(Code::ServiceUnavailable, "throttled"))
}

/// Seconds from now until the lease is lost.
async fn secs_until(lost: &CancellationToken) -> u64 {
    let begun = Instant::now();
    lost.cancelled().await;
    begun.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn the_heartbeat_keeps_the_message_hidden_for_hours() {
    let queue = MemoryQueue::new(QueueTraits::default());
    let message = received(&queue).await;
    let (lease, lost) = hold(queue.clone(), &message);
    for _ in 0..180 {
        sleep(Duration::from_secs(60)).await;
        assert!(queue.hidden_for("work") >= VISIBILITY / 2 && !lost.is_cancelled());
    }
    lease.release().await;
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_extends_no_more() {
    let queue = MemoryQueue::new(QueueTraits::default());
    let message = received(&queue).await;
    let (lease, lost) = hold(queue.clone(), &message);
    sleep(VISIBILITY).await;
    lease.release().await;
    let before = queue.count(|what| matches!(what, What::Extended(_)));
    sleep(10 * VISIBILITY).await;
    assert!(before > 0 && !lost.is_cancelled());
    assert_eq!(queue.count(|what| matches!(what, What::Extended(_))), before);
}

#[tokio::test(start_paused = true)]
async fn the_heartbeat_caps_at_12_hours() {
    let queue = MemoryQueue::new(QueueTraits::default());
    let message = received(&queue).await;
    let faulty = Faulty::new(&queue).at("extend", [], &Trouble::Hang);
    let (_lease, lost) = hold(faulty.clone(), &message);
    let secs = secs_until(&lost).await;
    assert!((LONGEST.as_secs() - 2..=LONGEST.as_secs()).contains(&secs), "lost after {secs} s");
    // the fake refuses what SQS would refuse, so a call too many shows as a difference
    assert_eq!(queue.count(|what| matches!(what, What::Extended(_))), faulty.calls("extend"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_receipt_is_a_lost_lease() {
    let rules = Rules { stale_receipts: StaleReceipts::Refused, ..Rules::default() };
    let queue = MemoryQueue::with(QueueTraits::default(), rules);
    let message = received(&queue).await;
    let (_lease, lost) = hold(queue.clone(), &message);
    queue.steal("work");
    assert!(secs_until(&lost).await <= VISIBILITY.as_secs() / 3);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_when_its_time_is_up_is_lost_before_anything_is_done() {
    let queue = MemoryQueue::new(QueueTraits::default());
    let message = received(&queue).await;
    let asked_at = Instant::now();
    sleep(VISIBILITY).await;
    let lost = CancellationToken::new();
    let _lease = Lease::hold(queue, message, VISIBILITY, asked_at, lost.clone(), Arc::default());
    assert!(lost.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_failed_extension_is_retried_before_the_lease_runs_out() {
    let queue = MemoryQueue::new(QueueTraits::default());
    let message = received(&queue).await;
    let faulty = Faulty::new(&queue).at("extend", 1..=3, &failure());
    let (_lease, lost) = hold(faulty, &message);
    for _ in 0..60 {
        sleep(Duration::from_secs(10)).await;
        assert!(queue.hidden_for("work") > Duration::ZERO && !lost.is_cancelled());
    }
}

#[tokio::test(start_paused = true)]
async fn a_panicking_extension_is_retried_too() {
    let queue = MemoryQueue::new(QueueTraits::default());
    let message = received(&queue).await;
    let (_lease, lost) = hold(Faulty::new(&queue).at("extend", 1..=2, &Trouble::Panic), &message);
    sleep(5 * VISIBILITY).await;
    assert!(queue.hidden_for("work") > Duration::ZERO && !lost.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn extensions_that_keep_failing_lose_the_lease_when_it_runs_out() {
    let queue = MemoryQueue::new(QueueTraits::default());
    let message = received(&queue).await;
    let (_lease, lost) = hold(Faulty::new(&queue).at("extend", 1..=1000, &failure()), &message);
    assert_eq!(secs_until(&lost).await, VISIBILITY.as_secs());
}

#[tokio::test(start_paused = true)]
async fn an_extend_that_hangs_does_not_outlive_the_lease() {
    let queue = MemoryQueue::new(QueueTraits::default());
    let message = received(&queue).await;
    let (_lease, lost) = hold(Faulty::new(&queue).at("extend", 1..=1000, &Trouble::Hang), &message);
    assert_eq!(secs_until(&lost).await, VISIBILITY.as_secs());
}

#[tokio::test(start_paused = true)]
async fn releasing_does_not_wait_for_an_extend_that_hangs() {
    let queue = MemoryQueue::new(QueueTraits::default());
    let message = received(&queue).await;
    let (lease, lost) = hold(Faulty::new(&queue).at("extend", [1], &Trouble::Hang), &message);
    sleep(VISIBILITY / 3 + Duration::from_secs(1)).await;
    let begun = Instant::now();
    lease.release().await;
    assert!(begun.elapsed() <= JOIN_LIMIT + Duration::from_millis(5) && !lost.is_cancelled());
}
