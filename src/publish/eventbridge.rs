//! Events onto an Amazon EventBridge bus.

use async_trait::async_trait;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use serde_json::Value;

use super::{Event, Publish, SOURCE};
use crate::fault::sdk::{by_code, classify};
use crate::fault::{Code, Fault};
use crate::letters::process::Bus;

/// One event bus.
#[derive(Debug)]
pub struct EventBridge {
    client: Client,
    bus: String,
}

impl EventBridge {
    /// The bus with this name or ARN.
    pub fn new(client: Client, bus: impl Into<String>) -> Self {
        Self { client, bus: bus.into() }
    }

    async fn put(&self, entry: PutEventsRequestEntry, what: &str) -> Result<(), Fault> {
        let answer = self.client.put_events().entries(entry).send().await.map_err(|e| classify(&e, what))?;
        // a refused entry comes with status 200
        match answer.failed_entry_count() {
            0 => Ok(()),
            _ => Err(refused(answer.entries().first(), what)),
        }
    }
}

#[async_trait]
impl Publish for EventBridge {
    async fn check(&self) -> Result<Option<String>, Fault> {
        let what = format!("find event bus {}", self.bus);
        match self.client.describe_event_bus().name(&self.bus).send().await.map_err(|e| classify(&e, &what)) {
            Ok(_) => Ok(None),
            Err(Fault::Permanent(problem)) if problem.code == Code::AccessDenied => Ok(Some(format!(
                "{} (without events:DescribeEventBus a bus that does not exist swallows every event unnoticed)",
                problem.message
            ))),
            Err(fault) => Err(fault),
        }
    }

    async fn publish(&self, event: &Event, trace: Option<&str>) -> Result<(), Fault> {
        let what = format!("publish {} of job {} on bus {}", event.detail_type(), event.job_id(), self.bus);
        // ids, keys, sentence and what is given back are bounded: less than the 256 KB that an entry may have
        let detail = serde_json::to_string(event)
            .map_err(|e| Fault::permanent(Code::Internal, format!("failed to {what}: {e}")))?;
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(SOURCE)
            .detail_type(event.detail_type())
            .detail(detail)
            .set_trace_header(trace.filter(|trace| is_trace(trace)).map(str::to_owned))
            .build();
        self.put(entry, &what).await
    }
}

#[async_trait]
impl Bus for EventBridge {
    async fn forward(&self, source: &str, detail_type: &str, detail: &Value) -> Result<(), Fault> {
        let what = format!("publish {detail_type} of {source} again on bus {}", self.bus);
        let entry = PutEventsRequestEntry::builder().event_bus_name(&self.bus).source(source).detail_type(detail_type);
        self.put(entry.detail(detail.to_string()).build(), &what).await
    }
}

/// Whether EventBridge takes it: an entry must not be refused for a header that nobody needs.
fn is_trace(header: &str) -> bool {
    const MAX_BYTES: usize = 500;
    (1..=MAX_BYTES).contains(&header.len()) && header.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
}

/// The fault of an entry that was not taken: transient unless its code clearly says otherwise.
fn refused(entry: Option<&PutEventsResultEntry>, what: &str) -> Fault {
    let code = entry.and_then(PutEventsResultEntry::error_code).unwrap_or("no error code");
    let message = entry.and_then(PutEventsResultEntry::error_message).unwrap_or("no message");
    tracing::info!(code, answer = message, "EventBridge refused to {what}");
    match by_code(code, None, format!("failed to {what}: {code}")) {
        Fault::Permanent(problem)
            if problem.code == Code::Internal
                && !["Malformed", "Invalid", "Validation"].iter().any(|c| code.contains(c)) =>
        {
            Fault::transient(Code::ServiceUnavailable, problem.message)
        }
        fault => fault,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::json;

    use super::*;
    use crate::app::aws::fake::{Answer, FakeAws};
    use crate::job::Echo;
    use crate::publish::log::tests::failed;

    fn entry(code: &str) -> PutEventsResultEntry {
        PutEventsResultEntry::builder().error_code(code).error_message("so it is").build()
    }

    #[test]
    fn a_refused_entry_is_retried_unless_it_can_never_pass() {
        for code in ["InternalFailure", "ThrottlingException", "SomethingNew"] {
            assert!(matches!(refused(Some(&entry(code)), "publish"), Fault::Transient(_)), "{code}");
        }
        for code in ["MalformedDetail", "InvalidArgument", "AccessDeniedException"] {
            assert!(matches!(refused(Some(&entry(code)), "publish"), Fault::Permanent(_)), "{code}");
        }
        assert!(matches!(refused(None, "publish"), Fault::Transient(_)));
    }

    #[tokio::test]
    async fn a_bus_is_asked_for_since_one_that_is_missing_swallows_events() {
        let check = async |status, code: &str| {
            let body = json!({ "__type": code, "message": "so it is", "Name": "hub" }).to_string();
            let aws = FakeAws::new(move |request| {
                assert_eq!(request.headers().get("x-amz-target"), Some("AWSEvents.DescribeEventBus"));
                Answer::new(status, body.clone())
            });
            EventBridge::new(Client::new(&aws.config()), "hub").check().await
        };
        assert_eq!(check(200, "").await, Ok(None));
        let missing = check(400, "ResourceNotFoundException").await;
        assert!(matches!(&missing, Err(Fault::Permanent(p)) if p.code == Code::ObjectNotFound), "{missing:?}");
        let refused = check(400, "AccessDeniedException").await.unwrap().unwrap();
        assert!(refused.contains("hub") && refused.contains("events:DescribeEventBus"), "{refused}");
        assert!(matches!(check(503, "InternalException").await, Err(Fault::Transient(_))));
    }

    #[tokio::test]
    async fn the_largest_event_fits_an_entry() {
        let aws = FakeAws::new(|_| Answer::new(200, r#"{"FailedEntryCount": 0, "Entries": []}"#));
        let mut event = failed(&"\u{1}".repeat(2_000));
        let id = "\u{1F600}".repeat(128);
        (event.user_id, event.file_id, event.job_id) = (id.clone(), id.clone(), id);
        event.source_audio.key = "\u{1}".repeat(1024);
        let most = serde_json::Value::from("\u{1}".repeat(Echo::MAX_BYTES / 6 - 1));
        let echo = Echo::of(Some(most.clone()), Some(most));
        assert!(echo.metadata.is_some() && echo.tags.is_some());
        (event.metadata, event.tags) = (echo.metadata, echo.tags);
        EventBridge::new(Client::new(&aws.config()), "hub").publish(&event.into(), None).await.unwrap();
        assert!(aws.bodies().concat().len() < 256 * 1024);
    }

    #[tokio::test]
    async fn the_trace_of_a_message_goes_on_with_its_event_unless_eventbridge_would_refuse_it() {
        let aws = FakeAws::new(|_| Answer::new(200, r#"{"FailedEntryCount": 0, "Entries": []}"#));
        let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
        let long = "x".repeat(501);
        for header in [Some(trace), None, Some(long.as_str()), Some("a\nb"), Some("")] {
            let hub = EventBridge::new(Client::new(&aws.config()), "hub");
            hub.publish(&failed("no").into(), header).await.unwrap();
        }
        let headers: Vec<serde_json::Value> = aws
            .bodies()
            .iter()
            .map(|body| serde_json::from_slice::<serde_json::Value>(body).unwrap()["Entries"][0]["TraceHeader"].take())
            .collect();
        assert_eq!(headers, [json!(trace), json!(null), json!(null), json!(null), json!(null)]);
    }
}
