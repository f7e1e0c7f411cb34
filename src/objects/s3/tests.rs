//! What S3 is asked, and what its answers mean.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::app::aws::fake::{Answer, FakeAws};
use crate::app::aws::s3_client;

fn at() -> Location {
    Location::new("b", "k.wav")
}

fn objects(aws: &FakeAws) -> S3Objects {
    S3Objects::new(s3_client(&aws.config()), None)
}

#[tokio::test]
async fn uploads_of_many_sizes_share_a_handful_of_connectors() {
    let aws = FakeAws::new(|_| Answer::new(200, "").with("etag", "\"e\""));
    let objects = objects(&aws);
    let whole = Bytes::from(vec![b'x'; 40 << 20]);
    for size in (0..200).map(|n| n * n * 1_000 + n) {
        let at = Location::new("b", format!("{size}.txt"));
        objects.put(&at, whole.slice(..size), "text/plain", &Condition::Always).await.unwrap();
    }
    assert!(aws.connectors() <= 7, "{} connectors", aws.connectors());
    // 39,601,199 bytes at 64 KiB a second, and the SDK's own 30 s
    assert!(aws.longest_read().unwrap() >= Duration::from_secs(604 + 30), "{:?}", aws.longest_read());
}

#[tokio::test]
async fn a_look_is_a_read_of_the_first_byte_whose_refusal_says_why() {
    let aws = FakeAws::new(|_| Answer::new(206, "R").with("content-range", "bytes 0-0/4711").with("etag", "\"e1\""));
    let info = objects(&aws).head(&at()).await;
    assert_eq!(info, Ok(ObjectInfo { size_bytes: 4711, etag: "e1".to_owned() }));
    assert_eq!((aws.methods(), aws.headers("range")), (vec!["GET".to_owned()], vec![Some("bytes=0-0".to_owned())]));

    let refused = async |status: u16, code: &'static str| {
        let aws = FakeAws::new(move |_| Answer::s3_error(status, code, "so it is"));
        objects(&aws).head(&at()).await.unwrap_err()
    };
    // the clock and the credentials are ours, not the job's
    for code in ["RequestTimeTooSkewed", "InvalidAccessKeyId"] {
        assert!(matches!(refused(403, code).await, Fault::Transient(_)), "{code}");
    }
    let fault = refused(403, "AccessDenied").await;
    assert!(matches!(&fault, Fault::Permanent(p) if p.code == Code::AccessDenied), "{fault}");
    assert!(fault.to_string().contains("s3:ListBucket"), "{fault}");
    for code in ["NoSuchKey", "NoSuchBucket"] {
        let fault = refused(404, code).await;
        assert!(matches!(&fault, Fault::Permanent(p) if p.code == Code::ObjectNotFound), "{fault}");
    }
}

#[tokio::test]
async fn an_empty_object_is_found_empty() {
    let aws = FakeAws::new(|request| match request.headers().get("range") {
        Some(_) => Answer::s3_error(416, "InvalidRange", "so it is"),
        None => Answer::new(200, "").with("content-length", "0").with("etag", "\"e0\""),
    });
    assert_eq!(objects(&aws).head(&at()).await, Ok(ObjectInfo { size_bytes: 0, etag: "e0".to_owned() }));
}

#[tokio::test]
async fn a_write_on_a_condition_that_does_not_hold_is_a_change() {
    let unchanged = Condition::Unchanged("e1".to_owned());
    for (condition, header, sent) in [(&Condition::Absent, "if-none-match", "*"), (&unchanged, "if-match", "\"e1\"")] {
        for (status, code) in [(412, "PreconditionFailed"), (409, "ConditionalRequestConflict")] {
            let aws = FakeAws::new(move |_| Answer::s3_error(status, code, "so it is"));
            let fault = objects(&aws).put(&at(), Bytes::new(), "text/plain", condition).await.unwrap_err();
            assert!(matches!(&fault, Fault::Transient(p) if p.code == Code::ObjectChanged), "{fault}");
            assert_eq!(aws.headers(header), [Some(sent.to_owned())]);
        }
    }
    let missing = async |code: &'static str, condition: &Condition| {
        let aws = FakeAws::new(move |_| Answer::s3_error(404, code, "so it is"));
        objects(&aws).put(&at(), Bytes::new(), "text/plain", condition).await.unwrap_err().problem().unwrap().code
    };
    assert_eq!(missing("NoSuchKey", &unchanged).await, Code::ObjectChanged);
    assert_eq!(missing("NoSuchBucket", &unchanged).await, Code::ObjectNotFound);
}

#[tokio::test]
async fn a_temporary_object_is_tagged_and_where_the_role_may_not_tag_written_without() {
    let put = async |objects: &S3Objects| {
        objects
            .put_temporary(&Location::new("b", "k"), Bytes::from_static(b"{}"), "application/json", &Condition::Always)
            .await
    };
    let written = |_: &_| Answer::new(200, "").with("etag", "\"e\"");
    let aws = FakeAws::new(written);
    let objects = S3Objects::new(Client::new(&aws.config()), None);
    assert_eq!(put(&objects).await, Ok("e".to_owned()));
    objects.put(&Location::new("b", "k"), Bytes::new(), "text/plain", &Condition::Always).await.unwrap();
    assert_eq!(aws.headers("x-amz-tagging"), [Some("transcription-worker=temporary".to_owned()), None]);

    let aws = FakeAws::new(move |request| match request.headers().get("x-amz-tagging") {
        Some(_) => Answer::s3_error(403, "AccessDenied", "s3:PutObjectTagging"),
        None => written(request),
    });
    let objects = S3Objects::new(Client::new(&aws.config()), None);
    assert_eq!((put(&objects).await, put(&objects).await), (Ok("e".to_owned()), Ok("e".to_owned())));
    let tagged: Vec<bool> = aws.headers("x-amz-tagging").iter().map(Option::is_some).collect();
    assert_eq!(tagged, [true, false, false], "tried once");

    let aws = FakeAws::new(|_| Answer::s3_error(403, "AccessDenied", "s3:PutObject"));
    let objects = S3Objects::new(Client::new(&aws.config()), None);
    assert!(put(&objects).await.is_err());
    assert!(!objects.untagged.load(Ordering::Relaxed), "it may not write at all");
}
