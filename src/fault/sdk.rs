//! What an AWS answer means for a job: the only classifier of SDK errors, so that all retry knowledge is here.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::{Code, Fault};

/// Parts of codes that mean "the same request may succeed later", whatever the HTTP status beside them.
const TRANSIENT: [&str; 27] = [
    "Throttl",
    "SlowDown",
    "RequestLimitExceeded",
    "RequestTimeout",
    "InternalError",
    "InternalFailure",
    "InternalException",
    "ServiceUnavailable",
    "TooManyRequests",
    "ProvisionedThroughputExceeded",
    "OverLimit",
    // the clock or the credentials of this instance, never the job
    "RequestTimeTooSkewed",
    "ExpiredToken",
    "RequestExpired",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "InvalidSignature",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "UnrecognizedClient",
    "TokenRefreshRequired",
    // damaged or cut on the way
    "BadDigest",
    "ChecksumMismatch",
    "IncompleteBody",
    // somebody else writes, or cleaned up, the same key at the moment
    "OperationAborted",
    "NoSuchUpload",
];

/// Parts of codes by which a service refuses us.
const REFUSED: [&str; 4] = ["AccessDenied", "Forbidden", "AllAccessDisabled", "NotAuthorized"];

/// Parts of codes that say there is no such thing.
const MISSING: [&str; 7] = [
    "NoSuchKey",
    "NoSuchBucket",
    "NoSuchVersion",
    "NonExistentQueue",
    "QueueDoesNotExist",
    "ResourceNotFoundException",
    "NotFound",
];

/// The fault of a failed request, and the sentence `failed to {what}: {code}`; `what` names the object, such as
/// `fetch s3://bucket/key`. Sentences leave in events and dead letters, and AWS's own text names accounts and roles: that,
/// and the id of the request, are for the log.
pub fn classify<E>(error: &SdkError<E, HttpResponse>, what: &str) -> Fault
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    match error {
        SdkError::ServiceError(service) => {
            let (code, answer) = (service.err().code(), service.err().message());
            let header = |names: [&str; 2]| names.iter().find_map(|name| service.raw().headers().get(name));
            let request_id = header(["x-amz-request-id", "x-amzn-requestid"]);
            tracing::info!(code, status, answer, request_id, id_2 = header(["x-amz-id-2"; 2]), "AWS refused to {what}");
            let sentence = match (code, status) {
                (Some(code), _) => format!("failed to {what}: {code}"),
                (None, Some(status)) => format!("failed to {what}: HTTP status {status}"),
                (None, None) => format!("failed to {what}: no reason given"),
            };
            by_code(code.unwrap_or_default(), status, sentence)
        }
        // the chain may name the role that was to be assumed
        _ if chain(error).to_lowercase().contains("credential") => {
            tracing::info!(reason = chain(error), "there are no credentials to {what}");
            let sentence = format!("failed to {what}: this worker's credentials cannot be had at the moment");
            Fault::transient(Code::ServiceUnavailable, sentence)
        }
        SdkError::ConstructionFailure(_) => {
            Fault::permanent(Code::Internal, format!("failed to {what}: {}", chain(error)))
        }
        // dispatch failures, time-outs, unreadable responses
        _ => Fault::transient(Code::ServiceUnavailable, format!("failed to {what}: {}", chain(error))),
    }
}

/// The fault behind an error code; `status` where an HTTP answer carried it.
pub(crate) fn by_code(code: &str, status: Option<u16>, sentence: String) -> Fault {
    let any = |parts: &[&str]| parts.iter().any(|part| code.contains(part));
    // a young bucket answers 307 until its name has spread
    if any(&TRANSIENT) || matches!(status, Some(307 | 408 | 429 | 500..)) {
        return Fault::transient(Code::ServiceUnavailable, sentence);
    }
    if matches!(code, "PreconditionFailed" | "ConditionalRequestConflict") || status == Some(412) {
        return Fault::transient(Code::ObjectChanged, sentence);
    }
    if code == "InvalidObjectState" {
        let sentence = format!("{sentence} (the object is archived; restore it from Glacier first)");
        return Fault::permanent(Code::AccessDenied, sentence);
    }
    // a key that is disabled or gone refuses us just as a key policy does, and is not the object that is missing
    if any(&REFUSED) || code.to_ascii_lowercase().starts_with("kms") {
        return Fault::permanent(Code::AccessDenied, sentence);
    }
    if any(&MISSING) {
        return Fault::permanent(Code::ObjectNotFound, sentence);
    }
    match status {
        // AWS names a code in each refusal: this one is somebody's on the way
        Some(400) if code.is_empty() => Fault::transient(Code::ServiceUnavailable, sentence),
        Some(401 | 403) => Fault::permanent(Code::AccessDenied, sentence),
        Some(404) => Fault::permanent(Code::ObjectNotFound, sentence),
        _ => Fault::permanent(Code::Internal, sentence),
    }
}

/// An error and its causes in one line; the SDK's own `Display` says only "dispatch failure".
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if parts.last() != Some(&text) {
            parts.push(text);
        }
        next = error.source();
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use aws_sdk_s3::operation::get_object::GetObjectError;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    /// As AWS words it.
    const ANSWER: &str = "User: arn:aws:sts::123456789012:assumed-role/worker/i-0abc is not authorized";

    type Failed = SdkError<GetObjectError, HttpResponse>;

    fn answer(status: u16, code: Option<&str>) -> Failed {
        let mut metadata = ErrorMetadata::builder();
        if let Some(code) = code {
            metadata = metadata.code(code).message(ANSWER);
        }
        let raw = HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
        SdkError::service_error(GetObjectError::generic(metadata.build()), raw)
    }

    /// `true` for a transient fault, and its code.
    fn of(status: u16, code: Option<&str>) -> (bool, Code) {
        let fault = classify(&answer(status, code), "fetch s3://b/k");
        (matches!(fault, Fault::Transient(_)), fault.problem().unwrap().code)
    }

    #[test]
    fn the_sentence_names_the_object_and_the_code_and_no_role_of_ours() {
        let fault = classify(&answer(403, Some("AccessDenied")), "fetch s3://b/k");
        assert_eq!(fault.problem().unwrap().message, "failed to fetch s3://b/k: AccessDenied");
        let fault = classify(&answer(404, None), "look at s3://b/k");
        assert_eq!(fault.problem().unwrap().message, "failed to look at s3://b/k: HTTP status 404");
    }

    #[test]
    fn throttling_and_outages_are_retried_whatever_their_status() {
        for (status, code) in [
            (503, "SlowDown"),
            (400, "ThrottlingException"),
            (400, "AWS.SimpleQueueService.ThrottlingException"),
            (400, "KMS.ThrottlingException"),
            (400, "KmsThrottled"),
            (400, "RequestTimeout"),
            (403, "RequestTimeTooSkewed"),
            (400, "ExpiredToken"),
            (403, "ExpiredTokenException"),
            (403, "OverLimit"),
            (500, "Whatever"),
            (429, "Whatever"),
            (500, "KMS.DependencyTimeoutException"),
            (503, "AccessDenied"),
            (307, "TemporaryRedirect"),
            (403, "InvalidAccessKeyId"),
            (403, "SignatureDoesNotMatch"),
            (403, "InvalidClientTokenId"),
            (400, "UnrecognizedClientException"),
            (400, "InvalidSignatureException"),
        ] {
            assert_eq!(of(status, Some(code)), (true, Code::ServiceUnavailable), "{status} {code}");
        }
        assert_eq!(of(502, None), (true, Code::ServiceUnavailable));
    }

    #[test]
    fn a_refusal_is_permanent() {
        for code in ["AccessDenied", "AccessDeniedException", "KMS.DisabledException"] {
            assert_eq!(of(400, Some(code)), (false, Code::AccessDenied), "{code}");
        }
        assert_eq!(of(403, None), (false, Code::AccessDenied));
        assert_eq!(of(403, Some("InvalidObjectState")), (false, Code::AccessDenied));
    }

    #[test]
    fn a_missing_object_or_queue_is_permanent() {
        for code in ["NoSuchKey", "NoSuchBucket", "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"] {
            assert_eq!(of(400, Some(code)), (false, Code::ObjectNotFound), "{code}");
        }
        assert_eq!(of(404, None), (false, Code::ObjectNotFound));
    }

    #[test]
    fn an_object_that_changed_is_read_again_from_the_start() {
        assert_eq!(of(412, Some("PreconditionFailed")), (true, Code::ObjectChanged));
        assert_eq!(of(412, None), (true, Code::ObjectChanged));
        assert_eq!(of(409, Some("ConditionalRequestConflict")), (true, Code::ObjectChanged));
    }

    #[test]
    fn any_other_refused_request_is_our_own_fault() {
        assert_eq!(of(400, Some("InvalidArgument")), (false, Code::Internal));
    }

    #[test]
    fn a_network_failure_is_retried_and_names_its_cause() {
        let cause = std::io::Error::other("connection refused by 10.0.0.1");
        let failed: Failed = SdkError::dispatch_failure(ConnectorError::io(cause.into()));
        let fault = classify(&failed, "fetch s3://b/k");
        assert!(matches!(&fault, Fault::Transient(problem) if problem.message.contains("connection refused")));
        for failed in [
            Failed::timeout_error("too slow"),
            Failed::response_error("cut short", HttpResponse::new(200.try_into().unwrap(), SdkBody::empty())),
            Failed::construction_failure(format!("no credentials: {ANSWER}")),
        ] {
            let fault = classify(&failed, "fetch s3://b/k");
            assert!(!fault.to_string().contains("arn:"), "{fault}");
            assert!(matches!(&fault, Fault::Transient(problem) if problem.code == Code::ServiceUnavailable));
        }
    }

    #[test]
    fn a_request_that_cannot_be_built_is_not_retried() {
        let fault = classify(&Failed::construction_failure("bucket is empty"), "fetch s3:///k");
        assert!(matches!(fault, Fault::Permanent(problem) if problem.code == Code::Internal));
    }
}
