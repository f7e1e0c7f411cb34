//! "Transcription Completed" from what is known at the end of a job.

use jiff::{Timestamp, Unit};

use super::{EventError, SourceAudio, Status, TranscriptLocation, TranscriptMetadata, TranscriptionCompleted};
use crate::fault::{Code, Problem};
use crate::job::message::Identity;
use crate::job::{Job, language};
use crate::transcript::{Transcript, round_ms, tidy};

/// `version` inside `detail`.
pub const VERSION: &str = "1.1";

/// Characters of `error.message`; an entry of EventBridge holds 256 KB, and nobody reads more of a sentence.
const MAX_MESSAGE_CHARS: usize = 2_000;

impl TranscriptionCompleted {
    /// The event of a finished job: `completed`, or `partial` with the transcript's warnings as its error.
    /// `processing_secs` runs from the start of the fetch to the last object written.
    pub fn done(
        job: &Job,
        transcript: &Transcript,
        location: TranscriptLocation,
        processing_secs: f64,
        now: Timestamp,
    ) -> Self {
        let error = match transcript.status {
            Status::Completed => None,
            Status::Partial | Status::Failed => Some(warnings(transcript)),
        };
        Self {
            // a transcript exists, whatever its own status says
            status: if error.is_some() { Status::Partial } else { Status::Completed },
            transcript_location: Some(location),
            transcript_metadata: Some(TranscriptMetadata::of(transcript, processing_secs)),
            error,
            ..blank(&Identity::from(job), now)
        }
    }

    /// The event of a job that will not be tried again.
    pub fn failed(identity: &Identity, problem: &Problem, now: Timestamp) -> Self {
        Self {
            status: Status::Failed,
            error: Some(EventError { code: problem.code, message: capped(&problem.message) }),
            ..blank(identity, now)
        }
    }
}

impl TranscriptMetadata {
    /// What is told of a transcript. `processing_secs` runs from the start of the fetch to the last object written. The
    /// language is the spoken one also of a translation.
    pub fn of(transcript: &Transcript, processing_secs: f64) -> Self {
        Self {
            language: two_letters(transcript).to_owned(),
            languages: transcript.languages.clone(),
            duration: round_ms(transcript.audio.duration),
            word_count: transcript.word_count(),
            model: transcript.model.name.clone(),
            // three decimals, as of the seconds
            confidence: round_ms(tidy::probability(transcript.quality.confidence)),
            processing_time: round_ms(processing_secs.max(0.0)),
            timestamps: has_word_times(transcript),
        }
    }
}

/// Of the spoken language. Consumers require two, so that there have to be some where nothing was said, and for Hawaiian.
fn two_letters(transcript: &Transcript) -> &str {
    let spoken = transcript.language.as_ref().filter(|spoken| spoken.code != language::UNDETERMINED);
    spoken.and_then(|spoken| language::iso_639_1(&spoken.code)).unwrap_or(language::UNKNOWN)
}

/// Whether the JSON has the times of words, or would have if there were words.
fn has_word_times(transcript: &Transcript) -> bool {
    let asked = transcript.request.as_ref().map(|request| request.word_timestamps);
    asked.unwrap_or_else(|| transcript.segments.iter().any(|segment| !segment.words.is_empty()))
}

fn blank(identity: &Identity, now: Timestamp) -> TranscriptionCompleted {
    TranscriptionCompleted {
        version: VERSION.to_owned(),
        user_id: identity.user_id.clone(),
        file_id: identity.file_id.clone(),
        job_id: identity.job_id.clone(),
        status: Status::Completed,
        source_audio: SourceAudio { bucket: identity.source.bucket.clone(), key: identity.source.key.clone() },
        transcript_location: None,
        transcript_metadata: None,
        error: None,
        completed_at: rfc3339(now),
        metadata: identity.echo.metadata.clone(),
        tags: identity.echo.tags.clone(),
    }
}

/// In UTC, such as `2026-01-05T12:00:00.123Z`.
pub(super) fn rfc3339(time: Timestamp) -> String {
    time.round(Unit::Millisecond).unwrap_or(time).to_string()
}

/// The first warning's code, and all their sentences.
fn warnings(transcript: &Transcript) -> EventError {
    let sentences: Vec<&str> = transcript.warnings.iter().map(|warning| warning.message.as_str()).collect();
    EventError {
        code: transcript.warnings.first().map_or(Code::DamagedAudio, |warning| warning.code),
        message: capped(&sentences.join("; ")),
    }
}

fn capped(message: &str) -> String {
    message.chars().take(MAX_MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::job::{Echo, JobOptions};
    use crate::objects::Location;
    use crate::transcript::samples;

    fn job() -> Job {
        Job {
            id: "j1".to_owned(),
            user_id: "u1".to_owned(),
            file_id: "f1".to_owned(),
            source: Location::new("uploads", "u1/f1/talk.mp3"),
            output: None,
            place_is_named: false,
            options: JobOptions::default(),
            echo: Echo::default(),
        }
    }

    fn location() -> TranscriptLocation {
        TranscriptLocation {
            bucket: "out".to_owned(),
            text_key: "t.txt".to_owned(),
            json_key: "t.json".to_owned(),
            ..TranscriptLocation::default()
        }
    }

    #[test]
    fn a_whole_transcript_is_completed_without_error() {
        let event = TranscriptionCompleted::done(&job(), &samples::jfk(), location(), 1.23456, Timestamp::now());
        assert_eq!((event.status, event.error), (Status::Completed, None));
        let metadata = event.transcript_metadata.unwrap();
        assert_eq!((metadata.language.as_str(), metadata.timestamps), ("en", true));
        assert_eq!((metadata.word_count, metadata.processing_time, metadata.confidence), (19, 1.235, 0.877));
    }

    #[test]
    fn a_damaged_one_is_partial_and_says_why() {
        let event = TranscriptionCompleted::done(&job(), &samples::call(), location(), 1.0, Timestamp::now());
        assert_eq!(event.status, Status::Partial);
        let error = event.error.unwrap();
        assert_eq!((error.code, error.message.as_str()), (Code::DamagedAudio, "2 damaged packets were skipped"));
        assert!(event.transcript_location.is_some());
    }

    #[test]
    fn silence_is_in_no_known_language() {
        let event = TranscriptionCompleted::done(&job(), &samples::silence(), location(), 1.0, Timestamp::now());
        let metadata = event.transcript_metadata.unwrap();
        assert_eq!((metadata.language.as_str(), metadata.languages), ("un", Vec::new()));
    }

    #[test]
    fn a_failure_has_no_transcript_and_a_time_in_utc() {
        let problem = Problem { code: Code::ObjectNotFound, message: "s3://b/k does not exist".to_owned() };
        let event = TranscriptionCompleted::failed(&Identity::from(&job()), &problem, Timestamp::now());
        assert_eq!(
            (event.status, &event.transcript_location, &event.transcript_metadata),
            (Status::Failed, &None, &None)
        );
        assert!(event.completed_at.ends_with('Z') && event.completed_at.parse::<Timestamp>().is_ok());
        assert_eq!(serde_json::to_value(&event).unwrap()["error"]["code"], "OBJECT_NOT_FOUND");
    }
}
