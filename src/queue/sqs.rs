//! The queue on Amazon SQS.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageAttributeValue, MessageSystemAttributeName as Attribute, QueueAttributeName};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use serde_json::Value;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::{Message, Queue, QueueTraits};
use crate::fault::sdk::classify;
use crate::fault::{Fault, Problem};

/// The most messages that one receive may bring.
const MAX_BATCH: usize = 10;
/// The longest long poll.
const MAX_WAIT_SECS: u64 = 20;
/// The longest visibility timeout: 12 hours.
const MAX_VISIBILITY_SECS: u64 = 43_200;
/// Characters of the `ErrorMessage` attribute: attributes count towards a message's size, and the body comes first.
const MAX_REASON_CHARS: usize = 1_000;
/// The group of messages that name none, on a FIFO queue.
const DEFAULT_GROUP: &str = "default";

/// One SQS queue.
#[derive(Debug)]
pub struct SqsQueue {
    client: Client,
    url: String,
    wait_secs: i32,
    /// Read at the first need, which is the start-up check.
    traits: OnceCell<QueueTraits>,
}

impl SqsQueue {
    /// The queue at `url`; a receive waits `wait` for messages (whole seconds, at most 20).
    pub fn new(client: Client, url: impl Into<String>, wait: Duration) -> Self {
        Self { client, url: url.into(), wait_secs: seconds(wait, MAX_WAIT_SECS), traits: OnceCell::new() }
    }

    /// The queue's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a new message; a FIFO queue drops one of the same `key` within five minutes.
    ///
    /// # Errors
    /// Nothing was sent.
    pub async fn send_once(&self, body: &str, group: Option<&str>, key: &str) -> Result<String, Fault> {
        let mut request = self.client.send_message().queue_url(&self.url).message_body(body);
        if self.traits().await?.fifo {
            request = request.message_group_id(group.unwrap_or(DEFAULT_GROUP)).message_deduplication_id(digest(key));
        }
        let answer = request.send().await.map_err(|e| classify(&e, &format!("send to queue {}", self.url)))?;
        Ok(answer.message_id.unwrap_or_default())
    }

    async fn read_traits(&self) -> Result<QueueTraits, Fault> {
        // all of them: a standard queue may refuse to be asked for FifoQueue by name
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(QueueAttributeName::All)
            .send()
            .await
            .map_err(|e| classify(&e, &format!("read the settings of queue {}", self.url)))?;
        let attribute = |name| answer.attributes().and_then(|all| all.get(&name)).map(String::as_str);
        let policy: Option<Value> =
            attribute(QueueAttributeName::RedrivePolicy).and_then(|text| serde_json::from_str(text).ok());
        let dead_letter_url = match policy.as_ref().and_then(|policy| policy.get("deadLetterTargetArn")?.as_str()) {
            Some(arn) => self.dead_letter_url(arn).await?,
            None => None,
        };
        Ok(QueueTraits {
            max_receive_count: policy.as_ref().and_then(max_receive_count),
            fifo: attribute(QueueAttributeName::FifoQueue) == Some("true"),
            dead_letter_url,
        })
    }

    /// `None` where we may not look: the queue's own redrive works without us.
    async fn dead_letter_url(&self, arn: &str) -> Result<Option<String>, Fault> {
        // arn:aws:sqs:region:account:name
        let mut parts = arn.rsplit(':');
        let (Some(name), Some(account)) = (parts.next(), parts.next()) else {
            tracing::warn!(arn, "the redrive policy names no queue that we can read");
            return Ok(None);
        };
        let found = self.client.get_queue_url().queue_name(name).queue_owner_aws_account_id(account).send().await;
        match found.map_err(|e| classify(&e, &format!("find dead-letter queue {arn}"))) {
            Ok(answer) => Ok(answer.queue_url),
            Err(Fault::Permanent(problem)) => {
                tracing::warn!("{}; broken messages are left to the queue's redrive policy", problem.message);
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }

    /// The fault of a request about one delivery: a receipt that is no longer valid is a lost lease.
    fn about_delivery<E>(&self, error: &SdkError<E, HttpResponse>, verb: &str, message: &Message) -> Fault
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let code = error.code().unwrap_or_default();
        let told = error.message().unwrap_or_default().to_ascii_lowercase();
        if code.contains("ReceiptHandleIsInvalid")
            || code.contains("MessageNotInflight")
            // SQS says so in words: "Value … for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
            || (code.contains("InvalidParameterValue") && told.contains("receipt"))
        {
            return Fault::LeaseLost;
        }
        classify(error, &format!("{verb} message {} of {}", message.id, self.url))
    }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn traits(&self) -> Result<QueueTraits, Fault> {
        self.traits.get_or_try_init(|| self.read_traits()).await.cloned()
    }

    async fn receive(&self, max: usize, visibility: Duration) -> Result<Vec<Message>, Fault> {
        let limit = if self.traits().await?.fifo { 1 } else { MAX_BATCH };
        let max = max.min(limit);
        if max == 0 {
            return Ok(Vec::new());
        }
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(max).unwrap_or(1))
            .wait_time_seconds(self.wait_secs)
            .visibility_timeout(seconds(visibility, MAX_VISIBILITY_SECS))
            .message_system_attribute_names(Attribute::ApproximateReceiveCount)
            .message_system_attribute_names(Attribute::SentTimestamp)
            .message_system_attribute_names(Attribute::MessageGroupId)
            .send()
            .await
            .map_err(|e| classify(&e, &format!("receive from queue {}", self.url)))?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(delivery).collect())
    }

    async fn extend(&self, message: &Message, visibility: Duration) -> Result<(), Fault> {
        self.client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(&message.receipt)
            .visibility_timeout(seconds(visibility, MAX_VISIBILITY_SECS))
            .send()
            .await
            .map_err(|e| self.about_delivery(&e, "keep", message))?;
        Ok(())
    }

    async fn delete(&self, message: &Message) -> Result<(), Fault> {
        self.client
            .delete_message()
            .queue_url(&self.url)
            .receipt_handle(&message.receipt)
            .send()
            .await
            .map_err(|e| self.about_delivery(&e, "delete", message))?;
        Ok(())
    }

    async fn dead_letter(&self, message: &Message, body: &str, reason: &Problem) -> Result<(), Fault> {
        let traits = self.traits().await?;
        let Some(url) = traits.dead_letter_url else { return Ok(()) };
        let what = format!("copy message {} to dead-letter queue {url}", message.id);
        let mut request = self
            .client
            .send_message()
            .queue_url(&url)
            .message_body(body)
            .message_attributes("ErrorCode", text(&reason.code.to_string(), &what)?)
            .message_attributes("ErrorMessage", text(&reason.message, &what)?)
            .message_attributes("SourceMessageId", text(&message.id, &what)?);
        if traits.fifo {
            // a FIFO queue's dead-letter queue is FIFO too; the same message is copied once, however often we settle it
            request = request
                .message_group_id(message.group.as_deref().unwrap_or(DEFAULT_GROUP))
                .message_deduplication_id(digest(&message.id));
        }
        request.send().await.map_err(|e| classify(&e, &what))?;
        Ok(())
    }

    async fn send(&self, body: &str, group: Option<&str>) -> Result<String, Fault> {
        self.send_once(body, group, body).await
    }
}

/// A delivery without a receipt could be neither kept nor deleted: it is left to return by itself.
fn delivery(message: aws_sdk_sqs::types::Message) -> Option<Message> {
    let attribute = |name| message.attributes().and_then(|all| all.get(&name)).cloned();
    let receive_count = attribute(Attribute::ApproximateReceiveCount).and_then(|n| n.parse().ok()).unwrap_or(1);
    let sent_at_ms = attribute(Attribute::SentTimestamp).and_then(|n| n.parse().ok()).unwrap_or(0);
    let group = attribute(Attribute::MessageGroupId);
    Some(Message {
        receipt: message.receipt_handle?,
        id: message.message_id.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        receive_count,
        sent_at_ms,
        group,
    })
}

/// SQS keeps the number as a string or as a number, just as it was set.
fn max_receive_count(policy: &Value) -> Option<u32> {
    match policy.get("maxReceiveCount")? {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64()?.try_into().ok(),
    }
}

/// A string attribute: without the control characters that SQS refuses, never empty, at most 1,000 characters.
fn text(value: &str, what: &str) -> Result<MessageAttributeValue, Fault> {
    let clean: String = value.chars().filter(|c| !c.is_control()).take(MAX_REASON_CHARS).collect();
    let clean = if clean.is_empty() { "-".to_owned() } else { clean };
    MessageAttributeValue::builder()
        .data_type("String")
        .string_value(clean)
        .build()
        .map_err(|e| Fault::permanent(crate::fault::Code::Internal, format!("failed to {what}: {e}")))
}

/// Whole seconds, rounded up, so that a short visibility never becomes "give it back".
fn seconds(duration: Duration, max_secs: u64) -> i32 {
    let secs = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i32::try_from(secs.min(max_secs)).unwrap_or(i32::MAX)
}

fn digest(text: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_short_visibility_is_not_rounded_to_a_release() {
        assert_eq!(seconds(Duration::from_millis(200), MAX_VISIBILITY_SECS), 1);
        assert_eq!(seconds(Duration::ZERO, MAX_VISIBILITY_SECS), 0);
        assert_eq!(seconds(Duration::from_secs(100_000), MAX_VISIBILITY_SECS), 43_200);
    }

    #[test]
    fn the_receive_limit_is_read_as_a_number_or_as_text() {
        assert_eq!(max_receive_count(&serde_json::json!({"maxReceiveCount": 3})), Some(3));
        assert_eq!(max_receive_count(&serde_json::json!({"maxReceiveCount": "3"})), Some(3));
        assert_eq!(max_receive_count(&serde_json::json!({})), None);
    }

    #[test]
    fn an_attribute_is_never_refused_for_its_characters() {
        let value = |input: &str| text(input, "test").unwrap().string_value.unwrap();
        assert_eq!(value("a\u{0}b\nc"), "abc");
        assert_eq!(value("\u{1}"), "-");
        assert_eq!(value(&"ü".repeat(3_000)).chars().count(), 1_000);
    }
}
