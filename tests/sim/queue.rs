//! SQS in memory, on tokio's clock, as a standard queue is: a message may be delivered twice and in any order, a receipt that
//! is no longer the newest is accepted, a poll that nobody waits for any more takes messages all the same. The unit tests of
//! the worker stand on it too, without its whims.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use transcription_worker::clock::Clock;
use transcription_worker::fault::{Code, Fault, Problem};
use transcription_worker::lease::LONGEST;
use transcription_worker::queue::{Message, Queue, QueueTraits};

/// How long a poll waits, as SQS does at most.
pub const POLL: Duration = Duration::from_secs(20);
/// A poll that found nothing looks again no sooner than this.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What becomes of a call with a receipt of an earlier delivery, or for a message that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaleReceipts {
    /// It is carried out, as standard queues do.
    Accepted,
    /// `LeaseLost`, as FIFO queues do.
    Refused,
}

/// What SQS leaves open.
#[derive(Debug, Clone)]
pub struct Rules {
    /// See [`StaleReceipts`].
    pub stale_receipts: StaleReceipts,
    /// How long a poll waits.
    pub poll: Duration,
    /// How long a message is kept.
    pub retention: Duration,
    /// Tells when a message was sent; unknown without one.
    pub clock: Option<Clock>,
    /// How often the queue does what it may and seldom does; never, and in order, without.
    pub whims: Option<Whims>,
}

/// Shares of calls, from 0 to 1.
#[derive(Debug, Clone)]
pub struct Whims {
    /// Drawn from.
    pub chance: fastrand::Rng,
    /// A delivery leaves the message visible.
    pub twice: f64,
    /// A deletion leaves a copy, which is delivered again.
    pub undead: f64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            stale_receipts: StaleReceipts::Accepted,
            poll: POLL,
            retention: Duration::from_secs(4 * 24 * 3600),
            clock: None,
            whims: None,
        }
    }
}

/// A change the queue accepted, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub at: Instant,
    pub what: What,
    pub body: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Received,
    Extended(Duration),
    Deleted,
    DeadLettered,
}

struct Stored {
    message: Message,
    /// Every receipt handed out for it; the newest is the last.
    receipts: Vec<String>,
    visible_at: Instant,
    received_at: Instant,
    expires_at: Instant,
}

struct State {
    stored: Vec<Stored>,
    dead: Vec<String>,
    events: Vec<Event>,
    asked: Vec<usize>,
    next: u64,
    whims: Option<Whims>,
}

/// The queue and the bodies in its dead-letter queue.
pub struct MemoryQueue {
    pub traits: QueueTraits,
    rules: Rules,
    state: Mutex<State>,
    changed: Notify,
}

impl MemoryQueue {
    pub fn new(traits: QueueTraits) -> Arc<Self> {
        Self::with(traits, Rules::default())
    }

    pub fn with(traits: QueueTraits, rules: Rules) -> Arc<Self> {
        let whims = rules.whims.clone();
        let state = State { stored: vec![], dead: vec![], events: vec![], asked: vec![], next: 0, whims };
        Arc::new(Self { traits, rules, state: Mutex::new(state), changed: Notify::new() })
    }

    pub fn put(&self, body: &str, group: Option<&str>) {
        self.add(body, group);
    }

    /// The new message's id.
    fn add(&self, body: &str, group: Option<&str>) -> String {
        let now = Instant::now();
        let mut state = self.state();
        state.next += 1;
        let message = Message {
            id: format!("m{}", state.next),
            body: body.into(),
            receipt: String::new(),
            receive_count: 0,
            sent_at_ms: self.rules.clock.as_ref().map_or(0, |clock| clock.now().as_millisecond()),
            tenant: None,
            group: group.map(Into::into),
            trace: None,
        };
        let id = message.id.clone();
        let expires_at = now + self.rules.retention;
        state.stored.push(Stored { message, receipts: vec![], visible_at: now, received_at: now, expires_at });
        drop(state);
        self.changed.notify_waiters();
        id
    }

    /// Bodies that are in the queue, visible or not.
    pub fn bodies(&self) -> Vec<String> {
        self.state().stored.iter().map(|stored| stored.message.body.clone()).collect()
    }

    /// Bodies that the queue's redrive or `dead_letter` moved.
    pub fn dead(&self) -> Vec<String> {
        self.state().dead.clone()
    }

    /// The `max` of every receive so far.
    pub fn asked(&self) -> Vec<usize> {
        self.state().asked.clone()
    }

    pub fn events(&self) -> Vec<Event> {
        self.state().events.clone()
    }

    pub fn count(&self, wanted: impl Fn(What) -> bool) -> usize {
        self.state().events.iter().filter(|event| wanted(event.what)).count()
    }

    /// How long until the message becomes visible; zero if it is or there is none.
    pub fn hidden_for(&self, body: &str) -> Duration {
        let state = self.state();
        let stored = state.stored.iter().find(|stored| stored.message.body == body);
        stored.map_or(Duration::ZERO, |stored| stored.visible_at.saturating_duration_since(Instant::now()))
    }

    /// Another consumer takes the message: the receipts handed out before are stale.
    pub fn steal(&self, body: &str) {
        let mut state = self.state();
        let stored = state.stored.iter_mut().find(|stored| stored.message.body == body);
        stored.into_iter().for_each(|stored| stored.receipts.push("another's".into()));
    }

    fn take(&self, max: usize, visibility: Duration) -> Vec<Message> {
        let (now, limit) = (Instant::now(), self.traits.max_receive_count.unwrap_or(u32::MAX));
        let mut state = self.state();
        let State { stored, dead, events, next, whims, .. } = &mut *state;
        stored.retain(|stored| stored.expires_at > now);
        stored.retain(|stored| {
            let is_spent = stored.visible_at <= now && stored.message.receive_count >= limit;
            if is_spent {
                dead.push(stored.message.body.clone());
                events.push(Event { at: now, what: What::DeadLettered, body: stored.message.body.clone() });
            }
            !is_spent
        });
        if let Some(whims) = whims.as_mut().filter(|_| !self.traits.fifo) {
            whims.chance.shuffle(stored);
        }
        let hidden = stored.iter().filter(|stored| stored.visible_at > now);
        let mut busy: Vec<_> = hidden.filter_map(|stored| stored.message.group.clone()).collect();
        let mut taken = Vec::new();
        for stored in stored.iter_mut().filter(|stored| stored.visible_at <= now) {
            let waits = self.traits.fifo && stored.message.group.as_ref().is_some_and(|group| busy.contains(group));
            if taken.len() == max || waits {
                continue;
            }
            *next += 1;
            busy.extend(stored.message.group.clone());
            stored.message.receive_count += 1;
            stored.message.receipt = format!("{}-r{next}", stored.message.id);
            stored.receipts.push(stored.message.receipt.clone());
            let twice = whims.as_mut().is_some_and(|whims| whims.chance.f64() < whims.twice);
            stored.received_at = now;
            stored.visible_at = if twice { now } else { now + visibility };
            taken.push(stored.message.clone());
            events.push(Event { at: now, what: What::Received, body: stored.message.body.clone() });
        }
        taken
    }

    /// Where the message of a receipt is, and whether the receipt is its newest; `None` where the call does nothing.
    fn find(&self, stored: &[Stored], receipt: &str) -> Result<Option<(usize, bool)>, Fault> {
        let at = stored.iter().position(|stored| stored.receipts.iter().any(|known| known == receipt));
        let is_newest =
            |at: usize| stored.get(at).and_then(|stored| stored.receipts.last()).is_some_and(|r| r == receipt);
        match (at, self.rules.stale_receipts) {
            (Some(at), StaleReceipts::Refused) if !is_newest(at) => Err(Fault::LeaseLost),
            (None, StaleReceipts::Refused) => Err(Fault::LeaseLost),
            (at, _) => Ok(at.map(|at| (at, is_newest(at)))),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn traits(&self) -> Result<QueueTraits, Fault> {
        Ok(self.traits.clone())
    }

    async fn receive(&self, max: usize, visibility: Duration) -> Result<Vec<Message>, Fault> {
        self.state().asked.push(max);
        let wait = async {
            loop {
                let changed = self.changed.notified();
                let taken = self.take(max, visibility);
                if !taken.is_empty() {
                    return taken;
                }
                let next = self.state().stored.iter().map(|stored| stored.visible_at).min();
                let due = next.unwrap_or(Instant::now() + self.rules.poll).max(Instant::now() + LOOK_AGAIN);
                tokio::select! { biased; () = changed => {}, () = sleep_until(due) => {} }
            }
        };
        Ok(timeout(self.rules.poll, wait).await.unwrap_or_default())
    }

    async fn extend(&self, message: &Message, visibility: Duration) -> Result<(), Fault> {
        let now = Instant::now();
        let mut state = self.state();
        let State { stored, events, .. } = &mut *state;
        // of a message that is gone SQS says so, whatever the receipt
        let (at, _) = self.find(stored, &message.receipt)?.ok_or(Fault::LeaseLost)?;
        let Some(stored) = stored.get_mut(at) else { return Err(Fault::LeaseLost) };
        if now + visibility > stored.received_at + LONGEST {
            return Err(Fault::permanent(Code::Internal, "total visibility beyond 12 hours"));
        }
        stored.visible_at = now + visibility;
        events.push(Event { at: now, what: What::Extended(visibility), body: message.body.clone() });
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn delete(&self, message: &Message) -> Result<(), Fault> {
        let now = Instant::now();
        let mut state = self.state();
        let State { stored, events, whims, .. } = &mut *state;
        let Some((at, is_newest)) = self.find(stored, &message.receipt)? else { return Ok(()) };
        let chance = whims.as_mut().map_or((1.0, 0.0), |whims| (whims.chance.f64(), whims.undead));
        // "might not be deleted", the reference says of an older receipt
        let stays = chance.0 < if is_newest { chance.1 } else { 0.5 };
        if !stays {
            stored.remove(at);
        }
        events.push(Event { at: now, what: What::Deleted, body: message.body.clone() });
        Ok(())
    }

    async fn dead_letter(&self, message: &Message, body: &str, _: &Problem) -> Result<(), Fault> {
        let mut state = self.state();
        state.dead.push(body.to_owned());
        state.events.push(Event { at: Instant::now(), what: What::DeadLettered, body: message.body.clone() });
        Ok(())
    }

    async fn send(&self, body: &str, group: Option<&str>) -> Result<String, Fault> {
        Ok(self.add(body, group))
    }
}
