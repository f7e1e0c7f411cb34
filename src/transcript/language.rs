//! The language of a transcript, and how much was spoken in each of several.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Segment, round_ms};

/// The spoken language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Language {
    /// Whisper's code, ISO 639-1 where one exists; `und` when nothing was said.
    pub code: String,
    /// Mean probability of the detection, 0 to 1; absent when it was given, not detected.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub probability: Option<f64>,
}

/// One of the languages that were spoken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LanguageShare {
    /// Whisper's code, ISO 639-1 where one exists.
    pub code: String,
    /// Length of its segments, seconds.
    pub seconds: f64,
}

impl LanguageShare {
    /// The languages of the segments, that of most speech first.
    pub fn of(segments: &[Segment]) -> Vec<Self> {
        let mut shares: Vec<Self> = Vec::new();
        for (code, secs) in segments.iter().filter_map(|it| Some((it.language.as_ref()?, it.end - it.start))) {
            match shares.iter_mut().find(|share| share.code == *code) {
                Some(share) => share.seconds += secs,
                None => shares.push(Self { code: code.clone(), seconds: secs }),
            }
        }
        shares.iter_mut().for_each(|share| share.seconds = round_ms(share.seconds));
        shares.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        shares
    }
}
