//! Whom a report is about, also when the message is a bad one.

use serde_json::Value;

use super::{location, unwrapped};
use crate::job::{Echo, Job, ids};
use crate::objects::Location;

/// The ids an event needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Job id.
    pub job_id: String,
    /// User id, `unknown` when it cannot be known.
    pub user_id: String,
    /// File id.
    pub file_id: String,
    /// The audio; both parts empty when it cannot be known.
    pub source: Location,
    /// What the producer wants back.
    pub echo: Echo,
}

impl From<&Job> for Identity {
    fn from(job: &Job) -> Self {
        Self {
            job_id: job.id.clone(),
            user_id: job.user_id.clone(),
            file_id: job.file_id.clone(),
            source: job.source.clone(),
            echo: job.echo.clone(),
        }
    }
}

/// Whom a message that cannot be read is about: whatever in it is readable and clean. What is not: the job id is a UUIDv5
/// of the queue's message id (the same for each delivery), the file id one of the location or else of the job id.
pub fn identify(body: &str, message_id: &str) -> Identity {
    let value = unwrapped(body).unwrap_or(Value::Null);
    let source = source(&value);
    let (key_user, key_file) = source.as_ref().map(|source| ids::from_key(&source.key)).unwrap_or_default();
    let job_id = id(&value, &["/job_id"]).unwrap_or_else(|| ids::derived(&["message", message_id]));
    let user_id = id(&value, &["/user_id", "/detail/userId"]).or(key_user);
    let file_id = id(&value, &["/file_id", "/detail/fileId"]).or(key_file);
    Identity {
        user_id: user_id.unwrap_or_else(|| ids::UNKNOWN_USER.to_owned()),
        file_id: file_id.unwrap_or_else(|| match &source {
            Some(source) => ids::file_id(source),
            None => ids::derived(&["file of", &job_id]),
        }),
        job_id,
        source: source.unwrap_or_else(|| Location::new("", "")),
        echo: Echo::of(member(&value, "metadata"), member(&value, "tags")),
    }
}

/// A member of a plain job, or of an EventBridge event's detail.
fn member(value: &Value, name: &str) -> Option<Value> {
    value.get("detail").unwrap_or(value).get(name).cloned()
}

/// The first clean id among the paths.
fn id(value: &Value, paths: &[&str]) -> Option<String> {
    paths.iter().filter_map(|path| value.pointer(path)).find_map(|id| match id {
        Value::String(text) => ids::clean(text).ok(),
        Value::Number(number) if number.is_u64() => Some(number.to_string()),
        _ => None,
    })
}

/// The location in a plain job or an EventBridge event. Notifications are left out: their keys are encoded, and one of
/// several would be as good as wrong.
fn source(value: &Value) -> Option<Location> {
    let text = |path: &str| value.pointer(path).and_then(Value::as_str);
    let parts = text("/s3_input_path").and_then(Location::parse).or_else(|| {
        let bucket = text("/detail/s3Location/bucket").or_else(|| text("/detail/bucket/name"))?;
        let key = text("/detail/s3Location/key").or_else(|| text("/detail/object/key"))?;
        Some(Location::new(bucket, key))
    })?;
    location("", &parts.bucket, &parts.key).ok()
}
