//! Keys, the order of writing, and what counts as done, on a store in memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::Range;
use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::job::JobOptions;
use crate::objects::{Body, Found, ObjectInfo};
use crate::transcript::samples;

/// Keeps what is put, in order; refuses the put of a key that ends as told.
#[derive(Default)]
struct Memory {
    puts: Mutex<Vec<(Location, Bytes, String)>>,
    refuse_suffix: Option<&'static str>,
    reading: Option<Fault>,
}

#[async_trait]
impl Objects for Memory {
    async fn head(&self, at: &Location) -> Result<ObjectInfo, Fault> {
        Err(Fault::permanent(Code::ObjectNotFound, at.to_string()))
    }

    async fn get(&self, at: &Location, _: Range<u64>, _: &str) -> Result<Body, Fault> {
        Err(Fault::permanent(Code::ObjectNotFound, at.to_string()))
    }

    async fn read(&self, at: &Location, _: u64) -> Result<Option<Found>, Fault> {
        if let Some(fault) = &self.reading {
            return Err(fault.clone());
        }
        let puts = self.puts.lock().unwrap();
        let found = puts.iter().rev().find(|(put, ..)| put == at);
        Ok(found.map(|(_, body, _)| Found { body: body.clone(), etag: String::new() }))
    }

    async fn put(&self, at: &Location, body: Bytes, content_type: &str, _: &Condition) -> Result<String, Fault> {
        if self.refuse_suffix.is_some_and(|suffix| at.key.ends_with(suffix)) {
            return Err(Fault::transient(Code::ServiceUnavailable, format!("failed to write {at}: slow down")));
        }
        self.puts.lock().unwrap().push((at.clone(), body, content_type.to_owned()));
        Ok(String::new())
    }

    async fn remove(&self, _: &Location) -> Result<(), Fault> {
        Ok(())
    }
}

fn store(objects: &Arc<Memory>) -> Store {
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
        place_is_named: true,
        options: JobOptions::default(),
    }
}

fn model() -> ModelRef {
    samples::jfk().model
}

fn keys(objects: &Memory) -> Vec<String> {
    objects.puts.lock().unwrap().iter().map(|(at, ..)| at.to_string()).collect()
}

#[tokio::test]
async fn the_configured_renditions_are_written_and_the_json_last() {
    let objects = Arc::new(Memory::default());
    let location = store(&objects).write(&job(), &samples::jfk()).await.unwrap();
    assert_eq!(
        keys(&objects),
        [
            "s3://out/transcripts/u1/f1/transcript.txt",
            "s3://out/transcripts/u1/f1/transcript.vtt",
            "s3://out/transcripts/u1/f1/transcript.json",
        ]
    );
    let types: Vec<_> = objects.puts.lock().unwrap().iter().map(|(.., content_type)| content_type.clone()).collect();
    assert_eq!(types, ["text/plain; charset=utf-8", "text/vtt", "application/json"]);
    assert_eq!(location.json_key, "transcripts/u1/f1/transcript.json");
    assert_eq!(location.vtt_key.as_deref(), Some("transcripts/u1/f1/transcript.vtt"));
    assert_eq!(location.srt_key, None);
}

#[tokio::test]
async fn a_job_that_names_its_output_gets_the_json_exactly_there_and_its_formats_beside_it() {
    let objects = Arc::new(Memory::default());
    let options = JobOptions { formats: Some(vec![Format::Amazon, Format::Srt]), ..JobOptions::default() };
    let job = Job { output: Some(Location::new("theirs", "a/talk.v2.json")), options, ..job() };
    store(&objects).write(&job, &samples::jfk()).await.unwrap();
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
    let objects = Arc::new(Memory::default());
    let job = Job { user_id: "us-east-1:ab|c".to_owned(), file_id: ".checkpoint".to_owned(), ..job() };
    assert_eq!(store(&objects).plan(&job).json.key, "transcripts/us-east-1%3Aab%7Cc/%2Echeckpoint/transcript.json");
}

#[tokio::test]
async fn a_put_that_fails_leaves_no_json() {
    for suffix in [".txt", ".vtt", ".json"] {
        let objects = Arc::new(Memory { refuse_suffix: Some(suffix), ..Memory::default() });
        let fault = store(&objects).write(&job(), &samples::jfk()).await.unwrap_err();
        assert!(matches!(fault, Fault::Transient(_)));
        assert!(keys(&objects).iter().all(|key| !key.ends_with(".json")), "{suffix}");
        assert_eq!(store(&objects).find_done(&job(), "etag1", &model()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_written_job_is_found_done() {
    let objects = Arc::new(Memory::default());
    let store = store(&objects);
    assert_eq!(store.find_done(&job(), "etag1", &model()).await.unwrap(), None);
    let location = store.write(&job(), &samples::jfk()).await.unwrap();
    assert_eq!(store.find_done(&job(), "etag1", &model()).await.unwrap(), Some(samples::jfk()));
    assert_eq!(store.plan(&job()).location(), location);
}

#[tokio::test]
async fn another_job_source_content_or_model_is_not_done() {
    let objects = Arc::new(Memory::default());
    let store = store(&objects);
    store.write(&job(), &samples::jfk()).await.unwrap();
    let other_job = Job { id: "j2".to_owned(), ..job() };
    let other_source = Job { source: Location::new("uploads", "else.mp3"), ..job() };
    let other_model = ModelRef { sha256: "0".to_owned(), ..model() };
    assert_eq!(store.find_done(&other_job, "etag1", &model()).await.unwrap(), None);
    assert_eq!(store.find_done(&other_source, "etag1", &model()).await.unwrap(), None);
    assert_eq!(store.find_done(&job(), "etag2", &model()).await.unwrap(), None);
    assert_eq!(store.find_done(&job(), "etag1", &other_model).await.unwrap(), None);
}

#[tokio::test]
async fn a_damaged_or_foreign_document_is_not_done() {
    for document in ["", "{\"version\":\"1.0\"", "{}", "[]", "{\"results\":{}}"] {
        let objects = Arc::new(Memory::default());
        let store = store(&objects);
        let at = store.plan(&job()).json;
        store.objects.put(&at, Bytes::from(document), "application/json", &Condition::Always).await.unwrap();
        assert_eq!(store.find_done(&job(), "etag1", &model()).await.unwrap(), None, "{document}");
    }
}

#[tokio::test]
async fn a_role_that_may_not_read_does_the_work_and_an_outage_is_passed_on() {
    let refused = Fault::permanent(Code::AccessDenied, "access denied");
    let objects = Arc::new(Memory { reading: Some(refused), ..Memory::default() });
    assert_eq!(store(&objects).find_done(&job(), "etag1", &model()).await.unwrap(), None);

    let outage = Fault::transient(Code::ServiceUnavailable, "slow down");
    let objects = Arc::new(Memory { reading: Some(outage.clone()), ..Memory::default() });
    assert_eq!(store(&objects).find_done(&job(), "etag1", &model()).await.unwrap_err(), outage);
}
