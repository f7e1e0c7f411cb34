//! A text's last words said once more in no time: where the voice ends Whisper now and then begins again, as sure as before.
//! The measured times of those words show it: they all stand where the words before them end.

use std::collections::BTreeSet;
use std::ops::Range;

use super::repetition::{FASTEST, LONGEST};
use crate::audio::{SAMPLE_RATE_HZ, Window};
use crate::script::word;
use crate::transcribe::wire::WindowText;

/// Different words; of fewer people make a "yes, yes" or a "no, no, no, no".
const LEAST_WORDS: usize = 3;
/// Letters in a measured second, as [`word::letters`] counts them, that no voice comes near.
const IMPOSSIBLE: f64 = 4.0 * FASTEST;

/// The second round at the end of a window's text, in bytes with the white space before it: its words take no time, and the
/// voice that is left after the first has no room for them. `None` where there is none, nothing was measured, or it is numbers.
pub fn find(window: &Window, text: &WindowText) -> Option<Range<usize>> {
    let whole = text.text();
    let units = word::units(&whole);
    let is_again = |len: &usize| {
        let (before, last) = units.split_at(units.len() - len);
        before.iter().rev().zip(last.iter().rev()).take(*len).all(|(a, b)| a.plain == b.plain)
    };
    let most = LONGEST.min(units.len() / 2);
    let len = (LEAST_WORDS..=most).rev().find(is_again)?;
    let round: BTreeSet<&str> = units.iter().rev().take(len).map(|unit| unit.plain.as_str()).collect();
    // a digit that is dropped makes another number of it
    if round.len() < LEAST_WORDS || round.iter().any(|word| word.contains(char::is_numeric)) {
        return None;
    }
    let at = whole.get(..units.get(units.len() - len)?.at.start)?.trim_end().len()..whole.len();
    let letters = word::letters(whole.get(at.clone())?);
    let (begin, end) = said(text, &at)?;
    let voice_ends = window.spans.last().map_or(0, |span| span.window_start as u64 + span.len as u64);
    let left = voice_ends as f64 / f64::from(SAMPLE_RATE_HZ) - begin;
    (letters > IMPOSSIBLE * (end - begin) && letters > FASTEST * left).then_some(at)
}

/// When a part of the text was said, in seconds of the window; `None` where some of it was not measured.
fn said(text: &WindowText, part: &Range<usize>) -> Option<(f64, f64)> {
    let mut at = 0;
    let mut times: Option<(u32, u32)> = None;
    for piece in &text.pieces {
        at += piece.text.len();
        if at > part.start && piece.text.contains(char::is_alphanumeric) {
            let (begin, end) = piece.said?;
            times = Some(times.map_or((begin, end), |(first, last)| (first.min(begin), last.max(end))));
        }
    }
    times.map(|(begin, end)| (f64::from(begin) / 1000.0, f64::from(end) / 1000.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{Found, Span};
    use crate::transcribe::wire::Piece;

    fn window(secs: f64) -> Window {
        let len = (secs * f64::from(SAMPLE_RATE_HZ)) as usize;
        let spans = vec![Span { window_start: 0, source_start: 80_000, len }];
        Window { index: 0, channel: None, pcm: Vec::new(), spans, found: Found::Voice }
    }

    /// A sentence twice, each round within these milliseconds.
    fn twice(rounds: [(u32, u32); 2]) -> WindowText {
        said_twice(&[" He", " could", " wait", " no", " longer", "."], rounds)
    }

    fn said_twice(words: &[&str], rounds: [(u32, u32); 2]) -> WindowText {
        let pieces = rounds.into_iter().flat_map(|(begin, end)| {
            let at = move |word: usize| begin + (end - begin) * word as u32 / words.len() as u32;
            words.iter().enumerate().map(move |(word, text)| Piece {
                text: (*text).to_owned(),
                p: 0.98,
                said: Some((at(word), at(word + 1))),
            })
        });
        WindowText { pieces: pieces.collect(), ..WindowText::default() }
    }

    #[test]
    fn a_second_round_in_no_time_at_the_end_of_the_voice_is_found() {
        let said = twice([(95, 1330), (1330, 1340)]);
        assert_eq!(find(&window(1.7), &said), Some(25..50));
        assert_eq!(find(&window(0.0), &WindowText::default()), None);
    }

    #[test]
    fn what_somebody_says_twice_is_not() {
        // at its time, hastily, or where the times of both rounds are mixed up while there is voice enough
        for (secs, rounds) in
            [(3.0, [(95, 1330), (1500, 2700)]), (2.0, [(95, 900), (900, 1600)]), (3.2, [(95, 1330), (1330, 1340)])]
        {
            assert_eq!(find(&window(secs), &twice(rounds)), None, "{rounds:?}");
        }
        let mut unmeasured = twice([(95, 1330), (1330, 1340)]);
        unmeasured.pieces.iter_mut().for_each(|piece| piece.said = None);
        assert_eq!(find(&window(1.7), &unmeasured), None);
    }

    #[test]
    fn digits_and_a_word_over_and_over_stay_whatever_their_times() {
        let in_no_time = [(95, 1330), (1330, 1331)];
        for words in [
            [" 1111", " 2345", " 6789", " 0123"],
            [" room", " seventy", " two", " 7"],
            [" no,", " no,", " no,", " no,"],
            [" very", " very", " very", " cold"],
        ] {
            assert_eq!(find(&window(1.4), &said_twice(&words, in_no_time)), None, "{words:?}");
        }
        assert!(find(&window(1.4), &said_twice(&[" he", " was", " very", " cold"], in_no_time)).is_some());
    }
}
