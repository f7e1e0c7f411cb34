//! Events into a file, one EventBridge envelope per line: what a folder run publishes.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use jiff::{Timestamp, Unit};
use serde_json::json;
use uuid::Uuid;

use super::{Event, Publish, SOURCE};
use crate::fault::{Code, Fault};

/// An append-only file of events.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
}

impl EventLog {
    /// Events go to this file, made when there is a first one.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

#[async_trait]
impl Publish for EventLog {
    async fn check(&self) -> Result<Option<String>, Fault> {
        Ok(None)
    }

    /// A file has no place for a trace.
    async fn publish(&self, event: &Event, _trace: Option<&str>) -> Result<(), Fault> {
        let path = self.path.clone();
        let what = format!("write {} of job {} to {}", event.detail_type(), event.job_id(), path.display());
        let line = envelope(event);
        tokio::task::spawn_blocking(move || append(&path, &line))
            .await
            .map_err(io::Error::other)
            .and_then(|written| written)
            .map_err(|e| Fault::transient(Code::ServiceUnavailable, format!("failed to {what}: {e}")))
    }
}

/// What a rule's target would be sent, in one line.
fn envelope(event: &Event) -> String {
    let now = Timestamp::now();
    let envelope = json!({
        "version": "0",
        "id": Uuid::new_v4(),
        "detail-type": event.detail_type(),
        "source": SOURCE,
        "account": "",
        "time": now.round(Unit::Second).unwrap_or(now).to_string(),
        "region": "",
        "resources": [],
        "detail": event,
    });
    format!("{envelope}\n")
}

/// One write, so that workers sharing the file do not mix their lines; on the disk before it returns.
fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut file = File::options().append(true).create(true).open(path)?;
    file.write_all(line.as_bytes())?;
    file.sync_data()
}

#[cfg(test)]
pub(crate) mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::publish::{EventError, SourceAudio, Status, TranscriptionCompleted};

    pub(crate) fn failed(message: &str) -> TranscriptionCompleted {
        TranscriptionCompleted {
            version: "1.0".to_owned(),
            user_id: "u1".to_owned(),
            file_id: "f1".to_owned(),
            job_id: "j1".to_owned(),
            status: Status::Failed,
            source_audio: SourceAudio { bucket: "b".to_owned(), key: "k".to_owned() },
            transcript_location: None,
            transcript_metadata: None,
            error: Some(EventError { code: Code::ObjectNotFound, message: message.to_owned() }),
            completed_at: "2026-01-05T12:00:00Z".to_owned(),
            metadata: None,
            tags: None,
        }
    }

    #[tokio::test]
    async fn each_event_is_one_line_shaped_like_eventbridge() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let log = EventLog::new(&path);
        log.publish(&failed("line\nbreak").into(), None).await.unwrap();
        log.publish(&failed("second").into(), None).await.unwrap();

        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        let first = lines.first().unwrap();
        assert_eq!(first["detail-type"], "Transcription Completed");
        assert_eq!(first["source"], "custom.transcription-service");
        assert_eq!(first["detail"]["error"]["message"], "line\nbreak");
        assert!(first["time"].as_str().unwrap().parse::<Timestamp>().is_ok());
        assert_ne!(first["id"], lines.get(1).unwrap()["id"]);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_keeps_the_message() {
        let dir = tempfile::tempdir().unwrap();
        let log = EventLog::new(dir.path().join("missing/events.jsonl"));
        let fault = log.publish(&failed("x").into(), None).await.unwrap_err();
        assert!(matches!(fault, Fault::Transient(problem) if problem.message.contains("events.jsonl")));
    }
}
