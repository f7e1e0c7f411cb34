//! What happens to a job, as one value: the log line, and what is measured.

use serde_json::{Map, Value, json};

use super::names::Metric;
use crate::fault::Code;
use crate::publish::Status;

/// How a job that is done went.
#[derive(Debug, Clone, PartialEq)]
pub struct JobDone {
    /// Its id.
    pub job_id: String,
    /// Whether anything of the audio is missing.
    pub status: Status,
    /// Length of the audio.
    pub audio_secs: f64,
    /// Speech in it.
    pub speech_secs: f64,
    /// From the message sent to this attempt; `None` where that is not known.
    pub queue_wait_secs: Option<f64>,
    /// The download.
    pub fetch_secs: f64,
    /// The decoder at work.
    pub decode_secs: f64,
    /// From the first window to the last answer.
    pub transcribe_secs: f64,
    /// This attempt.
    pub total_secs: f64,
    /// Audio that a checkpoint spared.
    pub resumed_secs: f64,
    /// Size of the object.
    pub bytes: u64,
    /// Windows of speech.
    pub windows: u32,
    /// Those that a checkpoint spared.
    pub windows_resumed: u32,
    /// Those whose text was dropped.
    pub windows_dropped: u32,
    /// Deliveries it needed.
    pub receive_count: u32,
}

impl JobDone {
    /// Windows that an engine transcribed.
    fn windows_inferred(&self) -> u32 {
        self.windows.saturating_sub(self.windows_resumed)
    }

    fn x_realtime(&self) -> f64 {
        self.audio_secs / self.total_secs.max(1e-3)
    }

    pub(super) fn log(&self) {
        tracing::info!(
            status = self.status.word(),
            audio_secs = self.audio_secs,
            speech_secs = self.speech_secs,
            queue_wait_secs = self.queue_wait_secs,
            fetch_secs = self.fetch_secs,
            decode_secs = self.decode_secs,
            transcribe_secs = self.transcribe_secs,
            total_secs = self.total_secs,
            x_realtime = self.x_realtime(),
            resumed_secs = self.resumed_secs,
            bytes = self.bytes,
            windows = self.windows,
            windows_inferred = self.windows_inferred(),
            receive_count = self.receive_count,
            "job done"
        );
    }

    pub(super) fn samples(&self) -> Vec<(Metric, f64)> {
        let mut samples = vec![
            (Metric::AudioSeconds, self.audio_secs),
            (Metric::SpeechSeconds, self.speech_secs),
            (Metric::FetchTime, self.fetch_secs),
            (Metric::DecodeTime, self.decode_secs),
            (Metric::TranscribeTime, self.transcribe_secs),
            (Metric::RealtimeFactor, self.x_realtime()),
            (Metric::BytesFetched, self.bytes as f64),
            (Metric::WindowsInferred, f64::from(self.windows_inferred())),
            (Metric::WindowsResumed, f64::from(self.windows_resumed)),
            (Metric::WindowsDropped, f64::from(self.windows_dropped)),
            (Metric::Receives, f64::from(self.receive_count)),
        ];
        if let Some(wait) = self.queue_wait_secs {
            samples.push((Metric::QueueWait, wait));
            samples.push((Metric::EndToEnd, wait + self.total_secs));
        }
        samples
    }

    /// What is said beside the metrics, for whoever looks for a job.
    pub(super) fn members(&self) -> Map<String, Value> {
        Map::from_iter([("job_id".to_owned(), json!(self.job_id))])
    }
}

/// A job that failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobFailed<'a> {
    /// Its id.
    pub job_id: &'a str,
    /// The kind of failure.
    pub code: Code,
    /// The sentence.
    pub reason: &'a str,
    /// Deliveries it needed.
    pub receive_count: u32,
}

impl JobFailed<'_> {
    pub(super) fn log(&self) {
        let Self { job_id, code, reason, receive_count } = self;
        tracing::error!(job_id, %code, reason, receive_count, status = "failed", "failed for good");
    }

    pub(super) fn samples(&self) -> Vec<(Metric, f64)> {
        vec![(Metric::Receives, f64::from(self.receive_count))]
    }

    pub(super) fn members(&self) -> Map<String, Value> {
        Map::from_iter([("job_id".to_owned(), json!(self.job_id))])
    }
}
