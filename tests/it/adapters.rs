//! SQS and EventBridge as the worker uses them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::config::SharedCredentialsProvider;
use aws_sdk_sqs::types::QueueAttributeName as Attribute;
use serde_json::{Value, json};
use transcription_worker::app::aws::config_for_endpoint;
use transcription_worker::fault::{Code, Fault, Problem};
use transcription_worker::publish::eventbridge::EventBridge;
use transcription_worker::publish::{Publish, SourceAudio, Status, TranscriptionCompleted};
use transcription_worker::queue::Queue;
use transcription_worker::queue::sqs::SqsQueue;

use crate::conformance;
use crate::server::account;

const VISIBILITY: Duration = Duration::from_secs(60);

/// A queue by its URL; an empty one answers at once.
fn queue(config: &SdkConfig, url: &str) -> SqsQueue {
    SqsQueue::new(aws_sdk_sqs::Client::new(config), url, Duration::ZERO)
}

async fn create(config: &SdkConfig, name: &str, attributes: &[(Attribute, &str)]) -> String {
    let mut request = aws_sdk_sqs::Client::new(config).create_queue().queue_name(name);
    for (key, value) in attributes {
        request = request.attributes(key.clone(), *value);
    }
    request.send().await.unwrap().queue_url.unwrap()
}

/// A queue that gives up after three receives, and its dead-letter queue.
async fn create_with_dead_letters(config: &SdkConfig, account: &str, ending: &str) -> (String, String) {
    let fifo: &[(Attribute, &str)] = if ending.is_empty() { &[] } else { &[(Attribute::FifoQueue, "true")] };
    let dead = create(config, &format!("dead{ending}"), fifo).await;
    let arn = format!("arn:aws:sqs:us-east-1:{account}:dead{ending}");
    let policy = json!({"deadLetterTargetArn": arn, "maxReceiveCount": "3"}).to_string();
    let attributes = [fifo, &[(Attribute::RedrivePolicy, policy.as_str())]].concat();
    (create(config, &format!("jobs{ending}"), &attributes).await, dead)
}

#[tokio::test]
async fn a_message_is_sent_received_kept_and_deleted() {
    let (config, _) = account();
    let queue = queue(&config, &create(&config, "jobs", &[]).await);
    let id = queue.send("hello", None).await.unwrap();
    let taken = queue.receive(10, VISIBILITY).await.unwrap();
    assert_eq!(taken.len(), 1);
    let message = taken.first().unwrap();
    assert_eq!((&message.id, message.body.as_str(), message.receive_count), (&id, "hello", 1));
    assert!(message.sent_at_ms > 1_600_000_000_000);
    queue.extend(message, VISIBILITY).await.unwrap();
    assert!(queue.receive(10, VISIBILITY).await.unwrap().is_empty());
    queue.delete(message).await.unwrap();
    let attributes = queue.traits().await.unwrap();
    assert_eq!((attributes.max_receive_count, attributes.fifo, attributes.dead_letter_url), (None, false, None));
}

#[tokio::test]
async fn a_message_given_back_is_delivered_again_and_its_old_receipt_is_a_lost_lease() {
    let (config, _) = account();
    let queue = queue(&config, &create(&config, "jobs", &[]).await);
    queue.send("hello", None).await.unwrap();
    let first = queue.receive(1, VISIBILITY).await.unwrap().remove(0);
    queue.extend(&first, Duration::ZERO).await.unwrap();
    let second = queue.receive(1, VISIBILITY).await.unwrap().remove(0);
    assert_eq!(second.receive_count, 2);
    assert_eq!(queue.extend(&first, VISIBILITY).await, Err(Fault::LeaseLost));
    assert_eq!(queue.delete(&first).await, Err(Fault::LeaseLost));
    queue.delete(&second).await.unwrap();
}

/// The same that `tests/sim` asks of its queue in memory.
#[tokio::test]
async fn the_server_does_what_sqs_does() {
    let (config, account) = account();
    let (url, dead_url) = create_with_dead_letters(&config, &account, "").await;
    let waiting = SqsQueue::new(aws_sdk_sqs::Client::new(&config), &url, Duration::from_secs(1));
    let dead_letters = queue(&config, &dead_url);
    let bodies = async || {
        let letters = dead_letters.receive(10, VISIBILITY).await.unwrap();
        letters.into_iter().map(|letter| letter.body).collect()
    };
    conformance::hold(&waiting, bodies).await;
}

#[tokio::test]
async fn a_receive_waits_for_a_message_that_is_sent_meanwhile() {
    let (config, _) = account();
    let url = create(&config, "jobs", &[]).await;
    let waiting = SqsQueue::new(aws_sdk_sqs::Client::new(&config), &url, Duration::from_secs(20));
    let sender = queue(&config, &url);
    let (taken, sent) = tokio::join!(waiting.receive(1, VISIBILITY), sender.send("hello", None));
    sent.unwrap();
    assert_eq!(taken.unwrap().len(), 1);
}

#[tokio::test]
async fn a_dead_letter_carries_the_body_and_the_reason() {
    let (config, account) = account();
    let (url, dead_url) = create_with_dead_letters(&config, &account, "").await;
    let queue = queue(&config, &url);
    let traits = queue.traits().await.unwrap();
    assert_eq!((traits.max_receive_count, traits.dead_letter_url.as_ref()), (Some(3), Some(&dead_url)));

    queue.send("hello", None).await.unwrap();
    let message = queue.receive(1, VISIBILITY).await.unwrap().remove(0);
    let reason = Problem { code: Code::CorruptAudio, message: "not\u{0} audio".to_owned() };
    queue.dead_letter(&message, &message.body, &reason).await.unwrap();

    let client = aws_sdk_sqs::Client::new(&config);
    let answer = client.receive_message().queue_url(dead_url).message_attribute_names("All").send().await.unwrap();
    let dead = answer.messages().first().unwrap();
    assert_eq!(dead.body(), Some("hello"));
    let attributes = dead.message_attributes().unwrap();
    let attribute = |name: &str| attributes.get(name).and_then(|value| value.string_value());
    assert_eq!(attribute("ErrorCode"), Some("CORRUPT_AUDIO"));
    assert_eq!(attribute("ErrorMessage"), Some("not audio"));
    assert_eq!(attribute("SourceMessageId"), Some(message.id.as_str()));
}

#[tokio::test]
async fn a_fifo_queue_gives_one_message_at_a_time_and_has_fifo_dead_letters() {
    let (config, account) = account();
    let (url, dead_url) = create_with_dead_letters(&config, &account, ".fifo").await;
    let fifo = queue(&config, &url);
    assert!(fifo.traits().await.unwrap().fifo);
    fifo.send("one", Some("a")).await.unwrap();
    fifo.send("two", Some("b")).await.unwrap();
    let taken = fifo.receive(10, VISIBILITY).await.unwrap();
    assert_eq!(taken.len(), 1);
    let message = taken.first().unwrap();
    assert_eq!((message.body.as_str(), message.group.as_deref()), ("one", Some("a")));
    let reason = Problem { code: Code::BadMessage, message: "no".to_owned() };
    fifo.dead_letter(message, &message.body, &reason).await.unwrap();
    fifo.dead_letter(message, &message.body, &reason).await.unwrap();
    let dead = queue(&config, &dead_url);
    let buried = dead.receive(1, VISIBILITY).await.unwrap();
    assert_eq!(buried.first().map(|m| (m.body.as_str(), m.group.as_deref())), Some(("one", Some("a"))));
    dead.delete(buried.first().unwrap()).await.unwrap();
    assert!(dead.receive(1, VISIBILITY).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_queue_that_does_not_exist_is_a_permanent_fault_that_names_it() {
    let (config, account) = account();
    let url = format!("{}/{account}/nowhere", config.endpoint_url().unwrap());
    let fault = queue(&config, &url).traits().await.unwrap_err();
    assert!(
        matches!(&fault, Fault::Permanent(p) if p.code == Code::ObjectNotFound && p.message.contains(&url)),
        "{fault}"
    );
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_a_transient_fault() {
    let config = config_for_endpoint("http://127.0.0.1:1", "100000000000").unwrap();
    let fault = queue(&config, "http://127.0.0.1:1/100000000000/jobs").traits().await.unwrap_err();
    assert!(matches!(&fault, Fault::Transient(p) if p.code == Code::ServiceUnavailable), "{fault}");
}

#[tokio::test]
async fn credentials_that_do_not_load_are_a_transient_fault() {
    let nobody = aws_config::profile::ProfileFileCredentialsProvider::builder().profile_name("no such profile").build();
    let (config, _) = account();
    let config = config.into_builder().credentials_provider(SharedCredentialsProvider::new(nobody)).build();
    let fault = queue(&config, "http://127.0.0.1:1/100000000000/jobs").traits().await.unwrap_err();
    assert!(matches!(&fault, Fault::Transient(p) if p.message.contains("credential")), "{fault}");
}

#[tokio::test]
async fn an_event_reaches_the_queue_behind_a_rule() {
    let (config, account) = account();
    let url = create(&config, "events", &[]).await;
    let client = aws_sdk_eventbridge::Client::new(&config);
    client.create_event_bus().name("hub").send().await.unwrap();
    let pattern = r#"{"detail-type":["Transcription Completed"],"detail":{"status":["failed"]}}"#;
    client.put_rule().name("all").event_bus_name("hub").event_pattern(pattern).send().await.unwrap();
    let arn = format!("arn:aws:sqs:us-east-1:{account}:events");
    let target = aws_sdk_eventbridge::types::Target::builder().id("queue").arn(arn).build().unwrap();
    client.put_targets().rule("all").event_bus_name("hub").targets(target).send().await.unwrap();

    let event = TranscriptionCompleted {
        version: "1.0".to_owned(),
        user_id: "u1".to_owned(),
        file_id: "f1".to_owned(),
        job_id: "j1".to_owned(),
        status: Status::Failed,
        source_audio: SourceAudio { bucket: "b".to_owned(), key: "k".to_owned() },
        transcript_location: None,
        transcript_metadata: None,
        error: None,
        completed_at: "2026-01-05T12:00:00Z".to_owned(),
        metadata: Some(serde_json::json!({"course": 7})),
        tags: None,
    };
    let missing = EventBridge::new(client.clone(), "no-hub").check().await;
    assert!(matches!(&missing, Err(Fault::Permanent(p)) if p.code == Code::ObjectNotFound), "{missing:?}");
    let hub = EventBridge::new(client, "hub");
    assert_eq!(hub.check().await, Ok(None));
    hub.publish(&event.clone().into(), None).await.unwrap();

    let waiting = SqsQueue::new(aws_sdk_sqs::Client::new(&config), url, Duration::from_secs(20));
    let taken = waiting.receive(1, VISIBILITY).await.unwrap();
    let envelope: Value = serde_json::from_str(&taken.first().unwrap().body).unwrap();
    assert_eq!(envelope["source"], "custom.transcription-service");
    assert_eq!(serde_json::from_value::<TranscriptionCompleted>(envelope["detail"].clone()).unwrap(), event);
}
