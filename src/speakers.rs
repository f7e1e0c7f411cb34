//! Who spoke when. Windows of ten seconds of all that sounds go through two nets, in plain Rust on threads of their own: one
//! tells when somebody speaks and when somebody else, the other makes a direction of each voice. At the end directions that
//! are alike become speakers, and their turns go to the transcript as numbers. Directions are biometric data: they live in
//! memory while their job is decoded, are written nowhere and logged nowhere.

mod cluster;
pub mod crew;
pub mod embedding;
pub mod fbank;
mod glimpse;
mod image;
pub mod labels;
mod lstm;
pub mod segmentation;
mod sincnet;
pub mod tracker;
pub mod turns;
mod weights;

#[cfg(test)]
mod oracle;

pub use crew::Voices;
pub use tracker::Tracker;
pub use turns::{Followed, Turn};

/// Of samples, in all that is done here.
const RATE_HZ: f64 = crate::audio::SAMPLE_RATE_HZ as f64;
