//! One attempt at one message: lease, turn, work, settlement.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span, warn};

use super::groups::Groups;
use super::{RECEIVE_LIMIT, Settings};
use crate::bounded::{bounded, caught};
use crate::counts::Counts;
use crate::drain::Drain;
use crate::fault::{Code, Fault};
use crate::handler::{Control, Delivery, Handled, Handler, Parking};
use crate::health::Health;
use crate::lease::Lease;
use crate::queue::{Message, Queue};
use crate::settle::Settle;
use crate::watchdog::Progress;

/// What a handler gets to end after its lease was lost, before it is dropped: it writes nothing more, so all it has to
/// do is let go of the engine.
const LOST_GRACE: Duration = Duration::from_secs(10);

/// What every attempt needs.
pub(super) struct Attempts {
    queue: Arc<dyn Queue>,
    handler: Arc<dyn Handler>,
    settings: Settings,
    drain: Drain,
    groups: Arc<Groups>,
    settle: Settle,
    counts: Arc<Counts>,
    progress: Progress,
    parking: Parking,
}

impl Attempts {
    pub(super) fn new(
        queue: Arc<dyn Queue>,
        handler: Arc<dyn Handler>,
        health: Health,
        settings: Settings,
        drain: Drain,
        counts: Arc<Counts>,
        progress: Progress,
    ) -> Self {
        let settle = Settle {
            queue: Arc::clone(&queue),
            handler: Arc::clone(&handler),
            health,
            backoff: settings.backoff,
            counts: Arc::clone(&counts),
            unburied: Mutex::default(),
        };
        let (groups, parking) = (Arc::default(), Parking::default());
        Self { queue, handler, settings, drain, groups, settle, counts, progress, parking }
    }

    /// Where messages at work let go of their slots.
    pub(super) fn parking(&self) -> &Parking {
        &self.parking
    }

    /// One poll. Counts what it brings.
    pub(super) async fn receive(self: Arc<Self>, max: usize) -> Result<Vec<Message>, Fault> {
        let call = self.queue.receive(max, self.settings.visibility);
        let answer = bounded("receive messages", RECEIVE_LIMIT, call).await;
        match &answer {
            Ok(messages) => messages.iter().for_each(|_| self.counts.received.add()),
            Err(_) => self.counts.receive_errors.add(),
        }
        answer
    }

    /// Waits for a poll that was under way when the stop came, and gives back what it brings.
    pub(super) async fn release_late(
        self: Arc<Self>,
        mut poll: JoinSet<Result<Vec<Message>, Fault>>,
        asked_at: Instant,
    ) {
        let answer = tokio::select! {
            biased;
            answer = poll.join_next() => answer,
            () = self.drain.last_call() => {
                warn!("the last poll has not ended: a message it may bring stays hidden until its lease runs out");
                return;
            }
        };
        let Some(Ok(Ok(messages))) = answer else { return };
        for message in messages {
            self.held(message, asked_at, false).await;
        }
    }

    /// Does one message, from lease to settlement.
    pub(super) async fn attempt(self: Arc<Self>, message: Message, asked_at: Instant) {
        let _in_flight = InFlight::enter(&self.counts, &self.progress);
        self.held(message, asked_at, true).await;
    }

    /// Holds a message while it is worked on and settled; without work it is given back.
    async fn held(&self, message: Message, asked_at: Instant, work: bool) {
        let span = span_of(&message);
        async {
            let control = Control {
                abort: self.drain.abort().clone(),
                lease_lost: CancellationToken::new(),
                parking: self.parking.clone(),
            };
            let lease = Lease::hold(
                Arc::clone(&self.queue),
                message.clone(),
                self.settings.visibility,
                asked_at,
                control.lease_lost.clone(),
                Arc::clone(&self.counts),
            );
            let delivery = self.delivery(&message).await;
            let outcome = if work { self.work(&message, &delivery, &control).await } else { Err(Fault::Interrupted) };
            let outcome = match outcome {
                // given back at once, it would come straight back, over and over
                Err(Fault::Interrupted) if !self.drain.stop().is_cancelled() => {
                    Err(Fault::transient(Code::Internal, "the work was interrupted although nobody asked for it"))
                }
                outcome => outcome,
            };
            self.settle.settle(&message, &delivery, &control, lease, outcome).await;
        }
        .instrument(span)
        .await;
    }

    /// What of a message the flow may know.
    async fn delivery(&self, message: &Message) -> Delivery {
        let traits = bounded("read the queue's attributes", RECEIVE_LIMIT, self.queue.traits()).await;
        Delivery {
            message_id: message.id.clone(),
            body: message.body.clone(),
            receive_count: message.receive_count,
            sent_at_ms: message.sent_at_ms,
            max_receive_count: traits.ok().and_then(|traits| traits.max_receive_count),
            tenant: message.tenant.clone(),
            trace: message.trace.clone(),
        }
    }

    /// The handler's answer; a panic is a transient fault, and a handler that ignores abort or loss is dropped.
    async fn work(&self, message: &Message, delivery: &Delivery, control: &Control) -> Result<Handled, Fault> {
        let handled = async {
            let _turn = tokio::select! {
                biased;
                () = control.abort.cancelled() => return Err(Fault::Interrupted),
                () = control.lease_lost.cancelled() => return Err(Fault::LeaseLost),
                turn = self.groups.turn(message.group.as_deref()) => turn,
            };
            caught("the handler", self.handler.handle(delivery, control)).await
        };
        let overdue = async {
            control.lease_lost.cancelled().await;
            sleep(LOST_GRACE).await;
        };
        tokio::select! {
            biased;
            outcome = handled => return outcome,
            () = overdue => {}
            () = self.drain.last_call() => {}
        }
        warn!("the work did not end in time and was dropped");
        self.handler.let_go(delivery);
        if control.lease_lost.is_cancelled() { Err(Fault::LeaseLost) } else { Err(Fault::Interrupted) }
    }
}

/// The span of everything that is done for a message.
fn span_of(message: &Message) -> Span {
    let (message_id, receive_count) = (&message.id, message.receive_count);
    info_span!("message", message_id, receive_count, job_id = Empty)
}

/// Counts one message as at work until dropped, and says so.
struct InFlight<'a>(&'a Counts, &'a Progress);

impl<'a> InFlight<'a> {
    fn enter(counts: &'a Counts, progress: &'a Progress) -> Self {
        counts.in_flight.add();
        progress.at_work();
        Self(counts, progress)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.sub();
        self.1.at_work();
    }
}
