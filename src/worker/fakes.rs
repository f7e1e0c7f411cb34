//! Adapters for tests: the simulation's queue, a handler that does what the body says, and one wrapper that makes any port
//! fail, hang or panic at a given call.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;

use crate::fault::{Code, Fault, Problem};
use crate::handler::{Control, Delivery, Handled, Handler};
use crate::queue::{Message, Queue, QueueTraits};

#[path = "../../tests/sim/queue.rs"]
mod memory_queue;

pub use memory_queue::{MemoryQueue, POLL, Rules, StaleReceipts, What};

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
