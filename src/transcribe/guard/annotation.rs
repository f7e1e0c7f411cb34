//! Descriptions of sounds: `[MUSIC]`, `(applause)`, `♪`. Whisper writes them between sentences; what people say in
//! parentheses, such as telephone numbers and "401(k)", stands within one.

use std::ops::Range;

use crate::script::sentence;

/// Characters; what is longer is something that was said.
const LONGEST: usize = 80;

/// Where annotations are, in bytes, each with the white space before it.
pub fn find(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let begun = found.last().map_or(0, |last| last.end);
        let end = at + c.len_utf8();
        at = match annotation(text, begun, at) {
            Some(end) => {
                found.push(begun + text[begun..at].trim_end().len()..end);
                end
            }
            None => end,
        };
    }
    found
}

/// Where the annotation that begins at `at` ends; `None` where none does. `begun` is the end of the one before.
fn annotation(text: &str, begun: usize, at: usize) -> Option<usize> {
    let rest = &text[at..];
    let open = rest.chars().next()?;
    let close = match open {
        '♪' | '♫' | '♬' | '♩' => return Some(at + open.len_utf8()),
        '[' => ']',
        '【' => '】',
        '(' => ')',
        '（' => '）',
        _ => return None,
    };
    let end = at + rest.find(close)? + close.len_utf8();
    let inside = text.get(at + open.len_utf8()..end - close.len_utf8())?;
    // a number was said, and so was what has brackets of its own
    if inside.contains(char::is_numeric) || inside.contains(open) || inside.chars().count() > LONGEST {
        return None;
    }
    // people do not speak square brackets, wherever they stand
    let between = matches!(open, '[' | '【') || stands_alone(&text[begun..at], &text[end..]);
    between.then_some(end)
}

/// Whether what stands between these two is no part of their sentences.
fn stands_alone(before: &str, after: &str) -> bool {
    let (before, after) = (before.trim_end(), after.trim_start());
    let ended = before.is_empty() || sentence::is_ended(before) || before.ends_with(['♪', '♫']);
    // a full stop of its own belongs to it
    let after = after.trim_start_matches(['.', ',', ' ']);
    ended && after.chars().next().is_none_or(|next| !next.is_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(text: &str) -> String {
        let mut kept = text.to_owned();
        find(text).into_iter().rev().for_each(|range| kept.replace_range(range, ""));
        kept
    }

    #[test]
    fn what_is_said_in_brackets_stands() {
        let said = [
            " Please call (800) 555-1234 or +1 (212) 555-0199 before noon, that is option (b).",
            " your 401(k) and a 501(c)(3), f(x) and (d/dx)f",
            " The FBI (Federal Bureau of Investigation) said so.",
            " an (unclosed remark",
            " He left (we think) at noon. (and so did she) they say.",
        ];
        for text in said {
            assert_eq!(without(text), text);
        }
    }

    #[test]
    fn descriptions_of_sounds_go() {
        assert_eq!(without("[MUSIC PLAYING]"), "");
        assert_eq!(without(" (upbeat music) Hello ♪ there [coughs] you."), " Hello there you.");
        assert_eq!(without(" So we left. (Laughter) Then we came back. (applause)"), " So we left. Then we came back.");
        assert_eq!(without("（音楽）こんにちは【拍手】"), "こんにちは");
        assert_eq!(without(" [ Pause ] (sighs)"), "");
    }
}
