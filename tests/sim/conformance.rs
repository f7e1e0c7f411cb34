//! What a queue does, one behaviour after the other, asked through its port: of the queue in memory and of a server that
//! speaks SQS's API alike, so that what is proved over the one holds for the other.
//!
//! Left out is what the two do differently: a receipt of an earlier delivery is accepted by standard queues of SQS and by the
//! queue in memory, and refused by the stand-in server; visibility beyond 12 hours is refused by SQS and the queue in memory,
//! and accepted by the server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use tokio::time::{Instant, sleep};
use transcription_worker::queue::{Message, Queue};

/// Receives after which the queue moves a message to its dead letters.
pub const MAX_RECEIVES: u32 = 3;

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(60);

/// Asks everything of an empty queue that waits for messages for a second, with dead letters behind it.
pub async fn hold(queue: &dyn Queue, dead: impl AsyncFn() -> Vec<String>) {
    a_message_is_delivered_once_while_it_is_hidden(queue).await;
    visibility_ends_by_itself(queue).await;
    an_extension_counts_from_its_call(queue).await;
    no_visibility_gives_a_message_back(queue).await;
    a_receive_takes_as_many_as_it_may(queue).await;
    a_receive_waits_for_a_message(queue).await;
    a_message_received_too_often_is_a_dead_letter(queue, dead).await;
}

async fn a_message_is_delivered_once_while_it_is_hidden(queue: &dyn Queue) {
    let id = queue.send("once", None).await.unwrap();
    let message = one(queue, LONG).await;
    assert_eq!((message.id.as_str(), message.body.as_str(), message.receive_count), (id.as_str(), "once", 1));
    assert!(receive(queue, LONG).await.is_empty());
    queue.delete(&message).await.unwrap();
}

async fn visibility_ends_by_itself(queue: &dyn Queue) {
    queue.send("returns", None).await.unwrap();
    let first = one(queue, SECOND).await;
    sleep(SECOND).await;
    let second = one(queue, LONG).await;
    assert_eq!((&second.id, second.receive_count), (&first.id, 2));
    assert_ne!(second.receipt, first.receipt);
    queue.delete(&second).await.unwrap();
}

async fn an_extension_counts_from_its_call(queue: &dyn Queue) {
    queue.send("kept", None).await.unwrap();
    let message = one(queue, LONG).await;
    // shorter than what is left: it replaces, it does not add
    queue.extend(&message, SECOND * 2).await.unwrap();
    assert!(receive(queue, LONG).await.is_empty());
    sleep(SECOND).await;
    let again = one(queue, LONG).await;
    assert_eq!(again.receive_count, 2);
    queue.delete(&again).await.unwrap();
}

async fn no_visibility_gives_a_message_back(queue: &dyn Queue) {
    queue.send("back", None).await.unwrap();
    let message = one(queue, LONG).await;
    queue.extend(&message, Duration::ZERO).await.unwrap();
    let again = one(queue, LONG).await;
    assert_eq!(again.receive_count, 2);
    queue.delete(&again).await.unwrap();
}

async fn a_receive_takes_as_many_as_it_may(queue: &dyn Queue) {
    for n in 0..12 {
        queue.send(&format!("many {n}"), None).await.unwrap();
    }
    let mut taken = Vec::new();
    while taken.len() < 12 {
        let messages = queue.receive(5, LONG).await.unwrap();
        assert!((1..=5).contains(&messages.len()), "{} messages", messages.len());
        taken.extend(messages);
    }
    for message in &taken {
        queue.delete(message).await.unwrap();
    }
    assert!(receive(queue, LONG).await.is_empty());
}

async fn a_receive_waits_for_a_message(queue: &dyn Queue) {
    let begun = Instant::now();
    assert!(receive(queue, LONG).await.is_empty());
    assert!(begun.elapsed() >= SECOND * 9 / 10, "{:?}", begun.elapsed());
    let later = async {
        sleep(SECOND / 2).await;
        queue.send("later", None).await.unwrap();
    };
    let (taken, ()) = tokio::join!(receive(queue, LONG), later);
    assert_eq!(taken.len(), 1);
    queue.delete(&taken[0]).await.unwrap();
}

async fn a_message_received_too_often_is_a_dead_letter(queue: &dyn Queue, dead: impl AsyncFn() -> Vec<String>) {
    queue.send("too often", None).await.unwrap();
    for count in 1..=MAX_RECEIVES {
        let message = one(queue, LONG).await;
        assert_eq!(message.receive_count, count);
        assert!(dead().await.is_empty(), "while it is at work the message is in its queue");
        queue.extend(&message, Duration::ZERO).await.unwrap();
    }
    // the next receive finds it, and moves it
    assert!(receive(queue, LONG).await.is_empty());
    assert_eq!(dead().await, ["too often"]);
}

async fn receive(queue: &dyn Queue, visibility: Duration) -> Vec<Message> {
    queue.receive(10, visibility).await.unwrap()
}

async fn one(queue: &dyn Queue, visibility: Duration) -> Message {
    let mut messages = receive(queue, visibility).await;
    assert_eq!(messages.len(), 1);
    messages.remove(0)
}
