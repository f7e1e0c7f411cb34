//! What is refused, and how it is said; what is ignored; whom a bad message is about.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::json;

use super::*;
use crate::job::Echo;

fn refusal(body: &str) -> String {
    match read(body) {
        Err(Fault::Permanent(problem)) if problem.code == Code::BadMessage => problem.message,
        other => panic!("not refused: {other:?}"),
    }
}

fn only_job(body: &Value) -> Job {
    match read(&body.to_string()).unwrap() {
        Intake::Jobs { jobs, .. } => jobs.into_iter().next().unwrap(),
        other => panic!("no job: {other:?}"),
    }
}

/// A good plain job with one field changed.
fn with(field: &str, value: Value) -> String {
    let mut job = json!({"job_id": "j", "user_id": "u", "file_id": "f", "s3_input_path": "s3://b/k.mp3"});
    job[field] = value;
    job.to_string()
}

#[test]
fn what_is_not_json_is_told_with_line_and_column() {
    assert_eq!(refusal("{\n  \"a\": }"), "the message is not JSON: expected value at line 2 column 8");
    for body in ["", "hello", "[1]", "null", "\"x\"", "{\"a\":1", &"[".repeat(100_000)] {
        assert!(refusal(body).contains("is not"), "{body:.20}");
    }
}

#[test]
fn a_field_of_the_wrong_type_is_named() {
    let cases = [
        ("job_id", json!(1.5)),
        ("user_id", json!(["u"])),
        ("file_id", json!({})),
        ("s3_input_path", json!(7)),
        ("word_timestamps", json!("yes")),
        ("task", json!("summarise")),
        ("channels", json!("left")),
        ("formats", json!("srt")),
        ("language", json!(5)),
    ];
    for (field, value) in cases {
        let said = refusal(&with(field, value));
        assert!(said.contains(field), "{said}");
    }
    assert!(
        refusal(&with("formats", json!(["srt", "docx"]))).contains("`formats[1]` is wrong: unknown variant `docx`")
    );
    assert!(refusal(&with("language", json!("klingon"))).contains("klingon"));
}

#[test]
fn a_missing_field_is_named() {
    assert!(refusal(r#"{"job_id":"j"}"#).contains("`s3_input_path`"));
    let uploaded = json!({"detail-type": "Audio Uploaded", "detail": {"userId": "u", "s3Location": {"bucket": "b"}}});
    let said = refusal(&uploaded.to_string());
    assert!(said.contains("`detail.s3Location`") && said.contains("`key`"), "{said}");
    assert!(refusal(r#"{"detail-type":"Object Created"}"#).contains("`detail`"));
    assert!(refusal(r#"{"Records":[{"eventName":"ObjectCreated:Put"}]}"#).contains("`Records[0]`"));
}

#[test]
fn a_hostile_id_is_refused_by_name_and_never_reaches_a_key() {
    for id in ["", " ", ".", "..", "../../etc/passwd", "a\\b", "a\0b", "a\r\nb", &"x".repeat(129)] {
        for field in ["job_id", "user_id", "file_id"] {
            assert!(refusal(&with(field, json!(id))).starts_with(&format!("`{field}`")), "{id:?}");
        }
        let event = json!({"detail-type": "Audio Uploaded",
            "detail": {"userId": id, "fileId": "f", "s3Location": {"bucket": "b", "key": "k.mp3"}}});
        assert!(refusal(&event.to_string()).starts_with("`detail.userId`"), "{id:?}");
    }
}

#[test]
fn a_location_that_cannot_be_one_is_refused() {
    for path in
        ["", "b/k", "https://b/k", "s3://", "s3://b", "s3://b/", "s3:///k", "s3://../k", "s3://b/folder/", "s3://b/a\0"]
    {
        assert!(refusal(&with("s3_input_path", json!(path))).contains("`s3_input_path`"), "{path}");
    }
    for path in ["", "s3://b/x.txt", "s3://b/.json", "s3://b/a/.json", "s3://b/a/"] {
        assert!(refusal(&with("s3_output_path", json!(path))).contains("`s3_output_path`"), "{path}");
    }
    let key = "k".repeat(1025);
    assert!(refusal(&with("s3_input_path", json!(format!("s3://b/{key}")))).contains("1024"));
}

#[test]
fn an_output_over_the_audio_is_refused() {
    let job = json!({"s3_input_path": "s3://b/x.json", "s3_output_path": "s3://b/x.json"});
    assert!(refusal(&job.to_string()).contains("overwrite"));
}

#[test]
fn more_than_a_mebibyte_is_no_message() {
    let body = with("note", json!("x".repeat(MAX_BODY_BYTES)));
    assert!(refusal(&body).contains("bytes"));
}

#[test]
fn a_third_envelope_is_refused() {
    let mut body = with("note", json!(1));
    for _ in 0..3 {
        body = json!({"Type": "Notification", "Message": body}).to_string();
    }
    assert!(refusal(&body).contains("SNS"));
}

#[test]
fn an_unknown_shape_is_refused_and_an_s3_event_of_another_kind_ignored() {
    assert!(refusal(r#"{"hello":"world"}"#).contains("s3_input_path"));
    assert!(refusal(r#"{"detail-type":"Transcription Completed","detail":{}}"#).contains("Transcription Completed"));
    let deleted = json!({"detail-type": "Object Deleted", "source": "aws.s3", "detail": {}}).to_string();
    assert!(matches!(read(&deleted), Ok(Intake::Ignored(_))));
    for key in ["x/", "in/_$folder$", "in/2026_$folder$"] {
        let detail = json!({"bucket": {"name": "b"}, "object": {"key": key}});
        let folder = json!({"detail-type": "Object Created", "detail": detail});
        assert!(matches!(read(&folder.to_string()), Ok(Intake::Ignored(_))), "{key}");
    }
    assert!(matches!(read(r#"{"Records":[]}"#), Ok(Intake::Ignored(_))));
}

#[test]
fn a_refusal_quotes_little_and_no_control_characters() {
    let said = refusal(&with("task", json!(format!("\u{1b}[2J{}", "x".repeat(10_000)))));
    assert!(said.chars().count() <= MAX_REASON_CHARS + 1 && !said.contains('\u{1b}'), "{said}");
}

#[test]
fn a_job_without_id_gets_the_same_one_on_each_delivery_and_another_per_file() {
    let job = |file: &str| only_job(&json!({"s3_input_path": "s3://b/k.mp3", "file_id": file})).id;
    assert_eq!(job("f1"), job("f1"));
    assert_ne!(job("f1"), job("f2"));
}

#[test]
fn auto_and_region_tags_are_languages_and_null_is_none() {
    let language = |value: Value| only_job(&serde_json::from_str(&with("language", value)).unwrap()).options.language;
    assert_eq!(language(json!("AUTO")).as_deref(), Some("auto"));
    assert_eq!(language(json!("en-US")).as_deref(), Some("en"));
    assert_eq!(language(json!("eng")).as_deref(), Some("en"));
    for absent in [Value::Null, json!(""), json!("  ")] {
        assert_eq!(language(absent), None);
    }
}

#[test]
fn several_languages_are_cleaned_one_is_a_language_and_a_language_excludes_them() {
    let read = |languages: Value, language: Value| {
        let body = json!({"s3_input_path": "s3://b/k.mp3", "languages": languages, "language": language});
        let options = only_job(&body).options;
        (options.language, options.languages.unwrap_or_default())
    };
    assert_eq!(read(json!(["German", "en-US", "de"]), Value::Null), (None, vec!["de".to_owned(), "en".to_owned()]));
    assert_eq!(read(json!(["de", "en"]), json!("auto")).1.len(), 2);
    assert_eq!(read(json!(["deu"]), json!("")), (Some("de".to_owned()), Vec::new()));
    assert_eq!(read(json!([]), json!("fr")), (Some("fr".to_owned()), Vec::new()));
    assert!(refusal(&with("languages", json!(["de", "klingon"]))).contains("klingon"));
    let both = json!({"s3_input_path": "s3://b/k.mp3", "languages": ["de", "en"], "language": "de"});
    assert!(refusal(&both.to_string()).contains("exclude"));
}

#[test]
fn a_byte_order_mark_and_a_second_encoding_are_taken_off() {
    let body = with("note", json!(1));
    let plain = read(&body).unwrap();
    let twice = Value::String(body.clone()).to_string();
    let enveloped = json!({"Type": "Notification", "Message": format!("\u{feff}{twice}")}).to_string();
    for body in [format!("\u{feff}{body}"), format!("\u{feff}\n {twice}"), twice, enveloped] {
        assert_eq!(read(&body), Ok(plain.clone()), "{body}");
    }
    assert!(refusal(&Value::String(Value::String(body).to_string()).to_string()).contains("is not a JSON object"));
}

#[test]
fn a_broken_record_does_not_sink_its_neighbours() {
    let record = |key: Value| {
        let s3 = json!({"bucket": {"name": "b"}, "object": {"key": key, "eTag": "e"}});
        json!({"eventName": "ObjectCreated:Put", "s3": s3})
    };
    let removed = json!({"eventName": "ObjectRemoved:Delete"});
    let records =
        [record(json!("a.mp3")), json!("junk"), removed.clone(), record(json!("%ff.mp3")), record(json!("b.mp3"))];
    let Ok(Intake::Jobs { jobs, refused }) = read(&json!({"Records": records}).to_string()) else { panic!("refused") };
    assert_eq!(jobs.iter().map(|job| job.source.key.as_str()).collect::<Vec<_>>(), ["a.mp3", "b.mp3"]);
    let [junk, key] = refused.try_into().unwrap();
    assert!(junk.problem.message.contains("`Records[1]`"), "{}", junk.problem.message);
    assert!(key.problem.message.contains("`Records[3].s3.object.key`"), "{}", key.problem.message);
    assert_ne!(junk.identity("m1").job_id, key.identity("m1").job_id);
    assert_eq!(junk.identity("m1"), junk.identity("m1"));
    assert!(refusal(&key.body).contains("UTF-8"));
    // with no job beside it the message is a bad one
    assert!(refusal(&json!({"Records": [removed, "junk"]}).to_string()).contains("`Records[1]`"));
    assert!(refusal(r#"{"Records": {}}"#).contains("`Records`"));
}

#[test]
fn unrelated_uploads_have_files_of_their_own_and_only_a_message_names_a_place() {
    let uploaded = |key: &str, file: Value| {
        only_job(&json!({"detail-type": "Audio Uploaded",
            "detail": {"fileId": file, "s3Location": {"bucket": "b", "key": key}}}))
    };
    let [a, b] = ["a.mp3", "b.mp3"].map(|name| uploaded(&format!("calls/2026-01-05/{name}"), Value::Null));
    assert_ne!(a.file_id, b.file_id);
    assert_eq!((a.user_id.as_str(), a.place_is_named), ("calls", false));
    assert!(uploaded("k.mp3", json!("f1")).place_is_named);
    assert!(!uploaded("u1/7b1c2d3e-4f50-4a61-8b72-9c83ad94be05/k.mp3", Value::Null).place_is_named);
    let output = json!({"s3_input_path": "s3://b/k.mp3", "s3_output_path": "s3://b/k.json"});
    assert!(only_job(&output).place_is_named);
}

#[test]
fn a_job_by_itself_is_the_same_job() {
    for body in [
        json!({"s3_input_path": "s3://b/odd \"\u{1} key/+%20/ä.mp3"}),
        json!({"s3_input_path": "s3://b/k.mp3", "file_id": 7, "user_id": "us-east-1:4a6b"}),
        json!({"s3_input_path": "s3://b/k.mp3", "s3_output_path": "s3://out/x.json", "language": "AUTO",
            "task": "translate", "model": "base", "prompt": "a\nb", "formats": ["vtt", "amazon"],
            "word_timestamps": false, "channels": "separate", "start_secs": 0.5, "end_secs": 7}),
        json!({"s3_input_path": "s3://b/k.mp3", "languages": ["de", "en-US", "yue"]}),
        json!({"detail-type": "Object Created", "detail": {"bucket": {"name": "b"},
            "object": {"key": "users/sub/7b1c2d3e-4f50-4a61-8b72-9c83ad94be05/a.mp3", "etag": "e"}}}),
    ] {
        let job = only_job(&body);
        assert_eq!(read(&single(&job)), Ok(Intake::from(job)), "{body}");
    }
}

#[test]
fn a_clip_that_is_none_is_a_bad_message_that_names_the_field() {
    for (start, end, named) in [(json!(-1), json!(null), "start_secs"), (json!(9), json!(3), "end_secs")] {
        let body = json!({"s3_input_path": "s3://b/k.mp3", "start_secs": start, "end_secs": end}).to_string();
        let fault = read(&body).unwrap_err().to_string();
        assert!(fault.contains(named), "{fault}");
    }
}

#[test]
fn a_prompt_is_capped() {
    let prompt = only_job(&serde_json::from_str(&with("prompt", json!("ä".repeat(5_000)))).unwrap()).options.prompt;
    assert_eq!(prompt.unwrap().chars().count(), 1_000);
}

#[test]
fn a_bad_message_is_about_what_can_be_salvaged_of_it() {
    let known = identify(&with("task", json!("summarise")), "m1");
    assert_eq!((known.job_id.as_str(), known.user_id.as_str(), known.file_id.as_str()), ("j", "u", "f"));
    assert_eq!(known.source, Location::new("b", "k.mp3"));

    let hostile = identify(&with("job_id", json!("../x")), "m1");
    assert_eq!(hostile.job_id, ids::derived(&["message", "m1"]));
    assert_eq!(hostile.user_id, "u");

    let nothing = identify("no json", "m1");
    assert_eq!((nothing.job_id.as_str(), nothing.user_id.as_str()), (hostile.job_id.as_str(), "unknown"));
    assert_eq!(nothing.source, Location::new("", ""));
    assert_eq!(nothing, identify("no json", "m1"));
    assert_ne!(nothing.file_id, identify("no json", "m2").file_id);
}

#[test]
fn what_a_producer_wants_back_is_kept_as_it_is_also_of_a_message_that_cannot_be_read() {
    let (metadata, tags) = (json!({"course": 7}), json!(["a"]));
    let plain = json!({"s3_input_path": "s3://b/k", "metadata": metadata, "tags": tags});
    let event = json!({"detail-type": "Audio Uploaded", "detail":
        {"s3Location": {"bucket": "b", "key": "k"}, "metadata": metadata, "tags": tags}});
    for body in [&plain, &event] {
        let echo = only_job(body).echo;
        assert_eq!((echo.metadata.as_ref(), echo.tags.as_ref()), (Some(&metadata), Some(&tags)));
        let mut unreadable = body.clone();
        unreadable["s3_input_path"] = json!(5);
        unreadable["detail"]["s3Location"] = json!(5);
        if body == &plain {
            unreadable.as_object_mut().unwrap().remove("detail");
        }
        assert!(read(&unreadable.to_string()).is_err());
        assert_eq!(identify(&unreadable.to_string(), "m").echo, echo);
    }
    let job = only_job(&plain);
    assert_eq!(only_job(&serde_json::from_str(&single(&job)).unwrap()).echo, job.echo, "a dead letter asks for it too");
    let large = json!({"s3_input_path": "s3://b/k", "metadata": "x".repeat(Echo::MAX_BYTES), "tags": null});
    assert_eq!(only_job(&large).echo, Echo::default());
}
