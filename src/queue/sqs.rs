//! The queue on Amazon SQS.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::operation::receive_message::builders::ReceiveMessageFluentBuilder;
use aws_sdk_sqs::types::{
    MessageAttributeValue, MessageSystemAttributeName as Attribute, MessageSystemAttributeNameForSends as Sent,
    MessageSystemAttributeValue, QueueAttributeName,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use serde_json::Value;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::{Message, Queue, QueueTraits};
use crate::fault::sdk::classify;
use crate::fault::{Code, Fault, Problem};

/// The most messages that one receive may bring.
pub(super) const MAX_BATCH: usize = 10;
/// The longest long poll.
const MAX_WAIT_SECS: u64 = 20;
/// The longest visibility timeout: 12 hours.
const MAX_VISIBILITY_SECS: u64 = 43_200;
/// Characters of the `ErrorMessage` attribute: attributes count towards a message's size, and the body comes first.
const MAX_REASON_CHARS: usize = 1_000;
/// The same where a copy with more was refused: its size is the likeliest reason.
const SHORT_REASON_CHARS: usize = 60;
/// The group of messages that name none, on a FIFO queue.
const DEFAULT_GROUP: &str = "default";
/// The queue's settings are read again so often: its receive limit may be changed while a fleet runs.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(180);
/// Settings that are known already are not waited for longer.
const READ_AGAIN_LIMIT: Duration = Duration::from_secs(10);

/// One SQS queue.
#[derive(Debug)]
pub struct SqsQueue {
    client: Client,
    url: String,
    wait_secs: i32,
    settings: Mutex<Option<Settings>>,
}

/// What the queue said of itself.
#[derive(Debug, Clone)]
struct Settings {
    traits: QueueTraits,
    dead_letter_arn: Option<String>,
    asked: Instant,
}

impl SqsQueue {
    /// The queue at `url`; a receive waits `wait` for messages (whole seconds, at most 20).
    pub fn new(client: Client, url: impl Into<String>, wait: Duration) -> Self {
        Self { client, url: url.into(), wait_secs: seconds(wait, MAX_WAIT_SECS), settings: Mutex::default() }
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

    /// The settings that are known and fresh; of old ones one caller at a time is asked to read them again.
    fn known(&self) -> (Option<Settings>, bool) {
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let old = settings.as_ref().is_none_or(|known| known.asked.elapsed() >= READ_AGAIN_AFTER);
        let known = settings.clone();
        if let Some(settings) = settings.as_mut().filter(|_| old) {
            settings.asked = Instant::now();
        }
        (known, old)
    }

    async fn read_settings(&self, before: Option<&Settings>) -> Result<Settings, Fault> {
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
        let arn = policy.as_ref().and_then(|policy| Some(policy.get("deadLetterTargetArn")?.as_str()?.to_owned()));
        let dead_letter_url = match (&arn, before) {
            (None, _) => None,
            (Some(_), Some(before)) if before.dead_letter_arn == arn => before.traits.dead_letter_url.clone(),
            (Some(arn), _) => self.dead_letter_url(arn).await?,
        };
        let traits = QueueTraits {
            max_receive_count: policy.as_ref().and_then(max_receive_count),
            fifo: attribute(QueueAttributeName::FifoQueue) == Some("true"),
            dead_letter_url,
        };
        Ok(Settings { traits, dead_letter_arn: arn, asked: Instant::now() })
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
        let (known, old) = self.known();
        let read = match (&known, old) {
            (Some(known), false) => return Ok(known.traits.clone()),
            (Some(known), true) => timeout(READ_AGAIN_LIMIT, self.read_settings(Some(known))).await,
            (None, _) => Ok(self.read_settings(None).await),
        };
        let settings = match (read, known) {
            (Ok(Ok(settings)), _) => settings,
            (Ok(Err(fault)), None) => return Err(fault),
            (_, Some(known)) => {
                tracing::warn!(queue = self.url, "the queue's settings could not be read again: the old ones hold");
                return Ok(known.traits);
            }
            (Err(_), None) => return Err(Fault::transient(Code::ServiceUnavailable, "the queue does not answer")),
        };
        let traits = settings.traits.clone();
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = Some(settings);
        Ok(traits)
    }

    async fn receive(&self, max: usize, visibility: Duration) -> Result<Vec<Message>, Fault> {
        let fifo = self.traits().await?.fifo;
        let max = max.min(if fifo { 1 } else { MAX_BATCH });
        if max == 0 {
            return Ok(Vec::new());
        }
        let answer = receive(&self.client, &self.url, max, visibility)
            .wait_time_seconds(self.wait_secs)
            .send()
            .await
            .map_err(|e| classify(&e, &format!("receive from queue {}", self.url)))?;
        let mut messages: Vec<_> = answer.messages.unwrap_or_default().into_iter().filter_map(delivery).collect();
        if !fifo {
            // the groups of a fair queue are its tenants: what they share is the queue, not an order
            messages.iter_mut().for_each(|message| message.group = None);
        }
        Ok(messages)
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
        let send = async |reason_chars| {
            let request = self
                .client
                .send_message()
                .queue_url(&url)
                .message_body(body)
                .message_attributes("ErrorCode", text(&reason.code.to_string(), MAX_REASON_CHARS, &what)?)
                .message_attributes("ErrorMessage", text(&reason.message, reason_chars, &what)?)
                .message_attributes("SourceMessageId", text(&message.id, MAX_REASON_CHARS, &what)?);
            let request = match trace_header(message.trace.as_deref(), &what)? {
                Some(header) => request.message_system_attributes(Sent::AwsTraceHeader, header),
                None => request,
            };
            let request = if traits.fifo {
                // a FIFO queue's dead-letter queue is FIFO too; the same body is copied once, however often we settle it
                request
                    .message_group_id(message.group.as_deref().unwrap_or(DEFAULT_GROUP))
                    .message_deduplication_id(digest(&format!("{} {body}", message.id)))
            } else {
                request
            };
            request.send().await.map(drop).map_err(|e| classify(&e, &what))
        };
        // what SQS finds wrong with a copy of its own message is the size, for which the attributes count too; what its
        // queue allows is not ours to ask
        let too_large = |fault: &Fault| matches!(fault, Fault::Permanent(problem) if problem.code == Code::Internal);
        match send(MAX_REASON_CHARS).await {
            Err(fault) if too_large(&fault) => send(SHORT_REASON_CHARS).await.map_err(|fault| match fault {
                Fault::Permanent(mut problem) if problem.code == Code::Internal => {
                    let size = body.len();
                    problem.message += &format!(" (a body of {size} bytes: is the queue's MaximumMessageSize less?)");
                    Fault::Permanent(problem)
                }
                fault => fault,
            }),
            sent => sent,
        }
    }

    async fn send(&self, body: &str, group: Option<&str>) -> Result<String, Fault> {
        self.send_once(body, group, body).await
    }
}

/// A receive of at most `max` messages with all that [`delivery`] reads.
pub(super) fn receive(client: &Client, url: &str, max: usize, visibility: Duration) -> ReceiveMessageFluentBuilder {
    client
        .receive_message()
        .queue_url(url)
        .max_number_of_messages(i32::try_from(max).unwrap_or(1))
        .visibility_timeout(seconds(visibility, MAX_VISIBILITY_SECS))
        .message_system_attribute_names(Attribute::ApproximateReceiveCount)
        .message_system_attribute_names(Attribute::SentTimestamp)
        .message_system_attribute_names(Attribute::MessageGroupId)
        .message_system_attribute_names(Attribute::AwsTraceHeader)
}

/// A delivery without a receipt could be neither kept nor deleted: it is left to return by itself.
pub(super) fn delivery(message: aws_sdk_sqs::types::Message) -> Option<Message> {
    let attribute = |name| message.attributes().and_then(|all| all.get(&name)).cloned();
    let receive_count = attribute(Attribute::ApproximateReceiveCount).and_then(|n| n.parse().ok()).unwrap_or(1);
    let sent_at_ms = attribute(Attribute::SentTimestamp).and_then(|n| n.parse().ok()).unwrap_or(0);
    let group = attribute(Attribute::MessageGroupId);
    let trace = attribute(Attribute::AwsTraceHeader);
    Some(Message {
        receipt: message.receipt_handle?,
        id: message.message_id.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        receive_count,
        sent_at_ms,
        tenant: group.clone(),
        group,
        trace,
    })
}

/// SQS keeps the number as a string or as a number, just as it was set.
fn max_receive_count(policy: &Value) -> Option<u32> {
    match policy.get("maxReceiveCount")? {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64()?.try_into().ok(),
    }
}

/// A string attribute: without the control characters that SQS refuses, never empty, at most `max_chars` long.
fn text(value: &str, max_chars: usize, what: &str) -> Result<MessageAttributeValue, Fault> {
    let clean: String = value.chars().filter(|c| !c.is_control()).take(max_chars).collect();
    let clean = if clean.is_empty() { "-".to_owned() } else { clean };
    MessageAttributeValue::builder()
        .data_type("String")
        .string_value(clean)
        .build()
        .map_err(|e| Fault::permanent(Code::Internal, format!("failed to {what}: {e}")))
}

/// The trace that a message came with, for its copy.
fn trace_header(trace: Option<&str>, what: &str) -> Result<Option<MessageSystemAttributeValue>, Fault> {
    let Some(trace) = trace.filter(|trace| !trace.is_empty()) else { return Ok(None) };
    let header = MessageSystemAttributeValue::builder().data_type("String").string_value(trace).build();
    header.map(Some).map_err(|e| Fault::permanent(Code::Internal, format!("failed to {what}: {e}")))
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
mod tests;
