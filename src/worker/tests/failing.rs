//! What fails, and what that leaves untouched.

use super::*;

#[tokio::test(start_paused = true)]
async fn throttling_backs_off_and_recovers() {
    let queue = standard();
    queue.put("ok", None);
    let port = Faulty::new(&queue).at("receive", 1..=5, &throttled());
    let begun = Instant::now();
    let rig = Rig::with(port.clone(), SETTINGS);
    while rig.done().is_empty() {
        sleep(SECOND).await;
    }
    assert!(port.calls("receive") > 5 && rig.counts.receive_errors.get() == 5);
    assert!(begun.elapsed() >= 5 * SECOND, "each failure is followed by a pause");
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_hangs_or_panics_does_not_end_receiving() {
    for trouble in [Trouble::Hang, Trouble::Panic] {
        let queue = standard();
        queue.put("ok", None);
        let rig = Rig::with(Faulty::new(&queue).at("receive", 1..=2, &trouble), SETTINGS);
        sleep(600 * SECOND).await;
        assert_eq!(rig.done(), ["ok"], "{trouble:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_refuses_us_at_start_ends_the_run() {
    let refused = Fault::permanent(Code::AccessDenied, "failed to receive from the queue: access denied");
    for method in ["traits", "receive"] {
        let begun = Instant::now();
        let queue = standard();
        let port = Faulty::new(&queue).at(method, 1..=999, &Trouble::Fail(refused.clone()));
        assert_eq!(Rig::with(port, SETTINGS).ended().await, Err(refused.clone()), "{method}");
        assert!(begun.elapsed() >= Patience::default().refusal, "permissions take minutes to spread");
    }
    let missing = Fault::permanent(Code::ObjectNotFound, "failed to receive from the queue: it does not exist");
    let queue = standard();
    let port = Faulty::new(&queue).at("traits", [1], &Trouble::Fail(missing.clone()));
    assert_eq!(Rig::with(port, SETTINGS).ended().await, Err(missing));
}

#[tokio::test(start_paused = true)]
async fn a_role_that_was_attached_a_moment_ago_does_not_strand_the_worker() {
    let queue = standard();
    queue.put("ok", None);
    let refused = Trouble::Fail(Fault::permanent(Code::AccessDenied, "failed to read the queue: access denied"));
    let rig = Rig::with(Faulty::new(&queue).at("traits", 1..=4, &refused), SETTINGS);
    sleep(60 * SECOND).await;
    assert_eq!(rig.done(), ["ok"]);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_refuses_us_later_is_asked_again() {
    let queue = standard();
    let refused = Trouble::Fail(Fault::permanent(Code::AccessDenied, "failed to receive: access denied"));
    let rig = Rig::with(Faulty::new(&queue).at("receive", 2..=9, &refused), SETTINGS);
    sleep(POLL + SECOND).await;
    queue.put("ok", None);
    sleep(900 * SECOND).await;
    assert_eq!(rig.done(), ["ok"]);
}

#[tokio::test(start_paused = true)]
async fn a_panicking_handler_is_one_failed_attempt() {
    let queue = standard();
    queue.put("panic", None);
    queue.put("work 30", None);
    let rig = Rig::start(&queue);
    // sooner than the shortest back-off
    sleep(SECOND / 2).await;
    assert_eq!(rig.counts.retried.get(), 1);
    sleep(30 * SECOND).await;
    assert_eq!(rig.done(), ["work 30"]);
    assert_eq!(queue.bodies(), ["panic"], "it will be tried again");
}

#[tokio::test(start_paused = true)]
async fn one_messages_failure_never_touches_another() {
    let queue = MemoryQueue::new(QueueTraits { max_receive_count: Some(3), ..QueueTraits::default() });
    let good: Vec<_> = (0..5).map(|n| format!("work 60 {n}")).collect();
    for (good, bad) in good.iter().zip(["panic", "poison", "busy", "panic 2", "poison 2"]) {
        queue.put(bad, None);
        queue.put(good, None);
    }
    let rig = Rig::with(queue.clone(), Settings { slots: 10, ..SETTINGS });
    sleep(3600 * SECOND).await;
    let mut done = rig.done();
    done.sort();
    assert_eq!(done, good);
    assert_eq!(rig.counts.done.get(), 5);
    let mut dead = queue.dead();
    dead.sort();
    assert_eq!(dead, ["busy", "panic", "panic 2", "poison", "poison 2"]);
    let reports = rig.handler.reports.lock().unwrap().len();
    assert_eq!((reports, queue.bodies().len()), (5, 0), "each is reported once, none is left");
}

#[tokio::test(start_paused = true)]
async fn a_delete_failure_then_redelivery_is_a_no_op() {
    let queue = standard();
    queue.put("work 10", None);
    let rig = Rig::with(Faulty::new(&queue).at("delete", 1..=3, &throttled()), SETTINGS);
    sleep(300 * SECOND).await;
    assert_eq!(rig.begun(), ["work 10", "work 10"], "delivered again");
    assert_eq!(rig.done(), ["work 10"], "done once");
    assert!(queue.bodies().is_empty() && rig.handler.reports.lock().unwrap().is_empty());
}
