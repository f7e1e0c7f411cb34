//! The files are current, and what is really read and written fits them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use jsonschema::Validator;

use super::*;
use crate::fault::{Code, Problem};
use crate::job::Job;
use crate::job::message::{self, Intake, identify};
use crate::publish::{Status, TranscriptLocation};
use crate::transcript::{json as transcript_json, samples};

mod hub;

fn validator(name: &str) -> Validator {
    let (_, schema) = all().into_iter().find(|(file, _)| *file == name).unwrap();
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

fn job() -> Job {
    match message::read(r#"{"job_id":"j1","s3_input_path":"s3://uploads/u1/f1/talk.mp3"}"#).unwrap() {
        Intake::Jobs { jobs, .. } => jobs.into_iter().next().unwrap(),
        other => unreachable!("{other:?}"),
    }
}

fn done(status: Status) -> Value {
    let location = TranscriptLocation {
        bucket: "out".to_owned(),
        text_key: "t.txt".to_owned(),
        json_key: "t.json".to_owned(),
        srt_key: Some("t.srt".to_owned()),
        ..TranscriptLocation::default()
    };
    let transcript = if status == Status::Partial { samples::call() } else { samples::silence() };
    serde_json::to_value(TranscriptionCompleted::done(&job(), &transcript, location, 1.5, jiff::Timestamp::now()))
        .unwrap()
}

fn failed() -> Value {
    let problem = Problem { code: Code::BadMessage, message: "no".to_owned() };
    serde_json::to_value(TranscriptionCompleted::failed(&identify("?", "m1"), &problem, jiff::Timestamp::now()))
        .unwrap()
}

#[test]
fn the_files_in_schemas_are_current() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    for (name, schema) in all() {
        let written = fs::read_to_string(dir.join(name)).unwrap_or_default();
        assert!(written == document(&schema), "schemas/{name} is stale: transcription-worker schema --write schemas");
    }
    assert_eq!(fs::read_dir(dir).unwrap().count(), all().len(), "a file in schemas/ belongs to no type");
}

#[test]
fn writing_brings_a_folder_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    write_to(&dir.path().join("new")).unwrap();
    assert_eq!(fs::read_dir(dir.path().join("new")).unwrap().count(), all().len());
}

#[test]
fn real_transcripts_fit_their_schema() {
    let validator = validator("transcript.json");
    for transcript in [samples::jfk(), samples::call(), samples::silence()] {
        let document = transcript_json::render(&transcript).unwrap();
        let value: Value = serde_json::from_slice(&document).unwrap();
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

#[test]
fn real_events_fit_their_schema() {
    let validator = validator("event-transcription-completed.json");
    for event in [done(Status::Completed), done(Status::Partial), failed()] {
        let errors: Vec<String> = validator.iter_errors(&event).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}\n{event:#}");
    }
}

#[test]
fn an_event_that_lacks_what_consumers_need_does_not_fit() {
    let validator = validator("event-transcription-completed.json");
    for field in ["userId", "fileId", "jobId", "status", "sourceAudio", "completedAt", "version"] {
        let mut event = failed();
        event.as_object_mut().unwrap().remove(field);
        assert!(!validator.is_valid(&event), "{field}");
    }
    let mut no_reason = failed();
    no_reason.as_object_mut().unwrap().remove("error");
    assert!(!validator.is_valid(&no_reason));
    for field in ["transcriptLocation", "transcriptMetadata"] {
        let mut event = done(Status::Completed);
        event.as_object_mut().unwrap().remove(field);
        assert!(!validator.is_valid(&event), "{field}");
    }
    for (pointer, wrong) in [
        ("/completedAt", json!("yesterday")),
        ("/transcriptMetadata/confidence", json!(1.5)),
        ("/transcriptLocation/jsonKey", Value::Null),
        ("/status", json!("running")),
        ("/version", json!("2.0")),
    ] {
        let mut event = done(Status::Completed);
        *event.pointer_mut(pointer).unwrap() = wrong;
        assert!(!validator.is_valid(&event), "{pointer}");
    }
}

#[test]
fn golden_messages_fit_their_schema() {
    for (name, golden) in [
        ("message-job.json", "job_lambda"),
        ("message-job.json", "job_older_worker"),
        ("message-job.json", "job_all_options"),
        ("message-audio-uploaded.json", "audio_uploaded"),
        ("message-object-created.json", "object_created"),
        ("message-s3-notification.json", "s3_notification"),
        ("message-s3-notification.json", "s3_notification_several"),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/messages/{golden}.json"));
        let message: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let validator = validator(name);
        let errors: Vec<String> = validator.iter_errors(&message).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{golden}: {errors:?}");
    }
}
