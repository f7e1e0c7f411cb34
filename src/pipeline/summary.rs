//! How a job went, told once.

use super::Pipeline;
use super::listen::Resumed;
use crate::handler::Delivery;
use crate::metrics::JobDone;
use crate::transcript::Transcript;

/// Tells it.
pub fn tell(pipeline: &Pipeline, transcript: &Transcript, resumed: Resumed, delivery: &Delivery, total_secs: f64) {
    let age_secs = pipeline.clock.secs_since(delivery.sent_at_ms);
    pipeline.metrics.job_done(&JobDone {
        job_id: transcript.job.job_id.clone(),
        status: transcript.status,
        audio_secs: transcript.heard_secs(),
        speech_secs: transcript.audio.speech_duration,
        // two clocks may differ
        queue_wait_secs: age_secs.map(|age_secs| (age_secs - total_secs).max(0.0)),
        fetch_secs: transcript.timings.fetch,
        decode_secs: transcript.timings.decode,
        transcribe_secs: transcript.timings.transcribe,
        total_secs,
        resumed_secs: resumed.secs,
        bytes: transcript.source.size_bytes,
        windows: transcript.quality.windows,
        windows_resumed: resumed.windows,
        windows_dropped: transcript.quality.windows_dropped,
        receive_count: delivery.receive_count,
    });
}
