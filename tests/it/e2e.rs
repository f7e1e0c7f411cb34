//! The main job on the AWS APIs: message in, transcripts out, event published; and every way it can fail.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};

use crate::rig::{Rig, assert_valid, speech, wav};
use crate::running::Running;

const JOB: &str = "6f1b4e0a-54a1-4c6e-9f0c-0d9b6f2b1a11";
const FILE: &str = "0b8f3c52-7f0e-4f8a-8a6e-1f2d3c4b5a69";

fn text_of(transcript: &Value) -> String {
    transcript["text"].as_str().unwrap().to_lowercase()
}

#[tokio::test]
async fn an_uploaded_file_becomes_transcripts_and_an_event() {
    let rig = Rig::new().await;
    rig.upload("u7/f7/talk.flac", speech("flac")).await;
    let mut worker = Running::start(&mut rig.worker());
    let detail = json!({
        "userId": "u7", "fileId": FILE, "version": "1.0",
        "s3Location": {"bucket": rig.audio_bucket(), "key": "u7/f7/talk.flac"},
        "metadata": {"duration": 6.0, "format": "flac"},
    });
    let entry = aws_sdk_eventbridge::types::PutEventsRequestEntry::builder()
        .event_bus_name("hub")
        .source("custom.upload-service")
        .detail_type("Audio Uploaded")
        .detail(detail.to_string())
        .build();
    rig.events.put_events().entries(entry).send().await.unwrap();

    let event = rig.event().await;
    assert_eq!(
        (&event["status"], &event["userId"], &event["fileId"]),
        (&json!("completed"), &json!("u7"), &json!(FILE))
    );
    assert_eq!(event["transcriptLocation"]["bucket"], json!(rig.output_bucket()));
    let metadata = &event["transcriptMetadata"];
    assert_eq!((&metadata["language"], &metadata["timestamps"]), (&json!("en"), &json!(false)));
    assert!(metadata["languages"][0]["seconds"].as_f64().unwrap() > 3.0, "{metadata:#}");
    let key = event["transcriptLocation"]["jsonKey"].as_str().unwrap();
    assert_eq!(key, format!("u7/{FILE}/transcript.json"));
    let transcript: Value = serde_json::from_slice(&rig.object(key).await.unwrap()).unwrap();
    assert_valid("transcript.json", &transcript);
    assert!(text_of(&transcript).contains("my fellow american"), "{transcript:#}");
    for name in ["textKey", "srtKey", "vttKey"] {
        let key = event["transcriptLocation"][name].as_str().unwrap();
        let body = String::from_utf8(rig.object(key).await.unwrap()).unwrap();
        assert!(body.to_lowercase().contains("my fellow"), "{name}: {body}");
    }
    rig.queue_is_empty().await;
    assert!(worker.stop().await.success());
    let summaries = worker.log().iter().filter(|line| line.contains("\"job done\"")).count();
    assert_eq!(summaries, 1, "one summary line a job: {:#?}", worker.log());
    assert!(!worker.log().join("\n").to_lowercase().contains("fellow american"), "transcripts never go to the log");
}

#[tokio::test]
async fn every_other_shape_of_message_is_done_too() {
    let rig = Rig::new().await;
    let bucket = rig.audio_bucket();
    rig.upload("plain.ogg", speech("ogg")).await;
    let _worker = Running::start(&mut rig.worker());

    rig.send(rig.job(JOB, "plain.ogg")).await;
    let event = rig.event().await;
    assert_eq!((&event["status"], &event["jobId"]), (&json!("completed"), &json!(JOB)));

    let older = json!({
        "job_id": "older-1", "s3_input_path": format!("s3://{bucket}/plain.ogg"),
        "s3_output_path": format!("s3://{}/old/place.json", rig.output_bucket()),
        "estimated_duration_seconds": 6, "priority": 1, "retry_count": 0, "submitted_at": "2026-01-01T00:00:00Z",
    });
    rig.send(older).await;
    let event = rig.event().await;
    assert_eq!(event["transcriptLocation"]["jsonKey"], "old/place.json");
    assert!(rig.object("old/place.txt").await.is_some());
    rig.queue_is_empty().await;
}

#[tokio::test]
async fn a_key_with_plus_and_colon() {
    let rig = Rig::new().await;
    let bucket = rig.audio_bucket();
    rig.upload("calls/a+b:c ünï 100%.mp3", speech("mp3")).await;
    let _worker = Running::start(&mut rig.worker());
    let record = json!({"Records": [{
        "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": bucket}, "object": {
            "key": "calls/a%2Bb%3Ac+%C3%BCn%C3%AF+100%25.mp3", "size": 1, "eTag": "abc"}},
    }]});
    rig.send(json!({"Type": "Notification", "Message": record.to_string()})).await;
    let event = rig.event().await;
    assert_eq!(
        (&event["status"], &event["sourceAudio"]["key"]),
        (&json!("completed"), &json!("calls/a+b:c ünï 100%.mp3"))
    );
    rig.queue_is_empty().await;
}

#[tokio::test]
async fn an_s3_test_event_is_acknowledged() {
    let rig = Rig::new().await;
    let mut worker = Running::start(&mut rig.worker());
    rig.send(json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"})).await;
    worker.logs("an S3 test event").await;
    rig.queue_is_empty().await;
    assert!(rig.no_event().await);
}

#[tokio::test]
async fn what_can_never_succeed_is_reported_and_dead_lettered() {
    let rig = Rig::new().await;
    rig.upload("notes.mp3", b"these are my notes, not audio ".repeat(200)).await;
    rig.upload("empty.wav", Vec::new()).await;
    let _worker = Running::start(&mut rig.worker());
    let elsewhere = json!({"job_id": "j9", "s3_input_path": "s3://no-such-bucket-anywhere/x.mp3"});
    let cases = [
        (json!({"job_id": "j1", "s3_input_path": 5}).to_string(), "BAD_MESSAGE"),
        ("{not json".to_owned(), "BAD_MESSAGE"),
        (rig.job("j3", "missing.mp3").to_string(), "OBJECT_NOT_FOUND"),
        (rig.job("j4", "notes.mp3").to_string(), "UNSUPPORTED_FORMAT"),
        (rig.job("j5", "empty.wav").to_string(), "CORRUPT_AUDIO"),
        (elsewhere.to_string(), "OBJECT_NOT_FOUND"),
        (json!({"job_id": "../../etc", "s3_input_path": "s3://b/k"}).to_string(), "BAD_MESSAGE"),
    ];
    for (body, code) in cases {
        rig.send(&body).await;
        let event = rig.event().await;
        assert_eq!((&event["status"], &event["error"]["code"]), (&json!("failed"), &json!(code)), "{body}: {event:#}");
        assert!(event["error"]["message"].as_str().is_some_and(|message| message.len() > 20), "{event:#}");
        assert!(event.get("transcriptLocation").is_none());
        assert_eq!(rig.dead_letter().await, (body, Some(code.to_owned())));
    }
    rig.queue_is_empty().await;
}

#[tokio::test]
async fn a_job_may_only_name_places_that_are_allowed() {
    let rig = Rig::new().await;
    rig.upload("talk.mp3", speech("mp3")).await;
    let mut command = rig.worker();
    command.env("TRANSCRIPTION_ALLOW_INPUT_BUCKETS", "other,audio-*");
    let allowed = format!("s3://{}/mine/", rig.output_bucket());
    let _worker = Running::start(command.env("TRANSCRIPTION_ALLOW_OUTPUT_PREFIXES", &allowed));

    rig.send(json!({"job_id": "a1", "s3_input_path": format!("s3://{}/talk.mp3", rig.output_bucket())})).await;
    let event = rig.event().await;
    assert_eq!(event["error"]["code"], "ACCESS_DENIED");
    let told = event["error"]["message"].as_str().unwrap();
    assert!(told.contains(&rig.output_bucket()) && told.contains("ALLOW_INPUT_BUCKETS"), "{told}");

    let mut job = rig.job("a2", "talk.mp3");
    job["s3_output_path"] = json!(format!("s3://{}/theirs/x.json", rig.output_bucket()));
    rig.send(&job).await;
    assert_eq!(rig.event().await["error"]["code"], "ACCESS_DENIED");

    job["s3_output_path"] = json!(format!("{allowed}x.json"));
    rig.send(&job).await;
    assert_eq!(rig.event().await["status"], "completed");
    assert!(rig.object("theirs/x.json").await.is_none());
}

#[tokio::test]
async fn silence_noise_and_a_tone_are_completed_without_text() {
    let rig = Rig::new().await;
    let secs = |n: usize| 0..n * 16_000;
    let mut noise = 1u32;
    let white = secs(5).map(|_| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 20) as i16 - 2_048
    });
    let tone = secs(5).map(|n| ((n as f64 * 440.0 * std::f64::consts::TAU / 16_000.0).sin() * 9_000.0) as i16);
    rig.upload("silence", wav(&vec![0; 160_000])).await;
    rig.upload("noise", wav(&white.collect::<Vec<_>>())).await;
    rig.upload("tone", wav(&tone.collect::<Vec<_>>())).await;
    let _worker = Running::start(&mut rig.worker());
    for name in ["silence", "noise", "tone"] {
        rig.send(rig.job(name, name)).await;
        let event = rig.event().await;
        assert_eq!(event["status"], "completed", "{name}");
        assert_eq!(event["transcriptMetadata"]["language"], "un", "{name}");
        assert_eq!(text_of(&rig.transcript(name).await.unwrap()), "", "{name}");
    }
}

#[tokio::test]
async fn a_finished_job_that_is_delivered_again_is_published_without_a_second_inference() {
    let rig = Rig::new().await;
    rig.upload("talk.flac", speech("flac")).await;
    let mut worker = Running::start(&mut rig.worker());
    rig.send(rig.job(JOB, "talk.flac")).await;
    let first = rig.event().await;
    rig.send(rig.job(JOB, "talk.flac")).await;
    let second = rig.event().await;
    assert_eq!(first["transcriptLocation"], second["transcriptLocation"]);
    assert_eq!(first["transcriptMetadata"]["wordCount"], second["transcriptMetadata"]["wordCount"]);
    worker.logs("already transcribed").await;
    rig.queue_is_empty().await;
}

#[tokio::test]
async fn a_wrong_queue_exits_78() {
    let rig = Rig::new().await;
    let mut command = rig.worker();
    command.env("TRANSCRIPTION_QUEUE_URL", format!("{}/{}/nowhere", rig.endpoint, rig.account));
    let mut worker = Running::start(&mut command);
    assert_eq!(worker.ended().await.code(), Some(78));
    assert!(worker.log().iter().any(|line| line.contains("nowhere")), "{:#?}", worker.log());
}

#[tokio::test]
async fn the_groups_of_a_fifo_queue_are_worked_side_by_side_and_each_in_its_order() {
    use aws_sdk_sqs::types::QueueAttributeName;
    let rig = Rig::with_queue("jobs.fifo", &[(QueueAttributeName::FifoQueue, "true")]).await;
    rig.upload("talk.mp3", speech("mp3")).await;
    for (n, group) in ["one", "one", "two", "two"].iter().enumerate() {
        // the first of a group has no object yet, which keeps the group and nobody else waiting
        let key = if n == 0 { "late.mp3" } else { "talk.mp3" };
        let body = rig.job(&format!("{group}-{n}"), key).to_string();
        let message = rig.sqs.send_message().queue_url(&rig.jobs).message_body(body);
        message.message_group_id(*group).message_deduplication_id(n.to_string()).send().await.unwrap();
    }
    let _worker = Running::start(rig.worker().env("TRANSCRIPTION_OBJECT_GRACE_SECS", "600"));
    for job in ["two-2", "two-3"] {
        assert_eq!(rig.event().await["jobId"], job);
    }
    rig.upload("late.mp3", speech("mp3")).await;
    for job in ["one-0", "one-1"] {
        assert_eq!(rig.event().await["jobId"], job);
    }
    rig.queue_is_empty().await;
}

#[tokio::test]
async fn of_a_message_with_several_objects_only_what_failed_is_reported_and_dead_lettered() {
    let rig = Rig::new().await;
    rig.upload("good.mp3", speech("mp3")).await;
    let record = |key: &str| {
        json!({"eventName": "ObjectCreated:Put", "s3": {
            "bucket": {"name": rig.audio_bucket()}, "object": {"key": key, "eTag": "e1"}}})
    };
    rig.send(json!({"Records": [record("missing.mp3"), record("good.mp3"), {"eventName": "ObjectCreated:Put"}]})).await;
    let _worker = Running::start(&mut rig.worker());
    let mut told = Vec::new();
    for _ in 0..3 {
        let event = rig.event().await;
        let (key, code) = (event["sourceAudio"]["key"].clone(), event["error"]["code"].clone());
        told.push((key.as_str().unwrap().to_owned(), code.as_str().map(str::to_owned)));
    }
    let failed = |key: &str, code: &str| (key.to_owned(), Some(code.to_owned()));
    assert_eq!(
        told,
        [("good.mp3".to_owned(), None), failed("missing.mp3", "OBJECT_NOT_FOUND"), failed("", "BAD_MESSAGE")]
    );
    let mut letters = [rig.dead_letter().await, rig.dead_letter().await];
    letters.sort_by_key(|(_, code)| code.clone());
    assert_eq!(letters[0].1.as_deref(), Some("BAD_MESSAGE"));
    assert!(letters[1].0.contains("missing.mp3") && !letters[1].0.contains("good.mp3"), "{}", letters[1].0);
    rig.queue_is_empty().await;
    assert!(rig.no_event().await);
}

#[tokio::test]
async fn submit_and_check_speak_to_the_same_places_as_the_worker() {
    let rig = Rig::new().await;
    rig.upload("talk.mp3", speech("mp3")).await;
    let checked = rig.worker_command("check").output().await.unwrap();
    let lines = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.status.success(), "{lines}");
    assert!(lines.contains("dead letters after 3 receives"), "{lines}");
    let input = format!("s3://{}/talk.mp3", rig.audio_bucket());
    let sent = rig
        .worker_command("submit")
        .args([&input, "--job-id", "by-hand", "--metadata", "order=17"])
        .output()
        .await
        .unwrap();
    assert!(sent.status.success());
    assert!(String::from_utf8(sent.stdout).unwrap().contains("by-hand"));
    let _worker = Running::start(&mut rig.worker());
    let event = rig.event().await;
    assert_eq!((event["jobId"].as_str(), event["metadata"]["order"].as_str()), (Some("by-hand"), Some("17")));
}
