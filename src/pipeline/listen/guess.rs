//! How sure a guess of a window's language is.

use crate::transcribe::wire::WindowText;

/// Probability, in thousandths, from which on the parts of a window are heard in the language that was guessed for all of it;
/// and the share of the votes with which a language has won.
pub const CERTAIN: u32 = 600;

/// The probability of a guess as a vote: in whole thousandths, whose sums have no rounding.
pub fn thousandths(probability: f32) -> u16 {
    // a float that is no number becomes 0
    (probability * 1000.0).round().clamp(0.0, 1000.0) as u16
}

/// Whether the text's language was given, or guessed with certainty.
pub fn is_certain(text: &WindowText) -> bool {
    text.language_probability.is_none_or(|p| u32::from(thousandths(p)) >= CERTAIN)
}
