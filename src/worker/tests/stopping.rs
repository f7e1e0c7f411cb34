//! What a stop does to the poll, to the back-off and to the work.

use super::*;

#[tokio::test(start_paused = true)]
async fn stop_interrupts_backoff_sleep() {
    for method in ["traits", "receive"] {
        let queue = standard();
        let rig = Rig::with(Faulty::new(&queue).at(method, 1..=1000, &throttled()), SETTINGS);
        // by now the back-off is at its longest, and this falls into one
        sleep(3600 * SECOND).await;
        rig.stop();
        let ended = timeout(Duration::from_millis(1), rig.ended()).await.expect("no wait for the back-off");
        assert_eq!(ended, Ok(Ended::Drained(Reason::Signal("SIGTERM"))), "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn stop_during_a_long_poll_releases_the_late_message() {
    let queue = standard();
    let rig = Rig::start(&queue);
    sleep(5 * SECOND).await;
    rig.stop();
    sleep(5 * SECOND).await;
    queue.put("late", None);
    let handler = rig.handler.clone();
    assert_eq!(rig.ended().await, Ok(Ended::Drained(Reason::Signal("SIGTERM"))));
    assert_eq!(queue.count(|what| what == What::Received), 1, "the poll was not dropped");
    assert_eq!(queue.hidden_for("late"), Duration::ZERO, "and gave back what it brought");
    assert!(handler.begun.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stop_without_work_ends_with_the_poll() {
    let queue = standard();
    let rig = Rig::start(&queue);
    sleep(5 * SECOND).await;
    let begun = Instant::now();
    rig.stop();
    assert!(rig.ended().await.is_ok() && begun.elapsed() <= POLL);
}

#[tokio::test(start_paused = true)]
async fn an_in_flight_job_finishes_despite_stop() {
    let queue = standard();
    queue.put("work 200", None);
    queue.put("work 150", None);
    queue.put("work 1 never begun", None);
    let rig = Rig::start(&queue);
    sleep(10 * SECOND).await;
    rig.stop();
    let (begun, handler) = (Instant::now(), rig.handler.clone());
    assert!(rig.ended().await.is_ok());
    assert_eq!(*handler.done.lock().unwrap(), ["work 150", "work 200"]);
    assert_eq!(queue.bodies(), ["work 1 never begun"]);
    assert!(begun.elapsed() < 195 * SECOND, "it ends with the work, not with the deadline");
}

#[tokio::test(start_paused = true)]
async fn work_longer_than_the_deadline_is_given_back_at_the_abort() {
    let queue = standard();
    queue.put("work 5000", None);
    let rig = Rig::start(&queue);
    sleep(10 * SECOND).await;
    let begun = Instant::now();
    rig.stop();
    assert!(rig.ended().await.is_ok());
    assert_eq!(queue.hidden_for("work 5000"), Duration::ZERO);
    assert_eq!(begun.elapsed().as_secs(), (GRACE - MARGIN).as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_deaf_handler_is_dropped_and_its_message_released_before_the_deadline() {
    let queue = standard();
    queue.put("deaf", None);
    let rig = Rig::start(&queue);
    sleep(10 * SECOND).await;
    let begun = Instant::now();
    rig.stop();
    assert!(rig.ended().await.is_ok());
    assert_eq!(queue.hidden_for("deaf"), Duration::ZERO);
    assert!(begun.elapsed() < GRACE, "the instance would have gone first");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_hangs_cannot_hold_the_worker_beyond_the_deadline() {
    let queue = standard();
    queue.put("deaf", None);
    let rig = Rig::with(Faulty::new(&queue).at("extend", 8..=1000, &Trouble::Hang), SETTINGS);
    sleep(10 * SECOND).await;
    let begun = Instant::now();
    rig.stop();
    assert!(rig.ended().await.is_ok() && begun.elapsed() <= GRACE + SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_second_interrupt_gives_work_back_now() {
    let queue = standard();
    queue.put("work 5000", None);
    let rig = Rig::start(&queue);
    sleep(POLL).await;
    rig.stop();
    rig.drain.begin_abort(Reason::Signal("SIGINT"));
    let ended = timeout(POLL, rig.ended()).await.expect("no wait for the work");
    assert_eq!(ended, Ok(Ended::Drained(Reason::Signal("SIGTERM"))));
    assert_eq!(queue.hidden_for("work 5000"), Duration::ZERO);
}
