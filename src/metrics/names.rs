//! What there is to measure: the one list. `terraform/metrics.json` is written from it, and dashboard and alarms know no
//! other names.

use serde_json::{Map, Value, json};

/// A namespace of CloudWatch.
pub const NAMESPACE: &str = "TranscriptionWorker";

/// The dimensions of every metric: the fleet's sum, and what tells its parts apart.
pub const DIMENSIONS: [&[&str]; 2] = [&["Fleet"], &["Fleet", "Model", "InstanceType"]];

/// Upper ends of the buckets of times, seconds: from a short clip to the audio of a day.
const TIMES: &[f64] = &[0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 7200.0, 43_200.0];

/// Upper ends of the buckets of speeds, times real time.
const SPEEDS: &[f64] = &[0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];

/// One thing that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "`about` says what each is, for Prometheus to tell it too")]
pub enum Metric {
    Jobs,
    Failures,
    AudioSeconds,
    SpeechSeconds,
    QueueWait,
    FetchTime,
    DecodeTime,
    TranscribeTime,
    EndToEnd,
    RealtimeFactor,
    BytesFetched,
    WindowsInferred,
    WindowsResumed,
    WindowsDropped,
    Receives,
    Up,
    UpSeconds,
    JobsInFlight,
    LanesBusy,
    WindowsQueued,
    EngineRestarts,
    LeasesLost,
    ReceiveErrors,
    Retried,
    Released,
    DeadLettered,
    Interruptions,
    ResumedSeconds,
    Health,
    ScratchFree,
    GpuUtilization,
    GpuMemoryUsed,
    GpuMemoryTotal,
}

use Metric as M;

/// When it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// With each job that ends.
    Job,
    /// Each minute.
    Minute,
}

/// What kind of number it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// It only grows; CloudWatch gets what came since it was last told.
    Counter,
    /// It is so at a moment.
    Gauge,
    /// Each value counts, by these buckets.
    Histogram(&'static [f64]),
}

/// What is known of a metric. `name` is CloudWatch's, `prometheus` the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct About {
    /// In CloudWatch.
    pub name: &'static str,
    /// As CloudWatch calls it.
    pub unit: &'static str,
    /// When it is told.
    pub when: When,
    /// What kind of number.
    pub kind: Kind,
    /// In Prometheus.
    pub prometheus: &'static str,
    /// A sentence.
    pub help: &'static str,
}

impl Metric {
    /// Each, in the order of the list.
    pub const ALL: [Self; 33] = [
        M::Jobs,
        M::Failures,
        M::AudioSeconds,
        M::SpeechSeconds,
        M::QueueWait,
        M::FetchTime,
        M::DecodeTime,
        M::TranscribeTime,
        M::EndToEnd,
        M::RealtimeFactor,
        M::BytesFetched,
        M::WindowsInferred,
        M::WindowsResumed,
        M::WindowsDropped,
        M::Receives,
        M::Up,
        M::UpSeconds,
        M::JobsInFlight,
        M::LanesBusy,
        M::WindowsQueued,
        M::EngineRestarts,
        M::LeasesLost,
        M::ReceiveErrors,
        M::Retried,
        M::Released,
        M::DeadLettered,
        M::Interruptions,
        M::ResumedSeconds,
        M::Health,
        M::ScratchFree,
        M::GpuUtilization,
        M::GpuMemoryUsed,
        M::GpuMemoryTotal,
    ];

    /// What is known of it.
    #[rustfmt::skip]
    pub fn about(self) -> About {
        use Kind::{Counter, Gauge, Histogram};
        use When::{Job, Minute};
        let (when, name, unit, kind, prometheus, help) = match self {
            M::Jobs => (Job, "Jobs", "Count", Counter, "transcription_jobs_total", "Jobs that ended, by status."),
            M::Failures => (Job, "Failures", "Count", Counter, "transcription_failures_total", "Jobs that failed, by error code."),
            M::AudioSeconds => (Job, "AudioSeconds", "Seconds", Counter, "transcription_audio_seconds_total", "Length of the audio of jobs that are done."),
            M::SpeechSeconds => (Job, "SpeechSeconds", "Seconds", Counter, "transcription_speech_seconds_total", "Speech in it."),
            M::QueueWait => (Job, "QueueWait", "Seconds", Histogram(TIMES), "transcription_queue_wait_seconds", "From a message sent to the attempt that did it."),
            M::FetchTime => (Job, "FetchTime", "Seconds", Histogram(TIMES), "transcription_fetch_seconds", "Time of a download."),
            M::DecodeTime => (Job, "DecodeTime", "Seconds", Histogram(TIMES), "transcription_decode_seconds", "Time the decoder was at work."),
            M::TranscribeTime => (Job, "TranscribeTime", "Seconds", Histogram(TIMES), "transcription_transcribe_seconds", "From the first window to the last answer."),
            M::EndToEnd => (Job, "EndToEnd", "Seconds", Histogram(TIMES), "transcription_end_to_end_seconds", "From a message sent to its end."),
            M::RealtimeFactor => (Job, "RealtimeFactor", "None", Histogram(SPEEDS), "transcription_realtime_factor", "Seconds of audio in a second of the attempt that did it."),
            M::BytesFetched => (Job, "BytesFetched", "Bytes", Counter, "transcription_fetched_bytes_total", "Size of what was downloaded."),
            M::WindowsInferred => (Job, "WindowsInferred", "Count", Counter, "transcription_windows_inferred_total", "Windows that an engine transcribed."),
            M::WindowsResumed => (Job, "WindowsResumed", "Count", Counter, "transcription_windows_resumed_total", "Windows that a checkpoint spared."),
            M::WindowsDropped => (Job, "WindowsDropped", "Count", Counter, "transcription_windows_dropped_total", "Windows whose text was dropped as invented."),
            M::Receives => (Job, "Receives", "Count", Counter, "transcription_receives_total", "Deliveries that ended jobs needed."),
            M::Up => (Minute, "Up", "Count", Gauge, "transcription_worker_up", "1 for each worker."),
            M::UpSeconds => (Minute, "UpSeconds", "Seconds", Counter, "transcription_up_seconds_total", "Time since the worker began."),
            M::JobsInFlight => (Minute, "JobsInFlight", "Count", Gauge, "transcription_jobs_in_flight", "Messages at work."),
            M::LanesBusy => (Minute, "LanesBusy", "Count", Gauge, "transcription_lanes_busy", "Windows that engines are at."),
            M::WindowsQueued => (Minute, "WindowsQueued", "Count", Gauge, "transcription_windows_queued", "Windows that wait for a lane."),
            M::EngineRestarts => (Minute, "EngineRestarts", "Count", Counter, "transcription_engine_restarts_total", "Engine processes that died, or were killed for hanging."),
            M::LeasesLost => (Minute, "LeasesLost", "Count", Counter, "transcription_leases_lost_total", "Messages that became another worker's while they were at work."),
            M::ReceiveErrors => (Minute, "ReceiveErrors", "Count", Counter, "transcription_receive_errors_total", "Receives that failed."),
            M::Retried => (Minute, "Retried", "Count", Counter, "transcription_messages_retried_total", "Messages given back to be tried again after a pause."),
            M::Released => (Minute, "Released", "Count", Counter, "transcription_messages_released_total", "Messages given back for another worker."),
            M::DeadLettered => (Minute, "DeadLettered", "Count", Counter, "transcription_messages_dead_lettered_total", "Messages that could not be done."),
            M::Interruptions => (Minute, "Interruptions", "Count", Counter, "transcription_interruptions_total", "Spot interruption notices."),
            M::ResumedSeconds => (Minute, "ResumedSeconds", "Seconds", Counter, "transcription_resumed_seconds_total", "Audio that a checkpoint spared."),
            M::Health => (Minute, "Health", "None", Gauge, "transcription_health", "1 well, 0.5 suspect, 0 sick."),
            M::ScratchFree => (Minute, "ScratchFree", "Bytes", Gauge, "transcription_scratch_free_bytes", "Room for downloads."),
            M::GpuUtilization => (Minute, "GpuUtilization", "Percent", Gauge, "transcription_gpu_utilization_ratio", "Time in which the GPU computed, of the last second."),
            M::GpuMemoryUsed => (Minute, "GpuMemoryUsed", "Bytes", Gauge, "transcription_gpu_memory_used_bytes", "Memory of the GPU that is taken."),
            M::GpuMemoryTotal => (Minute, "GpuMemoryTotal", "Bytes", Gauge, "transcription_gpu_memory_size_bytes", "Memory of the GPU."),
        };
        About { name, unit, when, kind, prometheus, help }
    }

    /// In CloudWatch.
    pub fn name(self) -> &'static str {
        self.about().name
    }

    /// Whether it only grows.
    pub fn is_counter(self) -> bool {
        self.about().kind == Kind::Counter
    }

    /// What it is counted by, as CloudWatch calls it.
    pub fn by(self) -> Option<&'static str> {
        match self {
            Self::Jobs => Some("Status"),
            Self::Failures => Some("ErrorCode"),
            _ => None,
        }
    }
}

/// The list as `terraform/metrics.json` has it.
pub fn document() -> Value {
    let told = |when: When| -> Map<String, Value> {
        let listed = Metric::ALL.iter().filter(|metric| metric.about().when == when);
        listed
            .map(|metric| {
                let mut about = json!({ "unit": metric.about().unit });
                if let Some(by) = metric.by() {
                    about["by"] = by.into();
                }
                (metric.name().to_owned(), about)
            })
            .collect()
    };
    json!({
        "namespace": NAMESPACE,
        "dimensions": DIMENSIONS,
        "per_job": told(When::Job),
        "per_minute": told(When::Minute),
    })
}
