//! When the group is asked for what.

use std::sync::Mutex;

use tokio::time::timeout;

use super::*;
use crate::fault::Code;

/// A group that remembers what it was asked, and refuses the first calls of the kinds it is told to.
#[derive(Default)]
struct Recorded {
    calls: Mutex<Vec<String>>,
    refuses: Mutex<Vec<(&'static str, usize)>>,
}

impl Recorded {
    fn refusing(what: &'static str, times: usize) -> Arc<Self> {
        Arc::new(Self { refuses: Mutex::new(vec![(what, times)]), ..Self::default() })
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn call(&self, what: &str) -> Result<(), Fault> {
        self.calls.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(what.to_owned());
        let mut refuses = self.refuses.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match refuses.iter_mut().find(|(refused, times)| what.starts_with(refused) && *times > 0) {
            Some((_, times)) => {
                *times -= 1;
                Err(Fault::permanent(Code::Internal, "ValidationError"))
            }
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Group for Recorded {
    async fn heartbeat(&self) -> Result<(), Fault> {
        self.call("heartbeat")
    }
    async fn complete(&self) -> Result<(), Fault> {
        self.call("complete")
    }
    async fn protect(&self, protected: bool) -> Result<(), Fault> {
        self.call(&format!("protect {protected}"))
    }
    async fn terminate(&self) -> Result<(), Fault> {
        self.call("terminate")
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_is_protected_while_it_is_busy_and_not_for_each_pause_between_jobs() {
    let (group, counts) = (Arc::new(Recorded::default()), Arc::<Counts>::default());
    let keeping = tokio::spawn(protect_while_busy(group.clone(), counts.clone()));
    sleep(Duration::from_secs(12)).await;
    assert_eq!(group.calls(), ["protect false"], "what a process before it may have left");
    counts.in_flight.add();
    sleep(Duration::from_secs(6)).await;
    assert_eq!(group.calls(), ["protect true"]);
    for _ in 0..10 {
        counts.in_flight.sub();
        sleep(Duration::from_secs(20)).await;
        counts.in_flight.add();
        sleep(Duration::from_secs(20)).await;
    }
    assert!(group.calls().is_empty());
    counts.in_flight.sub();
    sleep(Duration::from_secs(45)).await;
    assert_eq!(group.calls(), ["protect false"]);
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn a_protection_that_is_refused_is_asked_for_again_but_not_all_the_time() {
    let (group, counts) = (Recorded::refusing("protect true", 2), Arc::<Counts>::default());
    counts.in_flight.add();
    let keeping = tokio::spawn(protect_while_busy(group.clone(), counts));
    sleep(Duration::from_secs(200)).await;
    assert_eq!(group.calls(), ["protect true"; 3]);
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn the_hook_waits_while_a_scale_in_drains_and_not_at_other_stops() {
    for (reason, expected) in [(Reason::ScaleIn, 4), (Reason::Signal("SIGTERM"), 0)] {
        let group = Arc::new(Recorded::default());
        let drain = Drain::new(Duration::from_secs(90), Duration::from_secs(20));
        let waiting = tokio::spawn(keep_waiting(group.clone(), drain.clone()));
        sleep(Duration::from_secs(100)).await;
        assert!(group.calls().is_empty());
        drain.begin_gracefully(reason);
        sleep(Duration::from_secs(95)).await;
        assert_eq!(group.calls().len(), expected, "{reason}");
        waiting.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn the_hook_is_completed_once_its_wait_has_begun_and_given_up_in_the_end() {
    let group = Recorded::refusing("complete", 3);
    let_go(&*group).await;
    assert_eq!(group.calls(), ["complete"; 4]);
    let never = Recorded::refusing("complete", usize::MAX);
    let ended = timeout(Duration::from_secs(120), let_go(&*never)).await;
    assert!(ended.is_ok() && never.calls().len() < 20);
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_ends_only_where_the_group_takes_its_instance() {
    let group = Recorded::refusing("terminate", 1);
    let leave = Leave(group);
    assert_eq!((leave.may_end().await, leave.may_end().await), (false, true));
}
