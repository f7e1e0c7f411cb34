//! What the bus is told of a job under way. Nobody waits for it: an event that cannot be published within a few seconds is
//! left out, and the job goes on.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use super::Pipeline;
use crate::board::Reached;
use crate::fault::Fault;
use crate::handler::{Control, Delivery};
use crate::job::Job;
use crate::publish::Event;
use crate::publish::underway::{TranscriptionProgress, TranscriptionStarted};

/// A bus that is slower than this is not kept waiting for.
const LIMIT: Duration = Duration::from_secs(5);

/// What is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct News {
    /// That a job was begun.
    pub started: bool,
    /// How far it is, each time that it came so many percent further; 0 is never.
    pub every_percent: u8,
}

/// Tells of one job.
pub struct Teller<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) job: &'a Job,
    pub(super) delivery: &'a Delivery,
    pub(super) control: &'a Control,
}

impl Teller<'_> {
    /// Work on it begins.
    pub async fn started(&self) {
        let Pipeline { news, model, clock, .. } = self.pipeline;
        if news.started {
            let event = TranscriptionStarted::of(self.job, &model.name, self.delivery.receive_count, clock.now());
            self.tell(Event::Started(event)).await;
        }
    }

    /// Tells how far it is, until the sender of `reached` is gone.
    pub async fn progress(&self, mut reached: UnboundedReceiver<Reached>) {
        let Pipeline { news, clock, .. } = self.pipeline;
        let mut told = 0;
        while let Some(mut so_far) = reached.recv().await {
            // while one was told it came further
            while let Ok(further) = reached.try_recv() {
                so_far = further;
            }
            let steps = so_far.percent().unwrap_or(0).checked_div(news.every_percent).unwrap_or(0);
            if steps <= told {
                continue;
            }
            told = steps;
            let event = TranscriptionProgress::of(self.job, so_far, self.delivery.receive_count, clock.now());
            if let Some(event) = event {
                self.tell(Event::Progress(event)).await;
            }
        }
    }

    /// Not once the lease is lost, nor while the work is given back.
    async fn tell(&self, event: Event) {
        let published = self.pipeline.publisher.publish(&event, self.delivery.trace.as_deref());
        let told = tokio::select! {
            biased;
            () = self.control.lease_lost.cancelled() => return,
            () = self.control.abort.cancelled() => return,
            told = timeout(LIMIT, published) => told,
        };
        match told {
            Ok(Ok(())) => {}
            Ok(Err(Fault::Permanent(problem) | Fault::Transient(problem) | Fault::Unable(problem))) => {
                tracing::warn!(reason = problem.message, "left out: {}", event.detail_type());
            }
            Ok(Err(Fault::Interrupted | Fault::LeaseLost)) => {}
            Err(_) => tracing::warn!("left out: {}: the bus does not answer within {LIMIT:?}", event.detail_type()),
        }
    }
}
