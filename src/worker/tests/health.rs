//! What a worker does that is suspect, or sick.

use super::*;
use crate::health::{Part, Sickness};

/// Three failures in a row.
fn accuse(rig: &Rig, part: Part) {
    (0..3).for_each(|_| rig.health.fails(part, "503"));
}

#[tokio::test(start_paused = true)]
async fn a_suspect_worker_takes_one_message_at_a_time_with_growing_pauses() {
    let queue = standard();
    let rig = Rig::start(&queue);
    accuse(&rig, Part::Bus);
    (0..6).for_each(|n| queue.put(&format!("work 1 {n}"), None));
    sleep(3600 * SECOND).await;
    let received: Vec<_> = queue.events().into_iter().filter(|it| it.what == What::Received).map(|it| it.at).collect();
    assert_eq!((received.len(), *rig.handler.most.lock().unwrap()), (6, 1));
    let pauses: Vec<_> = received.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        pauses.iter().all(|pause| *pause >= 2 * SECOND) && pauses.iter().sum::<Duration>() > 15 * SECOND,
        "{pauses:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn one_success_makes_a_suspect_worker_well() {
    let queue = standard();
    let rig = Rig::start(&queue);
    accuse(&rig, Part::Bus);
    sleep(SECOND).await;
    rig.health.works(Part::Bus);
    (0..6).for_each(|n| queue.put(&format!("work 100 {n}"), None));
    sleep(POLL + SECOND).await;
    assert_eq!(*rig.handler.most.lock().unwrap(), 2, "both slots are used");
}

#[tokio::test(start_paused = true)]
async fn a_sick_worker_receives_nothing_more_gives_back_what_it_has_and_ends() {
    let queue = standard();
    queue.put("work 10000", None);
    let rig = Rig::start(&queue);
    sleep(SECOND).await;
    rig.health.broke(Part::Engine, "no GPU");
    sleep(SECOND).await;
    queue.put("ok", None);
    let (handler, ended) = (rig.handler.clone(), rig.ended().await);
    assert_eq!(ended, Ok(Ended::Sick(Sickness { reason: "the engine: no GPU".to_owned(), needs_a_person: false })));
    assert_eq!(queue.hidden_for("work 10000"), Duration::ZERO);
    assert_eq!(handler.begun.lock().unwrap().len(), 1);
    assert!(handler.reports.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_only_waits_holds_no_slot() {
    let queue = standard();
    (0..5).for_each(|n| queue.put(&format!("wait 300 {n}"), None));
    let rig = Rig::start(&queue);
    sleep(60 * SECOND).await;
    queue.put("ok", None);
    sleep(POLL + SECOND).await;
    assert_eq!(rig.done(), ["ok"]);
    sleep(300 * SECOND).await;
    assert_eq!((rig.done().len(), queue.bodies().len()), (6, 0));
}
