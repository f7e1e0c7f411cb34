//! The audio that was decoded, and the tracks of its file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the decoder found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AudioRef {
    /// Decoded length, seconds; of a clip, where it ends.
    pub duration: f64,
    /// Codec name, such as `mp3`.
    pub codec: String,
    /// Container name, such as `isomp4`.
    pub container: String,
    /// Decoded sample rate.
    pub sample_rate_hz: u32,
    /// Channels.
    pub channels: u16,
    /// Seconds in which speech was found.
    pub speech_duration: f64,
    /// The file's audio tracks, where it has several.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tracks: Vec<AudioTrack>,
}

/// One audio track of several.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AudioTrack {
    /// Its place among the audio tracks, from 1.
    pub number: u32,
    /// Codec name.
    pub codec: String,
    /// Channels, where the container states them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub channels: Option<u16>,
    /// Language tag, where the container states it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub language: Option<String>,
    /// What the file calls it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub title: Option<String>,
    /// Whether the file marks it as the one to play.
    pub default: bool,
    /// Whether it is the one that was transcribed.
    pub transcribed: bool,
}
