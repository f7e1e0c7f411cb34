//! What a worker shows of itself while it runs: status, probes, metrics, and the page in a real browser.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::rig::{Rig, assert_matches_file, long_speech, repository, scratch, scripted_engine, speech, wait_until};
use crate::running::Running;

/// The address that a worker serves its status on, by its log.
async fn address(worker: &mut Running) -> String {
    let line: Value = serde_json::from_str(&worker.logs("status is served").await).unwrap();
    let address = line.pointer("/fields/address").or(line.get("address")).unwrap();
    address.as_str().unwrap().to_owned()
}

/// Status and body of an answer.
async fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

async fn status(address: &str) -> Value {
    serde_json::from_str(&get(address, "/status").await.1).unwrap()
}

/// A worker whose engine takes its time, and whose status is served.
fn slow_worker(rig: &Rig, window_ms: u32) -> Command {
    let mut command = rig.worker();
    command
        .env("TRANSCRIPTION_HTTP", "127.0.0.1:0")
        .env("TRANSCRIPTION_ENGINE_COMMAND", scripted_engine())
        .env("SCRIPTED_ENGINE_DELAY_MS", window_ms.to_string());
    command
}

#[tokio::test]
async fn a_ten_minute_job_is_as_far_in_its_status_as_its_events_say_and_then_the_worker_drains() {
    let rig = Rig::new().await;
    let news = rig.hears_all().await;
    rig.upload("talk.wav", long_speech(600)).await;
    let mut worker = Running::start(slow_worker(&rig, 300).env("TRANSCRIPTION_PROGRESS_PERCENT", "10"));
    let at = address(&mut worker).await;
    worker.logs("worker ready").await;
    wait_until("it is ready", async || get(&at, "/readyz").await.0 == 200).await;
    rig.send(rig.job("talk", "talk.wav")).await;

    let mut told = 0;
    loop {
        let event: Value = serde_json::from_str(&rig.take(&news).await.unwrap()).unwrap();
        let shown = status(&at).await;
        match event["detail-type"].as_str().unwrap() {
            "Transcription Started" => {}
            "Transcription Progress" => {
                told += 1;
                let (job, detail) = (&shown["jobs"][0], &event["detail"]);
                if job.is_null() {
                    // it ended while the event was on its way
                    continue;
                }
                assert_eq!((&job["jobId"], &job["duration"]), (&json!("talk"), &detail["duration"]), "{shown:#}");
                assert!(job["percent"].as_u64() >= detail["percent"].as_u64(), "{shown:#}\n{event:#}");
                assert!(job["processed"].as_f64() >= detail["processed"].as_f64(), "{shown:#}\n{event:#}");
                let page = get(&at, "/").await.1;
                assert!(page.contains("<progress max=\"100\""), "{page}");
            }
            _ => break,
        }
    }
    assert!(told >= 7, "{told}");
    assert_eq!(status(&at).await["jobs"], json!([]));
    let metrics = get(&at, "/metrics").await.1;
    for line in [
        "transcription_jobs_total{status=\"completed\"} 1",
        "transcription_audio_seconds_total 600",
        "transcription_worker_up 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }

    rig.send(rig.job("again", "talk.wav")).await;
    wait_until("it is at work", async || status(&at).await["jobs"][0]["stage"] == "transcribing").await;
    worker.signal(rustix::process::Signal::TERM);
    wait_until("it says so", async || get(&at, "/readyz").await == (503, "draining: SIGTERM\n".to_owned())).await;
    let shown = status(&at).await;
    assert_eq!(
        (&shown["phase"], &shown["ready"], &shown["jobs"][0]["jobId"]),
        (&json!("draining"), &json!(false), &json!("again"))
    );
    assert_eq!(get(&at, "/healthz").await.0, 200);
}

#[tokio::test]
async fn a_worker_that_loads_is_not_ready_and_says_why() {
    let rig = Rig::new().await;
    let mut worker = Running::start(slow_worker(&rig, 0).env("SCRIPTED_ENGINE", "loading"));
    let at = address(&mut worker).await;
    assert_eq!(get(&at, "/readyz").await, (503, "loading\n".to_owned()));
    assert_eq!(get(&at, "/healthz").await.0, 200);
    assert!(worker.stop().await.success(), "an engine that loads does not keep it");
}

#[tokio::test]
async fn cloudwatch_gets_a_line_for_each_job_and_for_the_last_minute_among_the_log_or_in_a_file() {
    let rig = Rig::new().await;
    let dir = scratch();
    let file = dir.path().join("metrics.jsonl");
    rig.upload("talk.wav", speech("wav")).await;
    for (to, job) in [("stdout", "one"), (file.to_str().unwrap(), "two")] {
        let mut command = slow_worker(&rig, 0);
        let mut worker = Running::start(command.env("TRANSCRIPTION_EMF", to).env("TRANSCRIPTION_FLEET", "speech"));
        rig.send(rig.job(job, "talk.wav")).await;
        assert_eq!(rig.event().await["status"], "completed");
        rig.send(rig.job("missing", "missing.wav")).await;
        assert_eq!(rig.event().await["status"], "failed");
        rig.queue_is_empty().await;
        assert!(worker.stop().await.success());
        let lines = if to == "stdout" {
            worker.log()
        } else {
            std::fs::read_to_string(&file).unwrap().lines().map(str::to_owned).collect()
        };
        let lines: Vec<Value> = lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|line: &Value| !line["_aws"].is_null())
            .collect();
        lines.iter().for_each(|line| assert_matches_file("tests/emf.schema.json", line));
        let of =
            |id: &str| lines.iter().find(|line| line["job_id"] == id).unwrap_or_else(|| panic!("{id}: {lines:#?}"));
        assert_eq!(
            (&of(job)["Fleet"], &of(job)["Status"], &of(job)["Receives"]),
            (&json!("speech"), &json!("completed"), &json!(1.0))
        );
        assert_eq!(
            (&of("missing")["Status"], &of("missing")["ErrorCode"]),
            (&json!("failed"), &json!("OBJECT_NOT_FOUND"))
        );
        let last = lines.last().unwrap();
        assert_eq!(
            (&last["DeadLettered"], &last["Up"]),
            (&json!(1.0), &Value::Null),
            "what came since, and nobody is up: {last:#}"
        );
        assert!(last["UpSeconds"].as_f64().unwrap() > 0.0);
    }
}

/// The browser, where there is one.
fn chromium() -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join("chromium")).find(|path| path.is_file())
}

/// What the browser makes of a page: with a path a picture, else the document.
async fn browse(browser: &Path, profile: &Path, url: &str, size: &str, picture: Option<&Path>) -> String {
    let mut command = Command::new(browser);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--hide-scrollbars",
    ]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    command.arg(format!("--user-data-dir={}", profile.display())).arg(format!("--window-size={size}"));
    match picture {
        Some(path) => command.arg(format!("--screenshot={}", path.display())),
        None => command.arg("--dump-dom"),
    };
    let output = tokio::time::timeout(crate::rig::PATIENCE, command.arg(url).kill_on_drop(true).output())
        .await
        .unwrap()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn the_page_is_readable_in_a_browser_on_a_phone_and_on_a_desk() {
    let Some(browser) = chromium() else {
        println!("SKIPPED: chromium is not on the path (Debian: apt-get install chromium)");
        return;
    };
    let rig = Rig::new().await;
    rig.upload("talk.wav", long_speech(600)).await;
    rig.upload("broken.wav", b"no audio".to_vec()).await;
    let mut worker = Running::start(&mut slow_worker(&rig, 3_000));
    let at = address(&mut worker).await;
    rig.send(rig.job("broken", "broken.wav")).await;
    assert_eq!(rig.event().await["status"], "failed");
    rig.send(rig.job("3e0c6f0a-54a1-4c6e-9f0c-0d9b6f2b1a11", "talk.wav")).await;
    wait_until("something is done", async || status(&at).await["jobs"][0]["percent"].as_u64() > Some(0)).await;

    let pictures = repository().join("target/status-page");
    std::fs::create_dir_all(&pictures).unwrap();
    let url = format!("http://{at}/");
    for (name, size) in [("phone", "390,844"), ("desk", "1280,900")] {
        let profile = scratch();
        let picture = pictures.join(format!("{name}.png"));
        browse(&browser, profile.path(), &url, size, Some(&picture)).await;
        let bytes = std::fs::metadata(&picture).unwrap().len();
        assert!(bytes > 10_000, "{name}: an empty page? {bytes} bytes");
    }
    let profile = scratch();
    let document = browse(&browser, profile.path(), &url, "390,844", None).await;
    for seen in [
        "working",
        "3e0c6f0a-54a1-4c6e-9f0c-0d9b6f2b1a11",
        "transcribing",
        "<progress",
        "UNSUPPORTED_FORMAT",
        "tiny.en",
    ] {
        assert!(document.contains(seen), "{seen} is not on the page: {document}");
    }
    println!("pictures: {}", pictures.display());
}
