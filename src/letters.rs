//! What a dead letter is, and what is to be done with it: sent again where that may help, else kept for people, who are told
//! where they must act.
//!
//! Letters come from two kinds of queue: jobs that could not be done, copied by a worker (with `ErrorCode`) or moved by the
//! queue itself, and events that EventBridge could not deliver (with `ERROR_CODE` and `TARGET_ARN`). Others' processors put
//! the reason into the body, as `failureReason`: that is read too.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use crate::job::message::{self, Identity, Intake};

pub mod process;
pub mod sns;

/// Parts of codes and reasons that mean "the same may succeed later", lower case.
const PASSING: [&str; 8] = [
    "throttl",
    "rate exceeded",
    "timeout",
    "timed out",
    "unavailable",
    "internal_error",
    "internal error",
    "sdk_client_error",
];

/// Codes of jobs that were given up although nothing was wrong with them.
const WORTH_A_TRY: [&str; 3] = ["RETRIES_EXHAUSTED", "SERVICE_UNAVAILABLE", "DISK_FULL"];

/// Codes that are for the producer of the audio, who was told by the event: nobody else can mend them.
const PRODUCERS: [&str; 8] = [
    "BAD_MESSAGE",
    "UNSUPPORTED_FORMAT",
    "NO_AUDIO_TRACK",
    "CORRUPT_AUDIO",
    "AUDIO_TOO_LONG",
    "OBJECT_TOO_LARGE",
    "OBJECT_NOT_FOUND",
    "OUTPUT_TAKEN",
];

/// What a letter is.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    /// The kind of event or message, such as `Transcription Completed`; a plain job is a `Job`.
    pub class: String,
    /// Tells it from others, also when it comes again: job ids, or a UUIDv5 of the event.
    pub id: String,
    /// Why it is here.
    pub code: String,
    /// The sentence to it.
    pub reason: String,
    /// How it is sent again.
    pub way: Way,
}

/// How a letter is sent again.
#[derive(Debug, Clone, PartialEq)]
pub enum Way {
    /// To the job queue, as it is.
    Queue,
    /// Onto the bus.
    Bus {
        /// The event's.
        source: String,
        /// The event's.
        detail_type: String,
        /// The event's.
        detail: Value,
    },
    /// Not at all: nobody knows what it is.
    Nowhere,
}

impl Letter {
    /// Reads a letter; `message_id` names one whose body names nothing.
    pub fn read(body: &str, attributes: &BTreeMap<String, String>, message_id: &str) -> Self {
        let value: Value = serde_json::from_str(body).unwrap_or(Value::Null);
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let attribute = |name: &str| attributes.get(name).map(String::as_str);
        let undelivered = attribute("TARGET_ARN").is_some() || attribute("RULE_ARN").is_some();
        let code = attribute("ErrorCode").or(attribute("ERROR_CODE"));
        let told = attribute("ErrorMessage").or(attribute("ERROR_MESSAGE")).or(text("failureReason"));
        let detail_type = text("detail-type");
        let jobs = match message::read(body) {
            Ok(Intake::Jobs { jobs, .. }) => jobs.iter().map(|job| Identity::from(job).job_id).collect::<Vec<_>>(),
            _ => Vec::new(),
        };
        let event = text("source").zip(detail_type).zip(value.get("detail"));
        let way = match event {
            Some(((source, detail_type), detail)) if undelivered || jobs.is_empty() => {
                Way::Bus { source: source.to_owned(), detail_type: detail_type.to_owned(), detail: detail.clone() }
            }
            // what the worker could not read it will not read the next time
            _ if jobs.is_empty() => Way::Nowhere,
            _ => Way::Queue,
        };
        let id = match &way {
            Way::Queue => jobs.join("+"),
            // a new id comes with each publication: the content stays
            Way::Bus { source, detail_type, detail } => {
                Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{source}\n{detail_type}\n{detail}").as_bytes()).to_string()
            }
            Way::Nowhere => message::identify(body, message_id).job_id,
        };
        Self {
            class: detail_type
                .map_or_else(|| if way == Way::Nowhere { "Unknown" } else { "Job" }.to_owned(), str::to_owned),
            id,
            // the queue moves what was received too often, and says nothing
            code: code.unwrap_or(if told.is_some() { "UNKNOWN" } else { "RETRIES_EXHAUSTED" }).to_owned(),
            reason: told.unwrap_or("moved by the queue after its last receive").to_owned(),
            way,
        }
    }

    /// Whether the same may succeed if it is sent again.
    pub fn may_pass(&self) -> bool {
        let passing = |text: &str| PASSING.iter().any(|part| text.to_lowercase().contains(part));
        match self.way {
            Way::Nowhere => false,
            Way::Queue | Way::Bus { .. } => {
                WORTH_A_TRY.contains(&self.code.as_str())
                    || passing(&self.code)
                    || (self.code == "UNKNOWN" && passing(&self.reason))
            }
        }
    }

    /// Whether somebody must be told: all but what is the fault of the audio's producer, who heard of it.
    pub fn is_urgent(&self) -> bool {
        !PRODUCERS.contains(&self.code.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &Value, attributes: &[(&str, &str)]) -> Letter {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Letter::read(&body.to_string(), &attributes, "m1")
    }

    fn uploaded() -> Value {
        json!({"id": "e1", "source": "custom.frontend", "detail-type": "Audio Uploaded",
            "detail": {"s3Location": {"bucket": "b", "key": "k"}}})
    }

    fn completed() -> Value {
        json!({"id": "e2", "source": "custom.transcription-service", "detail-type": "Transcription Completed",
            "detail": {"jobId": "j1", "status": "completed"}})
    }

    #[test]
    fn a_job_that_the_queue_gave_up_is_worth_a_try_and_a_broken_file_is_not() {
        let job = json!({"job_id": "j1", "s3_input_path": "s3://b/k"});
        let moved = read(&job, &[]);
        assert_eq!((moved.class.as_str(), moved.id.as_str(), &moved.way), ("Job", "j1", &Way::Queue));
        assert!(moved.may_pass() && moved.is_urgent());
        let broken = read(&uploaded(), &[("ErrorCode", "CORRUPT_AUDIO"), ("ErrorMessage", "no audio")]);
        assert_eq!(
            (broken.class.as_str(), &broken.way, broken.reason.as_str()),
            ("Audio Uploaded", &Way::Queue, "no audio")
        );
        assert!(!broken.may_pass() && !broken.is_urgent());
        let crashed = read(&job, &[("ErrorCode", "WORKER_CRASHED")]);
        assert!(!crashed.may_pass() && crashed.is_urgent(), "once more would take down once more");
    }

    #[test]
    fn an_event_that_reached_no_target_goes_onto_the_bus_and_keeps_its_name_when_it_comes_again() {
        let target = ("TARGET_ARN", "arn:aws:sqs:r:1:index");
        let throttled = read(&completed(), &[target, ("ERROR_CODE", "THROTTLING")]);
        assert!(matches!(&throttled.way, Way::Bus { detail_type, .. } if detail_type == "Transcription Completed"));
        assert!(throttled.may_pass());
        let mut again = completed();
        again["id"] = json!("e3");
        assert_eq!(read(&again, &[target, ("ERROR_CODE", "NO_PERMISSIONS")]).id, throttled.id);
        assert!(!read(&again, &[target, ("ERROR_CODE", "NO_PERMISSIONS")]).may_pass());
        let upload = read(&uploaded(), &[target, ("ERROR_CODE", "THROTTLING")]);
        assert!(matches!(upload.way, Way::Bus { .. }), "it never became a job");
    }

    #[test]
    fn a_reason_in_the_body_counts_where_no_attribute_says_more() {
        for (reason, passes) in [
            ("Lambda throttled", true),
            ("Target unavailable", true),
            ("Timeout", true),
            ("Rate exceeded", true),
            ("Unknown", false),
        ] {
            let mut event = completed();
            event["failureReason"] = json!(reason);
            let letter = read(&event, &[]);
            assert_eq!((letter.may_pass(), letter.reason.as_str()), (passes, reason));
        }
    }

    #[test]
    fn what_nobody_can_read_goes_nowhere() {
        for body in [json!({"hello": 1}), json!("text"), json!({"s3_input_path": 5})] {
            let letter = read(&body, &[("ErrorCode", "BAD_MESSAGE")]);
            assert_eq!(
                (letter.class.as_str(), &letter.way, letter.may_pass()),
                ("Unknown", &Way::Nowhere, false),
                "{body}"
            );
            assert!(!letter.id.is_empty());
        }
    }
}
