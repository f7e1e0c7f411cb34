//! The one line that tells how a job went.

use super::listen::Resumed;
use crate::clock::Clock;
use crate::handler::Delivery;
use crate::transcript::Transcript;

/// Logs it.
pub fn tell(transcript: &Transcript, resumed: Resumed, delivery: &Delivery, clock: &Clock, total_secs: f64) {
    let queue_wait_secs = clock.secs_since(delivery.sent_at_ms).map(|age_secs| age_secs - total_secs);
    tracing::info!(
        status = transcript.status.word(),
        audio_secs = transcript.audio.duration,
        speech_secs = transcript.audio.speech_duration,
        queue_wait_secs,
        fetch_secs = transcript.timings.fetch,
        decode_secs = transcript.timings.decode,
        transcribe_secs = transcript.timings.transcribe,
        total_secs,
        x_realtime = transcript.audio.duration / total_secs.max(1e-3),
        resumed_secs = resumed.secs,
        windows = transcript.quality.windows,
        windows_inferred = transcript.quality.windows.saturating_sub(resumed.windows),
        receive_count = delivery.receive_count,
        "job done"
    );
}
