//! Words and their times; scripts that write without spaces are split by characters.

use super::tidy::probability;
use super::{Segment, Word, round_ms};

/// Columns between two words on a line: one, or none where a script writes without spaces.
pub fn gap(left: &str, right: &str) -> usize {
    let unspaced = |c: Option<char>| c.is_none_or(is_unspaced);
    if unspaced(left.chars().next_back()) || unspaced(right.chars().next()) { 0 } else { 1 }
}

/// The texts on one line, with spaces where their scripts have them.
pub fn join<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut line = String::new();
    for text in texts {
        if gap(&line, text) == 1 {
            line.push(' ');
        }
        line.push_str(text);
    }
    line
}

/// Columns of a text in a terminal or subtitle: two for a character of a script without spaces, none for a mark that
/// sits on its neighbour.
pub fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// Columns of one character.
pub fn columns(c: char) -> usize {
    match c {
        _ if is_mark(c) => 0,
        _ if is_unspaced(c) => 2,
        _ => 1,
    }
}

/// The segment's words with their times. Where the engine gave none, the segment's time is spread over its words in
/// proportion to their characters, and each has the segment's mean probability.
pub fn timed(segment: &Segment) -> Vec<Word> {
    if !segment.words.is_empty() {
        return segment.words.clone();
    }
    let probability = probability(segment.avg_logprob.exp());
    spread(split(&segment.text), segment.start, segment.end, probability)
}

/// The texts as words that fill the time from `start` to `end` (seconds) in proportion to their characters.
pub fn spread(texts: Vec<String>, start: f64, end: f64, probability: f64) -> Vec<Word> {
    let total: usize = texts.iter().map(|text| text.chars().count()).sum();
    let mut passed = 0;
    let at = |passed: usize| round_ms(start + (end - start) * passed as f64 / total.max(1) as f64);
    let word = |text: String| {
        let from = passed;
        passed += text.chars().count();
        Word { start: at(from), end: at(passed), word: text, probability }
    };
    texts.into_iter().map(word).collect()
}

/// Words as separated by white space, and single characters where a script has none. Closing punctuation stays with what
/// it follows, opening punctuation with what it precedes.
fn split(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for spaced in text.split_whitespace() {
        let mut previous: Option<char> = None;
        for c in spaced.chars() {
            let between = previous.is_none_or(|left| {
                (is_unspaced(left) || is_unspaced(c)) && !is_opening(left) && (c.is_alphanumeric() || is_opening(c))
            });
            match words.last_mut() {
                Some(word) if !between || is_mark(c) => word.push(c),
                _ => words.push(c.to_string()),
            }
            previous = Some(c);
        }
    }
    words
}

/// Han, kana, their punctuation and full-width forms: written without spaces, broken anywhere. Thai and its neighbours
/// are left out, since they cannot be broken without a dictionary.
fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c), 0x2E80..=0x30FF | 0x3100..=0x312F | 0x31A0..=0x31FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF
        | 0xF900..=0xFAFF | 0xFE30..=0xFE4F | 0xFF00..=0xFF60 | 0x20000..=0x3FFFF)
}

fn is_opening(c: char) -> bool {
    matches!(c, '(' | '[' | '{' | '«' | '“' | '‘' | '「' | '『' | '（' | '【' | '《' | '〈' | '［')
}

/// Combining marks of Latin, Thai, Lao and kana, joiners and variation selectors: never at the start of a line.
fn is_mark(c: char) -> bool {
    matches!(u32::from(c), 0x0300..=0x036F | 0x0E31 | 0x0E34..=0x0E3A | 0x0E47..=0x0E4E | 0x0EB1 | 0x0EB4..=0x0EBC
        | 0x0EC8..=0x0ECD | 0x200D | 0x3099..=0x309A | 0xFE00..=0xFE0F)
}

/// The word in pieces of at most `max_columns`, cut between characters but never before a mark.
pub fn pieces(word: Word, max_columns: usize) -> Vec<Word> {
    if width(&word.word) <= max_columns {
        return vec![word];
    }
    let mut texts = Vec::new();
    let (mut piece, mut used) = (String::new(), 0);
    for c in word.word.chars() {
        if used + columns(c) > max_columns {
            texts.push(std::mem::take(&mut piece));
            used = 0;
        }
        piece.push(c);
        used += columns(c);
    }
    texts.push(piece);
    spread(texts, word.start, word.end, word.probability)
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
    fn text_without_spaces_is_split_by_characters_with_its_punctuation() {
        let texts: Vec<_> = timed(&segment("你好，「世界」。OK 吗?")).into_iter().map(|word| word.word).collect();
        assert_eq!(texts, ["你", "好，", "「世", "界」。", "OK", "吗?"]);
        assert_eq!(join(texts.iter().map(String::as_str)), "你好，「世界」。OK吗?");
    }

    #[test]
    fn words_of_spaced_scripts_keep_their_spaces_and_hangul_is_one_of_them() {
        assert_eq!(join(["Grüß", "Gott,", "안녕", "하세요"]), "Grüß Gott, 안녕 하세요");
    }

    #[test]
    fn a_mark_is_never_parted_from_its_letter() {
        let thai = Word { start: 0.0, end: 1.0, word: "ที่นี่".to_owned(), probability: 1.0 };
        for piece in pieces(thai, 1) {
            assert!(piece.word.chars().next().is_some_and(|c| !is_mark(c)), "{}", piece.word);
        }
    }
}
