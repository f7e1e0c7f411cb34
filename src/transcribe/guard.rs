//! Doubts about a window's text: Whisper invents phrases where there is no speech and repeats itself when it is lost.

use super::wire::{Piece, WindowText};

/// What becomes of a window's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It stands.
    Keep,
    /// Nobody said that.
    Drop,
    /// Look again under other parameters.
    Retry,
}

/// Share of letters and digits among the characters that are no spaces, below which a text is no language.
const MIN_LETTERS: f64 = 0.5;
/// Whisper's own threshold for "no speech".
const NO_SPEECH_PROB: f32 = 0.6;
/// Below it, text in a window that is probably no speech is invented.
const DOUBTFUL_LOGPROB: f32 = -0.7;
/// Below it the engine did not understand the window (Whisper's own threshold for a fallback).
const LOST_LOGPROB: f32 = -1.0;
/// Nobody speaks more characters in a second of voice (auctioneers reach 35).
const MAX_CHARS_PER_SEC: f64 = 40.0;
/// A run of words that stands so often in a row is a loop.
const LOOP_REPEATS: usize = 4;
/// Longest run of words looked for.
const LOOP_WORDS: usize = 12;
/// Of a loop so much is kept.
const KEPT_REPEATS: usize = 2;

/// What Whisper says on silence and noise, mostly from the ends of the videos it was trained on. Dropped only where
/// the window is doubtful too.
const PHANTOMS: [&str; 18] = [
    "thank you",
    "thank you very much",
    "thank you for watching",
    "thanks for watching",
    "thank you so much",
    "please subscribe",
    "subscribe to my channel",
    "like and subscribe",
    "see you next time",
    "see you in the next video",
    "bye",
    "bye bye",
    "you",
    "the end",
    "okay",
    "oh",
    "sous titres realises par la communaute d amara org",
    "untertitel der amara org community",
];

/// Judges the text of a window with `speech_secs` of voice in it.
pub fn judge(text: &WindowText, speech_secs: f64, is_second_look: bool) -> Verdict {
    let raw = text.text();
    let plain = normalise(&raw);
    if plain.is_empty() || letters(&raw) < MIN_LETTERS {
        // a hum comes out as brackets and dashes
        return if raw.trim().is_empty() { Verdict::Keep } else { Verdict::Drop };
    }
    if text.no_speech_prob > NO_SPEECH_PROB && text.avg_logprob < DOUBTFUL_LOGPROB {
        return Verdict::Drop;
    }
    let doubtful = text.no_speech_prob > 0.3 || text.avg_logprob < -0.6;
    if doubtful && PHANTOMS.contains(&plain.as_str()) {
        return Verdict::Drop;
    }
    let words: Vec<&str> = plain.split(' ').collect();
    let too_fast = plain.chars().count() as f64 > MAX_CHARS_PER_SEC * speech_secs.max(0.5);
    let lost = text.avg_logprob < LOST_LOGPROB;
    if !is_second_look && (lost || too_fast || find_loop(&words).is_some()) {
        return Verdict::Retry;
    }
    if too_fast && text.avg_logprob < DOUBTFUL_LOGPROB { Verdict::Drop } else { Verdict::Keep }
}

/// Takes out what is no speech: annotations such as `[MUSIC]`, `(applause)` and `♪`, and all but the first rounds of a
/// loop.
pub fn clean(text: WindowText) -> WindowText {
    let pieces = collapse_loops(without_annotations(text.pieces));
    WindowText { pieces, ..text }
}

/// The texts of a window's parts as the window's, whose language and no-speech probability stand.
pub fn join(whole: WindowText, parts: impl Iterator<Item = WindowText>) -> WindowText {
    let mut joined = WindowText { pieces: Vec::new(), ..whole };
    let mut log_probs = 0.0;
    for part in parts {
        log_probs += part.avg_logprob * part.pieces.len() as f32;
        joined.pieces.extend(part.pieces);
        joined.busy_ms = joined.busy_ms.saturating_add(part.busy_ms);
    }
    joined.avg_logprob = log_probs / joined.pieces.len().max(1) as f32;
    joined
}

fn without_annotations(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut kept = Vec::with_capacity(pieces.len());
    let mut open: Option<(char, Vec<Piece>)> = None;
    for mut piece in pieces {
        piece.text.retain(|c| !matches!(c, '♪' | '♫' | '♬'));
        match &mut open {
            None => match piece.text.trim_start().chars().next().and_then(closing) {
                Some(close) if piece.text.contains(close) => {}
                Some(close) => open = Some((close, vec![piece])),
                None => kept.push(piece),
            },
            Some((close, held)) => {
                let closes = piece.text.contains(*close);
                held.push(piece);
                if closes {
                    open = None;
                }
            }
        }
    }
    // what never closes is no annotation
    kept.extend(open.into_iter().flat_map(|(_, held)| held));
    kept.retain(|piece| !piece.text.is_empty());
    kept
}

fn closing(open: char) -> Option<char> {
    match open {
        '[' => Some(']'),
        '(' => Some(')'),
        '（' => Some('）'),
        '【' => Some('】'),
        _ => None,
    }
}

fn collapse_loops(mut pieces: Vec<Piece>) -> Vec<Piece> {
    loop {
        let words = word_ranges(&pieces);
        let plain: Vec<String> = words
            .iter()
            .map(|r| normalise(&pieces[r.clone()].iter().map(|p| p.text.as_str()).collect::<String>()))
            .collect();
        let plain: Vec<&str> = plain.iter().map(String::as_str).collect();
        let Some(found) = find_loop(&plain) else { return pieces };
        let from = words[found.start + found.len * KEPT_REPEATS].start;
        let to = words.get(found.start + found.len * found.repeats).map_or(pieces.len(), |word| word.start);
        pieces.drain(from..to);
    }
}

fn word_ranges(pieces: &[Piece]) -> Vec<std::ops::Range<usize>> {
    let mut starts: Vec<usize> =
        pieces.iter().enumerate().filter(|(i, p)| *i == 0 || p.text.starts_with(' ')).map(|(i, _)| i).collect();
    starts.push(pieces.len());
    starts.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

struct Loop {
    start: usize,
    len: usize,
    repeats: usize,
}

/// The first run of words that stands [`LOOP_REPEATS`] times or more in a row. Single words need twice as many: "no,
/// no, no, no" is something people say.
fn find_loop(words: &[&str]) -> Option<Loop> {
    for start in 0..words.len() {
        for len in 1..=LOOP_WORDS.min((words.len() - start) / LOOP_REPEATS) {
            let round = &words[start..start + len];
            let repeats = words[start..].chunks_exact(len).take_while(|chunk| *chunk == round).count();
            let needed = if len == 1 { 2 * LOOP_REPEATS } else { LOOP_REPEATS };
            if repeats >= needed && round.iter().any(|word| !word.is_empty()) {
                return Some(Loop { start, len, repeats });
            }
        }
    }
    None
}

fn letters(text: &str) -> f64 {
    let visible = text.chars().filter(|c| !c.is_whitespace()).count();
    let letters = text.chars().filter(|c| c.is_alphanumeric()).count();
    letters as f64 / visible.max(1) as f64
}

/// Lower case letters and digits, words separated by one space.
fn normalise(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect();
    plain.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(text: &str, no_speech_prob: f32, avg_logprob: f32) -> WindowText {
        let pieces = text.split_inclusive(' ').map(|w| Piece { text: format!(" {}", w.trim()), p: 0.9 }).collect();
        WindowText { pieces, no_speech_prob, avg_logprob, ..Default::default() }
    }

    #[test]
    fn a_phantom_phrase_is_dropped_only_where_the_window_is_doubtful() {
        assert_eq!(judge(&heard("Thank you.", 0.5, -0.4), 1.0, false), Verdict::Drop);
        assert_eq!(judge(&heard("Thank you.", 0.01, -0.1), 1.0, false), Verdict::Keep);
    }

    #[test]
    fn a_loop_is_looked_at_again_and_then_collapsed() {
        let looped = heard(&["so I said"; 9].join(" "), 0.0, -0.2);
        assert_eq!(judge(&looped, 10.0, false), Verdict::Retry);
        assert_eq!(judge(&looped, 10.0, true), Verdict::Keep);
        assert_eq!(clean(looped).text(), " so I said so I said");
    }

    #[test]
    fn what_people_really_repeat_stands() {
        let said = heard("no, no, no, no, it is very very very cold and cold and cold", 0.0, -0.2);
        assert_eq!(judge(&said, 5.0, false), Verdict::Keep);
        assert_eq!(clean(said.clone()), said);
    }

    #[test]
    fn annotations_go_and_words_stay() {
        assert_eq!(clean(heard("[MUSIC PLAYING]", 0.0, -0.1)).text(), "");
        assert_eq!(clean(heard("(upbeat music) Hello ♪ there", 0.0, -0.1)).text(), " Hello  there");
        assert_eq!(clean(heard("an (unclosed remark", 0.0, -0.1)).text(), " an (unclosed remark");
    }

    #[test]
    fn a_hum_written_as_brackets_is_dropped() {
        assert_eq!(judge(&heard("( ( ( ( M ( ( L ( (", 0.1, -0.3), 4.0, false), Verdict::Drop);
    }

    #[test]
    fn more_words_than_anyone_can_speak_are_looked_at_again() {
        let text = "the quick brown fox jumps over the lazy dog and runs away from here";
        assert_eq!(judge(&heard(text, 0.0, -0.2), 1.0, false), Verdict::Retry);
    }
}
