//! S3 as the worker uses it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;

use aws_sdk_s3::Client;
use bytes::Bytes;
use futures_util::TryStreamExt;
use transcription_worker::app::aws::{config_for_endpoint, s3_client};
use transcription_worker::fault::{Code, Fault};
use transcription_worker::fetch::{FetchLimits, Scratch, fetch};
use transcription_worker::handler::Control;
use transcription_worker::objects::s3::S3Objects;
use transcription_worker::objects::{Condition, Location, ObjectInfo, Objects};

use crate::server::account;

/// A bucket that no other test uses: bucket names are shared by all accounts.
struct Bucket {
    name: String,
    client: Client,
    objects: S3Objects,
}

impl Bucket {
    async fn new() -> Self {
        let (config, account) = account();
        let (name, client) = (format!("audio-{account}"), s3_client(&config));
        client.create_bucket().bucket(&name).send().await.unwrap();
        Self { name, objects: S3Objects::new(client.clone(), None), client }
    }

    fn at(&self, key: &str) -> Location {
        Location::new(&self.name, key)
    }
}

fn is_missing(fault: &Fault, at: &Location) -> bool {
    matches!(fault, Fault::Permanent(p) if p.code == Code::ObjectNotFound && p.message.contains(&at.to_string()))
}

#[tokio::test]
async fn an_object_is_written_looked_at_read_and_removed() {
    let bucket = Bucket::new().await;
    let (objects, client) = (&bucket.objects, &bucket.client);
    let at = bucket.at("u 1/f+1/ä:b.json");
    objects.put(&at, Bytes::from("{\"a\":1}"), "application/json", &Condition::Always).await.unwrap();
    let head = client.head_object().bucket(&at.bucket).key(&at.key).send().await.unwrap();
    assert_eq!(head.content_type(), Some("application/json"));
    let info = objects.head(&at).await.unwrap();
    assert_eq!((info.size_bytes, info.etag.contains('"')), (7, false));
    assert_eq!(objects.read(&at, 7).await.unwrap().unwrap().body, "{\"a\":1}");
    let fault = objects.read(&at, 6).await.unwrap_err();
    assert!(matches!(fault, Fault::Permanent(p) if p.code == Code::ObjectTooLarge));
    objects.remove(&at).await.unwrap();
    objects.remove(&at).await.unwrap();
    assert_eq!(objects.read(&at, 7).await.unwrap(), None);
}

#[tokio::test]
async fn an_empty_object_is_found_empty() {
    let bucket = Bucket::new().await;
    let at = bucket.at("empty.wav");
    let etag = bucket.objects.put(&at, Bytes::new(), "audio/wav", &Condition::Always).await.unwrap();
    assert_eq!(bucket.objects.head(&at).await, Ok(ObjectInfo { size_bytes: 0, etag }));
}

#[tokio::test]
async fn a_write_on_a_condition_replaces_nothing_that_was_not_meant() {
    let bucket = Bucket::new().await;
    let (objects, at) = (&bucket.objects, bucket.at("transcript.json"));
    let write = async |body: &'static str, condition: &Condition| {
        objects.put(&at, Bytes::from(body), "application/json", condition).await
    };
    let refused = |put: Result<String, Fault>| matches!(put, Err(Fault::Transient(p)) if p.code == Code::ObjectChanged);
    assert!(refused(write("x", &Condition::Unchanged("e".to_owned())).await), "there is nothing to replace");
    let first = write("first", &Condition::Absent).await.unwrap();
    assert!(refused(write("x", &Condition::Absent).await));
    write("second", &Condition::Unchanged(first.clone())).await.unwrap();
    assert!(refused(write("x", &Condition::Unchanged(first)).await));
    assert_eq!(objects.read(&at, 10).await.unwrap().unwrap().body, "second");
}

#[tokio::test]
async fn a_missing_object_is_permanent() {
    let bucket = Bucket::new().await;
    let objects = &bucket.objects;
    let nowhere = Location::new("nowhere", "a.wav");
    for at in [bucket.at("a.wav"), nowhere.clone()] {
        assert!(is_missing(&objects.head(&at).await.unwrap_err(), &at));
        assert!(is_missing(&objects.get(&at, 0..1, "e").await.err().unwrap(), &at));
    }
    assert!(is_missing(&objects.read(&nowhere, 1).await.unwrap_err(), &nowhere));
    assert!(is_missing(
        &objects.put(&nowhere, Bytes::new(), "text/plain", &Condition::Always).await.unwrap_err(),
        &nowhere
    ));
}

#[tokio::test]
async fn a_range_is_read_only_of_the_version_that_was_looked_at() {
    let bucket = Bucket::new().await;
    let objects = &bucket.objects;
    let at = bucket.at("a.wav");
    objects.put(&at, Bytes::from("0123456789"), "audio/wav", &Condition::Always).await.unwrap();
    let etag = objects.head(&at).await.unwrap().etag;
    for (range, expected) in [(0..10, "0123456789"), (0..1, "0"), (3..7, "3456"), (9..10, "9")] {
        let body: Vec<Bytes> = objects.get(&at, range, &etag).await.unwrap().try_collect().await.unwrap();
        assert_eq!(body.concat(), expected.as_bytes());
    }
    objects.put(&at, Bytes::from("another"), "audio/wav", &Condition::Always).await.unwrap();
    let fault = objects.get(&at, 0..1, &etag).await.err().unwrap();
    assert!(
        matches!(fault, Fault::Transient(p) if p.code == Code::ObjectChanged && p.message.contains(&at.to_string()))
    );
}

#[tokio::test]
async fn a_write_is_encrypted_under_the_configured_key() {
    let bucket = Bucket::new().await;
    let at = bucket.at("a.json");
    let objects = S3Objects::new(bucket.client.clone(), Some("alias/transcripts".to_owned()));
    objects.put(&at, Bytes::from("{}"), "application/json", &Condition::Always).await.unwrap();
    let head = bucket.client.head_object().bucket(&at.bucket).key(&at.key).send().await.unwrap();
    assert_eq!(head.server_side_encryption().map(|kind| kind.as_str()), Some("aws:kms"));
    assert!(head.ssekms_key_id().is_some_and(|id| id.ends_with("alias/transcripts")));
}

#[tokio::test]
async fn a_large_object_arrives_whole_in_parts() {
    let bucket = Bucket::new().await;
    let (objects, at) = (&bucket.objects, bucket.at("long.wav"));
    let content: Bytes = (0..40_000_001_u32).map(|i| (i % 251) as u8).collect();
    objects.put(&at, content.clone(), "audio/wav", &Condition::Always).await.unwrap();
    let parent = tempfile::tempdir().unwrap();
    let scratch = Scratch::open(parent.path()).unwrap();
    let limits = FetchLimits { max_bytes: 1 << 30, reserve_bytes: 0 };
    let info = objects.head(&at).await.unwrap();
    let fetched = fetch(objects, &at, &info, &scratch, &limits, &Control::default(), &|| ()).await.unwrap();
    assert!(fs::read(&fetched).unwrap() == content);
}

/// Objects behind a server that gives one answer to everything: what the stand-in cannot be brought to say.
fn behind(answer: &'static str) -> S3Objects {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // none of the requests has a body, so one read is all of it
            let _ = stream.read(&mut [0; 16 * 1024]).unwrap();
            stream.write_all(format!("HTTP/1.1 {answer}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
        }
    });
    S3Objects::new(s3_client(&config_for_endpoint(&endpoint, "100000000000").unwrap()), None)
}

#[tokio::test]
async fn a_refused_look_says_that_the_object_may_just_be_missing() {
    let at = Location::new("b", "k");
    let fault = behind("403 Forbidden").head(&at).await.unwrap_err();
    assert!(matches!(&fault, Fault::Permanent(p) if p.code == Code::AccessDenied), "{fault}");
    assert!(fault.to_string().contains("s3://b/k") && fault.to_string().contains("s3:ListBucket"), "{fault}");
}

#[tokio::test]
async fn a_bucket_in_another_region_is_named_with_both_regions() {
    let at = Location::new("b", "k");
    for answer in
        ["301 Moved Permanently\r\nx-amz-bucket-region: eu-west-1", "400 Bad Request\r\nx-amz-bucket-region: eu-west-1"]
    {
        let fault = behind(answer).head(&at).await.unwrap_err();
        assert!(matches!(&fault, Fault::Permanent(_)), "{fault}");
        for part in ["s3://b/k", "another region", "eu-west-1", "us-east-1"] {
            assert!(fault.to_string().contains(part), "{fault}");
        }
    }
}

#[tokio::test]
async fn a_look_refused_without_a_reason_is_not_the_jobs_end() {
    // AWS names a code in each refusal: this one comes from somewhere on the way
    let fault = behind("400 Bad Request").head(&Location::new("b", "k")).await.unwrap_err();
    assert!(matches!(&fault, Fault::Transient(p) if p.code == Code::ServiceUnavailable), "{fault}");
}

#[tokio::test]
async fn a_server_without_ranges_does_not_pass_off_other_bytes() {
    let objects = behind("200 OK\r\nContent-Length: 0");
    assert!(objects.get(&Location::new("b", "k"), 0..5, "e").await.is_ok());
    let fault = objects.get(&Location::new("b", "k"), 5..10, "e").await.err().unwrap();
    assert!(matches!(&fault, Fault::Transient(_)), "{fault}");
}
