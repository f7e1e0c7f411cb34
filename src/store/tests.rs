//! Keys, the order of writing, and what counts as done, on a store in memory.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use super::*;
use crate::job::clip::Clip;
use crate::job::{Channels, Echo, JobOptions};
use crate::objects::memory::{MemoryObjects, Verb};
use crate::transcript::samples;

fn store(objects: &Arc<MemoryObjects>) -> Store {
    Store {
        objects: Arc::clone(objects) as Arc<dyn Objects>,
        bucket: "out".to_owned(),
        prefix: "transcripts/".to_owned(),
        formats: vec![Format::Json, Format::Vtt],
    }
}

/// The job that `samples::jfk` is the transcript of.
fn job() -> Job {
    Job {
        id: "j1".to_owned(),
        user_id: "u1".to_owned(),
        file_id: "f1".to_owned(),
        source: Location::new("uploads", "u1/f1/talk.mp3"),
        output: None,
        place_is_named: false,
        options: JobOptions::default(),
        echo: Echo::default(),
    }
}

fn model() -> ModelRef {
    samples::jfk().model
}

fn keys(objects: &MemoryObjects) -> Vec<String> {
    objects.puts().iter().map(|(at, _)| at.to_string()).collect()
}

#[tokio::test]
async fn the_configured_renditions_are_written_and_the_json_last() {
    let objects = Arc::new(MemoryObjects::default());
    let location = store(&objects).write(&job(), &samples::jfk(), &Condition::Absent).await.unwrap();
    assert_eq!(
        keys(&objects),
        [
            "s3://out/transcripts/u1/f1/transcript.txt",
            "s3://out/transcripts/u1/f1/transcript.vtt",
            "s3://out/transcripts/u1/f1/transcript.json",
        ]
    );
    let types: Vec<_> = objects.puts().into_iter().map(|(_, content_type)| content_type).collect();
    assert_eq!(types, ["text/plain; charset=utf-8", "text/vtt", "application/json"]);
    assert_eq!(location.json_key, "transcripts/u1/f1/transcript.json");
    assert_eq!(location.vtt_key.as_deref(), Some("transcripts/u1/f1/transcript.vtt"));
    assert_eq!(location.srt_key, None);
}

#[tokio::test]
async fn a_job_that_names_its_output_gets_the_json_exactly_there_and_its_formats_beside_it() {
    let objects = Arc::new(MemoryObjects::default());
    let options = JobOptions { formats: Some(vec![Format::Amazon, Format::Srt]), ..JobOptions::default() };
    let job = Job { output: Some(Location::new("theirs", "a/talk.v2.json")), options, ..job() };
    store(&objects).write(&job, &samples::jfk(), &Condition::Absent).await.unwrap();
    assert_eq!(
        keys(&objects),
        [
            "s3://theirs/a/talk.v2.txt",
            "s3://theirs/a/talk.v2.srt",
            "s3://theirs/a/talk.v2.amazon.json",
            "s3://theirs/a/talk.v2.json",
        ]
    );
}

#[tokio::test]
async fn an_id_cannot_lead_out_of_its_folder() {
    let objects = Arc::new(MemoryObjects::default());
    let job = Job { user_id: "us-east-1:ab|c".to_owned(), file_id: ".checkpoint".to_owned(), ..job() };
    assert_eq!(store(&objects).plan(&job).json.key, "transcripts/us-east-1%3Aab%7Cc/%2Echeckpoint/transcript.json");
}

/// Looks as the job of `samples::jfk` would.
async fn look(objects: &Arc<MemoryObjects>, job: &Job, model: &ModelRef, request: &Request) -> Result<Standing, Fault> {
    let wanted = Wanted { model, task: samples::jfk().task, request };
    store(objects).look(job, wanted).await
}

fn request() -> Request {
    samples::jfk().request.unwrap()
}

fn is_done(standing: &Result<Standing, Fault>) -> bool {
    matches!(standing, Ok(Standing::Done(found, _)) if **found == samples::jfk())
}

#[tokio::test]
async fn a_put_that_fails_leaves_no_json() {
    for suffix in [".txt", ".vtt", ".json"] {
        let objects = Arc::new(MemoryObjects::with(move |verb, at| {
            let refused = verb == Verb::Put && at.key.ends_with(suffix);
            refused.then(|| Fault::transient(Code::ServiceUnavailable, format!("failed to write {at}: slow down")))
        }));
        let fault = store(&objects).write(&job(), &samples::jfk(), &Condition::Absent).await.unwrap_err();
        assert!(matches!(fault, Fault::Transient(_)));
        assert!(keys(&objects).iter().all(|key| !key.ends_with(".json")), "{suffix}");
        assert_eq!(look(&objects, &job(), &model(), &request()).await, Ok(Standing::Open(Condition::Absent)));
    }
}

#[tokio::test]
async fn a_written_job_is_found_done() {
    let objects = Arc::new(MemoryObjects::default());
    assert_eq!(look(&objects, &job(), &model(), &request()).await, Ok(Standing::Open(Condition::Absent)));
    let location = store(&objects).write(&job(), &samples::jfk(), &Condition::Absent).await.unwrap();
    assert!(is_done(&look(&objects, &job(), &model(), &request()).await));
    assert_eq!(store(&objects).plan(&job()).location(), location);
}

#[tokio::test]
async fn another_job_model_or_choice_of_options_is_not_done_and_written_only_over_what_was_seen() {
    let objects = Arc::new(MemoryObjects::default());
    store(&objects).write(&job(), &samples::jfk(), &Condition::Absent).await.unwrap();
    let open = Ok(Standing::Open(Condition::Unchanged("1".to_owned())));
    let other_job = Job { id: "j2".to_owned(), ..job() };
    assert_eq!(look(&objects, &other_job, &model(), &request()).await, open);
    let other_model = ModelRef { sha256: "0".to_owned(), ..model() };
    assert_eq!(look(&objects, &job(), &other_model, &request()).await, open);
    for other in [
        Request { language: Some("de".to_owned()), ..request() },
        Request { prompt: Some("Acme".to_owned()), ..request() },
        Request { channels: Channels::Separate, ..request() },
        Request { clip: Clip::new(None, Some(5.0)).unwrap(), ..request() },
    ] {
        assert_eq!(look(&objects, &job(), &model(), &other).await, open, "{other:?}");
    }
    let wanted = Wanted { model: &model(), task: Task::Translate, request: &request() };
    assert_eq!(store(&objects).look(&job(), wanted).await, open);
}

#[tokio::test]
async fn a_transcript_with_words_serves_who_wants_none_and_not_the_other_way_round() {
    for (made, wanted) in [(true, false), (false, true)] {
        let objects = Arc::new(MemoryObjects::default());
        let request = Request { word_timestamps: made, ..request() };
        let transcript = Transcript { request: Some(request.clone()), ..samples::jfk() };
        store(&objects).write(&job(), &transcript, &Condition::Absent).await.unwrap();
        let standing = look(&objects, &job(), &model(), &Request { word_timestamps: wanted, ..request }).await;
        assert_eq!(matches!(standing, Ok(Standing::Done(..))), made, "{standing:?}");
    }
}

#[tokio::test]
async fn another_sources_transcript_is_never_written_over_unless_the_message_says_so() {
    let objects = Arc::new(MemoryObjects::default());
    store(&objects).write(&job(), &samples::jfk(), &Condition::Absent).await.unwrap();
    let other = Job { source: Location::new("uploads", "else.mp3"), ..job() };
    let fault = look(&objects, &other, &model(), &request()).await.unwrap_err();
    let Fault::Permanent(problem) = fault else { panic!("{fault}") };
    assert_eq!(problem.code, Code::OutputTaken);
    assert!(problem.message.contains("u1/f1/talk.mp3") && problem.message.contains("else.mp3"), "{}", problem.message);
    let named = Job { place_is_named: true, ..other };
    let open = Ok(Standing::Open(Condition::Unchanged("1".to_owned())));
    assert_eq!(look(&objects, &named, &model(), &request()).await, open);
}

#[tokio::test]
async fn who_comes_second_to_a_place_does_not_write_there() {
    let objects = Arc::new(MemoryObjects::default());
    store(&objects).write(&job(), &samples::jfk(), &Condition::Absent).await.unwrap();
    let fault = store(&objects).write(&job(), &samples::call(), &Condition::Absent).await.unwrap_err();
    assert!(matches!(fault, Fault::Transient(problem) if problem.code == Code::ObjectChanged));
    assert!(is_done(&look(&objects, &job(), &model(), &request()).await));
}

#[tokio::test]
async fn renditions_that_were_not_asked_for_before_are_made_from_the_json() {
    let objects = Arc::new(MemoryObjects::default());
    let transcript =
        Transcript { request: Some(Request { formats: vec![Format::Vtt], ..request() }), ..samples::jfk() };
    store(&objects).write(&job(), &transcript, &Condition::Absent).await.unwrap();
    let options = JobOptions { formats: Some(vec![Format::Srt, Format::Vtt]), ..JobOptions::default() };
    let job = Job { options, ..job() };
    let before = keys(&objects).len();
    let location = store(&objects).complete(&job, &transcript, "1", &request()).await.unwrap();
    let new = keys(&objects).split_off(before);
    assert_eq!(new, ["s3://out/transcripts/u1/f1/transcript.srt", "s3://out/transcripts/u1/f1/transcript.json"]);
    assert!(location.srt_key.is_some() && location.vtt_key.is_some());
    let Ok(Standing::Done(found, etag)) = look(&objects, &job, &model(), &request()).await else { panic!("not done") };
    store(&objects).complete(&job, &found, &etag, &request()).await.unwrap();
    assert_eq!(keys(&objects).len(), before + 2, "now they are there");
}

#[tokio::test]
async fn a_job_that_was_done_once_is_finished_whatever_is_asked_today() {
    let objects = Arc::new(MemoryObjects::default());
    let store = store(&objects);
    assert_eq!(store.finished(&job()).await, Ok(None));
    store.write(&job(), &samples::jfk(), &Condition::Absent).await.unwrap();
    assert_eq!(store.finished(&job()).await, Ok(Some(Box::new(samples::jfk()))));
    assert_eq!(store.finished(&Job { id: "j2".to_owned(), ..job() }).await, Ok(None));
}

#[tokio::test]
async fn a_damaged_or_foreign_document_is_not_done() {
    for document in ["", "{\"version\":\"1.0\"", "{}", "[]", "{\"results\":{}}"] {
        let objects = Arc::new(MemoryObjects::default());
        let at = store(&objects).plan(&job()).json;
        objects.place(&at, document.as_bytes());
        let open = Ok(Standing::Open(Condition::Unchanged("1".to_owned())));
        assert_eq!(look(&objects, &job(), &model(), &request()).await, open, "{document}");
    }
}

#[tokio::test]
async fn a_role_that_may_not_read_does_the_work_and_an_outage_is_passed_on() {
    let refused = Fault::permanent(Code::AccessDenied, "access denied");
    let unreadable =
        |fault: Fault| Arc::new(MemoryObjects::with(move |verb, _| (verb == Verb::Read).then(|| fault.clone())));
    let objects = unreadable(refused);
    assert_eq!(look(&objects, &job(), &model(), &request()).await, Ok(Standing::Open(Condition::Always)));

    let outage = Fault::transient(Code::ServiceUnavailable, "slow down");
    let objects = unreadable(outage.clone());
    assert_eq!(look(&objects, &job(), &model(), &request()).await, Err(outage));
}
