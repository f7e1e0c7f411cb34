//! Thousands of small jobs through one worker: what it holds does not grow with how many it has done.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use crate::rig::{Rig, scripted_engine, speech, wait_until};
use crate::running::Running;

/// Jobs of one run.
const JOBS: usize = 2_000;
/// Sent, done and looked at together.
const BATCH: usize = 100;
/// What may come and go: connections of requests under way, pages the allocator keeps.
const DESCRIPTORS_MORE: usize = 12;
const MIB_MORE: f64 = 6.0;

/// Open descriptors and resident memory of a process.
fn held(pid: u32) -> (usize, f64) {
    let descriptors = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")).unwrap().count();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    (descriptors, resident.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; make many-jobs"]
async fn two_thousand_jobs_leave_no_more_behind_than_a_hundred() {
    let rig = Rig::new().await;
    rig.upload("talk.flac", speech("flac")).await;
    let mut command = rig.worker();
    let mut worker = Running::start(
        command
            .env("TRANSCRIPTION_ENGINE_COMMAND", scripted_engine())
            .env("TRANSCRIPTION_FORMATS", "json,txt,srt,vtt,amazon"),
    );
    worker.logs("worker ready").await;
    let mut after_first = None;
    for first in (0..JOBS).step_by(BATCH) {
        for n in first..first + BATCH {
            // texts of ever new sizes
            let mut job = rig.job(&format!("{n}-{}", "x".repeat(n % 80)), "talk.flac");
            job["prompt"] = "talkative".into();
            rig.send(job).await;
        }
        let done = first + BATCH;
        wait_until("the batch is done", async || {
            worker.log().iter().filter(|line| line.contains("\"job done\"")).count() == done
        })
        .await;
        rig.queue_is_empty().await;
        let (descriptors, mib) = held(worker.pid());
        println!("{done:>5} jobs: {descriptors:>3} descriptors, {mib:>5.1} MiB");
        let (descriptors_then, mib_then) = *after_first.get_or_insert((descriptors, mib));
        assert!(descriptors <= descriptors_then + DESCRIPTORS_MORE, "{descriptors} descriptors");
        assert!(mib <= mib_then + MIB_MORE, "{mib} MiB");
    }
    assert!(worker.stop().await.success());
}
