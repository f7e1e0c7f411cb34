//! `transcript.podcast.json`: what podcast players read, by the podcast namespace's JSON transcript format, version 1.0.0
//! (<https://github.com/Podcastindex-org/podcast-namespace/blob/main/docs/examples/transcripts/transcripts.md>).

use serde::Serialize;

use super::paragraph::{sentences, speaker};
use super::{Segment, Transcript};

#[derive(Debug, Serialize)]
struct Document {
    version: &'static str,
    segments: Vec<Part>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker: Option<String>,
    /// Seconds.
    start_time: f64,
    /// Seconds.
    end_time: f64,
    body: String,
}

/// The document, ending in a newline.
///
/// # Errors
/// None for a tidied transcript; serde's signature.
pub fn render(transcript: &Transcript) -> Result<Vec<u8>, serde_json::Error> {
    let segments = sentences(&transcript.segments).map(|sentence| Part {
        speaker: sentence.segments.first().and_then(speaker),
        start_time: sentence.start(),
        end_time: sentence.segments.last().map_or(0.0, |last: &Segment| last.end),
        body: sentence.text(),
    });
    let mut document = serde_json::to_vec(&Document { version: "1.0.0", segments: segments.collect() })?;
    document.push(b'\n');
    Ok(document)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::{Value, json};

    use super::*;
    use crate::transcript::samples;

    #[test]
    fn the_document_is_what_the_format_asks_for() {
        let document: Value = serde_json::from_slice(&render(&samples::call()).unwrap()).unwrap();
        assert_eq!(document["version"], "1.0.0");
        let first =
            json!({ "speaker": "Channel 0", "startTime": 0.0, "endTime": 2.0, "body": "Hello, is a<b & c --> d?" });
        assert_eq!(document["segments"][0], first);
        let silence: Value = serde_json::from_slice(&render(&samples::silence()).unwrap()).unwrap();
        assert_eq!(silence, json!({ "version": "1.0.0", "segments": [] }));
    }
}
