//! Events against what the hub's own schema asks of them: what we meet, and what cannot be met.

use super::*;
use crate::objects::Location;
use crate::publish::TranscriptMetadata;
use crate::transcript::{Language, Transcript};

const USER: &str = "550e8400-e29b-41d4-a716-446655440000";
const FILE: &str = "7b1c2d3e-4f50-4a61-8b72-9c83ad94be05";
const JOB: &str = "0c9f7a52-6c1e-4d0f-9a55-3d2b1e0f4a77";

/// Where an event is not what the hub asks for. What stands in the envelope's `version` is EventBridge's, not ours.
fn misfits(user: &str, file: &str, transcript: Option<&Transcript>) -> Vec<String> {
    let body = json!({"job_id": JOB, "user_id": user, "file_id": file, "s3_input_path": "s3://uploads/u1/talk.mp3"});
    let job = match message::read(&body.to_string()).unwrap() {
        Intake::Jobs { jobs, .. } => jobs.into_iter().next().unwrap(),
        other => unreachable!("{other:?}"),
    };
    let now = jiff::Timestamp::now();
    let at = |extension: &str| Location::new("out", format!("u1/transcript.{extension}"));
    let location = TranscriptLocation {
        bucket: "out".to_owned(),
        text_key: at("txt").key,
        json_key: at("json").key,
        srt_key: Some(at("srt").key),
        vtt_key: Some(at("vtt").key),
        amazon_key: None,
        html_key: None,
        md_key: None,
        ndjson_key: None,
        podcast_key: None,
        unredacted_json_key: None,
    };
    let event = match transcript {
        Some(transcript) => TranscriptionCompleted::done(&job, transcript, location, 1.5, now),
        None => {
            let problem = Problem { code: Code::ObjectNotFound, message: "s3://b/k does not exist".to_owned() };
            TranscriptionCompleted::failed(&message::Identity::from(&job), &problem, now)
        }
    };
    let envelope = json!({
        "version": "1.0",
        "source": crate::publish::SOURCE,
        "detail-type": "Transcription Completed",
        "detail": event,
    });
    let schema = include_str!("../../../tests/golden/hub/transcription-completed.json");
    let schema: Value = serde_json::from_str(schema).unwrap();
    let hub = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    hub.iter_errors(&envelope).map(|error| error.instance_path().to_string()).collect()
}

#[test]
fn every_event_is_what_the_hub_asks_for() {
    let hawaiian = Language { code: "haw".to_owned(), probability: Some(0.9) };
    let in_hawaiian = Transcript { language: Some(hawaiian), ..samples::jfk() };
    for transcript in [samples::jfk(), samples::call(), samples::silence(), in_hawaiian] {
        assert_eq!(misfits(USER, FILE, Some(&transcript)), Vec::<String>::new());
    }
    assert_eq!(misfits(USER, FILE, None), Vec::<String>::new());
}

#[test]
fn ids_are_the_producers_even_where_the_hub_would_not_have_them() {
    assert_eq!(misfits("us-east-1:0f5e4a6b", FILE, Some(&samples::jfk())), ["/detail/userId"]);
    assert_eq!(misfits(USER, "file 7", Some(&samples::jfk())), ["/detail/fileId"]);
}

#[test]
fn word_times_are_promised_where_they_are() {
    let told = |word_timestamps| {
        let jfk = samples::jfk();
        let request = jfk.request.map(|request| crate::transcript::Request { word_timestamps, ..request });
        TranscriptMetadata::of(&Transcript { request, ..samples::jfk() }, 1.0).timestamps
    };
    assert!(told(true) && !told(false));
    // one of an older version, published again
    let of_old = |transcript| TranscriptMetadata::of(&Transcript { request: None, ..transcript }, 1.0).timestamps;
    assert!(of_old(samples::jfk()) && !of_old(samples::call()));
}
