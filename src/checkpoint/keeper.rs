//! Keeps the checkpoint of one job: found when the job begins, brought up to date while it runs, removed when it is done.
//! Whatever goes wrong here is a warning: the job goes on without.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::{info, warn};

use super::{Binding, FinishedWindow, MAX_BYTES, encode, parse};
use crate::handler::Control;
use crate::job::wording::Private;
use crate::objects::{Condition, Location, Objects};
use crate::wording::redaction;

/// Windows; an hour of speech, 1 MB.
const MOST_KEPT: usize = 125;

/// One job's checkpoint.
pub struct Keeper {
    objects: Arc<dyn Objects>,
    at: Location,
    binding: Binding,
    every: Duration,
    windows: BTreeMap<u32, FinishedWindow>,
    /// What no window that is kept may hold.
    withheld: Vec<Private>,
    added: usize,
    unsaved: bool,
    may_exist: bool,
}

impl Keeper {
    /// Looks for a checkpoint to go on from. One that cannot be read, is damaged, bound to something else or of another
    /// version is ignored with one warning.
    pub async fn open(objects: Arc<dyn Objects>, at: Location, binding: Binding, every: Duration) -> Self {
        let mut may_exist = true;
        let found = match objects.read(&at, MAX_BYTES).await {
            Ok(Some(found)) => parse(&found.body, &binding).map_err(|why| format!("checkpoint {at} {why}")),
            Ok(None) => {
                may_exist = false;
                Ok(Vec::new())
            }
            Err(fault) => Err(fault.to_string()),
        };
        let windows = found.unwrap_or_else(|why| {
            warn!("checkpoint ignored, the job begins at its start: {why}");
            Vec::new()
        });
        let windows = windows.into_iter().map(|window| (window.index, window)).collect();
        Self { objects, at, binding, every, windows, withheld: Vec::new(), added: 0, unsaved: false, may_exist }
    }

    /// Keeps no window whose text holds what is private, or may hold a part of it: the next worker hears it again.
    pub fn withholding(self, withheld: Vec<Private>) -> Self {
        Self { withheld, ..self }
    }

    /// The windows that are saved, by index.
    pub fn known(&self) -> BTreeMap<u32, FinishedWindow> {
        self.windows.clone()
    }

    /// Takes finished windows in until their sender is gone. Saves them every so often, and at once when the work is
    /// aborted: the windows in flight may take longer than there is time. Ends without a word when the lease is lost.
    pub async fn attend(&mut self, mut finished: UnboundedReceiver<FinishedWindow>, control: &Control) {
        let mut ticks = interval_at(Instant::now() + self.every, self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut aborted = false;
        loop {
            tokio::select! {
                biased;
                () = control.lease_lost.cancelled() => return,
                window = finished.recv() => match window {
                    Some(window) => self.add(window),
                    None => return,
                },
                () = control.abort.cancelled(), if !aborted => {
                    aborted = true;
                    self.save(control).await;
                }
                _ = ticks.tick(), if !aborted => self.save(control).await,
            }
        }
    }

    fn add(&mut self, window: FinishedWindow) {
        self.added += 1;
        let is_black = |text: &str| redaction::blacken(text, &self.withheld) == text;
        let is_clean = redaction::is_clean(&window.text.text(), &self.withheld);
        if is_clean && window.dropped.iter().all(|dropped| is_black(&dropped.text)) {
            self.windows.insert(window.index, window);
            self.unsaved = true;
        }
    }

    /// Writes the checkpoint unless it is up to date or the lease is lost.
    pub async fn save(&mut self, control: &Control) {
        if !self.unsaved {
            return;
        }
        let document = match encode(&self.binding, self.windows.values()) {
            Ok(document) => Bytes::from(document),
            Err(error) => return warn!("failed to render checkpoint {}: {error}", self.at),
        };
        // before the put: one that fails may have been carried out
        self.may_exist = true;
        let saved = tokio::select! {
            biased;
            () = control.lease_lost.cancelled() => return,
            saved = self.objects.put_temporary(&self.at, document, "application/json", &Condition::Always) => saved,
        };
        match saved {
            Ok(_) => self.unsaved = false,
            Err(fault) => warn!("checkpoint not saved: {fault}"),
        }
    }

    /// Saves what the interrupted run has finished, and says what it leaves to the next.
    pub async fn hand_over(&mut self, control: &Control) {
        self.save(control).await;
        let saved = if self.unsaved { 0 } else { self.windows.len() };
        info!(windows_inferred = self.added, windows_saved = saved, "job interrupted");
    }

    /// All windows are finished, and what is made of them is not written yet. Those of a long job are saved and let go of:
    /// of ten hours they are 10 MB, while the renditions need more. Those of a short one are kept for `hand_over`.
    pub async fn complete(&mut self, control: &Control) {
        if self.windows.len() > MOST_KEPT {
            self.save(control).await;
            if !self.unsaved {
                self.windows.clear();
            }
        }
    }

    /// Removes the checkpoint if there may be one.
    pub async fn remove(&self, control: &Control) {
        if self.may_exist && !control.lease_lost.is_cancelled() {
            remove(&*self.objects, &self.at).await;
        }
    }
}

/// Removes a checkpoint that is of no more use. What stays behind does no harm.
pub async fn remove(objects: &dyn Objects, at: &Location) {
    if let Err(fault) = objects.remove(at).await {
        warn!("checkpoint {at} is left behind: {fault}");
    }
}
