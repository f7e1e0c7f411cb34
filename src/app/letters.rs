//! The dead letters, for `dlq`.

use std::sync::Arc;

use aws_config::SdkConfig;

use super::aws;
use crate::fault::Fault;
use crate::letters::process::{Alert, Processor};
use crate::letters::sns::Topic;
use crate::objects::Location;
use crate::objects::s3::S3Objects;
use crate::publish::eventbridge::EventBridge;
use crate::queue::dead_letters::DeadLetters;

/// Opens the dead-letter queue: the one given, else that of the job queue's redrive policy.
///
/// # Errors
/// The SDK cannot be configured, or neither queue is known.
pub async fn open(jobs_url: Option<&str>, dead_url: Option<&str>) -> Result<DeadLetters, String> {
    open_with(&aws::sdk_config().await?, jobs_url, dead_url).await
}

/// What a processor of dead letters needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processing<'a> {
    /// `s3://bucket/folder/`.
    pub archive: &'a str,
    /// ARN of an SNS topic.
    pub alert_topic: Option<&'a str>,
    /// Name or ARN of a bus.
    pub event_bus: &'a str,
    /// How often a letter is sent again.
    pub tries: u32,
}

/// Opens the processor of dead letters.
///
/// # Errors
/// The archive is no S3 URI, the SDK cannot be configured, or neither queue is known.
pub async fn processor(
    processing: Processing<'_>,
    jobs_url: Option<&str>,
    dead_url: Option<&str>,
) -> Result<Processor, String> {
    let Processing { archive, alert_topic, event_bus, tries } = processing;
    let archive = folder(archive).ok_or_else(|| format!("{archive} is not of the form s3://bucket/folder/"))?;
    let sdk = aws::sdk_config().await?;
    let topic = |arn| -> Arc<dyn Alert> { Arc::new(Topic::new(aws_sdk_sns::Client::new(&sdk), arn)) };
    Ok(Processor {
        letters: open_with(&sdk, jobs_url, dead_url).await?,
        objects: Arc::new(S3Objects::new(aws::s3_client(&sdk), None)),
        archive,
        bus: Arc::new(EventBridge::new(aws_sdk_eventbridge::Client::new(&sdk), event_bus)),
        alert: alert_topic.filter(|arn| !arn.is_empty()).map(topic),
        tries,
    })
}

/// A bucket, and what keys in it begin with: nothing, or a folder.
fn folder(uri: &str) -> Option<Location> {
    let (bucket, folder) = uri.strip_prefix("s3://")?.split_once('/').unwrap_or((uri.strip_prefix("s3://")?, ""));
    let folder = match folder {
        "" => String::new(),
        folder => format!("{}/", folder.trim_end_matches('/')),
    };
    (!bucket.is_empty()).then(|| Location::new(bucket, folder))
}

async fn open_with(sdk: &SdkConfig, jobs_url: Option<&str>, dead_url: Option<&str>) -> Result<DeadLetters, String> {
    let opened = DeadLetters::open(aws_sdk_sqs::Client::new(sdk), jobs_url, dead_url).await;
    opened.map_err(|fault| match fault {
        Fault::Permanent(problem) | Fault::Transient(problem) | Fault::Unable(problem) => problem.message,
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_a_bucket_with_or_without_a_folder() {
        for (uri, key) in [("s3://b", ""), ("s3://b/", ""), ("s3://b/dead", "dead/"), ("s3://b/a/dead/", "a/dead/")] {
            assert_eq!(folder(uri), Some(Location::new("b", key)), "{uri}");
        }
        assert_eq!((folder("b/dead"), folder("s3:///dead")), (None, None));
    }
}
