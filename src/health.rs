//! Whether this worker itself is well. Failures are evidence, and so is whatever succeeds; control sees only the verdict:
//! *well*, *suspect* (one message at a time, as a probe) or *sick* (no more messages, the work is given back).
//!
//! | evidence | verdict |
//! |---|---|
//! | a part fails three times in a row | suspect, until it works once |
//! | a part refuses us at a place of our own | suspect; sick, for a person to mend, once it did nothing else for `refusal` |
//! | a part does nothing but fail for `outage` | sick |
//! | a part is broken: no engine is left | sick |

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{error, info, warn};

/// Failures in a row: one or two are anybody's.
const SUSPECT_AFTER: u32 = 3;

/// What a worker needs to do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The engine processes and what they run on.
    Engine,
    /// Where audio comes from.
    Input,
    /// Where transcripts go.
    Output,
    /// Where events go.
    Bus,
}

/// The verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Everything that was needed lately worked.
    Well,
    /// Something fails, and it is not known whose fault that is.
    Suspect(String),
    /// This worker cannot work.
    Sick(Sickness),
}

/// Why a worker cannot work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sickness {
    /// A sentence.
    pub reason: String,
    /// Only a person can mend it: a restart does not help.
    pub needs_a_person: bool,
}

/// How long a part may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Throttled, away, broken: as long as this.
    pub outage: Duration,
    /// Refusing us at a place of our own: permissions take minutes to spread, a mistake stays.
    pub refusal: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { outage: Duration::from_secs(3600), refusal: Duration::from_secs(300) }
    }
}

/// The evidence and the verdict. Clones are the same.
#[derive(Debug, Clone)]
pub struct Health {
    patience: Patience,
    complaints: Arc<Mutex<Vec<Complaint>>>,
    state: Arc<watch::Sender<State>>,
}

/// What is held against a part since it last worked.
#[derive(Debug)]
struct Complaint {
    part: Part,
    since: Instant,
    failures: u32,
    refused: bool,
    reason: String,
}

impl Default for Health {
    fn default() -> Self {
        Self::new(Patience::default())
    }
}

impl Health {
    /// A worker that is well until something is held against it.
    pub fn new(patience: Patience) -> Self {
        Self { patience, complaints: Arc::default(), state: Arc::new(watch::Sender::new(State::Well)) }
    }

    /// How long a part may fail.
    pub fn patience(&self) -> Patience {
        self.patience
    }

    /// The part did what it is for.
    pub fn works(&self, part: Part) {
        let mut complaints = self.complaints();
        let before = complaints.len();
        complaints.retain(|complaint| complaint.part != part);
        if complaints.len() < before {
            self.judge(&complaints);
        }
    }

    /// The part failed in a way that may pass.
    pub fn fails(&self, part: Part, reason: &str) {
        self.complain(part, false, reason);
    }

    /// The part refuses us at a place that is ours, so that the job is not to blame.
    pub fn refuses(&self, part: Part, reason: &str) {
        self.complain(part, true, reason);
    }

    /// The part is gone for good.
    pub fn broke(&self, part: Part, reason: &str) {
        self.fall_sick(Sickness { reason: format!("{part}: {reason}"), needs_a_person: false });
    }

    /// The verdict.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Whether this worker cannot work.
    pub fn is_sick(&self) -> bool {
        matches!(*self.state.borrow(), State::Sick(_))
    }

    /// Told of each new verdict, beginning with the present one.
    pub fn verdicts(&self) -> watch::Receiver<State> {
        let mut verdicts = self.state.subscribe();
        verdicts.mark_changed();
        verdicts
    }

    fn complain(&self, part: Part, refused: bool, reason: &str) {
        let mut complaints = self.complaints();
        let at = match complaints.iter().position(|complaint| complaint.part == part) {
            Some(at) => at,
            None => {
                let since = Instant::now();
                complaints.push(Complaint { part, since, failures: 0, refused: true, reason: String::new() });
                complaints.len() - 1
            }
        };
        if let Some(complaint) = complaints.get_mut(at) {
            complaint.failures = complaint.failures.saturating_add(1);
            // one answer of another kind shows that it is not refusals alone
            complaint.refused &= refused;
            reason.clone_into(&mut complaint.reason);
        }
        self.judge(&complaints);
    }

    fn judge(&self, complaints: &[Complaint]) {
        for complaint in complaints {
            let Complaint { part, since, refused, reason, .. } = complaint;
            let limit = if *refused { self.patience.refusal } else { self.patience.outage };
            if since.elapsed() >= limit {
                let reason = format!("{part}: {reason}");
                return self.fall_sick(Sickness { reason, needs_a_person: *refused });
            }
        }
        let suspicion = complaints.iter().find(|complaint| complaint.refused || complaint.failures >= SUSPECT_AFTER);
        let verdict = suspicion.map(|complaint| format!("{}: {}", complaint.part, complaint.reason));
        self.state.send_if_modified(|state| match (&*state, verdict) {
            // nothing but a restart ends a sickness
            (State::Sick(_), _) | (State::Well, None) => false,
            (State::Suspect(_), None) => {
                info!("well again");
                *state = State::Well;
                true
            }
            (State::Suspect(before), Some(reason)) => {
                let changed = *before != reason;
                *state = State::Suspect(reason);
                changed
            }
            (State::Well, Some(reason)) => {
                warn!(reason, "suspect: one message at a time is received, until something succeeds");
                *state = State::Suspect(reason);
                true
            }
        });
    }

    fn fall_sick(&self, sickness: Sickness) {
        self.state.send_if_modified(|state| {
            if matches!(state, State::Sick(_)) {
                return false;
            }
            error!(reason = sickness.reason, "sick: no further message is received, and the work is given back");
            *state = State::Sick(sickness);
            true
        });
    }

    fn complaints(&self) -> MutexGuard<'_, Vec<Complaint>> {
        // nothing under the lock can leave the list half changed
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Engine => "the engine",
            Self::Input => "the source of audio",
            Self::Output => "the output",
            Self::Bus => "the event bus",
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const PATIENCE: Patience = Patience { outage: Duration::from_secs(3600), refusal: Duration::from_secs(300) };

    #[tokio::test(start_paused = true)]
    async fn one_failure_is_anybodys_three_in_a_row_are_suspicious_and_one_success_clears() {
        let health = Health::new(PATIENCE);
        health.fails(Part::Input, "slow down");
        health.fails(Part::Bus, "slow down");
        health.fails(Part::Input, "slow down");
        assert_eq!(health.state(), State::Well);
        health.fails(Part::Input, "503");
        assert_eq!(health.state(), State::Suspect("the source of audio: 503".to_owned()));
        health.works(Part::Bus);
        assert!(matches!(health.state(), State::Suspect(_)), "another part's success says nothing of this one");
        health.works(Part::Input);
        assert_eq!(health.state(), State::Well);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_at_our_own_place_is_suspicious_at_once_and_in_the_end_for_a_person_to_mend() {
        let health = Health::new(PATIENCE);
        health.refuses(Part::Output, "access denied");
        assert!(matches!(health.state(), State::Suspect(_)));
        advance(PATIENCE.refusal).await;
        health.refuses(Part::Output, "access denied");
        let State::Sick(sickness) = health.state() else { panic!("still {:?}", health.state()) };
        assert!(sickness.needs_a_person && sickness.reason.contains("access denied"), "{sickness:?}");
        health.works(Part::Output);
        assert!(health.is_sick(), "a sick worker has given its work back");
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_may_last_and_is_not_for_a_person_to_mend() {
        let health = Health::new(PATIENCE);
        for _ in 0..59 {
            health.fails(Part::Bus, "503");
            advance(Duration::from_secs(60)).await;
        }
        assert!(matches!(health.state(), State::Suspect(_)));
        advance(Duration::from_secs(60)).await;
        health.fails(Part::Bus, "503");
        assert!(matches!(health.state(), State::Sick(Sickness { needs_a_person: false, .. })));
    }

    #[test]
    fn what_is_broken_makes_sick_at_once() {
        let health = Health::new(PATIENCE);
        health.broke(Part::Engine, "no GPU");
        assert!(health.is_sick());
    }
}
