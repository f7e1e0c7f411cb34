//! Messages that the SQS extended client libraries put into S3: what arrives is a pointer to them.

use serde_json::Value;

use super::{Intake, MAX_BODY_BYTES, bad, location, read as read_body};
use crate::fault::{Code, Fault};
use crate::objects::{Location, Objects};

/// The classes that the libraries name, the present one and the one before 2019.
const POINTERS: [&str; 2] =
    ["software.amazon.payloadoffloading.PayloadS3Pointer", "com.amazon.sqs.javamessaging.MessageS3Pointer"];

/// Whether this is a pointer, whole or not.
pub(super) fn is_pointer(value: &Value) -> bool {
    value.get(0).and_then(Value::as_str).is_some_and(|class| POINTERS.contains(&class))
}

/// Where the message lies; `None` when this is no pointer.
///
/// # Errors
/// `BadMessage`: the pointer names no possible object.
pub(super) fn pointer(value: &Value) -> Result<Option<Location>, Fault> {
    if !is_pointer(value) {
        return Ok(None);
    }
    let text = |path| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
    location("the pointer of the extended client", text("/1/s3BucketName"), text("/1/s3Key")).map(Some)
}

/// Reads the message that lies at `at`. It stays there: its bucket's lifecycle rules remove it.
///
/// # Errors
/// What the store answers, a permanent `ObjectNotFound` where there is nothing; `BadMessage` as for any body, also where
/// it is not text. What lies there may be a pointer again, which is for the caller to refuse.
pub async fn read(objects: &dyn Objects, at: &Location) -> Result<Intake, Fault> {
    let Some(found) = objects.read(at, MAX_BODY_BYTES as u64).await? else {
        let message = format!("failed to read the message at {at}: there is no such object");
        return Err(Fault::permanent(Code::ObjectNotFound, message));
    };
    let body = std::str::from_utf8(&found.body).map_err(|_| bad(format!("the message at {at} is not UTF-8")))?;
    read_body(body)
}

#[cfg(test)]
mod tests {
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
}
