//! What is told of a fact, to CloudWatch and to Prometheus.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::fault::Code;
use crate::publish::Status;

fn origin() -> Origin {
    let own = str::to_owned;
    Origin { fleet: own("speech"), model: own("tiny.en"), instance_type: own("g6.xlarge"), instance: own("i-\"1\"") }
}

fn done() -> JobDone {
    JobDone {
        job_id: "j1".to_owned(),
        status: Status::Completed,
        audio_secs: 600.0,
        speech_secs: 500.123_456,
        queue_wait_secs: Some(3.0),
        fetch_secs: 0.4,
        decode_secs: 2.0,
        transcribe_secs: 5.0,
        total_secs: 6.0,
        resumed_secs: 29.0,
        bytes: 1_000_000,
        windows: 21,
        windows_resumed: 1,
        windows_dropped: 2,
        receive_count: 2,
    }
}

fn failed() -> JobFailed<'static> {
    JobFailed { job_id: "j2", code: Code::CorruptAudio, reason: "broken", receive_count: 1 }
}

fn readings() -> Vec<Reading> {
    let minute = Metric::ALL.iter().filter(|metric| metric.about().when == names::When::Minute);
    let two_gpus = [0, 1].map(|gpu| Reading { metric: Metric::GpuUtilization, value: 50.0, of: Some(gpu) });
    let read = minute.filter(|metric| **metric != Metric::GpuUtilization).map(|metric| Reading {
        metric: *metric,
        value: 7.0,
        of: None,
    });
    read.chain(two_gpus).collect()
}

/// The lines that CloudWatch gets of all there is to tell.
fn lines() -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.jsonl");
    let metrics = Metrics::new(origin(), Some(Sink::file(&path).unwrap()));
    metrics.job_done(&done());
    metrics.job_done(&JobDone { queue_wait_secs: None, status: Status::Partial, audio_secs: f64::NAN, ..done() });
    metrics.job_failed(&failed());
    metrics.minute(&readings());
    metrics.minute(&readings());
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Names that CloudWatch makes of a line by one set of dimensions.
fn names(line: &Value, dimensions: &[&str]) -> BTreeSet<String> {
    let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
    let of = directives
        .iter()
        .filter(|directive| directive["Dimensions"].as_array().unwrap().contains(&serde_json::json!(dimensions)));
    of.flat_map(|directive| directive["Metrics"].as_array().unwrap())
        .map(|metric| metric["Name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_line_is_valid_by_the_formats_schema_and_has_every_member_that_it_promises() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/emf.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let lines = lines();
    assert_eq!(lines.len(), 5);
    for line in lines {
        let errors: Vec<String> = validator.iter_errors(&line).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}\n{line:#}");
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            for metric in directive["Metrics"].as_array().unwrap() {
                let value = &line[metric["Name"].as_str().unwrap()];
                let is_list =
                    value.as_array().is_some_and(|values| values.len() <= 100 && values.iter().all(Value::is_number));
                assert!(value.is_number() || is_list, "{metric} of {line:#}");
            }
            for dimension in directive["Dimensions"].as_array().unwrap().iter().flat_map(|set| set.as_array().unwrap())
            {
                assert!(
                    line[dimension.as_str().unwrap()].as_str().is_some_and(|value| !value.is_empty()),
                    "{dimension} of {line:#}"
                );
            }
        }
    }
}

#[test]
fn a_job_a_failure_and_a_minute_tell_all_that_the_list_has_and_nothing_else() {
    let lines = lines();
    let told: BTreeSet<String> = lines.iter().flat_map(|line| names(line, &["Fleet"])).collect();
    let parts: BTreeSet<String> =
        lines.iter().flat_map(|line| names(line, &["Fleet", "Model", "InstanceType"])).collect();
    let list: BTreeSet<String> = Metric::ALL.iter().map(|metric| metric.name().to_owned()).collect();
    assert_eq!((&told, &parts), (&list, &list));
    assert_eq!(names(&lines[0], &["Fleet", "Status"]), BTreeSet::from(["Jobs".to_owned()]));
    assert_eq!(lines[0]["Status"], "completed");
    assert_eq!(names(&lines[2], &["Fleet", "ErrorCode"]), BTreeSet::from(["Failures".to_owned()]));
    assert_eq!((&lines[2]["ErrorCode"], &lines[2]["job_id"]), (&Value::from("CORRUPT_AUDIO"), &Value::from("j2")));
}

#[test]
fn terraforms_list_of_names_is_this_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("terraform/metrics.json");
    let written: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(written == names::document(), "terraform/metrics.json is stale: make schemas");
}

#[test]
fn cloudwatch_is_told_what_came_since_the_last_minute_and_what_is_so_now() {
    let lines = lines();
    let (first, second) = (&lines[3], &lines[4]);
    assert_eq!((first["Retried"].as_f64(), second["Retried"].as_f64()), (Some(7.0), Some(0.0)));
    assert_eq!((first["JobsInFlight"].as_f64(), second["JobsInFlight"].as_f64()), (Some(7.0), Some(7.0)));
    assert_eq!(first["GpuUtilization"], serde_json::json!([50.0, 50.0]), "of each GPU");
    assert_eq!(lines[0]["SpeechSeconds"].as_f64(), Some(500.123));
    assert_eq!(lines[1]["AudioSeconds"].as_f64(), Some(0.0), "what is no number costs no line");
}

#[test]
fn prometheus_reads_the_same() {
    let metrics = Metrics::new(origin(), None);
    metrics.job_done(&done());
    metrics.job_done(&done());
    metrics.job_failed(&failed());
    let text = metrics.prometheus(&readings());
    for line in [
        "# TYPE transcription_jobs_total counter",
        "transcription_jobs_total{status=\"completed\"} 2",
        "transcription_jobs_total{status=\"failed\"} 1",
        "transcription_failures_total{code=\"CORRUPT_AUDIO\"} 1",
        "transcription_audio_seconds_total 1200",
        "# TYPE transcription_end_to_end_seconds histogram",
        "transcription_end_to_end_seconds_bucket{le=\"5\"} 0",
        "transcription_end_to_end_seconds_bucket{le=\"10\"} 2",
        "transcription_end_to_end_seconds_bucket{le=\"+Inf\"} 2",
        "transcription_end_to_end_seconds_sum 18",
        "transcription_end_to_end_seconds_count 2",
        "transcription_jobs_in_flight 7",
        "transcription_gpu_utilization_ratio{gpu=\"1\"} 0.5",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(text.contains("instance=\"i-\\\"1\\\"\""), "{text}");
}

#[test]
fn names_follow_the_conventions() {
    let mut seen = BTreeSet::new();
    for metric in Metric::ALL {
        let about = metric.about();
        assert!(seen.insert(about.prometheus), "{} is there twice", about.prometheus);
        assert!(about.prometheus.starts_with("transcription_"), "{}", about.prometheus);
        let is_counter = about.kind == names::Kind::Counter;
        assert_eq!(about.prometheus.ends_with("_total"), is_counter, "{}", about.prometheus);
        let unit = match about.unit {
            "Seconds" => "_seconds",
            "Bytes" => "_bytes",
            "Percent" => "_ratio",
            _ => "",
        };
        assert!(about.prometheus.contains(unit), "{} is in {}", about.prometheus, about.unit);
    }
}
