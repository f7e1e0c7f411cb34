//! The three places a worker deals with: AWS, or a folder.

use std::sync::Arc;
use std::time::Duration;

use super::aws;
use crate::config::{DeliveryConfig, PlacesConfig};
use crate::exit::Trouble;
use crate::objects::Objects;
use crate::objects::folder::FolderObjects;
use crate::objects::s3::S3Objects;
use crate::publish::Publish;
use crate::publish::eventbridge::EventBridge;
use crate::publish::log::EventLog;
use crate::queue::Queue;
use crate::queue::folder::FolderQueue;
use crate::queue::sqs::SqsQueue;
use crate::store::Store;

/// Where a worker's messages, objects and events are.
pub struct Places {
    /// Where messages come from.
    pub queue: Arc<dyn Queue>,
    /// Where audio comes from and transcripts go.
    pub objects: Arc<dyn Objects>,
    /// Where events go.
    pub publisher: Arc<dyn Publish>,
    /// The folder behind all three, if that is what they are.
    pub folder: Option<Arc<FolderQueue>>,
}

impl Places {
    /// Builds the adapters; nothing is asked of AWS yet.
    ///
    /// # Errors
    /// A setting is missing or wrong.
    pub async fn open(config: &PlacesConfig, delivery: &DeliveryConfig) -> Result<Self, Trouble> {
        if let Some(dir) = &config.folder {
            let unusable = |e| Trouble::Config(format!("failed to use the folder {}: {e}", dir.display()));
            let queue = Arc::new(FolderQueue::open(dir).map_err(unusable)?);
            return Ok(Self {
                queue: queue.clone(),
                objects: Arc::new(FolderObjects::new(dir)),
                publisher: Arc::new(EventLog::new(dir.join("events.jsonl"))),
                folder: Some(queue),
            });
        }
        let Some(queue_url) = &config.queue_url else {
            return Err(Trouble::Config("no queue: set TRANSCRIPTION_QUEUE_URL, or work on a --folder".to_owned()));
        };
        let sdk = aws::sdk_config().await.map_err(Trouble::Config)?;
        let wait = Duration::from_secs(u64::from(delivery.poll_secs));
        Ok(Self {
            queue: Arc::new(SqsQueue::new(aws_sdk_sqs::Client::new(&sdk), queue_url, wait)),
            objects: Arc::new(S3Objects::new(aws::s3_client(&sdk), config.kms_key_id.clone())),
            publisher: Arc::new(EventBridge::new(aws_sdk_eventbridge::Client::new(&sdk), &config.event_bus)),
            folder: None,
        })
    }

    /// Where transcripts go.
    pub fn store(&self, config: &PlacesConfig) -> Store {
        Store {
            objects: self.objects.clone(),
            // the folder's jobs always name their output
            bucket: config.output_bucket.clone().unwrap_or_default(),
            prefix: config.output_prefix.clone(),
            formats: config.formats.clone(),
        }
    }
}

/// The queue, for `submit`.
///
/// # Errors
/// The SDK cannot be configured.
pub async fn sqs(queue_url: &str) -> Result<Arc<dyn Queue>, String> {
    let sdk = aws::sdk_config().await?;
    Ok(Arc::new(SqsQueue::new(aws_sdk_sqs::Client::new(&sdk), queue_url, Duration::ZERO)))
}
