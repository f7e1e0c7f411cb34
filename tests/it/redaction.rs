//! What is private is in none of what a job leaves: transcripts of all formats, events, logs, checkpoints.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};

use crate::rig::{Rig, long_speech, scripted_engine};
use crate::running::Running;

/// What is said, and what of it nobody may read. The numbers are made or published as examples.
const SAID: &str = "Hello there, my card is 4111 1111 1111 1111 and my mail is ann dot lee at example dot com, or \
    bob.ray@example.org. Call 212-555-0199 or five five five oh one two three. The account is DE89 3704 0044 0532 0130 00. \
    My number is 12345678Z, and that is all I wanted to say today.";
const SECRETS: [&str; 9] =
    ["4111", "1111", "lee at", "bob.ray", "example", "0199", "oh one two", "3704 0044", "12345678"];

const FORMATS: [&str; 9] = ["json", "txt", "srt", "vtt", "amazon", "html", "md", "ndjson", "podcast"];

/// All that a job wrote, and what it may have left behind.
async fn written(rig: &Rig, id: &str) -> Vec<(String, String)> {
    let names = ["json", "txt", "srt", "vtt", "amazon.json", "html", "md", "ndjson", "podcast.json", "unredacted.json"];
    let mut found = Vec::new();
    for name in
        names.map(|extension| format!("transcript.{extension}")).into_iter().chain([format!(".checkpoint/{id}.json")])
    {
        if let Some(body) = rig.object(&format!("u1/file-{id}/{name}")).await {
            found.push((name, String::from_utf8(body).unwrap()));
        }
    }
    found
}

fn secrets_in(what: &str, text: &str) -> Vec<String> {
    SECRETS.iter().filter(|secret| text.contains(*secret)).map(|secret| format!("{secret} in {what}")).collect()
}

/// The same for a log, whose times, sizes and signatures hold any four digits: there a secret stands by itself.
fn secrets_in_log(log: &str) -> Vec<String> {
    let stands_alone = |secret: &str| {
        log.match_indices(secret).any(|(at, _)| {
            let around = [log[..at].chars().next_back(), log[at + secret.len()..].chars().next()];
            around.iter().flatten().all(|c| !c.is_ascii_alphanumeric())
        })
    };
    SECRETS.iter().filter(|secret| stands_alone(secret)).map(|secret| format!("{secret} in the log")).collect()
}

fn job(rig: &Rig, id: &str, output: &str) -> Value {
    let mut job = rig.job(id, "talk.wav");
    job["formats"] = json!(FORMATS);
    job["word_timestamps"] = json!(true);
    job["redact"] = json!(["card_number", "email", "phone", "iban", "national_id"]);
    job["redaction_output"] = json!(output);
    job["prompt"] = json!("Ann Lee, whose card is 4111 1111 1111 1111, speaks.");
    job["vocabulary"] = json!(["bob.ray@example.org", "IBAN"]);
    job
}

#[tokio::test]
async fn nothing_private_is_left_in_any_output_event_log_or_checkpoint() {
    let rig = Rig::new().await;
    rig.upload("talk.wav", long_speech(25)).await;
    rig.send(job(&rig, "private", "redacted")).await;
    let mut command = rig.worker();
    command
        .env("TRANSCRIPTION_ENGINE_COMMAND", scripted_engine())
        .env("SCRIPTED_ENGINE_SAYS", SAID)
        .env("TRANSCRIPTION_CHECKPOINT_SECS", "1")
        .env("RUST_LOG", "transcription_worker=trace,info");
    let mut worker = Running::start(&mut command);
    let event = rig.event().await;
    assert!(worker.stop().await.success());
    let mut found = secrets_in("the event", &event.to_string());
    let transcript = rig.transcript("private").await.unwrap();
    assert!(
        transcript["text"].as_str().unwrap().contains("my card is [CARD_NUMBER] and my mail is [EMAIL]"),
        "{transcript:#}"
    );
    let kinds: Vec<_> =
        transcript["marks"].as_array().unwrap().iter().map(|mark| mark["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.len(), 7, "{kinds:?}");
    assert!(
        ["card_number", "email", "phone", "iban", "national_id"].iter().all(|kind| kinds.contains(kind)),
        "{kinds:?}"
    );
    assert!(transcript["request"]["prompt"].as_str().unwrap().contains("[CARD_NUMBER]"));
    let written = written(&rig, "private").await;
    assert_eq!(written.len(), FORMATS.len());
    for (name, body) in written {
        found.extend(secrets_in(&name, &body));
    }
    found.extend(secrets_in_log(&worker.log().join("\n")));
    assert_eq!(found, Vec::<String>::new());
}

#[tokio::test]
async fn both_transcripts_are_there_when_both_are_asked_for() {
    let rig = Rig::new().await;
    rig.upload("talk.wav", long_speech(25)).await;
    rig.send(job(&rig, "both", "redacted_and_unredacted")).await;
    let mut command = rig.worker();
    command.env("TRANSCRIPTION_ENGINE_COMMAND", scripted_engine()).env("SCRIPTED_ENGINE_SAYS", SAID);
    let mut worker = Running::start(&mut command);
    let event = rig.event().await;
    assert!(worker.stop().await.success());
    let key = event["transcriptLocation"]["unredactedJsonKey"].as_str().unwrap();
    assert_eq!(key, "u1/file-both/transcript.unredacted.json");
    let mut found = Vec::new();
    let written = written(&rig, "both").await;
    assert_eq!(written.len(), FORMATS.len() + 1);
    for (at, body) in written {
        match key.ends_with(&at) {
            true => assert!(body.contains("4111 1111 1111 1111") && body.contains("bob.ray@example.org"), "{body}"),
            false => found.extend(secrets_in(&at, &body)),
        }
    }
    assert_eq!(found, Vec::<String>::new());
}
