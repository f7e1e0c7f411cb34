//! What SQS is asked, and what its answers mean.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use tokio::time::advance;

use super::*;
use crate::app::aws::fake::{Answer, FakeAws};

const URL: &str = "http://aws.test/100000000000/jobs";

fn queue(aws: &FakeAws) -> SqsQueue {
    SqsQueue::new(Client::new(&aws.config()), URL, Duration::ZERO)
}

/// What SQS is asked for.
fn is(request: &aws_smithy_runtime_api::client::orchestrator::HttpRequest, operation: &str) -> bool {
    request.headers().get("x-amz-target").is_some_and(|target| target.ends_with(operation))
}

fn attributes(all: Value) -> Answer {
    Answer::new(200, json!({ "Attributes": all }).to_string())
}

fn policy(limit: u32) -> Value {
    json!({"RedrivePolicy": json!({"deadLetterTargetArn": "arn:aws:sqs:r:1:dead", "maxReceiveCount": limit}).to_string()})
}

#[tokio::test]
async fn only_a_fifo_queue_has_groups_whose_messages_wait_for_each_other() {
    for (fifo, group) in [("true", Some("tenant")), ("false", None)] {
        let aws = FakeAws::new(move |request| {
            if is(request, "GetQueueAttributes") {
                return attributes(json!({ "FifoQueue": fifo }));
            }
            let message = json!({"MessageId": "m", "ReceiptHandle": "r", "Body": "b", "Attributes": {"MessageGroupId": "tenant"}});
            Answer::new(200, json!({"Messages": [message]}).to_string())
        });
        let taken = queue(&aws).receive(10, Duration::from_secs(60)).await.unwrap();
        assert_eq!(taken.first().unwrap().group.as_deref(), group, "FifoQueue {fifo}");
    }
}

#[tokio::test]
async fn a_trace_comes_with_the_message_and_goes_with_its_copy() {
    const TRACE: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1";
    let aws = FakeAws::new(|request| {
        if is(request, "GetQueueAttributes") {
            return attributes(policy(3));
        }
        let message =
            json!({"MessageId": "m", "ReceiptHandle": "r", "Body": "b", "Attributes": {"AWSTraceHeader": TRACE}});
        Answer::new(200, json!({"Messages": [message], "QueueUrl": "http://aws.test/1/dead"}).to_string())
    });
    let queue = queue(&aws);
    let taken = queue.receive(10, Duration::from_secs(60)).await.unwrap();
    let message = taken.first().unwrap();
    assert_eq!(message.trace.as_deref(), Some(TRACE));
    let reason = Problem { code: Code::BadMessage, message: "no".to_owned() };
    queue.dead_letter(message, &message.body, &reason).await.unwrap();
    let asked: Vec<Value> = aws.bodies().iter().map(|body| serde_json::from_slice(body).unwrap()).collect();
    let receive = asked.iter().find(|body| body.get("WaitTimeSeconds").is_some()).unwrap();
    assert!(receive.to_string().contains("AWSTraceHeader"), "SQS tells only what it is asked for: {receive}");
    let copy = asked.iter().find(|body| body.get("MessageBody").is_some()).unwrap();
    assert_eq!(copy.pointer("/MessageSystemAttributes/AWSTraceHeader/StringValue"), Some(&json!(TRACE)));
}

#[tokio::test(start_paused = true)]
async fn the_receive_limit_follows_the_queue_and_holds_while_it_cannot_be_read() {
    let limit = Arc::new(AtomicU32::new(3));
    let now = limit.clone();
    let aws = FakeAws::new(move |request| match now.load(Ordering::Relaxed) {
        0 => Answer::new(503, "{}"),
        limit if is(request, "GetQueueAttributes") => attributes(policy(limit)),
        _ => Answer::new(200, json!({"QueueUrl": "http://aws.test/1/dead"}).to_string()),
    });
    let queue = queue(&aws);
    let read = async || queue.traits().await.unwrap().max_receive_count;
    assert_eq!(read().await, Some(3));
    limit.store(10, Ordering::Relaxed);
    assert_eq!(read().await, Some(3), "not at each message");
    for (answer, expected) in [(10, 10), (0, 10), (5, 5)] {
        limit.store(answer, Ordering::Relaxed);
        advance(READ_AGAIN_AFTER).await;
        assert_eq!(read().await, Some(expected));
    }
    assert_eq!(queue.traits().await.unwrap().dead_letter_url.as_deref(), Some("http://aws.test/1/dead"));
}

/// A dead-letter queue that takes so many bytes, as SQS counts and refuses them.
fn small(most_bytes: usize) -> FakeAws {
    FakeAws::new(move |request| {
        if is(request, "GetQueueAttributes") {
            return attributes(policy(3));
        }
        if is(request, "GetQueueUrl") {
            return Answer::new(200, json!({"QueueUrl": "http://aws.test/1/dead"}).to_string());
        }
        let sent: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let size = |value: &Value| value.as_str().unwrap_or_default().len();
        let attributes = sent["MessageAttributes"].as_object().unwrap();
        let attributes = attributes.iter().map(|(name, value)| name.len() + 6 + size(&value["StringValue"]));
        if size(&sent["MessageBody"]) + attributes.sum::<usize>() <= most_bytes {
            return Answer::new(200, json!({"MessageId": "d"}).to_string());
        }
        let message =
            format!("One or more parameters are invalid. Reason: Message must be shorter than {most_bytes} bytes.");
        Answer::new(400, json!({"__type": "com.amazonaws.sqs#InvalidParameterValue", "message": message}).to_string())
    })
}

#[tokio::test]
async fn a_reason_that_makes_a_dead_letter_too_large_is_shortened() {
    let body = "b".repeat(9_700);
    let message = Message {
        id: "m".to_owned(),
        body: body.clone(),
        receipt: "r".to_owned(),
        receive_count: 1,
        sent_at_ms: 0,
        tenant: None,
        group: None,
        trace: Some("Root=1-5759e988-bd862e3fe1be46a994272793".to_owned()),
    };
    let reason = Problem { code: Code::BadMessage, message: "x".repeat(2_000) };
    assert_eq!(queue(&small(10_000)).dead_letter(&message, &body, &reason).await, Ok(()));
    let fault = queue(&small(9_000)).dead_letter(&message, &body, &reason).await.unwrap_err();
    assert!(matches!(&fault, Fault::Permanent(p) if p.message.contains("MaximumMessageSize")), "{fault}");
}

#[test]
fn a_short_visibility_is_not_rounded_to_a_release() {
    assert_eq!(seconds(Duration::from_millis(200), MAX_VISIBILITY_SECS), 1);
    assert_eq!(seconds(Duration::ZERO, MAX_VISIBILITY_SECS), 0);
    assert_eq!(seconds(Duration::from_secs(100_000), MAX_VISIBILITY_SECS), 43_200);
}

#[test]
fn the_receive_limit_is_read_as_a_number_or_as_text() {
    assert_eq!(max_receive_count(&serde_json::json!({"maxReceiveCount": 3})), Some(3));
    assert_eq!(max_receive_count(&serde_json::json!({"maxReceiveCount": "3"})), Some(3));
    assert_eq!(max_receive_count(&serde_json::json!({})), None);
}

#[test]
fn an_attribute_is_never_refused_for_its_characters() {
    let value = |input: &str| text(input, MAX_REASON_CHARS, "test").unwrap().string_value.unwrap();
    assert_eq!(value("a\u{0}b\nc"), "abc");
    assert_eq!(value("\u{1}"), "-");
    assert_eq!(value(&"ü".repeat(3_000)).chars().count(), 1_000);
}
