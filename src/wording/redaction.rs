//! What is private is taken out of all that is written: numbers and addresses by their patterns, as people write and as they
//! say them ("four one double one", "ann dot lee at example dot com").

use std::ops::Range;

use crate::job::wording::Private;
use crate::script::{line, word};
use crate::transcript::{Mark, MarkKind, Segment, Word, words};
use code::Codes;

mod card;
mod code;
mod email;
mod iban;
mod national;
mod phone;

/// Stands where something may have been private, in text that is kept only to be looked at.
const BLACK: &str = "[REDACTED]";

/// Words at either end of a window within which a number may go on in the next one.
const BORDER_WORDS: usize = 2;

/// Digits of a group beside a number that belong to it: a year, a card's last day or its code.
const MOST_OF_A_GROUP: usize = 4;

/// A run of words, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Indices of the words.
    pub words: Range<usize>,
    /// What they are.
    pub kind: Private,
}

/// What of `wanted` is among the words, in order; no two overlap. What has a checksum goes first, telephone numbers last.
pub fn find(words: &[&str], wanted: &[Private]) -> Vec<Finding> {
    let codes = Codes::of(words);
    let mut taken = vec![false; words.len()];
    let mut findings = Vec::new();
    for kind in [Private::Email, Private::Iban, Private::CardNumber, Private::NationalId, Private::Phone] {
        if !wanted.contains(&kind) {
            continue;
        }
        let mut at = 0;
        while at < words.len() {
            let free = taken.get(at..).map_or(0, |rest| rest.iter().take_while(|taken| !**taken).count());
            let found = match kind {
                Private::Email => email::at(words, at, free),
                Private::Iban => codes.longest(at, free, iban::is_iban),
                Private::CardNumber => codes.longest(at, free, card::is_card),
                Private::NationalId if is_no_person(words, at) => None,
                Private::NationalId => codes
                    .longest(at, free, national::is_national)
                    .or_else(|| codes.longest_shaped(at, free, national::is_social_security))
                    .or_else(|| written_social_security(words, at, free)),
                Private::Phone => {
                    let is_free = at.checked_sub(1).and_then(|before| taken.get(before)).is_some_and(|taken| !taken);
                    phone::at(words, &codes, at, free, is_free)
                }
            };
            let found = found.map(|range| match kind {
                Private::Email | Private::Phone => range,
                _ => in_one_breath(words, &codes, &taken, range),
            });
            match found {
                Some(range) => {
                    taken.iter_mut().take(range.end).skip(range.start).for_each(|taken| *taken = true);
                    at = range.end.max(at + 1);
                    findings.push(Finding { words: range, kind });
                }
                None => at += 1,
            }
        }
    }
    findings.sort_by_key(|finding| finding.words.start);
    findings
}

/// A number, and the short groups of digits just before and after it: what was misheard of its digits, or is a card's other
/// numbers.
fn in_one_breath(words: &[&str], codes: &Codes, taken: &[bool], number: Range<usize>) -> Range<usize> {
    let ends = |at: usize| words.get(at).is_none_or(|word| word.ends_with(['.', '!', '?']));
    let is_group = |at: usize| {
        let is_short =
            codes.get(at).is_some_and(|code| (1..=MOST_OF_A_GROUP).contains(&code.len()) && code::is_digits(code));
        let is_written = words.get(at).is_some_and(|word| word.contains(char::is_numeric));
        is_short && is_written && taken.get(at) == Some(&false) && !phone::is_amount(words, at)
    };
    let Range { mut start, mut end } = number;
    while start > 0 && is_group(start - 1) && !ends(start - 1) {
        start -= 1;
    }
    while !ends(end - 1) && is_group(end) {
        end += 1;
    }
    start..end
}

/// Whether a word begins a telephone number, with a plus or a parenthesis, or is an amount.
fn is_no_person(words: &[&str], at: usize) -> bool {
    words.get(at).is_some_and(|word| word.starts_with(['+', '('])) || phone::is_amount(words, at)
}

/// A Social Security number in one piece: its hyphens are what it is known by.
fn written_social_security(words: &[&str], at: usize, free: usize) -> Option<Range<usize>> {
    let written = words.get(at)?.trim_matches(|c: char| !c.is_ascii_digit());
    (free > 0 && national::is_social_security(written)).then_some(at..at + 1)
}

/// Puts a tag in the place of each finding, in all segments of a channel as one text: a number may go on in the next
/// segment. The passages, in order of start.
pub fn redact(segments: &mut Vec<Segment>, wanted: &[Private]) -> Vec<Mark> {
    let mut channels: Vec<_> = segments.iter().map(|segment| segment.channel).collect();
    channels.sort_unstable();
    channels.dedup();
    let mut marks: Vec<Mark> =
        channels.into_iter().flat_map(|channel| redact_channel(segments, channel, wanted)).collect();
    segments.retain(|segment| !segment.text.is_empty());
    marks.sort_by(|a, b| a.start.total_cmp(&b.start));
    marks
}

fn redact_channel(segments: &mut [Segment], channel: Option<u16>, wanted: &[Private]) -> Vec<Mark> {
    let spoken: Vec<(usize, Vec<Word>)> = segments
        .iter()
        .enumerate()
        .filter(|(_, segment)| segment.channel == channel)
        .map(|(at, segment)| (at, words::timed(segment)))
        .collect();
    let all: Vec<&Word> = spoken.iter().flat_map(|(_, words)| words).collect();
    let texts: Vec<&str> = all.iter().map(|word| word.word.as_str()).collect();
    let findings = find(&texts, wanted);
    let marks = findings.iter().filter_map(|finding| {
        let (first, last) = (all.get(finding.words.start)?, all.get(finding.words.end.checked_sub(1)?)?);
        Some(Mark { start: first.start, end: last.end, kind: MarkKind::of(finding.kind), channel })
    });
    let marks: Vec<Mark> = marks.collect();
    let mut first = 0;
    for (at, words) in &spoken {
        let own = first..first + words.len();
        first = own.end;
        let parts = findings.iter().filter(|finding| finding.words.start < own.end && own.start < finding.words.end);
        let parts: Vec<Finding> = parts
            .map(|finding| {
                let words = finding.words.start.max(own.start) - own.start..finding.words.end.min(own.end) - own.start;
                Finding { words, kind: finding.kind }
            })
            .collect();
        if let Some(segment) = segments.get_mut(*at).filter(|_| !parts.is_empty()) {
            put_tags(segment, words, &parts);
        }
    }
    marks
}

/// Puts the tags into one segment.
fn put_tags(segment: &mut Segment, words: &[Word], parts: &[Finding]) {
    let spaces = line::spaces(&segment.text, words.iter().map(|word| word.word.as_str()));
    let (mut text, mut kept): (String, Vec<Word>) = (String::new(), Vec::new());
    for (at, (word, space)) in words.iter().zip(spaces).enumerate() {
        let part = parts.iter().find(|part| part.words.contains(&at));
        match (part, kept.last_mut()) {
            (Some(part), Some(tag)) if part.words.start < at => {
                tag.end = word.end;
                if at + 1 == part.words.end {
                    tag.word.push_str(marks_after(&word.word));
                    text.push_str(marks_after(&word.word));
                }
            }
            (part, _) => {
                let written = part.map_or(word.word.clone(), |part| {
                    let after = if part.words.len() == 1 { marks_after(&word.word) } else { "" };
                    format!("{}{after}", part.kind.tag())
                });
                if space && !text.is_empty() {
                    text.push(' ');
                }
                text.push_str(&written);
                kept.push(Word { word: written, ..word.clone() });
            }
        }
    }
    segment.text = text;
    segment.words = kept;
}

/// The signs that end a word and are none of what it says.
fn marks_after(word: &str) -> &str {
    let said = word.trim_end_matches(['.', ',', '!', '?', ';', ':', '…', '。', '，', '！', '？']);
    word.get(said.len()..).unwrap_or_default()
}

/// A text by itself without what is private: what a prompt or a list of terms says.
pub fn redact_text(text: &str, wanted: &[Private]) -> String {
    let mut segments = vec![Segment { text: text.to_owned(), ..Segment::default() }];
    match redact(&mut segments, wanted).is_empty() {
        true => text.to_owned(),
        false => segments.into_iter().map(|segment| segment.text).collect(),
    }
}

/// A text that is kept only to be looked at, without anything that may be a part of what is private: what was misheard has no
/// checksum.
pub fn blacken(text: &str, wanted: &[Private]) -> String {
    if wanted.is_empty() {
        return text.to_owned();
    }
    let redacted = redact_text(text, wanted);
    let words = word::split(&redacted);
    let codes = Codes::of(&words);
    let is_black = |at: usize, word: &str| word.contains('@') || holds_digits(&codes, at, word);
    let kept = words.iter().enumerate().map(|(at, word)| if is_black(at, word) { BLACK } else { word });
    line::join(kept)
}

/// Whether a word is digits, said or written: also more of them than any number has.
fn holds_digits(codes: &Codes, at: usize, word: &str) -> bool {
    codes.has_digits(at) || word.contains(char::is_numeric)
}

/// Whether a window's text may be kept by itself: nothing is found in it, and it neither begins nor ends amid what may be a
/// part of something.
pub fn is_clean(text: &str, wanted: &[Private]) -> bool {
    if wanted.is_empty() {
        return true;
    }
    let words = word::split(text);
    let codes = Codes::of(&words);
    let is_part = |at: usize| words.get(at).is_some_and(|word| holds_digits(&codes, at, word) || email::is_part(word));
    let last = words.len().saturating_sub(BORDER_WORDS);
    let borders = (0..BORDER_WORDS.min(words.len())).chain(last..words.len());
    find(&words, wanted).is_empty() && !borders.into_iter().any(is_part)
}

#[cfg(test)]
mod tests;
