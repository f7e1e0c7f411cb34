//! Words whose times the engine measured, in the source: within the runs of voice, one after the other.

use super::{Run, Token};
use crate::audio::{SAMPLE_RATE_HZ, Span};

/// A word that takes longer than so many times what its length takes in this window, and so many seconds more, has a pause
/// before it: attention turns to a word when the one before is over.
const LONG: f64 = 1.5;
const LONG_SECS: f64 = 0.05;

/// Start and end of each token, in source seconds; `None` where one was not measured.
pub fn times(spans: &[Span], tokens: &[Token], runs: &[Run]) -> Option<Vec<(f64, f64)>> {
    let pace = secs_per_letter(tokens);
    let mut times = Vec::with_capacity(tokens.len());
    let mut before = runs.first()?.start;
    for token in tokens {
        let said = match token.said {
            Some((begin, end)) => (source_secs(spans, begin), source_secs(spans, end)),
            // a sign by itself takes no time
            None if !token.text.chars().any(char::is_alphanumeric) => (before, before),
            None => return None,
        };
        let (start, end) = within_a_run(said, runs);
        let longest = pace * token.weight * LONG + LONG_SECS;
        let start = start.max(end - longest).max(before);
        before = end.max(start);
        times.push((start, before));
    }
    Some(times)
}

/// Of a letter of the words, the median.
fn secs_per_letter(tokens: &[Token]) -> f64 {
    let secs = |(begin, end): (u32, u32)| f64::from(end.saturating_sub(begin)) / 1_000.0;
    let mut paces: Vec<f64> =
        tokens.iter().filter_map(|token| Some(secs(token.said?) / token.weight.max(1.0))).collect();
    paces.sort_unstable_by(f64::total_cmp);
    paces.get(paces.len() / 2).copied().unwrap_or_default()
}

/// Where in the source a moment of the window is: in a pause, as far after the voice before it as it is there.
fn source_secs(spans: &[Span], ms: u32) -> f64 {
    let at = ms as usize * (SAMPLE_RATE_HZ as usize / 1_000);
    let before = spans.iter().rev().find(|span| span.window_start <= at).or(spans.first());
    let sample = before.map_or(0, |span| span.source_start + at.saturating_sub(span.window_start) as u64);
    sample as f64 / f64::from(SAMPLE_RATE_HZ)
}

/// The part of a word's time that lies in voice: in that run of which the word has most.
fn within_a_run((start, end): (f64, f64), runs: &[Run]) -> (f64, f64) {
    let shared = |run: &Run| end.min(run.end) - start.max(run.start);
    let best = runs.iter().max_by(|a, b| shared(a).total_cmp(&shared(b)));
    best.map_or((start, end), |run| (start.clamp(run.start, run.end), end.clamp(run.start, run.end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Voice from 1 to 3 s and from 5 to 7 s of the source; in the window 0.5 s of the pause are left.
    const SPANS: [Span; 2] = [
        Span { window_start: 0, source_start: 16_000, len: 32_000 },
        Span { window_start: 40_000, source_start: 80_000, len: 32_000 },
    ];
    const RUNS: [Run; 2] = [Run { start: 1.0, end: 3.0 }, Run { start: 5.0, end: 7.0 }];

    fn token(text: &str, said: Option<(u32, u32)>) -> Token {
        Token {
            text: text.to_owned(),
            end: 0,
            p_sum: 0.0,
            log_sum: 0.0,
            pieces: 0.0,
            weight: 4.0,
            ends_sentence: false,
            said,
        }
    }

    fn placed(said: &[(u32, u32)]) -> Vec<(f64, f64)> {
        let tokens: Vec<Token> = said.iter().map(|said| token(" one", Some(*said))).collect();
        times(&SPANS, &tokens, &RUNS).unwrap_or_default()
    }

    #[test]
    fn a_moment_of_the_window_is_one_of_the_source() {
        assert_eq!(placed(&[(500, 1_000), (1_000, 1_500), (2_750, 3_250)]), [(1.5, 2.0), (2.0, 2.5), (5.25, 5.75)]);
    }

    #[test]
    fn a_word_stays_in_the_run_that_it_has_most_of() {
        assert_eq!(placed(&[(1_500, 2_250), (2_250, 3_000)]), [(2.5, 3.0), (5.0, 5.5)]);
    }

    #[test]
    fn the_pause_before_a_word_is_none_of_it() {
        let found = placed(&[(0, 200), (200, 400), (400, 600), (600, 1_600)]);
        assert_eq!(found[2], (1.4, 1.6));
        // 1.5 times what the others took, and 0.05 s
        assert!((found[3].0 - 2.25).abs() < 1e-9 && found[3].1 == 2.6, "{found:?}");
    }

    #[test]
    fn whatever_an_engine_says_words_are_in_order_and_within_voice() {
        let found = placed(&[(u32::MAX, 0), (9_000, 12), (0, u32::MAX), (500, 400), (0, 0)]);
        assert_eq!(found.len(), 5);
        assert!(found.iter().all(|(start, end)| start <= end && *start >= 1.0 && *end <= 7.0), "{found:?}");
        assert!(found.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{found:?}");
    }

    #[test]
    fn signs_need_no_time_and_words_do() {
        assert!(times(&SPANS, &[token(" one", Some((0, 300))), token(" –", None)], &RUNS).is_some());
        assert!(times(&SPANS, &[token(" one", Some((0, 300))), token(" two", None)], &RUNS).is_none());
    }
}
