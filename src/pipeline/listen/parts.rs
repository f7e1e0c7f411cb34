//! A window cut at its pauses, to be listened to part by part.

use std::ops::Range;

use crate::audio::{SAMPLE_RATE_HZ, Span, Window};

/// A pause to cut at, 0.2 s at least: it ends a phrase, not a word.
const MIN_PAUSE_SAMPLES: usize = SAMPLE_RATE_HZ as usize / 5;
/// Parts are at least so long, if the pauses allow it, 4 s: with less the model hears words without their context.
const MIN_PART_SAMPLES: usize = 4 * SAMPLE_RATE_HZ as usize;

/// Seconds of voice after the end of a text that are more than the last word's own end.
const MIN_REST_SECS: f64 = 1.0;

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

/// What is left of a window so many milliseconds after it began, as a window of its own without samples, and the sample that it
/// begins with; `None` where hardly any of it is voice.
pub fn after(window: &Window, ms: u32) -> Option<(usize, Window)> {
    let from = ms as usize * (SAMPLE_RATE_HZ as usize / 1_000);
    let later = |span: &Span| {
        let gone = from.saturating_sub(span.window_start).min(span.len);
        let window_start = (span.window_start + gone).saturating_sub(from);
        Span { window_start, source_start: span.source_start + gone as u64, len: span.len - gone }
    };
    let spans: Vec<Span> = window.spans.iter().map(later).filter(|span| span.len > 0).collect();
    let rest = Window { index: window.index, channel: window.channel, pcm: Vec::new(), spans, found: window.found };
    (rest.speech_secs() >= MIN_REST_SECS).then_some((from, rest))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::audio::Found;

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

    #[test]
    fn the_rest_of_a_window_has_the_voice_that_is_left() {
        let span = |window_start, source_start, len| Span { window_start, source_start, len };
        let spans = vec![span(0, 80_000, 32_000), span(40_000, 160_000, 16_000)];
        let window = Window { index: 7, channel: Some(1), pcm: Vec::new(), spans, found: Found::Voice };
        let (from, rest) = after(&window, 1_000).unwrap();
        assert_eq!((from, rest.index, rest.channel), (16_000, 7, Some(1)));
        assert_eq!(rest.spans, [span(0, 96_000, 16_000), span(24_000, 160_000, 16_000)]);
        let (from, rest) = after(&window, 2_250).unwrap();
        assert_eq!((from, rest.spans), (36_000, vec![span(4_000, 160_000, 16_000)]));
        // half a second of voice is a last word's own end
        assert!(after(&window, 3_000).is_none() && after(&window, u32::MAX).is_none());
    }
}
