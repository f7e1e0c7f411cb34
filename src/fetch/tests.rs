#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::parts::{PARALLEL, PART_BYTES, SINGLE_BYTES};
use super::*;
use crate::objects::{Body, Condition, Found};

const LIMITS: FetchLimits = FetchLimits { max_bytes: 1 << 30, reserve_bytes: 0 };

/// Bytes per chunk of a body.
const CHUNK: usize = 100_000;

/// How the answer to one request goes on after its first bytes.
#[derive(Clone)]
enum Then {
    Goes,
    Breaks,
    Ends,
    Stalls,
    RunsOn,
    Fails(Fault),
}

/// One object in memory, on a bad line.
struct Remote {
    content: Bytes,
    /// For request number n: how many bytes come well, and what then.
    line: fn(usize) -> (usize, Then),
    asked: Mutex<Vec<Range<u64>>>,
}

impl Remote {
    fn new(size: u64, line: fn(usize) -> (usize, Then)) -> Self {
        // a period that fits no power of two, so that a part in the wrong place shows
        let content = (0..size).map(|i| (i % 251) as u8).collect();
        Self { content, line, asked: Mutex::default() }
    }

    fn asked(&self) -> Vec<Range<u64>> {
        self.asked.lock().unwrap().clone()
    }
}

fn broken() -> Fault {
    Fault::transient(Code::ServiceUnavailable, "failed to read the body of s3://b/k: reset")
}

#[async_trait]
impl Objects for Remote {
    async fn head(&self, _at: &Location) -> Result<ObjectInfo, Fault> {
        Ok(ObjectInfo { size_bytes: self.content.len() as u64, etag: "v1".into() })
    }

    async fn get(&self, _at: &Location, range: Range<u64>, etag: &str) -> Result<Body, Fault> {
        assert_eq!(etag, "v1");
        let number = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(range.clone());
            asked.len() - 1
        };
        let (well, then) = (self.line)(number);
        let mut bytes = self.content.slice(range.start as usize..range.end as usize);
        match &then {
            Then::Fails(fault) => return Err(fault.clone()),
            Then::Goes | Then::RunsOn => {}
            Then::Breaks | Then::Ends | Then::Stalls => bytes.truncate(well),
        }
        let chunks: Vec<_> = bytes.chunks(CHUNK).map(|chunk| Ok(bytes.slice_ref(chunk))).collect();
        let body = stream::iter(chunks);
        Ok(match then {
            Then::Breaks => body.chain(stream::iter([Err(broken())])).boxed(),
            Then::Stalls => body.chain(stream::pending()).boxed(),
            Then::RunsOn => body.chain(stream::iter([Ok(Bytes::from_static(b"more"))])).boxed(),
            _ => body.boxed(),
        })
    }

    async fn read(&self, _at: &Location, _limit_bytes: u64) -> Result<Option<Found>, Fault> {
        Err(Fault::Interrupted)
    }

    async fn put(&self, _: &Location, _: Bytes, _: &str, _: &Condition) -> Result<String, Fault> {
        Err(Fault::Interrupted)
    }

    async fn remove(&self, _at: &Location) -> Result<(), Fault> {
        Err(Fault::Interrupted)
    }
}

struct House {
    scratch: Scratch,
    control: Control,
    _parent: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        Self { scratch: Scratch::open(parent.path()).unwrap(), control: Control::default(), _parent: parent }
    }

    async fn fetch(&self, remote: &Remote, limits: &FetchLimits) -> Result<TempPath, Fault> {
        let at = Location::new("b", "k");
        let info = remote.head(&at).await?;
        fetch(remote, &at, &info, &self.scratch, limits, &self.control, &|| ()).await
    }

    /// The fault of a fetch that must fail, with the promise that no file stays.
    async fn fails(&self, remote: &Remote, limits: &FetchLimits) -> Fault {
        let fault = self.fetch(remote, limits).await.unwrap_err();
        assert_eq!(self.files(), ["lock"], "{fault}");
        fault
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.scratch.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn is_transient(fault: &Fault, code: Code) -> bool {
    matches!(fault, Fault::Transient(problem) if problem.code == code && problem.message.contains("s3://b/k"))
}

fn is_permanent(fault: &Fault, code: Code) -> bool {
    matches!(fault, Fault::Permanent(problem) if problem.code == code && problem.message.contains("s3://b/k"))
}

#[tokio::test]
async fn the_file_is_the_object_and_goes_with_its_owner() {
    let (house, remote) = (House::new(), Remote::new(2_345_678, |_| (0, Then::Goes)));
    let fetched = house.fetch(&remote, &LIMITS).await.unwrap();
    assert!(fs::read(&fetched).unwrap() == remote.content);
    assert_eq!(remote.asked(), std::slice::from_ref(&(0..2_345_678)));
    drop(fetched);
    assert_eq!(house.files(), ["lock"]);
}

#[tokio::test(start_paused = true)]
async fn a_body_cut_again_and_again_is_resumed_where_it_stopped() {
    for then in [|_| (1_000_001, Then::Breaks), |_| (1_000_001, Then::Ends), |_| (1_000_001, Then::Stalls)] {
        // more cuts than tries: those that bring something do not count
        let (house, remote) = (House::new(), Remote::new(8_000_000, then));
        let fetched = house.fetch(&remote, &LIMITS).await.unwrap();
        assert!(fs::read(&fetched).unwrap() == remote.content);
        let starts: Vec<u64> = remote.asked().iter().map(|range| range.start).collect();
        assert_eq!(starts, (0..8).map(|i| i * 1_000_001).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_stays_dead_ends_in_a_transient_fault() {
    let lines: [fn(usize) -> (usize, Then); 4] = [
        |_| (0, Then::Breaks),
        |_| (0, Then::Ends),
        |_| (0, Then::Stalls),
        |_| (0, Then::Fails(Fault::transient(Code::ServiceUnavailable, "failed to fetch s3://b/k: SlowDown"))),
    ];
    for line in lines {
        let (house, remote) = (House::new(), Remote::new(1000, line));
        assert!(is_transient(&house.fails(&remote, &LIMITS).await, Code::ServiceUnavailable));
        assert_eq!(remote.asked().len(), 5);
    }
}

#[tokio::test(start_paused = true)]
async fn parts_side_by_side_come_out_in_place() {
    let size = PART_BYTES * 2 + 1_234_567;
    assert!(size > SINGLE_BYTES);
    let remote = Remote::new(size, |n| (3_000_000, if n == 1 { Then::Breaks } else { Then::Goes }));
    let house = House::new();
    let fetched = house.fetch(&remote, &LIMITS).await.unwrap();
    assert!(fs::read(&fetched).unwrap() == remote.content);
    let asked = remote.asked();
    assert_eq!(asked[..3], [0..PART_BYTES, PART_BYTES..PART_BYTES * 2, PART_BYTES * 2..size]);
    let missing = PART_BYTES + 3_000_000..PART_BYTES * 2;
    assert_eq!(asked[3..], *std::slice::from_ref(&missing), "only what was missing is asked for again");
}

#[tokio::test]
async fn an_object_that_changed_ends_the_fetch_at_once() {
    let remote = Remote::new(1000, |_| {
        (0, Then::Fails(Fault::transient(Code::ObjectChanged, "failed to fetch s3://b/k: PreconditionFailed")))
    });
    assert!(is_transient(&House::new().fails(&remote, &LIMITS).await, Code::ObjectChanged));
    assert_eq!(remote.asked().len(), 1);
}

#[tokio::test]
async fn a_refusal_ends_the_fetch_at_once() {
    let remote =
        Remote::new(1000, |_| (0, Then::Fails(Fault::permanent(Code::AccessDenied, "failed to fetch s3://b/k: 403"))));
    assert!(is_permanent(&House::new().fails(&remote, &LIMITS).await, Code::AccessDenied));
    assert_eq!(remote.asked().len(), 1);
}

#[tokio::test]
async fn a_body_longer_than_asked_for_is_not_taken_for_the_object() {
    let remote = Remote::new(1000, |_| (0, Then::RunsOn));
    assert!(is_transient(&House::new().fails(&remote, &LIMITS).await, Code::ObjectChanged));
    assert_eq!(remote.asked().len(), 1);
}

#[tokio::test]
async fn empty_and_too_large_objects_are_refused_before_a_byte_is_fetched() {
    let limits = FetchLimits { max_bytes: 1000, reserve_bytes: 0 };
    for (size, code) in [(0, Code::CorruptAudio), (1001, Code::ObjectTooLarge)] {
        let (house, remote) = (House::new(), Remote::new(size, |_| (0, Then::Goes)));
        assert!(is_permanent(&house.fails(&remote, &limits).await, code));
        assert_eq!(remote.asked(), []);
    }
    let (house, remote) = (House::new(), Remote::new(1000, |_| (0, Then::Goes)));
    assert!(house.fetch(&remote, &limits).await.is_ok());
}

#[tokio::test]
async fn the_reserve_on_the_disk_is_not_touched() {
    let limits = FetchLimits { max_bytes: 1000, reserve_bytes: u64::MAX };
    let remote = Remote::new(1000, |_| (0, Then::Goes));
    assert!(is_transient(&House::new().fails(&remote, &limits).await, Code::DiskFull));
    assert_eq!(remote.asked(), []);
}

#[tokio::test]
async fn a_stop_midway_ends_at_once_and_leaves_no_file() {
    for expected in [Fault::Interrupted, Fault::LeaseLost] {
        let (house, remote) = (House::new(), Remote::new(PART_BYTES * 10, |_| (CHUNK, Then::Stalls)));
        let under_way = async {
            while remote.asked().len() < PARALLEL {
                tokio::task::yield_now().await;
            }
            assert_eq!(house.files().len(), 2);
            match expected {
                Fault::LeaseLost => house.control.lease_lost.cancel(),
                _ => house.control.abort.cancel(),
            }
        };
        let (fault, ()) = tokio::join!(house.fails(&remote, &LIMITS), under_way);
        assert_eq!(fault, expected);
        assert_eq!(remote.asked().len(), PARALLEL, "no more parts than that at once");
    }
}

#[test]
fn what_dead_workers_left_is_removed_and_live_neighbours_are_spared() {
    let parent = tempfile::tempdir().unwrap();
    let path = |name: &str| parent.path().join(name);
    for dead in ["transcription-worker-999-abcdef", "transcription-worker-1-Xyz123"] {
        fs::create_dir(path(dead)).unwrap();
        fs::write(path(dead).join("audio"), "left").unwrap();
    }
    fs::write(path("transcription-worker-999-abcdef/lock"), "").unwrap();
    for foreign in ["transcription-worker-models", "transcription-worker-x-abcdef", "other"] {
        fs::create_dir(path(foreign)).unwrap();
    }
    std::os::unix::fs::symlink(path("other"), path("transcription-worker-2-abcdef")).unwrap();

    let neighbour = Scratch::open(parent.path()).unwrap();
    let scratch = Scratch::open(parent.path()).unwrap();

    assert!(neighbour.path().is_dir());
    assert!(!path("transcription-worker-999-abcdef").exists() && !path("transcription-worker-1-Xyz123").exists());
    for foreign in ["transcription-worker-models", "transcription-worker-x-abcdef", "transcription-worker-2-abcdef"] {
        assert!(path(foreign).exists(), "{foreign}");
    }
    assert_eq!(fs::metadata(scratch.path()).unwrap().permissions().mode() & 0o777, 0o700);
    let own = scratch.path().to_owned();
    drop(scratch);
    assert!(!own.exists() && neighbour.path().is_dir());
}
