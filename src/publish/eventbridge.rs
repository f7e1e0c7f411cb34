//! Events onto an Amazon EventBridge bus.

use async_trait::async_trait;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};

use super::{DETAIL_TYPE, Publish, SOURCE, TranscriptionCompleted};
use crate::fault::sdk::{by_code, classify};
use crate::fault::{Code, Fault};

/// What EventBridge takes: source, detail-type and detail together.
const MAX_ENTRY_BYTES: usize = 256 * 1024;
/// What is left of an `error.message` whose event was too large: a sentence still says what went wrong.
const SHORT_MESSAGE_CHARS: usize = 200;

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

    fn what(&self, event: &TranscriptionCompleted) -> String {
        format!("publish the event of job {} on bus {}", event.job_id, self.bus)
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

    async fn publish(&self, event: &TranscriptionCompleted) -> Result<(), Fault> {
        let what = self.what(event);
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(SOURCE)
            .detail_type(DETAIL_TYPE)
            .detail(detail(event, &what)?)
            .build();
        let answer = self.client.put_events().entries(entry).send().await.map_err(|e| classify(&e, &what))?;
        // a refused entry comes with status 200
        match answer.failed_entry_count() {
            0 => Ok(()),
            _ => Err(refused(answer.entries().first(), &what)),
        }
    }
}

/// The event's JSON, small enough for one entry.
fn detail(event: &TranscriptionCompleted, what: &str) -> Result<String, Fault> {
    let fits = |json: &String| SOURCE.len() + DETAIL_TYPE.len() + json.len() <= MAX_ENTRY_BYTES;
    let json = to_json(event, what)?;
    if fits(&json) {
        return Ok(json);
    }
    let mut shorter = event.clone();
    if let Some(error) = &mut shorter.error {
        error.message = error.message.chars().take(SHORT_MESSAGE_CHARS).collect();
    }
    Some(to_json(&shorter, what)?).filter(fits).ok_or_else(|| {
        let size = format!("{} bytes are more than the {MAX_ENTRY_BYTES} of an event", json.len());
        Fault::permanent(Code::Internal, format!("failed to {what}: {size}"))
    })
}

fn to_json(event: &TranscriptionCompleted, what: &str) -> Result<String, Fault> {
    serde_json::to_string(event).map_err(|e| Fault::permanent(Code::Internal, format!("failed to {what}: {e}")))
}

/// The fault of an entry that was not taken: transient unless its code clearly says otherwise.
fn refused(entry: Option<&PutEventsResultEntry>, what: &str) -> Fault {
    let code = entry.and_then(PutEventsResultEntry::error_code).unwrap_or("no error code");
    let message = entry.and_then(PutEventsResultEntry::error_message).unwrap_or("no message");
    match by_code(code, None, format!("failed to {what}: {code}: {message}")) {
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

    use super::*;
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

    #[test]
    fn a_long_error_message_is_shortened_to_fit() {
        let json = detail(&failed(&"x".repeat(MAX_ENTRY_BYTES)), "publish").unwrap();
        let event: TranscriptionCompleted = serde_json::from_str(&json).unwrap();
        assert_eq!(event.error.unwrap().message.len(), SHORT_MESSAGE_CHARS);
    }

    #[test]
    fn an_event_that_cannot_fit_is_not_retried() {
        let mut event = failed("short");
        event.source_audio.key = "k".repeat(MAX_ENTRY_BYTES);
        assert!(matches!(detail(&event, "publish"), Err(Fault::Permanent(_))));
    }
}
