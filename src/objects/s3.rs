//! Objects in S3.

use std::error::Error;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ServerSideEncryption;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::{Bytes, BytesMut};
use futures_util::stream;

use super::{Body, Condition, Found, Location, ObjectInfo, Objects};
use crate::fault::{Code, Fault, sdk};

/// The slowest upload that is waited for, half a megabit a second: a day's transcript of 30 MB takes eight minutes.
const SLOWEST_UPLOAD_BYTES_PER_SEC: u64 = 64 * 1024;

/// The SDK's own 30 s are enough for as much at nearly that speed.
const SMALL_UPLOAD_BYTES: usize = 2_000_000;

/// The tag of objects that are removed when their job ends: what is left behind a lifecycle rule can take by it. They lie
/// beside the transcripts, where no rule finds them by the beginning of their keys.
const TEMPORARY: &str = "transcription-worker=temporary";

/// S3 as the object store.
#[derive(Debug, Clone)]
pub struct S3Objects {
    client: Client,
    kms_key_id: Option<String>,
    /// We may not tag: said once, and objects are written without.
    untagged: Arc<AtomicBool>,
}

impl S3Objects {
    /// Objects through `client`, whose region, endpoint and retries are the caller's choice. With `kms_key_id` every
    /// write is encrypted under that key (SSE-KMS); without it the bucket's default encryption applies.
    pub fn new(client: Client, kms_key_id: Option<String>) -> Self {
        Self { client, kms_key_id, untagged: Arc::default() }
    }

    /// More time for a request that uploads so many bytes, where it needs more. The SDK's read time-out runs from the first
    /// byte sent to the first byte answered: a large body on a slow line would end at it every time it is sent.
    fn upload_time(&self, bytes: usize) -> Option<Builder> {
        let answer = self.client.config().timeout_config().and_then(TimeoutConfig::read_timeout)?;
        Some(Builder::new().timeout_config(TimeoutConfig::builder().read_timeout(answer + extra_time(bytes)?).build()))
    }

    /// Writes an object, with these tags.
    async fn write(
        &self,
        at: &Location,
        body: Bytes,
        content_type: &str,
        condition: &Condition,
        tags: Option<&str>,
    ) -> Result<String, Fault> {
        let encryption = self.kms_key_id.as_ref().map(|_| ServerSideEncryption::AwsKms);
        let request = self.client.put_object().bucket(&at.bucket).key(&at.key).content_type(content_type);
        let request = request.set_server_side_encryption(encryption).set_ssekms_key_id(self.kms_key_id.clone());
        let request = request.set_tagging(tags.map(str::to_owned));
        let request = match condition {
            Condition::Always => request,
            Condition::Absent => request.if_none_match("*"),
            Condition::Unchanged(etag) => request.if_match(format!("\"{etag}\"")),
        };
        let patience = self.upload_time(body.len());
        let request = request.body(ByteStream::from(body));
        let sent = match patience {
            Some(patience) => request.customize().config_override(patience).send().await,
            None => request.send().await,
        };
        let answer = sent.map_err(|error| match condition {
            // the content that was to be written over is gone
            Condition::Unchanged(_) if names_no_object(&error) => {
                Fault::transient(Code::ObjectChanged, format!("failed to write {at}: it is no longer there"))
            }
            _ => self.fault(&error, "write", at),
        })?;
        Ok(answer.e_tag.unwrap_or_default().trim_matches('"').to_owned())
    }

    /// The fault of a failed request: the one classifier's, but where S3 needs more words.
    fn fault<E>(&self, error: &SdkError<E, HttpResponse>, what: &str, at: &Location) -> Fault
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let (answer, status) = (error.raw_response(), status(error));
        let code = error.code();
        let ours = self.client.config().region().map(AsRef::as_ref);
        // S3 names the bucket's region in the answers to requests sent or signed for another
        let theirs = answer.and_then(|answer| answer.headers().get("x-amz-bucket-region"));
        let elsewhere = theirs.is_some() && theirs != ours;
        if status == Some(301) || (status == Some(400) && (elsewhere || code == Some("AuthorizationHeaderMalformed"))) {
            let message = format!(
                "failed to {what} {at}: the bucket is in another region ({}; this worker uses {})",
                theirs.unwrap_or("S3 does not say which"),
                ours.unwrap_or("none"),
            );
            return Fault::permanent(Code::AccessDenied, message);
        }
        explained(sdk::classify(error, &format!("{what} {at}")), status)
    }
}

#[async_trait]
impl Objects for S3Objects {
    async fn head(&self, at: &Location) -> Result<ObjectInfo, Fault> {
        // HEAD would do, but its refusals have no body that says why
        let look = self.client.get_object().bucket(&at.bucket).key(&at.key);
        let mut answer = match look.clone().range("bytes=0-0").send().await {
            // an empty object has no first byte
            Err(error) if status(&error) == Some(416) => look.send().await,
            sent => sent,
        }
        .map_err(|error| self.fault(&error, "look at", at))?;
        let size = match answer.content_range() {
            Some(range) => range.rsplit('/').next().and_then(|whole| whole.parse().ok()),
            // all of it: it is empty, or the server has no ranges
            None => answer.content_length().and_then(|bytes| u64::try_from(bytes).ok()),
        };
        if answer.content_length().is_some_and(|bytes| bytes <= 1) {
            // to its end, so that its connection can be used again
            while answer.body.next().await.is_some() {}
        }
        let (Some(size_bytes), Some(etag)) = (size, answer.e_tag()) else {
            let message = format!("failed to look at {at}: the answer names no size or no etag");
            return Err(Fault::transient(Code::ServiceUnavailable, message));
        };
        Ok(ObjectInfo { size_bytes, etag: etag.trim_matches('"').to_owned() })
    }

    async fn get(&self, at: &Location, range: Range<u64>, etag: &str) -> Result<Body, Fault> {
        let Some(last) = range.end.checked_sub(1).filter(|last| *last >= range.start) else {
            return Ok(Box::pin(stream::empty()));
        };
        let request = self.client.get_object().bucket(&at.bucket).key(&at.key).if_match(format!("\"{etag}\""));
        let sent = request.range(format!("bytes={}-{last}", range.start)).send().await;
        let answer = sent.map_err(|error| self.fault(&error, "fetch", at))?;
        // a server or proxy without ranges answers with the whole object
        let begins = format!("bytes {}-", range.start);
        if range.start > 0 && !answer.content_range().is_some_and(|span| span.starts_with(&begins)) {
            let message = format!("failed to fetch {at}: asked for the bytes from {}, got others", range.start);
            return Err(Fault::transient(Code::ServiceUnavailable, message));
        }
        Ok(Box::pin(stream::try_unfold((answer.body, at.clone()), |(mut body, at)| async move {
            Ok(chunk(&mut body, &at).await?.map(|bytes| (bytes, (body, at))))
        })))
    }

    async fn read(&self, at: &Location, limit_bytes: u64) -> Result<Option<Found>, Fault> {
        let mut answer = match self.client.get_object().bucket(&at.bucket).key(&at.key).send().await {
            Ok(answer) => answer,
            Err(error) => {
                // a missing bucket is a mistake that someone must hear of
                return if names_no_object(&error) { Ok(None) } else { Err(self.fault(&error, "read", at)) };
            }
        };
        let too_large = || {
            let message = format!("failed to read {at}: it is larger than {limit_bytes} bytes");
            Err(Fault::permanent(Code::ObjectTooLarge, message))
        };
        if answer.content_length().and_then(|bytes| u64::try_from(bytes).ok()).is_some_and(|size| size > limit_bytes) {
            return too_large();
        }
        let mut whole = BytesMut::new();
        while let Some(bytes) = chunk(&mut answer.body, at).await? {
            if (whole.len() + bytes.len()) as u64 > limit_bytes {
                return too_large();
            }
            whole.extend_from_slice(&bytes);
        }
        let etag = answer.e_tag.unwrap_or_default().trim_matches('"').to_owned();
        Ok(Some(Found { body: whole.freeze(), etag }))
    }

    async fn put(
        &self,
        at: &Location,
        body: Bytes,
        content_type: &str,
        condition: &Condition,
    ) -> Result<String, Fault> {
        self.write(at, body, content_type, condition, None).await
    }

    /// With the tag, where we may.
    async fn put_temporary(
        &self,
        at: &Location,
        body: Bytes,
        content_type: &str,
        condition: &Condition,
    ) -> Result<String, Fault> {
        if self.untagged.load(Ordering::Relaxed) {
            return self.write(at, body, content_type, condition, None).await;
        }
        match self.write(at, body.clone(), content_type, condition, Some(TEMPORARY)).await {
            Err(Fault::Permanent(problem)) if problem.code == Code::AccessDenied => {
                let written = self.write(at, body, content_type, condition, None).await?;
                // a role that may write, and not tag
                if !self.untagged.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        "checkpoints and start markers are written without their tag: the role lacks s3:PutObjectTagging, \
                         and no lifecycle rule can take those that are left behind"
                    );
                }
                Ok(written)
            }
            written => written,
        }
    }

    async fn remove(&self, at: &Location) -> Result<(), Fault> {
        let sent = self.client.delete_object().bucket(&at.bucket).key(&at.key).send().await;
        sent.map(drop).map_err(|error| self.fault(&error, "remove", at))
    }
}

fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|answer| answer.status().as_u16())
}

/// Whether it is the object that is missing, not the bucket.
fn names_no_object<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    match error.code() {
        Some("NoSuchKey") => true,
        // a stand-in's, without a reason
        None | Some("NotFound") => status(error) == Some(404),
        _ => false,
    }
}

/// The fault, with what S3 does not say.
fn explained(fault: Fault, status: Option<u16>) -> Fault {
    match fault {
        Fault::Permanent(mut problem) if status == Some(403) && problem.code == Code::AccessDenied => {
            problem.message += " (without s3:ListBucket a missing object looks like this too)";
            Fault::Permanent(problem)
        }
        fault => fault,
    }
}

/// How much longer than an empty body so many bytes may take; `None` where the usual time does. A power of two of seconds,
/// since the SDK keeps a connector, with certificates and connections of its own, for each time-out it has ever seen.
fn extra_time(bytes: usize) -> Option<Duration> {
    let secs = (bytes as u64).div_ceil(SLOWEST_UPLOAD_BYTES_PER_SEC).next_power_of_two();
    (bytes > SMALL_UPLOAD_BYTES).then(|| Duration::from_secs(secs))
}

/// The next bytes of a body. The SDK retries nothing once a body has begun, so the caller has to.
async fn chunk(body: &mut ByteStream, at: &Location) -> Result<Option<Bytes>, Fault> {
    body.try_next().await.map_err(|error| {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        Fault::transient(Code::ServiceUnavailable, format!("failed to read the body of {at}: {error}{cause}"))
    })
}

#[cfg(test)]
mod tests;
