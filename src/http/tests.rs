//! What is answered to whom.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::board::{JobAtWork, Reached, Stage};
use crate::drain::Reason;
use crate::fault::{Code, Problem};
use crate::health::Part;
use crate::metrics::{Metrics, Origin};
use crate::status::samples;

fn status() -> Status {
    let origin = Origin { instance: "i-1".to_owned(), model: "tiny.en".to_owned(), ..Origin::default() };
    samples::status(Metrics::new(origin, None))
}

/// Status and whole text of the answer to a request that is written as it is.
async fn asked(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

async fn got(address: SocketAddr, path: &str) -> (u16, String) {
    asked(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost:9477\r\nConnection: close\r\n\r\n")).await
}

async fn served(status: &Status) -> SocketAddr {
    let listener = open("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, status.clone()));
    address
}

#[tokio::test]
async fn it_is_ready_between_loading_and_draining_and_healthy_until_it_is_sick() {
    let status = status();
    let address = served(&status).await;
    let both = async || (got(address, "/healthz").await.0, got(address, "/readyz").await.0);
    assert_eq!(both().await, (200, 503), "loading");
    status.progress.turn();
    assert_eq!(both().await, (200, 200), "working");
    for _ in 0..3 {
        status.health.fails(Part::Bus, "503");
    }
    assert_eq!(both().await, (200, 200), "suspect: it takes jobs, one at a time");
    status.drain.begin_gracefully(Reason::ScaleIn);
    assert_eq!(both().await, (200, 503), "draining");
    status.health.broke(Part::Engine, "no GPU");
    assert_eq!(both().await, (503, 503), "sick");
    let (_, said) = got(address, "/readyz").await;
    assert!(said.ends_with("sick: the engine: no GPU\n"), "{said}");
}

#[tokio::test]
async fn jobs_and_failures_are_in_the_document_and_safe_on_the_page() {
    let status = status();
    status.progress.turn();
    let seat = status.board.enter(JobAtWork {
        job_id: "<script>alert(1)</script>".to_owned(),
        source: "s3://b/\"k\"".to_owned(),
        attempt: 2,
        since: "2026-01-05T12:00:00.5Z".parse().unwrap(),
        stage: Stage::Transcribing,
        reached: Reached::default(),
    });
    seat.lasts(Some(600.0));
    seat.reached(299.96);
    let problem = Problem { code: Code::CorruptAudio, message: "a & b".to_owned() };
    status.board.failed(Timestamp::UNIX_EPOCH, "j2", &problem);
    let address = served(&status).await;

    let (code, document) = got(address, "/status").await;
    let document: serde_json::Value = serde_json::from_str(document.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let job = &document["jobs"][0];
    assert_eq!((code, document["phase"].as_str(), document["ready"].as_bool()), (200, Some("working"), Some(true)));
    assert_eq!(
        (job["percent"].as_u64(), job["processed"].as_f64(), job["duration"].as_f64()),
        (Some(49), Some(300.0), Some(600.0))
    );
    assert_eq!((job["attempt"].as_u64(), job["since"].as_str()), (Some(2), Some("2026-01-05T12:00:00Z")));
    assert_eq!(document["failures"][0]["code"], "CORRUPT_AUDIO");

    let (code, page) = got(address, "/").await;
    assert_eq!(code, 200);
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
    assert!(page.contains("s3://b/&quot;k&quot;") && page.contains("a &amp; b") && page.contains("49 %"), "{page}");
    assert!(!page.contains("http://") && !page.contains("https://"), "nothing from elsewhere: {page}");
    assert!(page.contains("default-src 'none'"), "{page}");
}

#[tokio::test]
async fn only_loopback_is_listened_on_and_only_its_own_names_are_answered() {
    for elsewhere in ["0.0.0.0:0", "192.0.2.1:80", "[::]:0"] {
        let refused = open(elsewhere.parse().unwrap()).await.unwrap_err();
        assert!(refused.contains("loopback"), "{refused}");
    }
    let address = served(&status()).await;
    for (host, code) in [
        ("localhost", 200),
        ("127.0.0.1:9477", 200),
        ("[::1]:9477", 200),
        ("LocalHost:80", 200),
        ("evil.example:9477", 403),
        ("10.0.0.1", 403),
        ("localhost.evil.example", 403),
    ] {
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(asked(address, &request).await.0, code, "{host}");
    }
    for (request, code) in [("POST /status", 405), ("GET /etc/passwd", 404), ("HEAD /status", 200)] {
        let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        assert_eq!(asked(address, &request).await.0, code, "{request}");
    }
}

#[tokio::test]
async fn a_client_that_says_nothing_does_not_keep_the_others_waiting() {
    let address = served(&status()).await;
    let silent: Vec<TcpStream> = futures_util::future::join_all((0..8).map(|_| TcpStream::connect(address)))
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(got(address, "/healthz").await.0, 200);
    drop(silent);
}
