//! The dead letters of an SQS queue: looked at without being consumed, sent again, removed.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_sqs::Client;
use futures_util::{StreamExt, stream};

use super::sqs::{self, MAX_BATCH, SqsQueue};
use super::{Message, Queue};
use crate::fault::sdk::classify;
use crate::fault::{Code, Fault};
use crate::job::message::{self, Identity, Intake};

/// So many requests are under way at a time: thousands of letters are to be moved before their visibility ends.
const AT_ONCE: usize = 16;
/// Long enough that SQS asks all its servers, which a short poll does not.
const WAIT_SECS: i32 = 1;
/// So many answers in a row without a new letter end a listing: one may be empty although there are letters.
const QUIET_ANSWERS: u32 = 2;
/// What the queue's own redrive leaves is there because its receives ran out: it says nothing else.
const OF_THE_QUEUE: &str = "RETRIES_EXHAUSTED";

/// One dead letter, held until it is released or its visibility ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The dead-letter queue's own id.
    pub id: String,
    /// What the producer sent.
    pub body: String,
    /// How often it was received, listings included.
    pub receive_count: u32,
    /// When it was sent, milliseconds since the Unix epoch; 0 when unknown. Letters that the queue moved itself keep the
    /// time of the producer's message.
    pub sent_at_ms: i64,
    /// The FIFO group, when the queue has groups.
    pub group: Option<String>,
    /// `ErrorCode`, `ErrorMessage` and `SourceMessageId` of letters that a worker wrote; empty for those that the queue
    /// moved itself.
    pub attributes: BTreeMap<String, String>,
    receipt: String,
}

impl DeadLetter {
    /// Why it is here: the worker's code, `RETRIES_EXHAUSTED` where the queue moved it.
    pub fn code(&self) -> &str {
        self.attributes.get("ErrorCode").map_or(OF_THE_QUEUE, String::as_str)
    }

    /// The sentence to the code.
    pub fn reason(&self) -> &str {
        let moved = "moved by the queue after its last receive";
        self.attributes.get("ErrorMessage").map_or(moved, String::as_str)
    }

    /// Ids of its jobs; an S3 notification may carry several, a broken message at least what can be read of it.
    pub fn job_ids(&self) -> Vec<String> {
        match message::read(&self.body) {
            Ok(Intake::Jobs { jobs, .. }) => jobs.into_iter().map(|job| Identity::from(&job).job_id).collect(),
            _ => vec![message::identify(&self.body, self.source_message_id()).job_id],
        }
    }

    /// What the events call a message whose body names no job.
    fn source_message_id(&self) -> &str {
        self.attributes.get("SourceMessageId").unwrap_or(&self.id)
    }
}

/// The dead-letter queue, and the job queue that its letters go back to.
#[derive(Debug)]
pub struct DeadLetters {
    client: Client,
    url: String,
    jobs: Option<SqsQueue>,
}

impl DeadLetters {
    /// The letters of `dead_url`, else of the queue that the job queue's redrive policy names.
    ///
    /// # Errors
    /// A permanent fault when neither is known, or the job queue does not exist.
    pub async fn open(client: Client, jobs_url: Option<&str>, dead_url: Option<&str>) -> Result<Self, Fault> {
        let jobs = jobs_url.map(|url| SqsQueue::new(client.clone(), url, Duration::ZERO));
        let url = match (dead_url, &jobs) {
            (Some(url), _) => url.to_owned(),
            (None, Some(jobs)) => jobs.traits().await?.dead_letter_url.ok_or_else(|| {
                let message = format!("queue {} names no dead-letter queue; give --dlq-url", jobs.url());
                Fault::permanent(Code::Internal, message)
            })?,
            (None, None) => {
                let message = "no queue: set TRANSCRIPTION_QUEUE_URL, or give --dlq-url";
                return Err(Fault::permanent(Code::Internal, message));
            }
        };
        Ok(Self { client, url, jobs })
    }

    /// Every letter that can be seen now, oldest first, each hidden from others for `hold`: release them. Of a FIFO
    /// queue at most ten of each group come at a time, in their order.
    ///
    /// # Errors
    /// The queue does not exist, refuses us or cannot be reached; what was received becomes visible after `hold`.
    pub async fn take(&self, hold: Duration) -> Result<Vec<DeadLetter>, Fault> {
        let mut letters: BTreeMap<String, DeadLetter> = BTreeMap::new();
        let mut quiet = 0;
        while quiet < QUIET_ANSWERS {
            let before = letters.len();
            // one that comes back because `hold` is over has a new receipt, and the old one is worth nothing
            letters.extend(self.receive(hold).await?.into_iter().map(|letter| (letter.id.clone(), letter)));
            quiet = if letters.len() == before { quiet + 1 } else { 0 };
        }
        let mut letters: Vec<DeadLetter> = letters.into_values().collect();
        letters.sort_by_key(|letter| letter.sent_at_ms);
        Ok(letters)
    }

    async fn receive(&self, hold: Duration) -> Result<Vec<DeadLetter>, Fault> {
        let answer = sqs::receive(&self.client, &self.url, MAX_BATCH, hold)
            .wait_time_seconds(WAIT_SECS)
            .message_attribute_names("All")
            .send()
            .await
            .map_err(|e| classify(&e, &format!("read dead-letter queue {}", self.url)))?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(letter).collect())
    }

    /// Lets others see the letters at once. One that cannot be released becomes visible by itself.
    pub async fn release<'a>(&self, letters: impl IntoIterator<Item = &'a DeadLetter>) {
        let release = async |letter: &DeadLetter| {
            let request = self.client.change_message_visibility().queue_url(&self.url).visibility_timeout(0);
            if let Err(error) = request.receipt_handle(&letter.receipt).send().await {
                let fault = classify(&error, &format!("release dead letter {}", letter.id));
                tracing::warn!(%fault, "it becomes visible by itself");
            }
        };
        stream::iter(letters).for_each_concurrent(AT_ONCE, release).await;
    }

    /// How many letters may be moved at once: one on a FIFO queue, whose groups keep their order.
    ///
    /// # Errors
    /// The job queue does not exist, refuses us or cannot be reached.
    pub async fn at_once(&self) -> Result<usize, Fault> {
        match &self.jobs {
            Some(jobs) => Ok(if jobs.traits().await?.fifo { 1 } else { AT_ONCE }),
            None => Ok(AT_ONCE),
        }
    }

    /// Sends the body to the job queue as a new message, whose receives count anew, then removes the letter: dying in
    /// between leaves both, never none.
    ///
    /// # Errors
    /// The job queue is not known, or either step failed; the sentence says which.
    pub async fn redrive(&self, letter: &DeadLetter) -> Result<(), Fault> {
        let Some(jobs) = &self.jobs else {
            let message = "letters are sent to the job queue: set TRANSCRIPTION_QUEUE_URL";
            return Err(Fault::permanent(Code::Internal, message));
        };
        // by the letter, not by its body, which a FIFO queue may have seen minutes ago and would drop
        jobs.send_once(&letter.body, letter.group.as_deref(), &letter.id).await?;
        self.remove(letter).await
    }

    /// Removes the letter for good.
    ///
    /// # Errors
    /// It is still there.
    pub async fn remove(&self, letter: &DeadLetter) -> Result<(), Fault> {
        let request = self.client.delete_message().queue_url(&self.url).receipt_handle(&letter.receipt);
        request.send().await.map_err(|e| classify(&e, &format!("remove dead letter {}", letter.id)))?;
        Ok(())
    }
}

fn letter(mut received: aws_sdk_sqs::types::Message) -> Option<DeadLetter> {
    let attributes = received.message_attributes.take().unwrap_or_default().into_iter();
    let attributes = attributes.filter_map(|(name, value)| Some((name, value.string_value?))).collect();
    let Message { id, body, receipt, receive_count, sent_at_ms, group, .. } = sqs::delivery(received)?;
    Some(DeadLetter { id, body, receive_count, sent_at_ms, group, attributes, receipt })
}
