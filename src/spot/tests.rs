#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use super::fake::FakeImds;
use super::*;

const TERMINATE: &str = r#"{"action":"terminate","time":"2017-09-18T08:22:00Z"}"#;
/// Long enough for any machine; nothing asserts how long anything took.
const PATIENCE: Duration = Duration::from_secs(30);

fn settings() -> Settings {
    Settings { poll_every: Duration::from_millis(5), act_on_rebalance: false }
}

fn watched(imds: &FakeImds, settings: Settings) -> (Drain, Arc<Counts>) {
    let drain = Drain::new(Duration::from_secs(300), Duration::from_secs(30));
    let counts = Arc::new(Counts::default());
    let client = Imds::new(Some(&imds.endpoint)).unwrap();
    tokio::spawn(watch(client, drain.clone(), settings, Arc::clone(&counts)));
    (drain, counts)
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !condition() {
            sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "in vain: {what}");
}

/// Until the watcher has looked at every path once more, twice over.
async fn two_rounds(imds: &FakeImds) {
    let before = imds.state().answered;
    until("two rounds of polls", || imds.state().answered >= before + 7).await;
}

#[tokio::test]
async fn a_spot_notice_begins_the_drain_with_its_time_as_deadline() {
    let imds = FakeImds::start().await;
    let (drain, counts) = watched(&imds, settings());
    two_rounds(&imds).await;
    assert!(drain.stopping().is_none(), "404 is no notice");
    let time = Timestamp::now() + Duration::from_secs(90);
    imds.state().bodies.insert(INSTANCE_ACTION, format!(r#"{{"action":"terminate","time":"{time}"}}"#));
    timeout(PATIENCE, drain.stop().cancelled()).await.unwrap();
    let stopping = drain.stopping().unwrap();
    assert_eq!(stopping.reason, Reason::SpotInterruption);
    assert!(stopping.deadline <= Instant::now() + Duration::from_secs(90));
    assert_eq!(counts.interruptions.get(), 1);
}

#[tokio::test]
async fn a_scale_in_is_like_a_signal() {
    let imds = FakeImds::start().await;
    imds.state().bodies.insert(LIFECYCLE_STATE, "InService".into());
    let (drain, _) = watched(&imds, settings());
    two_rounds(&imds).await;
    assert!(drain.stopping().is_none());
    imds.state().bodies.insert(LIFECYCLE_STATE, "Terminated\n".into());
    timeout(PATIENCE, drain.stop().cancelled()).await.unwrap();
    assert_eq!(drain.stopping().unwrap().reason, Reason::ScaleIn);
}

#[tokio::test]
async fn a_spot_notice_after_a_scale_in_brings_the_deadline_forward() {
    let imds = FakeImds::start().await;
    imds.state().bodies.insert(LIFECYCLE_STATE, "Terminated".into());
    let (drain, _) = watched(&imds, settings());
    timeout(PATIENCE, drain.stop().cancelled()).await.unwrap();
    let first = drain.stopping().unwrap().deadline;
    imds.state().bodies.insert(INSTANCE_ACTION, TERMINATE.into());
    until("an earlier deadline", || drain.stopping().is_some_and(|stopping| stopping.deadline < first)).await;
}

#[tokio::test]
async fn imds_401_refreshes_the_token() {
    let imds = FakeImds::start().await;
    let (drain, _) = watched(&imds, settings());
    two_rounds(&imds).await;
    imds.state().token += 1;
    imds.state().bodies.insert(INSTANCE_ACTION, TERMINATE.into());
    timeout(PATIENCE, drain.stop().cancelled()).await.unwrap();
    let state = imds.state();
    assert!(
        state.refused >= 1 && state.tokens_issued >= 2,
        "{} refused, {} tokens",
        state.refused,
        state.tokens_issued
    );
}

#[tokio::test]
async fn imds_503_is_not_fatal() {
    let imds = FakeImds::start().await;
    // at start too: a service that fails is a service
    imds.state().status = Some(503);
    let (drain, _) = watched(&imds, settings());
    until("a failed request", || imds.state().failed > 0).await;
    assert!(drain.stopping().is_none());
    imds.state().status = None;
    imds.state().bodies.insert(INSTANCE_ACTION, TERMINATE.into());
    timeout(PATIENCE, drain.stop().cancelled()).await.unwrap();
}

#[tokio::test]
async fn a_service_that_hangs_for_a_while_is_not_fatal() {
    let imds = FakeImds::start().await;
    let (drain, _) = watched(&imds, settings());
    two_rounds(&imds).await;
    imds.state().hangs = true;
    until("a hanging request", || imds.state().failed > 0).await;
    imds.state().hangs = false;
    imds.state().bodies.insert(INSTANCE_ACTION, TERMINATE.into());
    timeout(PATIENCE, drain.stop().cancelled()).await.unwrap();
}

#[tokio::test]
async fn garbage_is_no_notice() {
    let imds = FakeImds::start().await;
    imds.state().bodies.insert(INSTANCE_ACTION, "<html>not json".into());
    imds.state().bodies.insert(LIFECYCLE_STATE, "\u{0}\u{7f}".into());
    let (drain, _) = watched(&imds, settings());
    two_rounds(&imds).await;
    assert!(drain.stopping().is_none());
}

#[tokio::test]
async fn off_ec2_it_runs_without_spot() {
    // a port that was free a moment ago: nobody listens
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut client = Imds::new(Some(&endpoint)).unwrap();
    client.dmi = "/nonexistent".into();
    assert_eq!(client.instance_id().await, None);
    let drain = Drain::new(Duration::from_secs(1), Duration::from_secs(1));
    timeout(PATIENCE, watch(client, drain.clone(), settings(), Arc::default())).await.expect("the watcher gives up");
    assert!(drain.stopping().is_none());
}

#[tokio::test]
async fn on_ec2_a_service_that_is_late_is_asked_again() {
    let (imds, dmi) = (FakeImds::start().await, tempfile::tempdir().unwrap());
    std::fs::write(dmi.path().join("board_asset_tag"), "i-0123456789abcdef0\n").unwrap();
    imds.state().is_away = true;
    let mut client = Imds::new(Some(&imds.endpoint)).unwrap();
    (client.dmi, client.probe_every) = (dmi.path().to_owned(), Duration::from_millis(5));
    let drain = Drain::new(Duration::from_secs(300), Duration::from_secs(30));
    tokio::spawn(watch(client, drain.clone(), settings(), Arc::default()));
    // each probe asks twice: it was given up once, and is asked again
    until("a second round of probes", || imds.state().failed > 2 * PROBES).await;
    imds.state().bodies.insert(INSTANCE_ACTION, TERMINATE.into());
    imds.state().is_away = false;
    timeout(PATIENCE, drain.stop().cancelled()).await.unwrap();
}

#[test]
fn a_machine_says_whether_it_is_an_instance() {
    let says = |file: &str, text: &str| {
        let dmi = tempfile::tempdir().unwrap();
        std::fs::write(dmi.path().join(file), text).unwrap();
        Imds { dmi: dmi.path().to_owned(), ..Imds::new(Some("http://127.0.0.1:1")).unwrap() }.is_on_ec2()
    };
    assert!(says("board_asset_tag", "i-0123456789abcdef0\n"));
    assert!(says("sys_vendor", "Amazon EC2\n") && says("bios_version", "4.11.amazon\n"));
    assert!(!says("sys_vendor", "QEMU\n") && !says("board_asset_tag", "\n"));
}

#[tokio::test]
async fn a_rebalance_recommendation_is_only_logged() {
    let imds = FakeImds::start().await;
    imds.state().bodies.insert(REBALANCE, r#"{"noticeTime":"2026-01-01T00:00:00Z"}"#.into());
    let (drain, counts) = watched(&imds, settings());
    two_rounds(&imds).await;
    two_rounds(&imds).await;
    assert!(drain.stopping().is_none());
    assert_eq!(counts.rebalances.get(), 1, "counted once");
}

#[tokio::test]
async fn a_rebalance_is_acted_on_when_configured() {
    let imds = FakeImds::start().await;
    imds.state().bodies.insert(REBALANCE, r#"{"noticeTime":"2026-01-01T00:00:00Z"}"#.into());
    let (drain, _) = watched(&imds, Settings { act_on_rebalance: true, ..settings() });
    timeout(PATIENCE, drain.stop().cancelled()).await.unwrap();
    assert_eq!(drain.stopping().unwrap().reason, Reason::Rebalance);
}

#[tokio::test]
async fn the_instance_id_is_read() {
    let imds = FakeImds::start().await;
    imds.state().bodies.insert(INSTANCE_ID, "i-0123456789abcdef0".into());
    let client = Imds::new(Some(&imds.endpoint)).unwrap();
    assert_eq!(client.instance_id().await.as_deref(), Some("i-0123456789abcdef0"));
}

#[test]
fn a_garbled_time_counts_as_two_minutes() {
    let (now, instant) = (Timestamp::UNIX_EPOCH, Instant::now());
    let left = |body: &str| deadline_of(body, now, instant).map(|deadline| (deadline - instant).as_secs());
    assert_eq!(left(r#"{"action":"terminate","time":"soon"}"#), Some(120));
    assert_eq!(left(r#"{"action":"stop","time":17}"#), Some(120));
    assert_eq!(left(r#"{"action":"terminate"}"#), Some(120));
    assert_eq!(left(r#"{"action":"terminate","time":"1970-01-01T00:01:00Z"}"#), Some(60));
    assert_eq!(left(r#"{"action":"terminate","time":"1969-12-31T23:00:00Z"}"#), Some(0), "past: at once");
    assert_eq!(left(r#"{"action":"terminate","time":"2099-01-01T00:00:00Z"}"#), Some(120), "skewed clock");
    assert_eq!(left(r#"{"action":"hibernate","time":"1970-01-01T00:01:00Z"}"#), Some(0));
    assert_eq!(left(r#"{"action":"none"}"#), None);
    assert_eq!(left("garbage"), None);
}

#[test]
fn metadata_can_be_switched_off() {
    assert!(is_disabled(Some("true")) && is_disabled(Some(" TRUE ")));
    assert!(!is_disabled(None) && !is_disabled(Some("false")) && !is_disabled(Some("")));
}
