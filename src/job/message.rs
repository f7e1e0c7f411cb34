//! Messages in: every shape a producer sends becomes jobs, a reason to ignore it, or a sentence that says what is wrong.
//!
//! The shapes are told apart by their fields, in this order: SNS envelope (`Type`, `Message`), pointer of the SQS extended
//! client (an array), S3 notification (`Records`, or `Event` of its test), EventBridge envelope (`detail-type`), plain job
//! (`s3_input_path` or `job_id`). A byte order mark before the JSON, and a JSON string that holds it, are taken off.

use serde::Deserialize;
use serde_json::Value;

use crate::fault::{Code, Fault, Problem};
use crate::job::{Job, ids};
use crate::objects::Location;

pub mod identity;
pub mod offloaded;
pub mod plain;
pub mod upload;

pub use identity::{Identity, identify};
pub use plain::single;

/// Bytes; the most that SQS carries. A folder could hold more, which would be no message.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// A topic may feed a topic; more is a loop or an attack on our stack.
const MAX_ENVELOPES: usize = 2;

/// Bytes; the longest key S3 knows.
const MAX_KEY_BYTES: usize = 1024;

/// Characters of a reason; what a producer sent may be quoted in it and must not flood logs and events.
const MAX_REASON_CHARS: usize = 400;

/// What a message asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Intake {
    /// Work. An S3 notification may carry several jobs, each upload once.
    Jobs {
        /// At least one.
        jobs: Vec<Job>,
        /// Records beside them that are none.
        refused: Vec<Refused>,
    },
    /// The message itself lies in S3, where a producer's extended client put it: see [`offloaded::read`].
    Elsewhere(Location),
    /// Nothing to do, and nobody to tell: why, for the log.
    Ignored(String),
}

impl From<Job> for Intake {
    fn from(job: Job) -> Self {
        Self::Jobs { jobs: vec![job], refused: Vec::new() }
    }
}

/// A record of an S3 notification that is no job, beside others that are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its place among the message's records.
    pub index: usize,
    /// A notification of this record alone.
    pub body: String,
    /// A `BadMessage`.
    pub problem: Problem,
}

impl Refused {
    /// Whom the report of it is about; no two records of a message share a job id.
    pub fn identity(&self, message_id: &str) -> Identity {
        identify(&self.body, &format!("{message_id}/{}", self.index))
    }
}

/// Reads a message body.
///
/// # Errors
/// A permanent `BadMessage` whose sentence names the field: not JSON (with line and column), a shape we do not know, a
/// field that is missing, of the wrong type, unknown in value or hostile, or more than 1 MiB.
pub fn read(body: &str) -> Result<Intake, Fault> {
    let value = unwrapped(body)?;
    if let Some(at) = offloaded::pointer(&value)? {
        return Ok(Intake::Elsewhere(at));
    }
    if value.get("Event").and_then(Value::as_str) == Some("s3:TestEvent") {
        return Ok(Intake::Ignored("an S3 test event".to_owned()));
    }
    if let Some(records) = value.get("Records") {
        return upload::notified(records);
    }
    if let Some(detail_type) = value.get("detail-type") {
        return match detail_type.as_str() {
            Some("Audio Uploaded") => typed::<upload::AudioUploadedEvent>(&value, None)?.intake(),
            Some("Object Created") => typed::<upload::ObjectCreatedEvent>(&value, None)?.intake(),
            Some(other) if value.get("source").and_then(Value::as_str) == Some("aws.s3") => {
                Ok(Intake::Ignored(format!("the S3 event \"{}\" brings no audio", shown(other))))
            }
            Some(other) => Err(bad(format!("the event's `detail-type` \"{other}\" is none this worker handles"))),
            None => Err(bad("the event's `detail-type` is not a string")),
        };
    }
    if value.get("s3_input_path").is_some() || value.get("job_id").is_some() {
        return typed::<plain::PlainJob>(&value, None)?.job().map(Intake::from);
    }
    Err(bad("the message is no job (`s3_input_path`), EventBridge event (`detail-type`), S3 notification (`Records`) \
             or SNS envelope of one"))
}

/// The JSON object, or the extended client's array, inside at most two SNS envelopes.
fn unwrapped(body: &str) -> Result<Value, Fault> {
    if body.len() > MAX_BODY_BYTES {
        return Err(bad(format!("the message has {} bytes, more than {MAX_BODY_BYTES}", body.len())));
    }
    let mut value = parse(body, "the message")?;
    for _ in 0..MAX_ENVELOPES {
        match enveloped(&value)? {
            Some(message) => value = parse(message, "the SNS envelope's `Message`")?,
            None => return Ok(value),
        }
    }
    match enveloped(&value)? {
        Some(_) => Err(bad(format!("the message lies in more than {MAX_ENVELOPES} SNS envelopes"))),
        None => Ok(value),
    }
}

fn parse(text: &str, what: &str) -> Result<Value, Fault> {
    let json = |text: &str| {
        let marked = text.strip_prefix('\u{feff}').unwrap_or(text);
        serde_json::from_str(marked).map_err(|error| bad(format!("{what} is not JSON: {error}")))
    };
    let value = match json(text)? {
        // encoded twice
        Value::String(inner) => json(&inner)?,
        value => value,
    };
    match value.is_object() || offloaded::is_pointer(&value) {
        true => Ok(value),
        false => Err(bad(format!("{what} is not a JSON object"))),
    }
}

/// The message inside an SNS envelope; `None` when this is no envelope.
fn enveloped(value: &Value) -> Result<Option<&str>, Fault> {
    match value.get("Type").and_then(Value::as_str) {
        Some("Notification") if value.get("Message").is_some() => match value.get("Message").and_then(Value::as_str) {
            Some(message) => Ok(Some(message)),
            None => Err(bad("the SNS envelope's `Message` is not a string")),
        },
        Some("SubscriptionConfirmation") => {
            Err(bad("the SNS subscription of this queue awaits confirmation: confirm it with its `SubscribeURL`"))
        }
        _ => Ok(None),
    }
}

/// The value as one of our types; what does not fit is named by its path, such as `detail.s3Location.key`, which begins at
/// `within` where the value is a part of the message.
fn typed<'a, T: Deserialize<'a>>(value: &'a Value, within: Option<&str>) -> Result<T, Fault> {
    serde_path_to_error::deserialize(value).map_err(|error| match (within, error.path().to_string().as_str()) {
        (None, ".") => bad(format!("the message is incomplete: {}", error.inner())),
        (None, path) => bad(format!("the message's `{path}` is wrong: {}", error.inner())),
        (Some(within), ".") => bad(format!("the message's `{within}` is wrong: {}", error.inner())),
        (Some(within), path) => bad(format!("the message's `{within}.{path}` is wrong: {}", error.inner())),
    })
}

/// A bad message, and why. The sentence may quote the producer: control characters go, and so does its excess.
fn bad(reason: impl AsRef<str>) -> Fault {
    let reason = reason.as_ref();
    let clean = reason.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut sentence: String = clean.take(MAX_REASON_CHARS).collect();
    if reason.chars().nth(MAX_REASON_CHARS).is_some() {
        sentence.push('…');
    }
    Fault::permanent(Code::BadMessage, sentence)
}

/// A producer's words, fit for a log line.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

/// A cleaned id, or a sentence that names its field.
fn clean_id(field: &str, id: &str) -> Result<String, Fault> {
    ids::clean(id).map_err(|why| bad(format!("`{field}` {why}")))
}

/// A location whose parts can name a bucket and an object; `field` is where the producer wrote it.
fn location(field: &str, bucket: &str, key: &str) -> Result<Location, Fault> {
    let bucket_fits = (1..=255).contains(&bucket.len())
        && bucket.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        // the folder backend would climb out of its root
        && bucket.bytes().any(|b| b != b'.');
    if !bucket_fits {
        return Err(bad(format!("`{field}` names no possible bucket")));
    }
    if key.is_empty() || key.len() > MAX_KEY_BYTES || key.contains('\0') {
        return Err(bad(format!("`{field}` names no possible object key (1 to {MAX_KEY_BYTES} bytes, no NUL)")));
    }
    Ok(Location::new(bucket, key))
}

/// User and file id: the message's, else the key's, else `unknown` and a UUIDv5 of bucket and key.
fn owners(user: Option<String>, file: Option<String>, source: &Location) -> (String, String) {
    let (key_user, key_file) = ids::from_key(&source.key);
    (
        user.or(key_user).unwrap_or_else(|| ids::UNKNOWN_USER.to_owned()),
        file.or(key_file).unwrap_or_else(|| ids::file_id(source)),
    )
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
