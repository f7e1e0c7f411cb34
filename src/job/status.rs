//! How a job ended, as its transcript and its event say it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// A whole transcript.
    Completed,
    /// A transcript with warnings: damaged packets were skipped, or the input was cut short.
    Partial,
    /// No transcript; `error` says why.
    Failed,
}

impl Status {
    /// As events spell it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }
}
