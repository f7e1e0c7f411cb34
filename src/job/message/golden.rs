//! Messages as producers send them (tests/golden/messages), and the jobs they are.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use super::*;
use crate::job::clip::Clip;
use crate::job::speakers::SpeakerCount;
use crate::job::subtitles::Subtitles;
use crate::job::wording::{Filter, FilterMethod, Private, RedactionOutput, Wording};
use crate::job::{Channels, Echo, Format, JobOptions, Task};

const FILE: &str = "7b1c2d3e-4f50-4a61-8b72-9c83ad94be05";
const JOB: &str = "0c9f7a52-6c1e-4d0f-9a55-3d2b1e0f4a77";

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("../../../tests/golden/messages/", $name, ".json"))
    };
}

fn job(id: &str, user_id: &str, file_id: &str, bucket: &str, key: &str) -> Job {
    Job {
        id: id.to_owned(),
        user_id: user_id.to_owned(),
        file_id: file_id.to_owned(),
        source: Location::new(bucket, key),
        output: None,
        place_is_named: false,
        options: JobOptions::default(),
        echo: Echo::default(),
    }
}

/// A job whose message names the file.
fn named(job: Job) -> Job {
    Job { place_is_named: true, ..job }
}

fn jobs(body: &str) -> Vec<Job> {
    match read(body).unwrap() {
        Intake::Jobs { jobs, refused } if refused.is_empty() => jobs,
        other => panic!("not jobs alone: {other:?}"),
    }
}

#[test]
fn the_lambdas_job_is_taken_literally() {
    let key = format!("us-east-1:4a6b/{FILE}/my talk+100%.mp3");
    assert_eq!(jobs(golden!("job_lambda")), [named(job(JOB, "us-east-1:4a6b", FILE, "uploads", &key))]);
}

#[test]
fn the_older_workers_job_needs_no_user_and_no_file_id() {
    let source = Location::new("media", "podcasts/ep%2B7.wav");
    let expected = job("job-20240131-0007", "unknown", &ids::file_id(&source), "media", "podcasts/ep%2B7.wav");
    let mut expected = named(expected);
    expected.output = Some(Location::new("media", "transcripts/ep7.json"));
    assert_eq!(jobs(golden!("job_older_worker")), [expected]);
}

#[test]
fn every_option_of_a_job_arrives_cleaned() {
    let mut expected = named(job("42", "u1", "f1", "b", "x.flac"));
    expected.options = JobOptions {
        language: Some("de".to_owned()),
        languages: None,
        task: Some(Task::Translate),
        model: Some("tiny.en".to_owned()),
        prompt: Some("Grüße, an Łukasz".to_owned()),
        formats: Some(vec![Format::Vtt, Format::Amazon]),
        word_timestamps: Some(true),
        channels: Some(Channels::Separate),
        speakers: Some(Some(SpeakerCount { min: Some(2), max: Some(4) })),
        clip: Clip::new(Some(12.5), Some(60.0)).unwrap(),
        wording: Wording {
            vocabulary: vec!["Łukasz Nowak".to_owned(), "Kubernetes".to_owned()],
            replacements: [("cooper netties".to_owned(), "Kubernetes".to_owned())].into(),
            filter: Some(Filter { words: vec!["damn".to_owned()], method: FilterMethod::Remove }),
            redact: vec![Private::CardNumber, Private::Email],
            redaction_output: RedactionOutput::RedactedAndUnredacted,
        },
        subtitles: Some(Subtitles { line_chars: 32, lines: 1, ..Subtitles::default() }),
        priority: Some(4),
    };
    assert_eq!(jobs(golden!("job_all_options")), [expected]);
}

#[test]
fn audio_uploaded_is_a_job_whatever_its_source_and_its_key_is_literal() {
    let source = Location::new("uploads", "in/Ω ünïcode %3A+.m4a");
    let id = ids::job_id(&source, FILE);
    let metadata = serde_json::json!({"duration": 12.5, "format": "m4a", "size": 4711});
    let expected = named(job(&id, "auth0|ann", FILE, "uploads", &source.key));
    let expected = Job { echo: Echo { metadata: Some(metadata), tags: None }, ..expected };
    assert_eq!(jobs(golden!("audio_uploaded")), [expected]);
}

#[test]
fn object_created_has_a_literal_key_that_names_user_and_file() {
    let source = Location::new("uploads", format!("uploads/ann/{FILE}/a b+c%3A.mp3"));
    let id = ids::job_id(&source, "d41d8cd98f00b204e9800998ecf8427e");
    assert_eq!(jobs(golden!("object_created")), [job(&id, "ann", FILE, "uploads", &source.key)]);
}

#[test]
fn a_notifications_key_is_url_decoded_and_the_same_upload_is_the_same_job() {
    assert_eq!(jobs(golden!("s3_notification")), jobs(golden!("object_created")));
    assert_eq!(jobs(golden!("sns_s3_notification")), jobs(golden!("object_created")));
}

#[test]
fn each_object_created_in_a_notification_is_one_job_and_the_rest_is_none() {
    let [first, second] = jobs(golden!("s3_notification_several")).try_into().unwrap();
    assert_eq!([first], *jobs(golden!("s3_notification")));
    assert_eq!(second.source.key, "ü €/100%.wav");
    assert_eq!(second.id, ids::job_id(&second.source, "v7"));
}

#[test]
fn a_topic_that_feeds_a_topic_is_unwrapped_twice() {
    let source = Location::new("b", "k.mp3");
    assert_eq!(jobs(golden!("sns_in_sns_job")), [job(JOB, "unknown", &ids::file_id(&source), "b", "k.mp3")]);
}

#[test]
fn s3s_test_event_is_ignored_also_through_a_topic() {
    for body in [golden!("s3_test_event"), golden!("sns_s3_test_event")] {
        assert_eq!(read(body).unwrap(), Intake::Ignored("an S3 test event".to_owned()));
    }
}
