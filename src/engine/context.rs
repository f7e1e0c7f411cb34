//! How much of a window is encoded.

use crate::audio::SAMPLE_RATE_HZ;

/// Encoder positions a second: 10 ms mel frames, convolved with stride 2.
pub const POSITIONS_PER_SEC: usize = 50;

/// Encoder positions of silence kept after the window's end, so that the model sees the speech end. With 64 it says one
/// short window in twenty again and again.
const MARGIN: usize = 320;

/// Where that would make more positions than this, it makes only so many, but [`LEAST_MARGIN`] is kept: the closer to
/// the full context, the more sentences are left out.
const LONG: usize = 1_344;
const LEAST_MARGIN: usize = 64;

/// Encoder positions for a window of `samples`, at most the model's `full` 30 s.
pub fn positions(samples: usize, full: usize) -> usize {
    let heard = samples.div_ceil(SAMPLE_RATE_HZ as usize / POSITIONS_PER_SEC);
    let positions = (heard + MARGIN).min(LONG.max(heard + LEAST_MARGIN));
    // in steps, so that few different graph sizes are met
    positions.next_multiple_of(64).min(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoder_is_cut_to_the_window_and_never_beyond_the_model() {
        let positions = [1, 11, 22, 26, 30].map(|secs| positions(16_000 * secs, 1500));
        assert_eq!(positions, [384, 896, 1344, 1408, 1500]);
    }
}
