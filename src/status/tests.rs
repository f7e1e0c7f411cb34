//! What CloudWatch is told of a worker, minute by minute.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use tokio::time::sleep;

use super::*;
use crate::health::Part;
use crate::metrics::Origin;
use crate::metrics::emf::Sink;

#[tokio::test(start_paused = true)]
async fn each_full_minute_is_told_once_and_at_the_end_what_came_since() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.jsonl");
    let status = samples::status(Metrics::new(Origin::default(), Some(Sink::file(&path).unwrap())));
    let lines = || -> Vec<Value> {
        let text = std::fs::read_to_string(&path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let telling = tokio::spawn(status.clone().tell_each_minute());
    sleep(Duration::from_secs(59)).await;
    assert!(lines().is_empty());
    status.counts.retried.add();
    status.health.broke(Part::Engine, "no GPU");
    sleep(Duration::from_secs(62)).await;
    telling.abort();
    status.tell_last();
    let lines = lines();
    let of = |name: &str| -> Vec<Option<f64>> { lines.iter().map(|line| line[name].as_f64()).collect() };
    assert_eq!(of("UpSeconds"), [Some(60.0), Some(60.0), Some(1.0)]);
    assert_eq!(of("Up"), [Some(1.0), Some(1.0), None]);
    assert_eq!(of("Retried"), [Some(1.0), Some(0.0), Some(0.0)]);
    assert_eq!(of("Health"), [Some(0.0), Some(0.0), None]);
    assert!(lines[0]["ScratchFree"].as_f64().unwrap() > 0.0);
}
