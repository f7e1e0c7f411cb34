//! Words and their times.

use super::tidy::probability;
use super::{Segment, Word, round_ms};
use crate::script::{line, word};

/// The segment's words with their times. Where the engine gave none, the segment's time is spread over its words in
/// proportion to their characters, and each has the segment's mean probability.
pub fn timed(segment: &Segment) -> Vec<Word> {
    for known in [&segment.words, &segment.unwritten_words] {
        if !known.is_empty() {
            return known.clone();
        }
    }
    let texts = word::split(&segment.text).into_iter().map(str::to_owned).collect();
    spread(texts, segment.start, segment.end, probability(segment.avg_logprob.exp()), segment.speaker)
}

/// The texts as words that fill the time from `start` to `end` (seconds) in proportion to their characters.
pub fn spread(texts: Vec<String>, start: f64, end: f64, probability: f64, speaker: Option<u16>) -> Vec<Word> {
    let total: usize = texts.iter().map(|text| text.chars().count()).sum();
    let mut passed = 0;
    let at = |passed: usize| round_ms(start + (end - start) * passed as f64 / total.max(1) as f64);
    let word = |text: String| {
        let from = passed;
        passed += text.chars().count();
        Word { start: at(from), end: at(passed), word: text, probability, speaker }
    };
    texts.into_iter().map(word).collect()
}

/// The word in pieces of at most `max_columns`.
pub fn pieces(word: Word, max_columns: usize) -> Vec<Word> {
    if line::width(&word.word) <= max_columns {
        return vec![word];
    }
    spread(line::cut(&word.word, max_columns), word.start, word.end, word.probability, word.speaker)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(text: &str) -> Segment {
        Segment { start: 1.0, end: 3.0, text: text.to_owned(), avg_logprob: -0.105, ..Segment::default() }
    }

    #[test]
    fn a_segments_time_is_spread_over_its_words_by_their_length() {
        let words = timed(&segment("one three ab"));
        let times: Vec<_> = words.iter().map(|word| (word.word.as_str(), word.start, word.end)).collect();
        assert_eq!(times, [("one", 1.0, 1.6), ("three", 1.6, 2.6), ("ab", 2.6, 3.0)]);
        assert!(words.iter().all(|word| (word.probability - 0.9).abs() < 0.001));
    }

    #[test]
    fn words_that_are_not_written_still_tell_the_times() {
        let word = Word { start: 2.5, end: 3.0, word: "late".to_owned(), probability: 0.5, speaker: None };
        let segment = Segment { unwritten_words: vec![word.clone()], ..segment("late") };
        assert_eq!(timed(&segment), [word]);
    }
}
