//! What the bus hears while a job is under way.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};

use crate::rig::{Rig, assert_valid, binary, long_speech, scratch, scripted_engine, speech};
use crate::running::Running;

/// The schema of an event.
fn schema(envelope: &Value) -> String {
    let name = envelope["detail-type"].as_str().unwrap().to_lowercase().replace(' ', "-");
    format!("event-{name}.json")
}

#[tokio::test]
async fn a_job_is_told_from_its_start_by_every_tenth_to_its_end_with_what_its_producer_wants_back() {
    let rig = Rig::new().await;
    let all = rig.hears_all().await;
    rig.upload("talk.wav", long_speech(600)).await;
    let mut command = rig.worker();
    command.env("TRANSCRIPTION_ENGINE_COMMAND", scripted_engine()).env("TRANSCRIPTION_PROGRESS_PERCENT", "10");
    // slower than the bus, so that each tenth can be told
    let _worker = Running::start(command.env("SCRIPTED_ENGINE_DELAY_MS", "200"));
    let mut job = rig.job("talk", "talk.wav");
    (job["metadata"], job["tags"]) = (json!({"course": 7, "title": "ünï"}), json!(["a", {"b": null}]));
    rig.send(&job).await;

    let mut told = vec![];
    while told.last().is_none_or(|event: &Value| event["detail-type"] != "Transcription Completed") {
        let envelope: Value = serde_json::from_str(&rig.take(&all).await.unwrap()).unwrap();
        let detail = &envelope["detail"];
        assert_valid(&schema(&envelope), detail);
        assert_eq!((&detail["metadata"], &detail["tags"]), (&job["metadata"], &job["tags"]), "{envelope:#}");
        assert_eq!((&detail["jobId"], &detail["userId"]), (&json!("talk"), &json!("u1")));
        told.push(envelope);
    }
    assert_eq!(told[0]["detail-type"], "Transcription Started");
    assert_eq!((&told[0]["detail"]["attempt"], &told[0]["detail"]["model"]), (&json!(1), &json!("tiny.en")));
    let percents: Vec<u64> =
        told[1..told.len() - 1].iter().map(|event| event["detail"]["percent"].as_u64().unwrap()).collect();
    let tenths: Vec<u64> = percents.iter().map(|percent| percent / 10).collect();
    assert!(tenths.is_sorted_by(|a, b| a < b), "a tenth was told twice: {percents:?}");
    assert!(tenths.len() >= 7 && tenths[0] >= 1, "{percents:?}");
    assert_eq!(rig.event().await["status"], "completed");
    assert!(rig.no_event().await, "the rule of ends hears of ends alone");
}

#[tokio::test]
async fn a_folder_writes_the_start_and_the_end_and_with_the_switch_off_the_end_alone() {
    for (switch, expected) in
        [("on", &["Transcription Started", "Transcription Completed"][..]), ("off", &["Transcription Completed"])]
    {
        let dir = scratch();
        std::fs::create_dir(dir.path().join("inbox")).unwrap();
        std::fs::write(dir.path().join("inbox/talk.wav"), speech("wav")).unwrap();
        let mut command = binary();
        command.args(["run", "--until-empty", "--folder"]).arg(dir.path());
        command.env("TRANSCRIPTION_ENGINE_COMMAND", scripted_engine()).env("TRANSCRIPTION_STARTED_EVENTS", switch);
        assert!(Running::start(&mut command).ended().await.success());
        let events = std::fs::read_to_string(dir.path().join("events.jsonl")).unwrap();
        let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        events.iter().for_each(|event| assert_valid(&schema(event), &event["detail"]));
        let types: Vec<_> = events.iter().map(|event| event["detail-type"].as_str().unwrap()).collect();
        assert_eq!(types, expected);
    }
}
