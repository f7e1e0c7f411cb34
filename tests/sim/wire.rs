//! The way of one worker to AWS. Whatever a call does it does in a task of the world's own: a caller that goes away neither
//! stops nor undoes it.

use std::fmt;
use std::future::{Future, pending};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep};
use transcription_worker::fault::{Fault, Problem};
use transcription_worker::objects::{Body, Condition, Found, Location, ObjectInfo, Objects};
use transcription_worker::publish::{Event, Publish};
use transcription_worker::queue::{Message, Queue, QueueTraits};

use crate::plan::Machine;
use crate::weather::{Answer, Service};
use crate::world::World;

pub struct Wire {
    pub world: Arc<World>,
    /// The worker's name in the trace.
    pub life: String,
    number: usize,
    is_alive: AtomicBool,
    /// Told when the worker dies without a word.
    pub crashed: Notify,
    /// Changing calls until it dies in one, and whether that call has its effect.
    fuse: Option<(u32, bool)>,
    changes: AtomicU32,
}

impl Wire {
    pub fn new(world: Arc<World>, life: String, number: usize, fuse: Option<(u32, bool)>) -> Arc<Self> {
        let (is_alive, crashed) = (AtomicBool::new(true), Notify::new());
        Arc::new(Self { world, life, number, is_alive, crashed, fuse, changes: AtomicU32::new(0) })
    }

    pub fn machine(&self) -> &Machine {
        &self.world.plan.machines[self.number]
    }

    pub fn note(&self, what: fmt::Arguments<'_>) {
        self.world.trace.note(&self.life, what);
    }

    /// The worker dies.
    pub fn crash(&self, why: &str) {
        self.note(format_args!("crashes: {why}"));
        self.cut();
        self.crashed.notify_one();
    }

    /// Nothing comes from this worker any more.
    pub fn cut(&self) {
        if self.is_alive.swap(false, Ordering::Relaxed) {
            self.world.ledger.ended(&self.life, Instant::now());
        }
    }

    pub fn heard(&self, number: u32, window: u32) {
        if self.is_alive.load(Ordering::Relaxed) {
            self.note(format_args!("hears job{number} part{window}"));
            self.world.ledger.heard(&self.life, number, window);
        }
    }

    pub fn fetched(&self, number: u32) {
        self.world.ledger.fetched(&self.life, number);
    }

    pub fn decoding(&self, number: u32) {
        self.note(format_args!("decodes job{number}"));
        self.world.ledger.decoding(self, number);
    }

    async fn call<T, F, Fut>(&self, service: Service, kind: Kind, what: String, effect: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: Fn(Arc<World>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        if !self.is_alive.load(Ordering::Relaxed) {
            return pending().await;
        }
        let mut fate = self.world.weather.fate(self.world.now(), service, self.number);
        let falls = kind == Kind::Changes
            && self.fuse.is_some_and(|(fuse, _)| self.changes.fetch_add(1, Ordering::Relaxed) + 1 == fuse);
        self.note(format_args!("{what} {}", fate.name));
        if falls {
            self.crash("in this call");
            if !self.fuse.is_some_and(|(_, after_effect)| after_effect) {
                fate.effects.clear();
            }
        }
        let told_of = format!("{} {what}", fate.name);
        let mut caller = Caller { world: &self.world, what: &told_of, answered: false };
        let (back, fault) = match fate.answer {
            Answer::AfterEffect(back) => (Some(back), None),
            Answer::Fault(after, fault) => (None, Some((after, fault))),
        };
        let (tell, told) = oneshot::channel();
        tokio::spawn(carry_out(
            self.world.clone(),
            format!("{} {what}", self.life),
            fate.effects,
            effect,
            back.zip(Some(tell)),
        ));
        let result = match fault {
            Some((after, fault)) => {
                sleep(after).await;
                Err(fault)
            }
            None => match told.await {
                Ok(result) => result,
                Err(_) => pending().await,
            },
        };
        if !self.is_alive.load(Ordering::Relaxed) {
            return pending().await;
        }
        caller.answered = fate.name.is_empty();
        result
    }

    /// A write for a job, which only the holder of its message may make.
    fn writes(&self, at: &Location, what: &str) {
        if let Some(job) = self.world.jobs.of_object(at) {
            self.world.ledger.acts(self, job, what);
        }
    }
}

/// What a call is to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Looks,
    Changes,
}

/// Does what was asked, as often as the request arrives, and answers once.
async fn carry_out<T, F, Fut>(
    world: Arc<World>,
    what: String,
    effects: Vec<Duration>,
    effect: F,
    answer: Option<(Duration, oneshot::Sender<Result<T, Fault>>)>,
) where
    F: Fn(Arc<World>) -> Fut,
    Fut: Future<Output = Result<T, Fault>>,
{
    let mut before = Duration::ZERO;
    let mut result = None;
    for after in effects {
        sleep(after - before).await;
        before = after;
        let done = effect(world.clone()).await;
        world
            .trace
            .note("aws", format_args!("{what} = {}", done.as_ref().map_or_else(Fault::to_string, |_| "ok".to_owned())));
        result = Some(done);
    }
    if let (Some(result), Some((back, tell))) = (result, answer) {
        sleep(back).await;
        // a caller that has gone hears nothing
        let _ = tell.send(result);
    }
}

/// Someone who waits for an answer.
struct Caller<'a> {
    world: &'a World,
    what: &'a str,
    /// As usual, and in time.
    answered: bool,
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.world.ledger.unlucky(self.what);
        }
    }
}

fn service(at: &Location) -> Service {
    if at.bucket == "transcripts" { Service::Output } else { Service::Input }
}

#[async_trait]
impl Queue for Wire {
    async fn traits(&self) -> Result<QueueTraits, Fault> {
        // asked of the queue once in minutes
        Ok(self.world.queue.traits.clone())
    }

    async fn receive(&self, max: usize, visibility: Duration) -> Result<Vec<Message>, Fault> {
        let asked_at = Instant::now();
        let life = self.life.clone();
        let effect = move |world: Arc<World>| {
            let life = life.clone();
            async move {
                let messages = world.queue.receive(max, visibility).await?;
                for message in &messages {
                    world.trace.note("sqs", format_args!("{} #{} to {life}", message.receipt, message.receive_count));
                    world.ledger.handed_over(&life, message, asked_at + visibility);
                }
                Ok(messages)
            }
        };
        let messages = self.call(Service::Queue, Kind::Changes, format!("receive {max}"), effect).await?;
        messages.iter().for_each(|message| self.world.ledger.received(message));
        Ok(messages)
    }

    async fn extend(&self, message: &Message, visibility: Duration) -> Result<(), Fault> {
        let until = Instant::now() + visibility;
        self.world.ledger.extends(self, message, visibility);
        let what = format!("extend {} {}", message.receipt, visibility.as_secs());
        let sent = message.clone();
        let effect = move |world: Arc<World>| {
            let message = sent.clone();
            async move { world.queue.extend(&message, visibility).await }
        };
        self.call(Service::Queue, Kind::Changes, what, effect).await?;
        self.world.ledger.extended(message, until);
        Ok(())
    }

    async fn delete(&self, message: &Message) -> Result<(), Fault> {
        self.world.ledger.deletes(self, message);
        let sent = message.clone();
        let effect = move |world: Arc<World>| {
            let message = sent.clone();
            async move { world.queue.delete(&message).await }
        };
        self.call(Service::Queue, Kind::Changes, format!("delete {}", message.receipt), effect).await
    }

    async fn dead_letter(&self, message: &Message, body: &str, reason: &Problem) -> Result<(), Fault> {
        self.world.ledger.buries(self, message);
        let what = format!("dead-letter {} {}", message.receipt, reason.code);
        let sent = (message.clone(), body.to_owned(), reason.clone());
        let effect = move |world: Arc<World>| {
            let (message, body, reason) = sent.clone();
            async move { world.queue.dead_letter(&message, &body, &reason).await }
        };
        self.call(Service::Queue, Kind::Changes, what, effect).await
    }

    async fn send(&self, body: &str, group: Option<&str>) -> Result<String, Fault> {
        self.world.queue.send(body, group).await
    }
}

#[async_trait]
impl Objects for Wire {
    async fn head(&self, at: &Location) -> Result<ObjectInfo, Fault> {
        let place = at.clone();
        let effect = move |world: Arc<World>| {
            let at = place.clone();
            async move { world.objects.head(&at).await }
        };
        self.call(service(at), Kind::Looks, format!("head {at}"), effect).await
    }

    async fn get(&self, at: &Location, range: Range<u64>, etag: &str) -> Result<Body, Fault> {
        let sent = (at.clone(), range, etag.to_owned());
        let effect = move |world: Arc<World>| {
            let (at, range, etag) = sent.clone();
            async move { world.objects.get(&at, range, &etag).await }
        };
        self.call(service(at), Kind::Looks, format!("get {at}"), effect).await
    }

    async fn read(&self, at: &Location, limit_bytes: u64) -> Result<Option<Found>, Fault> {
        let place = at.clone();
        let effect = move |world: Arc<World>| {
            let at = place.clone();
            async move { world.objects.read(&at, limit_bytes).await }
        };
        self.call(service(at), Kind::Looks, format!("read {at}"), effect).await
    }

    async fn put(&self, at: &Location, body: Bytes, kind: &str, condition: &Condition) -> Result<String, Fault> {
        let what = format!("put {at} {}", if *condition == Condition::Always { "" } else { "if" });
        // the guard says under the marker's etag, which protects the next owner's, that a job was let go
        let says_let_go = at.key.contains("/.started/") && matches!(condition, Condition::Unchanged(_));
        if !says_let_go {
            self.writes(at, &what);
        }
        let sent = (at.clone(), body, kind.to_owned(), condition.clone());
        let effect = move |world: Arc<World>| {
            let (at, body, kind, condition) = sent.clone();
            async move { world.objects.put(&at, body, &kind, &condition).await }
        };
        self.call(service(at), Kind::Changes, what, effect).await
    }

    async fn remove(&self, at: &Location) -> Result<(), Fault> {
        let what = format!("remove {at}");
        self.writes(at, &what);
        let place = at.clone();
        let effect = move |world: Arc<World>| {
            let at = place.clone();
            async move { world.objects.remove(&at).await }
        };
        self.call(service(at), Kind::Changes, what, effect).await
    }
}

#[async_trait]
impl Publish for Wire {
    async fn check(&self) -> Result<Option<String>, Fault> {
        let effect = |world: Arc<World>| async move { world.bus.check().await };
        self.call(Service::Bus, Kind::Looks, "describe the bus".to_owned(), effect).await
    }

    async fn publish(&self, event: &Event, _: Option<&str>) -> Result<(), Fault> {
        let what = match event {
            Event::Completed(end) => {
                format!("publish {} {:?} {:?}", end.job_id, end.status, end.error.as_ref().map(|e| e.code))
            }
            Event::Progress(progress) => format!("publish {} {} %", progress.job_id, progress.percent),
            Event::Started(started) => format!("publish {} started", started.job_id),
        };
        if let Some(job) = self.world.jobs.of_id(event.job_id()) {
            self.world.ledger.acts(self, job, &what);
        }
        let sent = event.clone();
        let effect = move |world: Arc<World>| {
            let event = sent.clone();
            async move { world.bus.publish(&event, None).await }
        };
        self.call(Service::Bus, Kind::Changes, what, effect).await
    }
}
