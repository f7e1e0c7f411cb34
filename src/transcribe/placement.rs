//! Where in time a window's words lie. The engine gives text without times (see `engine::whisper`); the window's speech
//! spans say where voice is. Words are laid over the spans in proportion to their length, so that the runs of words
//! between pauses fit the spans' lengths best and sentences end at pauses: a dynamic programme over pauses and words.

use crate::audio::{SAMPLE_RATE_HZ, Span, Window};
use crate::transcript::{Segment, Word};

use super::wire::{Piece, WindowText};

/// Pauses shorter than this are stops inside words: they divide nothing.
const MIN_PAUSE_SECS: f64 = 0.18;
/// A sentence does not go on over a pause of this length.
const SEGMENT_PAUSE_SECS: f64 = 1.2;
/// A segment without a sentence's end is cut at the next comma or pause after this.
const LONG_SEGMENT_SECS: f64 = 12.0;
/// Cost of a pause inside a sentence, where no punctuation calls for one, per second of pause.
const UNPUNCTUATED_PAUSE_COST: f64 = 2.5;
/// Cost of a sentence's end without a pause.
const UNPAUSED_STOP_COST: f64 = 0.6;

/// A run of voice in source time.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Run {
    start: f64,
    end: f64,
}

impl Run {
    fn secs(&self) -> f64 {
        self.end - self.start
    }
}

/// A word before it has a time.
struct Token {
    text: String,
    p_sum: f64,
    log_sum: f64,
    pieces: f64,
    weight: f64,
}

/// The window's text as segments with times in the source, words included.
pub fn place(window: &Window, text: &WindowText) -> Vec<Segment> {
    let tokens = words_of(&text.pieces);
    let runs = runs_of(&window.spans);
    if tokens.is_empty() || runs.is_empty() {
        return Vec::new();
    }
    let words = lay_out(&tokens, &runs);
    segments_of(&tokens, words, window.channel, f64::from(text.no_speech_prob))
}

fn runs_of(spans: &[Span]) -> Vec<Run> {
    let rate = f64::from(SAMPLE_RATE_HZ);
    let mut runs: Vec<Run> = Vec::new();
    for span in spans {
        let (start, end) = (span.source_start as f64 / rate, (span.source_start + span.len as u64) as f64 / rate);
        match runs.last_mut() {
            Some(last) if start - last.end < MIN_PAUSE_SECS => last.end = end,
            _ => runs.push(Run { start, end }),
        }
    }
    runs
}

fn words_of(pieces: &[Piece]) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for piece in pieces {
        let begins = piece.text.starts_with(char::is_whitespace)
            || piece.text.chars().any(stands_alone) && !piece.text.chars().all(is_punctuation);
        if begins || tokens.is_empty() {
            tokens.push(Token { text: String::new(), p_sum: 0.0, log_sum: 0.0, pieces: 0.0, weight: 0.0 });
        }
        if let Some(token) = tokens.last_mut() {
            token.text.push_str(&piece.text);
            token.p_sum += f64::from(piece.p);
            token.log_sum += f64::from(piece.p.max(1e-6)).ln();
            token.pieces += 1.0;
        }
    }
    tokens.retain(|token| !token.text.trim().is_empty());
    for token in &mut tokens {
        token.weight = spoken_length(&token.text);
    }
    tokens
}

/// Scripts that write words without spaces: each character is placed by itself.
fn stands_alone(c: char) -> bool {
    matches!(u32::from(c), 0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x2ffff | 0x0e00..=0x0eff)
}

fn is_punctuation(c: char) -> bool {
    !c.is_alphanumeric() && !c.is_whitespace()
}

/// How long a word takes to say, in letters: digits are read out as words, CJK characters are syllables, and every word
/// has an onset.
fn spoken_length(word: &str) -> f64 {
    let letters: f64 = word
        .chars()
        .map(|c| match c {
            c if c.is_ascii_digit() => 4.0,
            '%' | '$' | '€' | '£' | '&' | '+' => 5.0,
            c if stands_alone(c) => 2.5,
            c if c.is_alphanumeric() => 1.0,
            _ => 0.0,
        })
        .sum();
    letters + 1.0
}

/// How much a text is to say: letters, with one more for each word, as the words' lengths are reckoned.
pub fn letters(pieces: &[Piece]) -> u32 {
    words_of(pieces).iter().map(|token| token.weight).sum::<f64>() as u32
}

fn ends_sentence(word: &str) -> bool {
    word.trim_end_matches(['"', '\'', '”', '’', ')', ']', '»']).ends_with(['.', '?', '!', '…', '。', '？', '！'])
}

fn ends_clause(word: &str) -> bool {
    word.ends_with([',', ';', ':', '—', '–', '、', '，', '；'])
}

/// Start and end of each token, in source seconds.
fn lay_out(tokens: &[Token], runs: &[Run]) -> Vec<(f64, f64)> {
    let bounds = divide(tokens, runs);
    let mut times = Vec::with_capacity(tokens.len());
    for (run, pair) in runs.iter().zip(bounds.windows(2)) {
        let group = tokens.get(pair[0]..pair[1]).unwrap_or_default();
        let total: f64 = group.iter().map(|token| token.weight).sum();
        let mut at = run.start;
        for token in group {
            let next = at + run.secs() * token.weight / total.max(1.0);
            times.push((at, next.min(run.end)));
            at = next;
        }
    }
    times
}

/// Which words each run holds: `bounds[k]..bounds[k + 1]` are those of run k.
fn divide(tokens: &[Token], runs: &[Run]) -> Vec<usize> {
    let words = tokens.len();
    let mut said = vec![0.0; words + 1];
    for (i, token) in tokens.iter().enumerate() {
        said[i + 1] = said[i] + token.weight;
    }
    let secs_per_letter = runs.iter().map(Run::secs).sum::<f64>() / said[words].max(1.0);
    // cost[j]: best cost of having said the first j words by the end of the run at hand
    let mut cost = vec![f64::INFINITY; words + 1];
    cost[0] = 0.0;
    let mut came_from = Vec::with_capacity(runs.len());
    for (k, run) in runs.iter().enumerate() {
        let pause = runs.get(k + 1).map(|next| next.start - run.end);
        let mut next_cost = vec![f64::INFINITY; words + 1];
        let mut from = vec![0; words + 1];
        for j in 0..=words {
            if pause.is_none() && j < words {
                continue;
            }
            let boundary = boundary_cost(tokens, j, pause);
            let mut unpaused = 0.0;
            for i in (0..=j).rev() {
                // a sentence that ends inside the run has no pause after it
                if i + 1 < j && ends_sentence(&tokens[i].text) {
                    unpaused += UNPAUSED_STOP_COST;
                }
                let expected = (said[j] - said[i]) * secs_per_letter;
                let off = expected - run.secs();
                let fit = off * off / (0.05 + 0.15 * (expected + run.secs()));
                let total = cost[i] + fit + boundary + unpaused;
                if total < next_cost[j] {
                    next_cost[j] = total;
                    from[j] = i;
                }
            }
        }
        cost = next_cost;
        came_from.push(from);
    }
    let mut bounds = vec![words];
    for from in came_from.iter().rev() {
        let last = bounds[bounds.len() - 1];
        bounds.push(from[last]);
    }
    bounds.reverse();
    bounds
}

fn boundary_cost(tokens: &[Token], j: usize, pause: Option<f64>) -> f64 {
    let (Some(pause), Some(word)) = (pause, j.checked_sub(1).and_then(|i| tokens.get(i))) else { return 0.0 };
    let calls_for = if ends_sentence(&word.text) {
        0.0
    } else if ends_clause(&word.text) {
        0.3
    } else {
        1.0
    };
    calls_for * UNPUNCTUATED_PAUSE_COST * pause.min(1.0)
}

fn segments_of(tokens: &[Token], times: Vec<(f64, f64)>, channel: Option<u16>, no_speech_prob: f64) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut first = 0;
    for (i, token) in tokens.iter().enumerate() {
        let last = i + 1 == tokens.len();
        let pause = times.get(i + 1).map_or(0.0, |next| next.0 - times[i].1);
        let long = times[i].1 - times[first].0 > LONG_SEGMENT_SECS;
        let cut = ends_sentence(&token.text)
            || pause >= SEGMENT_PAUSE_SECS
            || long && (ends_clause(&token.text) || pause >= MIN_PAUSE_SECS);
        if !last && !cut {
            continue;
        }
        let group = &tokens[first..=i];
        let words: Vec<Word> = group
            .iter()
            .zip(&times[first..=i])
            .map(|(token, (start, end))| Word {
                start: *start,
                end: *end,
                word: token.text.trim().to_owned(),
                probability: token.p_sum / token.pieces.max(1.0),
            })
            .collect();
        let pieces: f64 = group.iter().map(|token| token.pieces).sum();
        segments.push(Segment {
            start: times[first].0,
            end: times[i].1,
            text: group.iter().map(|token| token.text.as_str()).collect::<String>().trim().to_owned(),
            words,
            avg_logprob: group.iter().map(|token| token.log_sum).sum::<f64>() / pieces.max(1.0),
            no_speech_prob,
            channel,
        });
        first = i + 1;
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(spans: &[(f64, f64)]) -> Window {
        let at = |secs: f64| (secs * f64::from(SAMPLE_RATE_HZ)) as u64;
        let spans = spans
            .iter()
            .map(|(a, b)| Span { window_start: 0, source_start: at(*a), len: (at(*b) - at(*a)) as usize })
            .collect();
        Window { index: 0, channel: Some(1), pcm: vec![], spans }
    }

    fn text(words: &str) -> WindowText {
        let pieces = words.split(' ').map(|w| Piece { text: format!(" {w}"), p: 0.5 }).collect();
        WindowText { pieces, ..Default::default() }
    }

    #[test]
    fn a_sentence_ends_at_the_pause_even_if_it_was_spoken_slowly() {
        // by length alone the pause would fall after "here"
        let segments = place(&window(&[(10.0, 13.0), (14.0, 16.0)]), &text("Come here now. That is all there is."));
        let spans: Vec<_> = segments.iter().map(|s| (s.text.as_str(), s.start, s.end)).collect();
        assert_eq!(spans, [("Come here now.", 10.0, 13.0), ("That is all there is.", 14.0, 16.0)]);
    }

    #[test]
    fn words_keep_their_order_and_stay_within_the_speech() {
        let segments = place(
            &window(&[(0.5, 2.0), (2.4, 2.6), (5.0, 9.0)]),
            &text("One, two, three. And a rather longer sentence, which goes on in 1984 and ends"),
        );
        let words: Vec<&Word> = segments.iter().flat_map(|s| &s.words).collect();
        assert_eq!(words.len(), 15);
        assert!(words.windows(2).all(|pair| pair[0].end <= pair[1].start + 1e-9 && pair[0].start <= pair[0].end));
        assert!(words.first().is_some_and(|w| w.start >= 0.5) && words.last().is_some_and(|w| w.end <= 9.0));
    }

    #[test]
    fn a_script_without_spaces_is_placed_by_character() {
        let pieces = ["你好", "世界", "。"].map(|t| Piece { text: t.into(), p: 0.9 }).to_vec();
        let segments = place(&window(&[(0.0, 2.0)]), &WindowText { pieces, ..Default::default() });
        assert_eq!(segments.len(), 1);
        assert_eq!(segments[0].text, "你好世界。");
        assert_eq!(segments[0].words.len(), 2);
    }

    #[test]
    fn no_text_is_no_segment() {
        assert!(place(&window(&[(0.0, 1.0)]), &WindowText::default()).is_empty());
        assert!(place(&window(&[]), &text("lost")).is_empty());
    }
}
