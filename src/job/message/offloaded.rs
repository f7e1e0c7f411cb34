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
mod tests;
