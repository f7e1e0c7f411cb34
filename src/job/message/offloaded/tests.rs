#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::json;

use super::*;
use crate::objects::Condition;
use crate::objects::folder::FolderObjects;

fn body(class: &str) -> String {
    json!([class, {"s3BucketName": "inbox", "s3Key": "0c9f7a52"}]).to_string()
}

#[tokio::test]
async fn a_message_in_s3_is_read_where_its_pointer_says() {
    let (folder, at) = (tempfile::tempdir().unwrap(), Location::new("inbox", "0c9f7a52"));
    let objects = FolderObjects::new(folder.path());
    for class in POINTERS {
        assert_eq!(read_body(&body(class)), Ok(Intake::Elsewhere(at.clone())));
    }
    let missing = read(&objects, &at).await;
    assert!(matches!(missing, Err(Fault::Permanent(p)) if p.code == Code::ObjectNotFound));
    for (content, expected) in [
        (r#"{"job_id": "j1", "s3_input_path": "s3://b/k.mp3"}"#.to_owned(), "j1"),
        ("[".to_owned(), "is not JSON"),
        (" ".repeat(MAX_BODY_BYTES + 1), "larger"),
    ] {
        objects.put(&at, content.into(), "text/plain", &Condition::Always).await.unwrap();
        let intake = format!("{:?}", read(&objects, &at).await);
        assert!(intake.contains(expected), "{intake}");
    }
}

#[test]
fn a_pointer_to_nothing_possible_and_another_array_are_refused() {
    for (body, expected) in [
        (json!([POINTERS[0], {"s3BucketName": "b"}]), "no possible object key"),
        (json!([POINTERS[0]]), "no possible bucket"),
        (json!(["com.example.Other", {"s3BucketName": "b", "s3Key": "k"}]), "not a JSON object"),
    ] {
        let Err(fault) = read_body(&body.to_string()) else { panic!("{body} was read") };
        assert!(fault.to_string().contains(expected), "{fault}");
    }
}
