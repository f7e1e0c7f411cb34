//! Who speaks in a transcript.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of those who speak. Nothing tells who that is: numbers are given anew in each transcript.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Speaker {
    /// From 1, in the order of their first words.
    pub number: u16,
    /// How long the speaker is heard, over others too.
    pub seconds: f64,
    /// Channel, when channels are transcribed separately.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub channel: Option<u16>,
}
