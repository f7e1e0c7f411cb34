//! JSON Schemas of what is consumed, published and written, from the types that do it. `schemas/` holds them for readers
//! and for registries; `transcription-worker schema --write schemas` brings it up to date.

use std::path::Path;
use std::{fs, io};

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use crate::job::message::{plain, upload};
use crate::publish::TranscriptionCompleted;
use crate::publish::underway::{TranscriptionProgress, TranscriptionStarted};
use crate::transcript::Transcript;

/// File name and schema (draft 2020-12) of each document.
pub fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("message-job.json", job()),
        ("message-audio-uploaded.json", consumed::<upload::AudioUploadedEvent>()),
        ("message-object-created.json", consumed::<upload::ObjectCreatedEvent>()),
        ("message-s3-notification.json", consumed::<upload::S3Notification>()),
        ("event-transcription-started.json", versioned(produced::<TranscriptionStarted>())),
        ("event-transcription-progress.json", versioned(produced::<TranscriptionProgress>())),
        ("event-transcription-completed.json", transcription_completed()),
        ("transcript.json", transcript()),
    ]
}

/// Writes each schema to its file in `dir`, which is made when it is missing.
///
/// # Errors
/// What the file system answers.
pub fn write_to(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    for (name, schema) in all() {
        fs::write(dir.join(name), document(&schema))?;
    }
    Ok(())
}

/// The schema as its file holds it.
fn document(schema: &Value) -> String {
    format!("{schema:#}\n")
}

fn consumed<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().for_deserialize().into_generator().into_root_schema_for::<T>().to_value()
}

fn produced<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>()
}

/// The plain job. A rendition's second name is read, but serde's derive does not tell schemars of it.
fn job() -> Value {
    let mut schema = consumed::<plain::PlainJob>();
    if let Some(Value::Array(formats)) = schema.pointer_mut("/$defs/Format/oneOf") {
        formats.push(json!({"const": "amazon-transcribe", "description": "The same as `amazon`.", "type": "string"}));
    }
    schema
}

/// `detail` of the event. What the types cannot say: a failure has a reason and no transcript, anything else has one.
fn transcription_completed() -> Value {
    let mut schema = produced::<TranscriptionCompleted>();
    let status_is = |statuses: Value| json!({"properties": {"status": {"enum": statuses}}});
    let some = |fields: Value| json!({"required": fields});
    schema.insert(
        "allOf".to_owned(),
        json!([
            {
                "if": status_is(json!(["completed", "partial"])),
                "then": {
                    "required": ["transcriptLocation", "transcriptMetadata"],
                    "properties": {"transcriptLocation": {"not": {"type": "null"}}},
                },
                "else": {"not": {"anyOf": [some(json!(["transcriptLocation"])), some(json!(["transcriptMetadata"]))]}},
            },
            {
                "if": status_is(json!(["failed", "partial"])),
                "then": some(json!(["error"])),
                "else": {"not": some(json!(["error"]))},
            },
        ]),
    );
    versioned(schema)
}

fn transcript() -> Value {
    versioned(produced::<Transcript>())
}

/// Readers take any 1.x; so does ours.
fn versioned(schema: Schema) -> Value {
    let mut schema = schema.to_value();
    if let Some(Value::Object(version)) = schema.pointer_mut("/properties/version") {
        version.insert("pattern".to_owned(), json!(r"^1\.[0-9]+$"));
    }
    schema
}

#[cfg(test)]
mod tests;
