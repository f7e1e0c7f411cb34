//! Processes dead letters: each is sent again a few times where that may help, else kept in S3 and told to people. A letter
//! is removed last: dying in between leaves it, and what was done is done again with the same effect.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Letter, Way};
use crate::fault::{Code, Fault};
use crate::job::ids;
use crate::objects::{Condition, Location, Objects};
use crate::queue::dead_letters::{DeadLetter, DeadLetters};

/// Bytes; ours has 100.
const MAX_COUNT_BYTES: u64 = 64 * 1024;

/// Where events are put that are sent again.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Publishes an event as it was.
    async fn forward(&self, source: &str, detail_type: &str, detail: &Value) -> Result<(), Fault>;
}

/// Who tells people.
#[async_trait]
pub trait Alert: Send + Sync {
    /// Tells them; `subject` is a line of at most 100 characters.
    async fn tell(&self, subject: &str, message: &str) -> Result<(), Fault>;
}

/// What was done with a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// It was sent again, for the how manieth time.
    Republished(u32),
    /// It is kept here, and removed from the queue; whether people were told.
    Archived(Location, bool),
}

/// The processor.
pub struct Processor {
    /// The queue.
    pub letters: DeadLetters,
    /// Where kept letters lie.
    pub objects: Arc<dyn Objects>,
    /// A bucket, and what keys begin with.
    pub archive: Location,
    /// Where events are sent again.
    pub bus: Arc<dyn Bus>,
    /// Who is told; nobody where it is `None`.
    pub alert: Option<Arc<dyn Alert>>,
    /// A letter is sent again so often.
    pub tries: u32,
}

/// How often a letter was sent again: remembered beside the archive, since what comes back is a new message.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Count {
    republished: u32,
    last: Option<Timestamp>,
}

impl Processor {
    /// What would be done with a letter.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub async fn plan(&self, dead: &DeadLetter) -> Result<(Letter, Option<u32>), Fault> {
        let letter = Letter::read(&dead.body, &dead.attributes, &dead.id);
        let before = if letter.may_pass() { self.count(&letter).await?.republished } else { self.tries };
        let next = (before < self.tries).then_some(before + 1);
        Ok((letter, next))
    }

    /// Deals with a letter and removes it.
    ///
    /// # Errors
    /// It is still there.
    pub async fn process(&self, dead: &DeadLetter, now: Timestamp) -> Result<Done, Fault> {
        match self.plan(dead).await? {
            (letter, Some(try_number)) => {
                self.republish(dead, &letter, try_number, now).await?;
                Ok(Done::Republished(try_number))
            }
            (letter, None) => {
                let at = self.keep(dead, &letter, now).await?;
                let told = self.tell(&letter, &at).await?;
                self.letters.remove(dead).await?;
                Ok(Done::Archived(at, told))
            }
        }
    }

    /// Counted before it is sent: a letter that is sent and not counted would never come to rest.
    async fn republish(&self, dead: &DeadLetter, letter: &Letter, number: u32, now: Timestamp) -> Result<(), Fault> {
        let count = Count { republished: number, last: Some(now) };
        self.write(&self.count_at(letter), &json!(count)).await?;
        match &letter.way {
            Way::Queue => self.letters.redrive(dead).await,
            Way::Bus { source, detail_type, detail } => {
                self.bus.forward(source, detail_type, detail).await?;
                self.letters.remove(dead).await
            }
            Way::Nowhere => Err(Fault::permanent(Code::Internal, "bug: what goes nowhere is sent again")),
        }
    }

    /// Keeps the letter with all that is known of it, in the same object however often that is tried.
    async fn keep(&self, dead: &DeadLetter, letter: &Letter, now: Timestamp) -> Result<Location, Fault> {
        let sent = Timestamp::from_millisecond(dead.sent_at_ms).unwrap_or(now);
        let sent = if dead.sent_at_ms == 0 { now } else { sent };
        // RFC 3339 in UTC begins with the day
        let day: String = sent.to_string().chars().take(10).collect();
        let (class, id) = (ids::key_part(&letter.class), short(&letter.id));
        let at = self.below(&format!("failed-events/{day}/{class}/{id}-{}.json", ids::key_part(&dead.id)));
        let document = json!({
            // as JSON where it is, for it is to be read
            "originalEvent": serde_json::from_str(&dead.body).unwrap_or_else(|_| json!(dead.body)),
            "class": letter.class,
            "code": letter.code,
            "failureReason": letter.reason,
            "attributes": dead.attributes,
            "sqsMetadata": {"messageId": dead.id, "sentAt": sent.to_string(), "receiveCount": dead.receive_count, "group": dead.group},
            "processedAt": now.to_string(),
        });
        self.write(&at, &document).await?;
        Ok(at)
    }

    async fn tell(&self, letter: &Letter, at: &Location) -> Result<bool, Fault> {
        let Some(alert) = self.alert.as_ref().filter(|_| letter.is_urgent()) else { return Ok(false) };
        let Letter { class, id, code, reason, .. } = letter;
        let subject: String =
            format!("Dead letter: {class}, {code}").chars().filter(char::is_ascii).take(100).collect();
        let text = format!(
            "{class} {id} could not be dealt with.\n\nCode: {code}\nReason: {reason}\nKept at: {at}\n\n\
             Mend the cause; then send the member originalEvent of that object again."
        );
        alert.tell(&subject, &text).await?;
        Ok(true)
    }

    async fn count(&self, letter: &Letter) -> Result<Count, Fault> {
        let found = self.objects.read(&self.count_at(letter), MAX_COUNT_BYTES).await?;
        Ok(found.and_then(|found| serde_json::from_slice(&found.body).ok()).unwrap_or_default())
    }

    fn count_at(&self, letter: &Letter) -> Location {
        self.below(&format!("republished/{}/{}.json", ids::key_part(&letter.class), short(&letter.id)))
    }

    fn below(&self, name: &str) -> Location {
        Location::new(&self.archive.bucket, format!("{}{name}", self.archive.key))
    }

    async fn write(&self, at: &Location, document: &Value) -> Result<(), Fault> {
        let body = Bytes::from(format!("{document:#}\n"));
        self.objects.put(at, body, "application/json", &Condition::Always).await.map(drop)
    }
}

/// The id as a part of a key; those of several jobs may be longer than a key.
fn short(id: &str) -> String {
    ids::key_part(id).chars().take(200).collect()
}
