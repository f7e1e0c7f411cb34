//! Where in time a window's words lie: where the engine measured them, within the voice that the window's spans know of, or
//! laid over that voice by their length.

use std::ops::Range;

use crate::audio::{SAMPLE_RATE_HZ, Span, Window};
use crate::script::{sentence, word};
use crate::transcript::{Segment, Word};

use super::wire::{Piece, WindowText};

mod layout;
mod measured;

/// Pauses shorter than this are stops inside words: they divide nothing.
const MIN_PAUSE_SECS: f64 = 0.18;
/// A sentence does not go on over a pause of this length.
const SEGMENT_PAUSE_SECS: f64 = 1.2;
/// A segment without a sentence's end is cut at the next comma or pause after this.
const LONG_SEGMENT_SECS: f64 = 12.0;
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
    /// With the white space before it.
    text: String,
    /// Where it ends in the window's text, in bytes.
    end: usize,
    p_sum: f64,
    log_sum: f64,
    pieces: f64,
    weight: f64,
    ends_sentence: bool,
    /// When it was said, in milliseconds of the window, where that was measured.
    said: Option<(u32, u32)>,
}

/// The window's text as segments with times in the source, words included.
pub fn place(window: &Window, text: &WindowText) -> Vec<Segment> {
    let tokens = words_of(text);
    let runs = runs_of(&window.spans);
    if tokens.is_empty() || runs.is_empty() {
        return Vec::new();
    }
    let words = times_of(window, &tokens, &runs);
    let mut segments = segments_of(&tokens, words, window.channel, f64::from(text.no_speech_prob));
    let language = Some(&text.language).filter(|code| !code.is_empty());
    segments.iter_mut().for_each(|segment| segment.language = language.cloned());
    segments
}

/// Whether the engine measured when each of the text's words was said.
pub fn is_measured(text: &WindowText) -> bool {
    text.pieces.iter().all(|piece| piece.said.is_some() || !piece.text.chars().any(char::is_alphanumeric))
}

/// When a part of the window's text, in bytes, was said: start and end in source seconds.
pub fn time_of(window: &Window, text: &WindowText, part: &Range<usize>) -> (f64, f64) {
    let (tokens, runs) = (words_of(text), runs_of(&window.spans));
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return (0.0, 0.0) };
    let said = times_of(window, &tokens, &runs).into_iter().zip(&tokens);
    let mut inside = said.filter(|(_, token)| token.end > part.start && token.end - token.text.len() < part.end);
    let (start, end) = inside.next().map_or((first.start, last.end), |(times, _)| times);
    (start, inside.next_back().map_or(end, |((_, end), _)| end))
}

/// Seconds of each run of voice between the window's pauses.
pub fn run_secs(spans: &[Span]) -> Vec<f64> {
    runs_of(spans).iter().map(Run::secs).collect()
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

/// The text's words, each with its share of the pieces it is made of.
fn words_of(text: &WindowText) -> Vec<Token> {
    let whole = text.text();
    let mut tokens: Vec<Token> = Vec::new();
    for range in word::ranges(&whole) {
        let start = tokens.last().map_or(0, |before| before.end);
        let weight = word::spoken_length(&whole[range.clone()]);
        let text = whole[start..range.end].to_owned();
        tokens.push(Token {
            text,
            end: range.end,
            p_sum: 0.0,
            log_sum: 0.0,
            pieces: 0.0,
            weight,
            ends_sentence: false,
            said: None,
        });
    }
    let texts: Vec<&str> = tokens.iter().map(|token| token.text.trim()).collect();
    let ends = sentence::ends(&texts, &text.language);
    tokens.iter_mut().zip(ends).for_each(|(token, ends)| token.ends_sentence = ends);
    share_out(&text.pieces, &mut tokens);
    tokens
}

/// Gives each word its pieces; one over a border between words counts in both, by its bytes.
fn share_out(pieces: &[Piece], tokens: &mut [Token]) {
    let (mut from, mut at) = (0, 0);
    for piece in pieces {
        let (start, end) = (from, from + piece.text.len());
        from = end;
        while let Some(token) = tokens.get_mut(at) {
            let shared = end.min(token.end).saturating_sub(start.max(token.end - token.text.len()));
            let share = shared as f64 / piece.text.len().max(1) as f64;
            token.p_sum += share * f64::from(piece.p);
            token.log_sum += share * f64::from(piece.p.max(1e-6)).ln();
            token.pieces += share;
            // a sign is not said: what stands for it is the pause after the word
            if let Some((begin, end)) =
                piece.said.filter(|_| shared > 0 && piece.text.chars().any(char::is_alphanumeric))
            {
                let before = token.said.unwrap_or((begin, end));
                token.said = Some((before.0.min(begin), before.1.max(end)));
            }
            if token.end >= end {
                break;
            }
            at += 1;
        }
    }
}

/// How much a text is to say: letters, with one more for each word, as the words' lengths are reckoned.
pub fn letters(pieces: &[Piece]) -> u32 {
    word::letters(&pieces.iter().map(|piece| piece.text.as_str()).collect::<String>()) as u32
}

/// Start and end of each token, in source seconds: as they were measured, else laid out.
fn times_of(window: &Window, tokens: &[Token], runs: &[Run]) -> Vec<(f64, f64)> {
    measured::times(&window.spans, tokens, runs).unwrap_or_else(|| layout::times(tokens, runs))
}

fn segments_of(tokens: &[Token], times: Vec<(f64, f64)>, channel: Option<u16>, no_speech_prob: f64) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut first = 0;
    for (i, token) in tokens.iter().enumerate() {
        let last = i + 1 == tokens.len();
        let pause = times.get(i + 1).map_or(0.0, |next| next.0 - times[i].1);
        let long = times[i].1 - times[first].0 > LONG_SEGMENT_SECS;
        let cut = token.ends_sentence
            || pause >= SEGMENT_PAUSE_SECS
            || long && (sentence::ends_clause(&token.text) || pause >= MIN_PAUSE_SECS);
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
                probability: token.p_sum / token.pieces.max(f64::MIN_POSITIVE),
                speaker: None,
            })
            .collect();
        let pieces: f64 = group.iter().map(|token| token.pieces).sum();
        segments.push(Segment {
            start: times[first].0,
            end: times[i].1,
            text: group.iter().map(|token| token.text.as_str()).collect::<String>().trim().to_owned(),
            words,
            unwritten_words: Vec::new(),
            language: None,
            avg_logprob: group.iter().map(|token| token.log_sum).sum::<f64>() / pieces.max(f64::MIN_POSITIVE),
            no_speech_prob,
            channel,
            speaker: None,
        });
        first = i + 1;
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::Found;

    fn window(spans: &[(f64, f64)]) -> Window {
        let at = |secs: f64| (secs * f64::from(SAMPLE_RATE_HZ)) as u64;
        let spans = spans
            .iter()
            .map(|(a, b)| Span { window_start: 0, source_start: at(*a), len: (at(*b) - at(*a)) as usize })
            .collect();
        Window { index: 0, channel: Some(1), pcm: vec![], spans, found: Found::Voice }
    }

    fn text(words: &str) -> WindowText {
        let pieces = words.split(' ').map(|w| Piece { text: format!(" {w}"), p: 0.5, said: None }).collect();
        WindowText { pieces, language: "en".to_owned(), ..Default::default() }
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
    fn a_script_without_spaces_is_placed_by_word() {
        let pieces = ["你", "好世", "界", "。"].map(|t| Piece { text: t.into(), p: 0.9, said: None }).to_vec();
        let segments = place(&window(&[(0.0, 2.0)]), &WindowText { pieces, ..Default::default() });
        assert_eq!(segments.len(), 1);
        assert_eq!(segments[0].text, "你好世界。");
        let words: Vec<_> = segments[0].words.iter().map(|word| word.word.as_str()).collect();
        assert_eq!(words, ["你好", "世界。"]);
        assert!(segments[0].words.iter().all(|word| (word.probability - 0.9).abs() < 1e-6));
    }

    #[test]
    fn abbreviations_stay_in_their_sentence() {
        let said = "Mr. Smith met Dr. Jones at 5 p.m. in the U.S. Senate. It cost $3.50, i.e. 3,000.00 EUR. Visit \
                    www.example.com or mail a.b@example.com.";
        let segments = place(&window(&[(0.0, 9.0)]), &text(said));
        let texts: Vec<_> = segments.iter().map(|segment| segment.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "Mr. Smith met Dr. Jones at 5 p.m. in the U.S. Senate.",
                "It cost $3.50, i.e. 3,000.00 EUR.",
                "Visit www.example.com or mail a.b@example.com."
            ]
        );
    }

    #[test]
    fn a_part_of_the_text_has_its_time() {
        let said = text("One two. Three four.");
        let (start, end) = time_of(&window(&[(1.0, 2.0), (5.0, 6.0)]), &said, &(9..14));
        assert!(start >= 5.0 && end < 6.0, "{start} {end}");
    }

    #[test]
    fn words_have_the_times_of_their_own_pieces() {
        let said = |text: &str, from, to| Piece { text: text.to_owned(), p: 0.5, said: Some((from, to)) };
        let pieces =
            vec![said(" Come", 0, 500), said(",", 500, 900), said(" he", 900, 1_200), said("re", 1_200, 1_400)];
        let text = WindowText { pieces, language: "en".to_owned(), ..Default::default() };
        assert!(is_measured(&text));
        let segments = place(&window(&[(10.0, 13.0)]), &text);
        let times: Vec<_> = segments[0].words.iter().map(|word| (word.start, word.end)).collect();
        assert_eq!(times, [(10.0, 10.5), (10.9, 11.4)]);
    }

    #[test]
    fn one_word_that_was_not_measured_has_all_laid_out() {
        let said = |text: &str, said| Piece { text: text.to_owned(), p: 0.5, said };
        let pieces = vec![said(" Come", Some((0, 100))), said(" here", None)];
        let text = WindowText { pieces, language: "en".to_owned(), ..Default::default() };
        assert!(!is_measured(&text));
        let segments = place(&window(&[(10.0, 13.0)]), &text);
        assert_eq!(segments[0].words.iter().map(|word| word.end).collect::<Vec<_>>(), [11.5, 13.0]);
    }

    #[test]
    fn no_text_is_no_segment() {
        assert!(place(&window(&[(0.0, 1.0)]), &WindowText::default()).is_empty());
        assert!(place(&window(&[]), &text("lost")).is_empty());
    }
}
