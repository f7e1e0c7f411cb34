//! Adapters for tests: a queue in memory with the semantics of SQS on tokio's clock, a handler that does what the body
//! says, and one wrapper that makes any port fail, hang or panic at a given call.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::fault::{Code, Fault, Problem};
use crate::handler::{Control, Delivery, Handled, Handler};
use crate::queue::{Message, Queue, QueueTraits};

/// How long a poll of the fake waits, as SQS does at most.
pub const POLL: Duration = Duration::from_secs(20);

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
    visible_at: Instant,
    received_at: Instant,
}

#[derive(Default)]
struct State {
    stored: Vec<Stored>,
    dead: Vec<String>,
    events: Vec<Event>,
    asked: Vec<usize>,
    next: u64,
}

/// SQS in memory: visibility, receive counts, receipts that go stale with the next delivery, redrive by
/// `max_receive_count`, groups, 12 hours at most.
pub struct MemoryQueue {
    pub traits: QueueTraits,
    state: Mutex<State>,
    changed: Notify,
}

impl MemoryQueue {
    pub fn new(traits: QueueTraits) -> Arc<Self> {
        Arc::new(Self { traits, state: Mutex::default(), changed: Notify::new() })
    }

    pub fn put(&self, body: &str, group: Option<&str>) {
        let mut state = self.state.lock().unwrap();
        state.next += 1;
        let message = Message {
            id: format!("m{}", state.next),
            body: body.into(),
            receipt: String::new(),
            receive_count: 0,
            sent_at_ms: 0,
            group: group.map(Into::into),
        };
        state.stored.push(Stored { message, visible_at: Instant::now(), received_at: Instant::now() });
        drop(state);
        self.changed.notify_waiters();
    }

    /// Bodies that are in the queue, visible or not.
    pub fn bodies(&self) -> Vec<String> {
        self.state.lock().unwrap().stored.iter().map(|stored| stored.message.body.clone()).collect()
    }

    /// Bodies that the queue's redrive or `dead_letter` moved.
    pub fn dead(&self) -> Vec<String> {
        self.state.lock().unwrap().dead.clone()
    }

    /// The `max` of every receive so far.
    pub fn asked(&self) -> Vec<usize> {
        self.state.lock().unwrap().asked.clone()
    }

    pub fn events(&self) -> Vec<Event> {
        self.state.lock().unwrap().events.clone()
    }

    pub fn count(&self, wanted: impl Fn(What) -> bool) -> usize {
        self.events().iter().filter(|event| wanted(event.what)).count()
    }

    /// How long until the message becomes visible; zero if it is.
    pub fn hidden_for(&self, body: &str) -> Duration {
        let state = self.state.lock().unwrap();
        let stored = state.stored.iter().find(|stored| stored.message.body == body).unwrap();
        stored.visible_at.saturating_duration_since(Instant::now())
    }

    /// Another consumer takes the message: the receipts handed out before are stale.
    pub fn steal(&self, body: &str) {
        let mut state = self.state.lock().unwrap();
        let stored = state.stored.iter_mut().find(|stored| stored.message.body == body).unwrap();
        stored.message.receipt = "another's".into();
    }

    fn take(&self, max: usize, visibility: Duration) -> Vec<Message> {
        let (now, limit) = (Instant::now(), self.traits.max_receive_count.unwrap_or(u32::MAX));
        let mut state = self.state.lock().unwrap();
        let State { stored, dead, events, next, .. } = &mut *state;
        stored.retain(|stored| {
            let is_spent = stored.visible_at <= now && stored.message.receive_count >= limit;
            if is_spent {
                dead.push(stored.message.body.clone());
            }
            !is_spent
        });
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
            stored.message.receipt = format!("r{next}");
            (stored.received_at, stored.visible_at) = (now, now + visibility);
            taken.push(stored.message.clone());
            events.push(Event { at: now, what: What::Received, body: stored.message.body.clone() });
        }
        taken
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn traits(&self) -> Result<QueueTraits, Fault> {
        Ok(self.traits.clone())
    }

    async fn receive(&self, max: usize, visibility: Duration) -> Result<Vec<Message>, Fault> {
        self.state.lock().unwrap().asked.push(max);
        let wait = async {
            loop {
                let changed = self.changed.notified();
                let taken = self.take(max, visibility);
                if !taken.is_empty() {
                    return taken;
                }
                let next = self.state.lock().unwrap().stored.iter().map(|stored| stored.visible_at).min();
                let due = sleep_until(next.unwrap_or(Instant::now() + POLL).max(Instant::now() + POLL / 200));
                tokio::select! { () = changed => {}, () = due => {} }
            }
        };
        Ok(timeout(POLL, wait).await.unwrap_or_default())
    }

    async fn extend(&self, message: &Message, visibility: Duration) -> Result<(), Fault> {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap();
        let State { stored, events, .. } = &mut *state;
        let stored = stored.iter_mut().find(|stored| stored.message.receipt == message.receipt);
        let stored = stored.ok_or(Fault::LeaseLost)?;
        if now + visibility > stored.received_at + crate::lease::LONGEST {
            return Err(Fault::permanent(Code::Internal, "total visibility beyond 12 hours"));
        }
        stored.visible_at = now + visibility;
        events.push(Event { at: now, what: What::Extended(visibility), body: message.body.clone() });
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn delete(&self, message: &Message) -> Result<(), Fault> {
        let mut state = self.state.lock().unwrap();
        let at = state.stored.iter().position(|stored| stored.message.receipt == message.receipt);
        state.stored.remove(at.ok_or(Fault::LeaseLost)?);
        state.events.push(Event { at: Instant::now(), what: What::Deleted, body: message.body.clone() });
        Ok(())
    }

    async fn dead_letter(&self, message: &Message, body: &str, _: &Problem) -> Result<(), Fault> {
        let mut state = self.state.lock().unwrap();
        state.dead.push(body.to_owned());
        state.events.push(Event { at: Instant::now(), what: What::DeadLettered, body: message.body.clone() });
        Ok(())
    }

    async fn send(&self, body: &str, group: Option<&str>) -> Result<String, Fault> {
        self.put(body, group);
        Ok(format!("m{}", self.state.lock().unwrap().next))
    }
}

/// Does what the body's first word says: `ok`, `work N` (seconds; ends early on abort or loss), `stubborn N` (seconds,
/// whatever it is told), `deaf` (never ends), `panic`, `poison` (permanent), `busy` (transient),
/// `unable` (this worker's own fault), `wait N` (seconds, without a slot).
#[derive(Default)]
pub struct Scripted {
    /// Bodies in the order their handling began.
    pub begun: Mutex<Vec<String>>,
    /// Bodies whose work was done for the first time, as the flow's stored transcript would tell.
    pub done: Mutex<Vec<String>>,
    /// Bodies that ended because their lease was lost.
    pub lost: Mutex<Vec<String>>,
    /// What was reported as failed.
    pub reports: Mutex<Vec<(String, Problem)>>,
    /// Most messages at work at once, in all and per group of equal bodies.
    pub most: Mutex<usize>,
    now: Mutex<usize>,
}

#[async_trait]
impl Handler for Scripted {
    async fn handle(&self, delivery: &Delivery, control: &Control) -> Result<Handled, Fault> {
        self.begun.lock().unwrap().push(delivery.body.clone());
        let at_work = {
            let mut now = self.now.lock().unwrap();
            *now += 1;
            *now
        };
        let most = { (*self.most.lock().unwrap()).max(at_work) };
        *self.most.lock().unwrap() = most;
        let outcome = self.act(&delivery.body, control).await;
        *self.now.lock().unwrap() -= 1;
        outcome.map(|()| Handled::default())
    }

    async fn report(&self, delivery: &Delivery, problem: &Problem, _control: &Control) -> Result<(), Fault> {
        self.reports.lock().unwrap().push((delivery.body.clone(), problem.clone()));
        Ok(())
    }

    fn let_go(&self, _delivery: &Delivery) {}
}

impl Scripted {
    async fn act(&self, body: &str, control: &Control) -> Result<(), Fault> {
        let mut words = body.split(' ');
        let verb = words.next().unwrap_or_default();
        let secs = words.next().and_then(|word| word.parse().ok()).unwrap_or(1);
        match verb {
            "panic" => panic!("told to"),
            "poison" => return Err(Fault::permanent(Code::BadMessage, "not a shape we know")),
            "busy" => return Err(Fault::transient(Code::ServiceUnavailable, "failed to fetch s3://b/k: slow down")),
            "deaf" => std::future::pending::<()>().await,
            "unable" => return Err(Fault::unable(Code::EngineUnavailable, "no engine works")),
            "wait" => {
                let _parked = control.parking.park();
                sleep(Duration::from_secs(secs)).await;
            }
            "stubborn" => sleep(Duration::from_secs(secs)).await,
            "work" => {
                tokio::select! {
                    () = control.abort.cancelled() => return Err(Fault::Interrupted),
                    () = control.lease_lost.cancelled() => {
                        self.lost.lock().unwrap().push(body.into());
                        return Err(Fault::LeaseLost);
                    }
                    () = sleep(Duration::from_secs(secs)) => {}
                }
            }
            _ => {}
        }
        let mut done = self.done.lock().unwrap();
        if !done.iter().any(|before| before == body) {
            done.push(body.into());
        }
        Ok(())
    }
}

/// What a port does instead of its work.
#[derive(Debug, Clone)]
pub enum Trouble {
    Fail(Fault),
    /// Does its work after this long.
    Slow(Duration),
    Hang,
    Panic,
}

/// Any port, in trouble at chosen calls of its methods (the first is 1).
pub struct Faulty<T: ?Sized> {
    inner: Arc<T>,
    plan: Mutex<HashMap<(&'static str, usize), Trouble>>,
    calls: Mutex<HashMap<&'static str, usize>>,
}

impl<T> Faulty<T> {
    pub fn new(inner: &Arc<T>) -> Self {
        Self { inner: Arc::clone(inner), plan: Mutex::default(), calls: Mutex::default() }
    }

    /// Trouble at calls `calls` of `method`.
    pub fn at(self, method: &'static str, calls: impl IntoIterator<Item = usize>, trouble: &Trouble) -> Arc<Self> {
        let planned = calls.into_iter().map(|call| ((method, call), trouble.clone()));
        self.plan.lock().unwrap().extend(planned);
        Arc::new(self)
    }
}

impl<T: ?Sized> Faulty<T> {
    pub fn calls(&self, method: &'static str) -> usize {
        self.calls.lock().unwrap().get(method).copied().unwrap_or_default()
    }

    async fn pass(&self, method: &'static str) -> Result<(), Fault> {
        let call = {
            let mut calls = self.calls.lock().unwrap();
            let call = calls.entry(method).or_default();
            *call += 1;
            *call
        };
        let trouble = self.plan.lock().unwrap().get(&(method, call)).cloned();
        match trouble {
            None => Ok(()),
            Some(Trouble::Fail(fault)) => Err(fault),
            Some(Trouble::Slow(wait)) => {
                sleep(wait).await;
                Ok(())
            }
            Some(Trouble::Hang) => std::future::pending().await,
            Some(Trouble::Panic) => panic!("{method} panics at call {call}"),
        }
    }
}

#[async_trait]
impl<T: Queue + ?Sized> Queue for Faulty<T> {
    async fn traits(&self) -> Result<QueueTraits, Fault> {
        self.pass("traits").await?;
        self.inner.traits().await
    }

    async fn receive(&self, max: usize, visibility: Duration) -> Result<Vec<Message>, Fault> {
        self.pass("receive").await?;
        self.inner.receive(max, visibility).await
    }

    async fn extend(&self, message: &Message, visibility: Duration) -> Result<(), Fault> {
        self.pass("extend").await?;
        self.inner.extend(message, visibility).await
    }

    async fn delete(&self, message: &Message) -> Result<(), Fault> {
        self.pass("delete").await?;
        self.inner.delete(message).await
    }

    async fn dead_letter(&self, message: &Message, body: &str, reason: &Problem) -> Result<(), Fault> {
        self.pass("dead_letter").await?;
        self.inner.dead_letter(message, body, reason).await
    }

    async fn send(&self, body: &str, group: Option<&str>) -> Result<String, Fault> {
        self.pass("send").await?;
        self.inner.send(body, group).await
    }
}

#[async_trait]
impl<T: Handler + ?Sized> Handler for Faulty<T> {
    async fn handle(&self, delivery: &Delivery, control: &Control) -> Result<Handled, Fault> {
        self.pass("handle").await?;
        self.inner.handle(delivery, control).await
    }

    async fn report(&self, delivery: &Delivery, problem: &Problem, control: &Control) -> Result<(), Fault> {
        self.pass("report").await?;
        self.inner.report(delivery, problem, control).await
    }

    fn let_go(&self, delivery: &Delivery) {
        self.inner.let_go(delivery);
    }
}
