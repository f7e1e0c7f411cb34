#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::objects::folder::FolderObjects;

struct World {
    guard: Arc<PoisonGuard>,
    objects: Arc<FolderObjects>,
    dir: tempfile::TempDir,
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("outbox")).unwrap();
    let objects = Arc::new(FolderObjects::new(dir.path()));
    World { guard: Arc::new(PoisonGuard::new(objects.clone(), "i-1".into(), true)), objects, dir }
}

fn at() -> Location {
    Location::new("outbox", "u/f/.started/j1.json")
}

fn delivery(receive_count: u32) -> Delivery {
    Delivery { message_id: "m1".into(), body: String::new(), receive_count, sent_at_ms: 0, max_receive_count: Some(3) }
}

impl World {
    /// A run whose worker dies: its future is dropped in the middle.
    async fn dies(&self, receive_count: u32, deaths: u32, from_window: usize) {
        let delivery = delivery(receive_count);
        let run = Run { marker: at(), delivery: &delivery, from_window, deaths };
        let begun = tokio::sync::Notify::new();
        let control = Control::default();
        let work = async {
            begun.notify_one();
            std::future::pending::<Result<(), Fault>>().await
        };
        tokio::select! {
            _ = self.guard.run(run, &control, work) => unreachable!("it never ends"),
            () = begun.notified() => {}
        }
    }

    async fn ends(&self, control: &Control, result: Result<(), Fault>) {
        let delivery = delivery(1);
        let run = Run { marker: at(), delivery: &delivery, from_window: 0, deaths: 0 };
        assert_eq!(self.guard.run(run, control, async { result.clone() }).await, result);
    }

    async fn marked(&self) -> bool {
        self.objects.read(&at(), MAX_MARKER_BYTES).await.unwrap().is_some()
    }
}

#[tokio::test]
async fn a_run_that_ends_leaves_no_marker_however_it_ends() {
    let world = world();
    for result in [Ok(()), Err(Fault::Interrupted), Err(Fault::transient(Code::DiskFull, "full"))] {
        world.ends(&Control::default(), result).await;
        assert!(!world.marked().await);
    }
}

#[tokio::test]
async fn after_two_deaths_of_three_receives_the_job_is_given_up() {
    let world = world();
    world.dies(1, 0, 0).await;
    assert_eq!(world.guard.deaths(&at(), &delivery(2), 0).await, Ok(1));
    world.dies(2, 1, 0).await;
    let fault = world.guard.deaths(&at(), &delivery(3), 0).await.unwrap_err();
    assert_eq!(fault.problem().unwrap().code, Code::WorkerCrashed);
    assert!(world.guard.deaths(&at(), &delivery(3), 0).await.is_err(), "again, when the report had failed");
}

#[tokio::test]
async fn a_run_that_got_further_than_the_last_is_not_held_against_the_job() {
    let world = world();
    world.dies(1, 0, 0).await;
    world.dies(2, 1, 60).await;
    assert_eq!(world.guard.deaths(&at(), &delivery(3), 120).await, Ok(1));
}

#[tokio::test]
async fn one_death_is_never_enough() {
    let world = world();
    world.dies(1, 0, 0).await;
    let delivery = Delivery { max_receive_count: Some(2), ..delivery(2) };
    assert_eq!(world.guard.deaths(&at(), &delivery, 0).await, Ok(1));
}

#[tokio::test]
async fn a_job_sent_anew_starts_anew() {
    let world = world();
    world.dies(2, 1, 0).await;
    let delivery = Delivery { message_id: "m2".into(), ..delivery(3) };
    assert_eq!(world.guard.deaths(&at(), &delivery, 0).await, Ok(0));
}

#[tokio::test]
async fn the_marker_of_a_lost_message_is_left_to_its_new_owner() {
    let world = world();
    let control = Control::default();
    let delivery = delivery(1);
    let run = Run { marker: at(), delivery: &delivery, from_window: 0, deaths: 0 };
    let work = async {
        control.lease_lost.cancel();
        Err::<(), _>(Fault::LeaseLost)
    };
    assert_eq!(world.guard.run(run, &control, work).await, Err(Fault::LeaseLost));
    assert!(world.marked().await);
}

#[tokio::test]
async fn a_suspect_runs_with_no_other_beside_it() {
    let world = world();
    let (busy, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut runs = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (guard, busy, most) = (world.guard.clone(), busy.clone(), most.clone());
        runs.spawn(async move {
            let delivery = delivery(1);
            let marker = Location::new("outbox", format!(".started/{n}.json"));
            let run = Run { marker, delivery: &delivery, from_window: 0, deaths: u32::from(n % 4 == 0) };
            let work = async {
                let beside = busy.fetch_add(1, Ordering::SeqCst);
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                    if n % 4 == 0 {
                        most.fetch_max(busy.load(Ordering::SeqCst) - 1 + beside, Ordering::SeqCst);
                    }
                }
                busy.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            };
            guard.run(run, &Control::default(), work).await
        });
    }
    while let Some(result) = runs.join_next().await {
        assert_eq!(result.unwrap(), Ok(()));
    }
    assert_eq!(most.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_store_that_refuses_switches_the_guard_off_and_not_the_job() {
    let world = world();
    let delivery = delivery(1);
    let marker = Location::new("elsewhere", "x.json");
    let run = Run { marker, delivery: &delivery, from_window: 0, deaths: 0 };
    assert_eq!(world.guard.run(run, &Control::default(), async { Ok(5) }).await, Ok(5));
    world.ends(&Control::default(), Ok(())).await;
    let left = std::fs::read_dir(world.dir.path().join("outbox")).unwrap().count();
    assert_eq!(left, 0, "it writes nothing more");
}

#[test]
fn the_marker_lies_beside_the_output() {
    let job = Job {
        id: ".a b".into(),
        user_id: "u".into(),
        file_id: "f".into(),
        source: Location::new("b", "k"),
        output: None,
        place_is_named: true,
        options: Default::default(),
    };
    let key = |json: &str| PoisonGuard::marker(&Location::new("out", json), &job).key;
    assert_eq!(key("u/f/transcript.json"), "u/f/.started/%2Ea%20b.json");
    assert_eq!(key("top.json"), ".started/%2Ea%20b.json");
}
