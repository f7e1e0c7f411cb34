#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use tokio_util::sync::CancellationToken;

use super::*;
use crate::queue::QueueTraits;
use crate::worker::fakes::{Faulty, MemoryQueue, Scripted, Trouble, What};

const VISIBILITY: Duration = Duration::from_secs(120);
const LAST: u32 = 3;

fn transient() -> Fault {
    Fault::transient(Code::ServiceUnavailable, "failed to fetch s3://b/k: slow down")
}

fn permanent() -> Fault {
    Fault::permanent(Code::BadMessage, "not a shape we know")
}

fn settle(queue: Arc<dyn Queue>, handler: Arc<dyn Handler>, health: Health) -> Settle {
    let backoff = Backoff { base: Duration::from_secs(10), cap: Duration::from_secs(900) };
    Settle { queue, handler, health, backoff, counts: Arc::default(), unburied: Mutex::default() }
}

/// A queue with one message, received `receives` times, and who settles it.
struct Bench {
    queue: Arc<MemoryQueue>,
    handler: Arc<Scripted>,
    message: Message,
}

impl Bench {
    async fn new(receives: u32) -> Self {
        let queue = MemoryQueue::new(QueueTraits { max_receive_count: Some(LAST), ..QueueTraits::default() });
        queue.put("job", None);
        let mut message = None;
        for _ in 0..receives {
            message = queue.receive(1, VISIBILITY).await.unwrap().pop();
            if message.as_ref().unwrap().receive_count < receives {
                queue.extend(message.as_ref().unwrap(), Duration::ZERO).await.unwrap();
            }
        }
        Self { queue, handler: Arc::default(), message: message.unwrap() }
    }

    async fn settle(&self, outcome: Result<(), Fault>) -> Settled {
        self.settle_with(self.queue.clone(), self.handler.clone(), outcome).await
    }

    async fn settle_with(
        &self,
        queue: Arc<dyn Queue>,
        handler: Arc<dyn Handler>,
        outcome: Result<(), Fault>,
    ) -> Settled {
        let settle = settle(queue, handler, Health::default());
        self.settle_by(&settle, outcome.map(|()| Handled::default())).await
    }

    async fn settle_by(&self, settle: &Settle, outcome: Result<Handled, Fault>) -> Settled {
        let control = Control { lease_lost: CancellationToken::new(), ..Control::default() };
        let (message, lost) = (self.message.clone(), control.lease_lost.clone());
        let lease = Lease::hold(settle.queue.clone(), message, VISIBILITY, Instant::now(), lost, Arc::default());
        let delivery = Delivery {
            message_id: self.message.id.clone(),
            body: self.message.body.clone(),
            receive_count: self.message.receive_count,
            sent_at_ms: 0,
            tenant: None,
            max_receive_count: Some(LAST),
            trace: None,
        };
        settle.settle(&self.message, &delivery, &control, lease, outcome).await
    }

    fn reports(&self) -> Vec<Code> {
        self.handler.reports.lock().unwrap().iter().map(|(_, problem)| problem.code).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_poison_body_is_reported_then_deleted() {
    let bench = Bench::new(1).await;
    assert!(matches!(bench.settle(Err(permanent())).await, Settled::Rejected(..)));
    assert_eq!(bench.reports(), [Code::BadMessage]);
    assert_eq!(bench.queue.dead(), ["job"]);
    assert!(bench.queue.bodies().is_empty());
    let order: Vec<_> = bench.queue.events().iter().map(|event| event.what).collect();
    assert_eq!(order, [What::Received, What::DeadLettered, What::Deleted]);
}

#[tokio::test(start_paused = true)]
async fn an_unreportable_poison_stays() {
    for trouble in [Trouble::Fail(transient()), Trouble::Fail(permanent()), Trouble::Hang, Trouble::Panic] {
        let bench = Bench::new(1).await;
        let handler = Faulty::new(&bench.handler).at("report", 1..=9, &trouble);
        let settled = bench.settle_with(bench.queue.clone(), handler, Err(permanent())).await;
        assert!(matches!(settled, Settled::Retried(..)), "{trouble:?}");
        assert_eq!(bench.queue.bodies(), ["job"], "{trouble:?}");
        assert!(bench.queue.dead().is_empty(), "{trouble:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_poison_that_cannot_be_dead_lettered_stays() {
    for trouble in [Trouble::Fail(transient()), Trouble::Fail(permanent()), Trouble::Hang, Trouble::Panic] {
        let bench = Bench::new(1).await;
        let queue = Faulty::new(&bench.queue).at("dead_letter", 1..=9, &trouble);
        let settled = bench.settle_with(queue, bench.handler.clone(), Err(permanent())).await;
        assert!(matches!(settled, Settled::Retried(..)), "{trouble:?}");
        assert_eq!(bench.queue.bodies(), ["job"], "{trouble:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_transient_failure_backs_off_by_receive_count() {
    for (receives, most_secs) in [(1, 10), (2, 20)] {
        let bench = Bench::new(receives).await;
        assert!(matches!(bench.settle(Err(transient())).await, Settled::Retried(..)));
        let hidden = bench.queue.hidden_for("job");
        assert!((Duration::from_secs(1)..=Duration::from_secs(most_secs)).contains(&hidden), "{hidden:?}");
        assert!(bench.reports().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_receive_is_reported_as_retries_exhausted() {
    let bench = Bench::new(LAST).await;
    assert!(matches!(bench.settle(Err(transient())).await, Settled::Exhausted(..)));
    let (_, problem) = bench.handler.reports.lock().unwrap().remove(0);
    assert_eq!(problem.code, Code::RetriesExhausted);
    assert!(problem.message.contains("s3://b/k: slow down"), "the cause is missing: {}", problem.message);
    assert_eq!(bench.queue.bodies(), ["job"], "the queue's own redrive takes it");
    assert!(bench.queue.receive(1, VISIBILITY).await.unwrap().is_empty());
    assert_eq!(bench.queue.dead(), ["job"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_interrupted_on_its_last_receive_does_not_vanish_silently() {
    let bench = Bench::new(LAST).await;
    assert!(matches!(bench.settle(Err(Fault::Interrupted)).await, Settled::Exhausted(..)));
    assert_eq!(bench.reports(), [Code::RetriesExhausted]);
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_message_is_visible_at_once() {
    let bench = Bench::new(1).await;
    assert_eq!(bench.settle(Err(Fault::Interrupted)).await, Settled::Released);
    assert_eq!(bench.queue.hidden_for("job"), Duration::ZERO);
    assert!(bench.reports().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lost_message_is_left_alone() {
    let bench = Bench::new(1).await;
    let before = bench.queue.events();
    assert_eq!(bench.settle(Err(Fault::LeaseLost)).await, Settled::Lost);
    assert_eq!(bench.queue.events(), before);
    assert!(bench.reports().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_fails_briefly_is_repeated() {
    for trouble in [Trouble::Fail(transient()), Trouble::Hang, Trouble::Panic] {
        let bench = Bench::new(1).await;
        let queue = Faulty::new(&bench.queue).at("delete", 1..=2, &trouble);
        assert_eq!(bench.settle_with(queue, bench.handler.clone(), Ok(())).await, Settled::Done);
        assert!(bench.queue.bodies().is_empty(), "{trouble:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_stays_ours_while_its_failure_is_reported() {
    let bench = Bench::new(1).await;
    let slow = Faulty::new(&bench.handler).at("report", [1], &Trouble::Slow(10 * VISIBILITY));
    assert!(matches!(bench.settle_with(bench.queue.clone(), slow, Err(permanent())).await, Settled::Rejected(..)));
    let extended: Vec<_> = bench.queue.events().into_iter().filter(|it| matches!(it.what, What::Extended(_))).collect();
    assert!(extended.windows(2).all(|pair| pair[1].at - pair[0].at < VISIBILITY) && extended.len() > 20);
    assert!(bench.queue.bodies().is_empty());
}

#[tokio::test(start_paused = true)]
async fn after_the_leases_end_nothing_is_done_although_the_queue_would_take_it() {
    let bench = Bench::new(1).await;
    let queue = Faulty::new(&bench.queue).at("extend", 1..=99, &Trouble::Fail(transient()));
    let slow = Faulty::new(&bench.handler).at("report", [1], &Trouble::Slow(2 * VISIBILITY));
    assert_eq!(bench.settle_with(queue, slow, Err(permanent())).await, Settled::Lost);
    assert_eq!((bench.queue.bodies(), bench.queue.dead().len()), (vec!["job".to_owned()], 0));
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_is_unable_to_do_is_never_reported() {
    for receives in 1..=LAST {
        let bench = Bench::new(receives).await;
        let unable = Fault::unable(Code::EngineUnavailable, "no engine works");
        assert!(matches!(bench.settle(Err(unable)).await, Settled::Returned(..)));
        assert!(bench.reports().is_empty() && bench.queue.hidden_for("job") > Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sick_worker_reports_nothing_on_a_last_receive() {
    for fault in [transient(), Fault::Interrupted] {
        let bench = Bench::new(LAST).await;
        let health = Health::default();
        health.broke(crate::health::Part::Engine, "no GPU");
        let settle = settle(bench.queue.clone(), bench.handler.clone(), health);
        assert!(matches!(bench.settle_by(&settle, Err(fault)).await, Settled::Returned(..)));
        assert!(bench.reports().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn each_failed_job_of_a_message_is_dead_lettered_before_the_message_goes() {
    let bench = Bench::new(1).await;
    let Fault::Permanent(problem) = permanent() else { unreachable!() };
    let letter = |body: &str| Letter { body: body.to_owned(), problem: problem.clone() };
    let settle = settle(bench.queue.clone(), bench.handler.clone(), Health::default());
    let handled = Handled { letters: vec![letter("one"), letter("two")] };
    assert_eq!(bench.settle_by(&settle, Ok(handled)).await, Settled::Done);
    assert_eq!(bench.queue.dead(), ["one", "two"]);
    assert!(bench.queue.bodies().is_empty() && bench.reports().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_failure_whose_copy_is_refused_is_reported_once() {
    let bench = Bench::new(1).await;
    let queue = Faulty::new(&bench.queue).at("dead_letter", 1..=9, &Trouble::Fail(permanent()));
    let settle = settle(queue, bench.handler.clone(), Health::default());
    for _ in 0..3 {
        assert!(matches!(bench.settle_by(&settle, Err(permanent())).await, Settled::Retried(..)));
    }
    assert_eq!(bench.reports().len(), 1);
}
