#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use tokio::task::JoinHandle;

use super::*;
use crate::objects::folder::FolderObjects;
use crate::objects::memory::{MemoryObjects, Verb};

struct World {
    guard: Arc<PoisonGuard>,
    objects: Arc<FolderObjects>,
    _dir: tempfile::TempDir,
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("outbox")).unwrap();
    let objects = Arc::new(FolderObjects::new(dir.path()));
    World { guard: Arc::new(PoisonGuard::new(objects.clone(), "i-1".into(), true)), objects, _dir: dir }
}

fn at() -> Location {
    Location::new("outbox", "u/f/.started/j1.json")
}

fn delivery(receive_count: u32) -> Delivery {
    Delivery {
        message_id: "m1".into(),
        body: String::new(),
        receive_count,
        sent_at_ms: 0,
        tenant: None,
        max_receive_count: Some(3),
        trace: None,
    }
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
async fn two_deaths_are_enough_at_the_last_receive_or_the_queue_would_drop_the_job_silently() {
    let world = world();
    world.dies(6, 1, 60).await;
    let at_receive = |receive_count| Delivery { max_receive_count: Some(8), ..delivery(receive_count) };
    assert_eq!(world.guard.deaths(&at(), &at_receive(7), 60).await, Ok(2), "there is another receive");
    let fault = world.guard.deaths(&at(), &at_receive(8), 60).await.unwrap_err();
    assert_eq!(fault.problem().unwrap().code, Code::WorkerCrashed);
}

#[tokio::test(start_paused = true)]
async fn a_marker_that_cannot_be_read_at_once_is_read_again_at_the_last_receive() {
    let dead = Marker {
        message_id: "m1".into(),
        receive_count: 2,
        deaths: 1,
        worker: "i-0".into(),
        from_window: 0,
        let_go: false,
    };
    let reads = AtomicUsize::new(0);
    let objects = Arc::new(MemoryObjects::with(move |verb, at| {
        let is_first = verb == Verb::Read && reads.fetch_add(1, Ordering::Relaxed) < 2;
        is_first.then(|| Fault::transient(Code::ServiceUnavailable, format!("failed to read {at}: slow down")))
    }));
    objects.place(&at(), &serde_json::to_vec(&dead).unwrap());
    let guard = PoisonGuard::new(objects, "i-1".into(), true);
    let fault = guard.deaths(&at(), &delivery(3), 0).await.unwrap_err();
    assert_eq!(fault.problem().unwrap().code, Code::WorkerCrashed);
}

#[tokio::test]
async fn the_end_of_an_earlier_delivery_says_nothing_of_a_later_one_at_the_same_worker() {
    let world = world();
    let (begun, lost) = (Arc::new(tokio::sync::Notify::new()), Control::default());
    let start = |receive_count, control: Control| {
        let (guard, begun) = (world.guard.clone(), begun.clone());
        tokio::spawn(async move {
            let delivery = delivery(receive_count);
            let run = Run { marker: at(), delivery: &delivery, from_window: 0, deaths: 0 };
            let ends = control.lease_lost.clone();
            let work = async {
                begun.notify_one();
                ends.cancelled().await;
                Err::<(), _>(Fault::LeaseLost)
            };
            guard.run(run, &control, work).await
        })
    };
    let first = start(1, lost.clone());
    begun.notified().await;
    let second = start(2, Control::default());
    begun.notified().await;
    lost.lease_lost.cancel();
    first.await.unwrap().unwrap_err();
    world.guard.end(Duration::from_secs(5)).await;
    second.abort();
    assert_eq!(world.guard.deaths(&at(), &delivery(3), 0).await, Ok(1), "the second run died, and nobody let it go");
}

#[tokio::test]
async fn nothing_is_begun_and_no_marker_written_for_a_lease_that_is_lost() {
    let (world, control) = (world(), Control::default());
    control.lease_lost.cancel();
    let run = Run { marker: at(), delivery: &delivery(1), from_window: 0, deaths: 0 };
    let work = async { unreachable!("the message is another's") };
    assert_eq!(world.guard.run::<()>(run, &control, work).await, Err(Fault::LeaseLost));
    assert!(!world.marked().await);
}

#[tokio::test]
async fn a_job_sent_anew_starts_anew() {
    let world = world();
    world.dies(2, 1, 0).await;
    let delivery = Delivery { message_id: "m2".into(), ..delivery(3) };
    assert_eq!(world.guard.deaths(&at(), &delivery, 0).await, Ok(0));
}

/// A run that ends because the message is another's now.
async fn loses(world: &World, control: &Control, delivery: &Delivery) {
    let run = Run { marker: at(), delivery, from_window: 0, deaths: 0 };
    let work = async {
        control.lease_lost.cancel();
        Err::<(), _>(Fault::LeaseLost)
    };
    assert_eq!(world.guard.run(run, control, work).await, Err(Fault::LeaseLost));
}

#[tokio::test]
async fn a_worker_that_lives_says_so_and_lost_leases_are_no_deaths() {
    let world = world();
    for receive_count in 1..=2 {
        loses(&world, &Control::default(), &delivery(receive_count)).await;
    }
    world.guard.end(Duration::from_secs(5)).await;
    assert_eq!(world.guard.deaths(&at(), &delivery(3), 0).await, Ok(0));
}

#[tokio::test]
async fn a_job_that_was_dropped_at_the_last_moment_is_no_death_either() {
    let world = world();
    world.dies(1, 0, 0).await;
    world.guard.let_go(&delivery(1));
    world.guard.end(Duration::from_secs(5)).await;
    assert_eq!(world.guard.deaths(&at(), &delivery(2), 0).await, Ok(0));
}

#[tokio::test]
async fn the_marker_of_the_next_owner_is_left_alone() {
    let world = world();
    let delivery = delivery(1);
    let run = Run { marker: at(), delivery: &delivery, from_window: 0, deaths: 0 };
    let control = Control::default();
    let theirs = Bytes::from_static(b"{\"theirs\":1}");
    let work = async {
        control.lease_lost.cancel();
        world.objects.put(&at(), theirs.clone(), "application/json", &Condition::Always).await?;
        Err::<(), _>(Fault::LeaseLost)
    };
    assert_eq!(world.guard.run(run, &control, work).await, Err(Fault::LeaseLost));
    world.guard.end(Duration::from_secs(5)).await;
    assert_eq!(world.objects.read(&at(), 100).await.unwrap().unwrap().body, theirs);
}

/// Begins a run that goes on until told, and returns once it is at work or so many seconds have passed.
fn begin(guard: &Arc<PoisonGuard>, name: &str, deaths: u32) -> (tokio::sync::oneshot::Receiver<()>, JoinHandle<()>) {
    let (guard, marker) = (guard.clone(), Location::new("outbox", format!(".started/{name}.json")));
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let delivery = Delivery { message_id: name.to_owned(), ..delivery(1) };
    let run = tokio::spawn(async move {
        let run = Run { marker, delivery: &delivery, from_window: 0, deaths };
        let work = async {
            begun.send(()).unwrap();
            std::future::pending::<Result<(), Fault>>().await
        };
        guard.run(run, &Control::default(), work).await.unwrap();
    });
    (has_begun, run)
}

#[tokio::test(start_paused = true)]
async fn a_suspect_waits_for_a_quiet_moment_bars_nobody_and_does_not_wait_for_ever() {
    let world = world();
    let (long, _long) = begin(&world.guard, "long", 0);
    long.await.unwrap();
    let asked = Instant::now();
    let (suspect, _suspect) = begin(&world.guard, "suspect", 1);
    let (other, _other) = begin(&world.guard, "other", 0);
    other.await.unwrap();
    assert!(asked.elapsed() < QUIET_WAIT, "another job does not wait behind it");
    suspect.await.unwrap();
    assert!(asked.elapsed() >= QUIET_WAIT, "it waits for the others");
}

#[tokio::test(start_paused = true)]
async fn a_suspect_runs_at_once_when_nothing_else_is_at_work() {
    let world = world();
    let (long, run) = begin(&world.guard, "long", 0);
    long.await.unwrap();
    let asked = Instant::now();
    let (suspect, _suspect) = begin(&world.guard, "suspect", 1);
    run.abort();
    suspect.await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_bucket_that_refuses_switches_the_guard_off_there_and_nowhere_else() {
    let world = world();
    let delivery = delivery(1);
    let marker = Location::new("elsewhere", "x.json");
    let run = Run { marker, delivery: &delivery, from_window: 0, deaths: 0 };
    assert_eq!(world.guard.run(run, &Control::default(), async { Ok(5) }).await, Ok(5));
    world.dies(1, 0, 0).await;
    assert!(world.marked().await, "other jobs are guarded on");
}

#[test]
fn the_marker_lies_beside_the_output() {
    let job = Job {
        id: ".a b".into(),
        user_id: "u".into(),
        file_id: "f".into(),
        source: Location::new("b", "k"),
        output: None,
        place_is_named: false,
        options: Default::default(),
        echo: Default::default(),
    };
    let key = |json: &str| PoisonGuard::marker(&Location::new("out", json), &job).key;
    assert_eq!(key("u/f/transcript.json"), "u/f/.started/%2Ea%20b.json");
    assert_eq!(key("top.json"), ".started/%2Ea%20b.json");
}
