//! Uploads: "Audio Uploaded" and "Object Created" from EventBridge, and S3's own notifications.

use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::plain::Id;
use super::{Intake, Refused, bad, location, owners, shown, typed};
use crate::fault::Fault;
use crate::job::{Echo, Job, JobOptions, ids};
use crate::objects::Location;

/// Names that cannot be audio: a bucket that holds uploads and transcripts announces our own renditions too.
const NOT_AUDIO: [&str; 4] = [".json", ".txt", ".srt", ".vtt"];

/// How Hadoop and its kin mark a folder.
const HADOOP_FOLDER: &str = "_$folder$";

/// An EventBridge event of `detail-type` "Audio Uploaded", whatever its `source`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(title = "Audio Uploaded")]
pub struct AudioUploadedEvent {
    /// Always "Audio Uploaded".
    #[serde(rename = "detail-type")]
    #[schemars(extend("const" = "Audio Uploaded"))]
    pub detail_type: String,
    /// The upload.
    pub detail: AudioUploaded,
}

/// `detail` of "Audio Uploaded". A `version` in it is ignored, as is every field not listed.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AudioUploaded {
    /// Whose audio it is; from the key when absent.
    pub user_id: Option<Id>,
    /// Id of the audio file; from the key or derived from the location when absent.
    pub file_id: Option<Id>,
    /// Where it lies.
    pub s3_location: S3Location,
    /// What the producer knows of it (`duration`, `format`, `size` …). Given back in every event about the job, as it is:
    /// any JSON, up to 16 KiB.
    pub metadata: Option<Value>,
    /// Given back likewise.
    pub tags: Option<Value>,
}

/// A bucket and a key, not URL-encoded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct S3Location {
    /// Bucket name.
    pub bucket: String,
    /// Object key.
    pub key: String,
}

/// S3's EventBridge event of `detail-type` "Object Created".
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(title = "Object Created")]
pub struct ObjectCreatedEvent {
    /// Always "Object Created".
    #[serde(rename = "detail-type")]
    #[schemars(extend("const" = "Object Created"))]
    pub detail_type: String,
    /// The upload.
    pub detail: ObjectCreated,
}

/// `detail` of "Object Created".
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct ObjectCreated {
    /// Where.
    pub bucket: Bucket,
    /// What.
    pub object: CreatedObject,
}

/// A bucket in S3's events.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Bucket {
    /// Bucket name.
    pub name: String,
}

/// The object of an "Object Created" event; its key is not URL-encoded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct CreatedObject {
    /// Object key.
    pub key: String,
    /// Content version.
    pub etag: Option<String>,
    /// Version, in a versioned bucket.
    #[serde(rename = "version-id")]
    pub version_id: Option<String>,
}

/// S3's notification, sent to a queue or topic.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(title = "S3 notification")]
pub struct S3Notification {
    /// One for each object; only `ObjectCreated:*` brings work.
    #[serde(rename = "Records")]
    pub records: Vec<S3Record>,
}

/// One record of a notification.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct S3Record {
    /// Such as `ObjectCreated:Put`.
    #[serde(rename = "eventName")]
    pub event_name: String,
    /// What it is about.
    pub s3: S3Entity,
}

/// Bucket and object of a record.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct S3Entity {
    /// Where.
    pub bucket: Bucket,
    /// What.
    pub object: NotifiedObject,
}

/// The object of a notification; its key is URL-encoded, a space as `+`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotifiedObject {
    /// Object key, URL-encoded.
    pub key: String,
    /// Content version; events other than `ObjectCreated` have none.
    pub e_tag: Option<String>,
    /// Version, in a versioned bucket.
    pub version_id: Option<String>,
}

impl AudioUploadedEvent {
    /// The job.
    ///
    /// # Errors
    /// `BadMessage` naming the field.
    pub fn intake(self) -> Result<Intake, Fault> {
        let detail = self.detail;
        let source = location("detail.s3Location", &detail.s3_location.bucket, &detail.s3_location.key)?;
        if source.key.ends_with('/') {
            return Err(bad(format!("`detail.s3Location.key` names a folder: {source}")));
        }
        let user_id = detail.user_id.map(|id| id.clean("detail.userId")).transpose()?;
        let file_id = detail.file_id.map(|id| id.clean("detail.fileId")).transpose()?;
        let content = file_id.clone().unwrap_or_default();
        let echo = Echo::of(detail.metadata, detail.tags);
        Ok(Job { echo, ..job(source, &content, user_id, file_id) }.into())
    }
}

impl ObjectCreatedEvent {
    /// The job, or why the object is none.
    ///
    /// # Errors
    /// `BadMessage` naming the field.
    pub fn intake(self) -> Result<Intake, Fault> {
        let ObjectCreated { bucket, object } = self.detail;
        let source = location("detail", &bucket.name, &object.key)?;
        Ok(match no_audio(&source) {
            Some(why) => Intake::Ignored(why),
            None => job(source, &content(object.version_id, object.etag), None, None).into(),
        })
    }
}

/// What a record brings.
enum Record {
    Job(Box<Job>),
    Ignored(String),
}

/// What a notification's `Records` ask for: a job for each object created, each once; or why there is none. A record that
/// cannot be read does not sink its neighbours.
///
/// # Errors
/// `BadMessage` naming the first broken record, where there is no job beside it.
pub(super) fn notified(records: &Value) -> Result<Intake, Fault> {
    let Some(records) = records.as_array() else {
        return Err(bad("the message's `Records` is wrong: it is not an array"));
    };
    let mut jobs: Vec<Job> = Vec::new();
    let mut refused: Vec<Refused> = Vec::new();
    let mut ignored = None;
    for (index, record) in records.iter().enumerate() {
        match created(record, &format!("Records[{index}]")) {
            Ok(Record::Job(job)) => {
                if jobs.iter().all(|known| known.id != job.id) {
                    jobs.push(*job);
                }
            }
            Ok(Record::Ignored(why)) => drop(ignored.get_or_insert(why)),
            Err(Fault::Permanent(problem)) => {
                refused.push(Refused { index, body: json!({"Records": [record]}).to_string(), problem });
            }
            Err(fault) => return Err(fault),
        }
    }
    if !jobs.is_empty() {
        return Ok(Intake::Jobs { jobs, refused });
    }
    match refused.into_iter().next() {
        Some(Refused { problem, .. }) => Err(Fault::Permanent(problem)),
        None => Ok(Intake::Ignored(ignored.unwrap_or_else(|| "an S3 notification without records".to_owned()))),
    }
}

/// What one record brings, or why it is broken; `at` is its place in the message.
fn created(record: &Value, at: &str) -> Result<Record, Fault> {
    // only creations have to be whole
    if let Some(event) = record.get("eventName").and_then(Value::as_str) {
        // the prefix `s3:` is in configurations only, but producers that imitate S3 write it here as well
        if !event.trim_start_matches("s3:").starts_with("ObjectCreated:") {
            return Ok(Record::Ignored(format!("{} brings no audio", shown(event))));
        }
    }
    let S3Entity { bucket, object } = typed::<S3Record>(record, Some(at))?.s3;
    let spaced = object.key.replace('+', " ");
    let Ok(key) = percent_decode_str(&spaced).decode_utf8() else {
        return Err(bad(format!("`{at}.s3.object.key` is not UTF-8 once URL-decoded")));
    };
    let source = location(&format!("{at}.s3"), &bucket.name, &key)?;
    Ok(match no_audio(&source) {
        Some(why) => Record::Ignored(why),
        None => Record::Job(Box::new(job(source, &content(object.version_id, object.e_tag), None, None))),
    })
}

/// Why S3's news of this object is no work: nobody asked for it, so that it fails nobody's job.
fn no_audio(source: &Location) -> Option<String> {
    if source.key.ends_with('/') || source.key.ends_with(HADOOP_FOLDER) {
        return Some(format!("{source} is a folder marker"));
    }
    let lower = source.key.to_ascii_lowercase();
    NOT_AUDIO.iter().any(|end| lower.ends_with(end)).then(|| format!("{source} is a transcript or other text"))
}

/// What tells one content of a key from another: the version id, else the etag; the same in both kinds of event.
fn content(version_id: Option<String>, etag: Option<String>) -> String {
    // S3 calls the version of an object from before versioning "null"; the other kind of event omits it
    let version = version_id.filter(|version| !version.is_empty() && version != "null");
    version.or_else(|| etag.map(|etag| etag.trim_matches('"').to_owned())).unwrap_or_default()
}

fn job(source: Location, content: &str, user_id: Option<String>, file_id: Option<String>) -> Job {
    let id = ids::job_id(&source, content);
    let place_is_named = file_id.is_some();
    let (user_id, file_id) = owners(user_id, file_id, &source);
    let (options, echo) = (JobOptions::default(), Echo::default());
    Job { id, user_id, file_id, source, output: None, place_is_named, options, echo }
}
