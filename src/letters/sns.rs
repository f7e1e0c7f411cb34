//! Alerts by an SNS topic.

use async_trait::async_trait;
use aws_sdk_sns::Client;

use super::process::Alert;
use crate::fault::Fault;
use crate::fault::sdk::classify;

/// One topic.
#[derive(Debug)]
pub struct Topic {
    client: Client,
    arn: String,
}

impl Topic {
    /// The topic with this ARN.
    pub fn new(client: Client, arn: impl Into<String>) -> Self {
        Self { client, arn: arn.into() }
    }
}

#[async_trait]
impl Alert for Topic {
    async fn tell(&self, subject: &str, message: &str) -> Result<(), Fault> {
        let request = self.client.publish().topic_arn(&self.arn).subject(subject).message(message);
        request.send().await.map(drop).map_err(|e| classify(&e, &format!("tell topic {}", self.arn)))
    }
}
