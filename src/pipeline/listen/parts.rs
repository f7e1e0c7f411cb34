//! A window cut at its pauses, to be listened to part by part.

use std::ops::Range;

use crate::audio::{SAMPLE_RATE_HZ, Span};

/// A pause to cut at, 0.2 s at least: it ends a phrase, not a word.
const MIN_PAUSE_SAMPLES: usize = SAMPLE_RATE_HZ as usize / 5;
/// Parts are at least so long, if the pauses allow it, 4 s: with less the model hears words without their context.
const MIN_PART_SAMPLES: usize = 4 * SAMPLE_RATE_HZ as usize;

/// Ranges of a window's `samples` that together are all of it, cut in the middle of pauses between its spans. One alone
/// where there is no pause to cut at.
pub fn cut(spans: &[Span], samples: usize) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut start = 0;
    for pair in spans.windows(2) {
        let [before, after] = pair else { continue };
        let end = before.window_start + before.len;
        let middle = usize::midpoint(end, after.window_start);
        let long_enough = |from: usize, to: usize| to.saturating_sub(from) >= MIN_PART_SAMPLES;
        if after.window_start.saturating_sub(end) >= MIN_PAUSE_SAMPLES
            && long_enough(start, middle)
            && long_enough(middle, samples)
        {
            parts.push(start..middle);
            start = middle;
        }
    }
    parts.push(start..samples);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of voice, in seconds of a window of 20 s.
    fn parts(runs: &[(f64, f64)]) -> Vec<(f64, f64)> {
        let rate = f64::from(SAMPLE_RATE_HZ);
        let at = |secs: f64| (secs * rate) as usize;
        let spans: Vec<Span> = runs
            .iter()
            .map(|(from, to)| Span { window_start: at(*from), source_start: 0, len: at(*to) - at(*from) })
            .collect();
        cut(&spans, at(20.0)).into_iter().map(|part| (part.start as f64 / rate, part.end as f64 / rate)).collect()
    }

    #[test]
    fn a_window_is_cut_in_the_middle_of_its_pauses() {
        let cut = parts(&[(0.2, 6.0), (6.5, 9.0), (9.5, 15.0), (15.1, 19.8)]);
        assert_eq!(cut, [(0.0, 6.25), (6.25, 20.0)], "9.25 would be a part of 3 s, 15.05 within a phrase");
    }

    #[test]
    fn a_window_without_pauses_is_one_part() {
        assert_eq!(parts(&[(0.0, 20.0)]), [(0.0, 20.0)]);
        assert_eq!(parts(&[]), [(0.0, 20.0)]);
    }
}
