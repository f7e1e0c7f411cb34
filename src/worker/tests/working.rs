//! What is received when, and kept how long.

use super::*;
use crate::worker::receiver::LOOK_EVERY;

#[tokio::test(start_paused = true)]
async fn a_message_is_only_received_when_there_is_a_slot() {
    let queue = standard();
    for n in 0..7 {
        queue.put(&format!("work 100 {n}"), None);
    }
    let rig = Rig::start(&queue);
    sleep(50 * SECOND).await;
    assert_eq!(rig.counts.received.get(), 2, "two slots, both busy");
    assert_eq!(rig.counts.in_flight.get(), 2);
    sleep(1000 * SECOND).await;
    assert_eq!((rig.done().len(), *rig.handler.most.lock().unwrap()), (7, 2));
    assert!(queue.bodies().is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_receive_asks_for_more_than_sqs_hands_out() {
    let queue = standard();
    let _rig = Rig::with(queue.clone(), Settings { slots: 64, ..SETTINGS });
    sleep(POLL).await;
    assert_eq!(queue.asked().iter().max(), Some(&10));
}

#[tokio::test(start_paused = true)]
async fn fifo_takes_one() {
    let queue = MemoryQueue::new(QueueTraits { fifo: true, ..QueueTraits::default() });
    for (body, group) in [("work 100 a1", "a"), ("work 100 a2", "a"), ("work 100 b1", "b")] {
        queue.put(body, Some(group));
    }
    let rig = Rig::with(queue.clone(), Settings { slots: 8, ..SETTINGS });
    sleep(50 * SECOND).await;
    assert_eq!(rig.begun(), ["work 100 a1", "work 100 b1"], "one of each group");
    assert!(queue.asked().iter().all(|max| *max == 1));
    sleep(200 * SECOND).await;
    assert_eq!(rig.done().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn two_messages_of_one_group_are_never_handled_at_once() {
    // SQS hands both out at once after a lease was lost
    let queue = standard();
    queue.put("work 100 first", Some("a"));
    queue.put("work 100 second", Some("a"));
    let rig = Rig::start(&queue);
    sleep(50 * SECOND).await;
    assert_eq!((rig.counts.received.get(), rig.begun().len()), (2, 1));
    sleep(200 * SECOND).await;
    assert_eq!((rig.done().len(), *rig.handler.most.lock().unwrap()), (2, 1));
    assert_eq!(queue.count(|what| what == What::Received), 2, "the one that waited kept its lease");
}

#[tokio::test(start_paused = true)]
async fn long_work_is_delivered_once() {
    let queue = standard();
    queue.put("work 7200", None);
    let rig = Rig::start(&queue);
    sleep(8000 * SECOND).await;
    assert_eq!((rig.done().len(), queue.count(|what| what == What::Received)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_heartbeat_never_fires_after_delete() {
    let queue = standard();
    // lengths around the heartbeat's rhythm of 40 s
    for secs in [39, 40, 41, 79, 80, 81, 120] {
        queue.put(&format!("work {secs}"), None);
    }
    let port = Faulty::new(&queue).at("extend", [], &Trouble::Hang);
    let rig = Rig::with(port.clone(), SETTINGS);
    sleep(1000 * SECOND).await;
    assert!(queue.bodies().is_empty() && rig.done().len() == 7);
    for deleted in queue.events().iter().filter(|event| event.what == What::Deleted) {
        let later = queue.events().into_iter().filter(|event| event.body == deleted.body && event.at > deleted.at);
        assert_eq!(later.count(), 0, "{}", deleted.body);
    }
    let accepted = queue.count(|what| matches!(what, What::Extended(_)));
    assert_eq!(accepted, port.calls("extend"), "a call after the delete would have been refused");
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_cancels_the_engine_and_publishes_nothing() {
    let queue = refusing();
    queue.put("work 1000", None);
    let rig = Rig::start(&queue);
    sleep(10 * SECOND).await;
    queue.steal("work 1000");
    sleep(50 * SECOND).await;
    assert_eq!(*rig.handler.lost.lock().unwrap(), ["work 1000"]);
    assert!(rig.done().is_empty() && rig.handler.reports.lock().unwrap().is_empty());
    assert_eq!(queue.bodies(), ["work 1000"], "it is the other worker's");
    assert!(queue.hidden_for("work 1000") > Duration::ZERO, "not released under the other worker's hands");
    assert_eq!(rig.counts.lost.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn work_that_ends_well_after_the_loss_deletes_nothing() {
    let queue = refusing();
    queue.put("stubborn 45", None);
    let port = Faulty::new(&queue).at("delete", [], &Trouble::Hang);
    let rig = Rig::with(port.clone(), SETTINGS);
    sleep(10 * SECOND).await;
    // found out by the heartbeat at 40 s
    queue.steal("stubborn 45");
    sleep(60 * SECOND).await;
    assert_eq!(rig.done().len(), 1);
    assert_eq!((rig.counts.lost.get(), port.calls("delete")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ended_by_the_clock_is_not_settled_though_the_queue_would_accept_it() {
    let queue = standard();
    queue.put("stubborn 125", None);
    let port = Faulty::new(&queue).at("extend", 1..100, &throttled());
    let rig = Rig::with(port.clone(), SETTINGS);
    sleep(POLL + 126 * SECOND).await;
    assert_eq!(rig.done().len(), 1);
    assert_eq!((rig.counts.lost.get() > 0, port.calls("delete"), queue.bodies().len()), (true, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn an_extension_in_flight_is_awaited_before_the_message_is_settled() {
    let queue = standard();
    queue.put("work 41", None);
    // on its way from 40 s to 41.5 s
    let port = Faulty::new(&queue).at("extend", [1], &Trouble::Slow(SECOND * 3 / 2));
    let _rig = Rig::with(port, SETTINGS);
    sleep(60 * SECOND).await;
    let order: Vec<_> = queue.events().iter().map(|event| event.what).collect();
    assert_eq!(order, [What::Received, What::Extended(SETTINGS.visibility), What::Deleted]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_ignores_the_loss_of_its_lease_frees_its_slot() {
    let queue = refusing();
    queue.put("deaf", None);
    let rig = Rig::start(&queue);
    sleep(10 * SECOND).await;
    queue.steal("deaf");
    sleep(60 * SECOND).await;
    assert_eq!((rig.counts.lost.get(), rig.counts.in_flight.get()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn without_work_it_ends_when_told_to() {
    let queue = standard();
    queue.put("work 500", None);
    let begun = Instant::now();
    let rig = Rig::with(queue.clone(), Settings { idle_after: Some(300 * SECOND), ..SETTINGS });
    assert_eq!(rig.ended().await, Ok(Ended::Idle));
    let secs = begun.elapsed().as_secs();
    assert!((800..=850).contains(&secs), "500 s of work and 300 s without, ended after {secs} s");
}

#[tokio::test(start_paused = true)]
async fn the_loop_shows_life_while_it_polls_and_none_while_stuck_work_fills_it() {
    let queue = standard();
    let rig = Rig::start(&queue);
    let polling = rig.progress.turns();
    sleep(10 * POLL).await;
    assert!(rig.progress.turns() >= polling + 9);
    queue.put("deaf 1", None);
    queue.put("deaf 2", None);
    sleep(2 * LOOK_EVERY).await;
    let stuck = rig.progress.turns();
    sleep(10 * POLL).await;
    assert_eq!(rig.progress.turns(), stuck, "nothing moves, so systemd must not be told otherwise");
    for _ in 0..10 {
        rig.progress.step();
        sleep(LOOK_EVERY).await;
    }
    assert!(rig.progress.turns() >= stuck + 9, "the flow's steps are life");
}
