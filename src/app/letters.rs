//! The dead letters, for `dlq`.

use super::aws;
use crate::fault::Fault;
use crate::queue::dead_letters::DeadLetters;

/// Opens the dead-letter queue: the one given, else that of the job queue's redrive policy.
///
/// # Errors
/// The SDK cannot be configured, or neither queue is known.
pub async fn open(jobs_url: Option<&str>, dead_url: Option<&str>) -> Result<DeadLetters, String> {
    let sdk = aws::sdk_config().await?;
    let opened = DeadLetters::open(aws_sdk_sqs::Client::new(&sdk), jobs_url, dead_url).await;
    opened.map_err(|fault| match fault {
        Fault::Permanent(problem) | Fault::Transient(problem) | Fault::Unable(problem) => problem.message,
        other => other.to_string(),
    })
}
