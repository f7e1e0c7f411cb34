//! Words: between spaces, and where a script has none, by its dictionary.

use std::ops::Range;

use icu_segmenter::options::WordBreakInvariantOptions;
use icu_segmenter::{GraphemeClusterSegmenter, WordSegmenter};

use super::character::{self, is_opening, joins_words};

/// Letters; a longer run without a space is compared letter by letter.
const LONG_RUN: usize = 30;

/// Where the words are, in bytes. Punctuation belongs to the word it follows, or opens. White space belongs to none, all
/// else to one.
pub fn ranges(text: &str) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    for spaced in text.split_whitespace() {
        let at = spaced.as_ptr() as usize - text.as_ptr() as usize;
        if !spaced.contains(joins_words) {
            words.push(at..at + spaced.len());
            continue;
        }
        let first = words.len();
        let segmenter = WordSegmenter::new_auto(WordBreakInvariantOptions::default());
        let ends: Vec<usize> = segmenter.segment_str(spaced).collect();
        for pair in ends.windows(2) {
            let (start, end) = (pair[0], pair[1]);
            match words.last_mut().filter(|_| start > 0) {
                Some(word) if !is_between(spaced, start) => word.end = at + end,
                _ => words.push(at + start..at + end),
            }
        }
        debug_assert!(words.len() > first, "what is no space is in a word");
    }
    words
}

/// Whether a word ends at a place that the dictionary names: not where Latin goes on, nor at punctuation.
fn is_between(text: &str, at: usize) -> bool {
    let (Some(left), Some(right)) = (text[..at].chars().next_back(), text[at..].chars().next()) else { return true };
    (joins_words(left) || joins_words(right)) && !is_opening(left) && (right.is_alphanumeric() || is_opening(right))
}

/// The words themselves.
pub fn split(text: &str) -> Vec<&str> {
    ranges(text).into_iter().filter_map(|range| text.get(range)).collect()
}

/// How many words there are; punctuation alone is none.
pub fn count(text: &str) -> usize {
    split(text).into_iter().filter(|word| word.contains(char::is_alphanumeric)).count()
}

/// How long a word takes to say, in letters; every word has an onset, which counts as one more.
pub fn spoken_length(word: &str) -> f64 {
    word.chars().map(character::spoken_length).sum::<f64>() + 1.0
}

/// How long a text takes to say.
pub fn letters(text: &str) -> f64 {
    split(text).into_iter().map(spoken_length).sum()
}

/// What two texts are compared by: a word in lower case without its punctuation, or one character of a script without
/// spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Letters and digits in lower case.
    pub plain: String,
    /// Where it stands, in bytes.
    pub at: Range<usize>,
}

/// The text's units in order. Hyphens divide, apostrophes do not.
pub fn units(text: &str) -> Vec<Unit> {
    let mut units = Vec::new();
    for run in text.split(|c: char| !(c.is_alphanumeric() || joins_words(c) || matches!(c, '\'' | '’'))) {
        let at = run.as_ptr() as usize - text.as_ptr() as usize;
        let mut push = |range: Range<usize>| {
            let letters = text[range.clone()].chars().filter(|c| c.is_alphanumeric());
            let plain: String = letters.flat_map(char::to_lowercase).collect();
            if !plain.is_empty() {
                units.push(Unit { plain, at: range });
            }
        };
        if run.contains(joins_words) || run.chars().count() > LONG_RUN {
            let ends: Vec<usize> = GraphemeClusterSegmenter::new().segment_str(run).collect();
            ends.windows(2).for_each(|pair| push(at + pair[0]..at + pair[1]));
        } else {
            push(at..at + run.len());
        }
    }
    units
}

/// The units' letters, separated by spaces.
pub fn plain(text: &str) -> String {
    units(text).into_iter().map(|unit| unit.plain).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lie_between_spaces_or_in_the_dictionary() {
        assert_eq!(split(" Mr. Smith's  twenty-one "), ["Mr.", "Smith's", "twenty-one"]);
        assert_eq!(split("你好，「世界」。OK 吗?"), ["你好，", "「世界」。", "OK", "吗?"]);
        assert_eq!(split("ขอบคุณครับ สวัสดี"), ["ขอบ", "คุณ", "ครับ", "สวัสดี"]);
        assert_eq!(split("안녕하세요 세계"), ["안녕하세요", "세계"]);
        assert_eq!(split("ប្រទេសកម្ពុជា។"), ["ប្រទេស", "កម្ពុជា។"]);
    }

    #[test]
    fn words_are_counted_in_every_script() {
        let counts = ["We shall - fight.", "谢谢大家。", "ขอบคุณครับ", "नमस्ते दुनिया", ""].map(count);
        assert_eq!(counts, [3, 2, 3, 2, 0]);
    }

    #[test]
    fn texts_are_compared_by_words_and_by_characters() {
        assert_eq!(plain("Don't! Na-na, 1984"), "dont na na 1984");
        assert_eq!(plain("谢谢 大家。"), "谢 谢 大 家");
        assert_eq!(units(&"ha".repeat(100)).len(), 200);
    }

    #[test]
    fn nothing_but_space_is_left_out_whatever_the_text() {
        let alphabet = ['a', ' ', '好', 'ก', 'ี', '。', '(', '「', 'é', '\u{301}', 'ម', '្', '🙂', '\u{fffd}', '한'];
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..2_000 {
            let text: String = (0..random.usize(0..20)).filter_map(|_| random.choice(alphabet)).collect();
            let visible = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            assert_eq!(visible(&split(&text).concat()), visible(&text), "{text:?}");
            assert!(units(&text).iter().all(|unit| text.get(unit.at.clone()).is_some()), "{text:?}");
        }
    }
}
