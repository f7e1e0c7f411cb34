//! Makes the promises of [`Transcript`](super::Transcript) true for segments as they come from the engine.

use std::collections::HashMap;

use super::{Dropped, Segment, Word};

/// Stands for the logarithm of a probability of nothing: two in a thousand million.
const LEAST_LOGPROB: f64 = -20.0;

/// Seconds, rounded to a millisecond: finer is noise, and longer in JSON.
pub fn round_ms(secs: f64) -> f64 {
    (secs * 1000.0).round() / 1000.0
}

/// A probability as JSON and consumers can take it: within 0 and 1, and 0 where there is no number.
pub fn probability(p: f64) -> f64 {
    if p.is_nan() { 0.0 } else { p.clamp(0.0, 1.0) }
}

/// Brings segments into the order and bounds that every rendition relies on: text on one line, none empty; times in
/// milliseconds within `[0, duration]` (seconds), each end at or after its start; sorted by start, then channel; within a
/// channel none overlaps the next; words in order within their segment. No text is lost: a segment or word that
/// has no room left is of length zero.
pub fn tidy(segments: &mut Vec<Segment>, duration: f64) {
    // rounded down, so that a clamped time never lies past the audio
    let duration = (duration.max(0.0) * 1000.0).floor() / 1000.0;
    for segment in segments.iter_mut() {
        segment.text = one_line(&segment.text);
        segment.start = clamp(segment.start, 0.0, duration);
        segment.end = clamp(segment.end, segment.start, duration);
        // JSON has no NaN and no infinity: the document could not be read back
        if !segment.avg_logprob.is_finite() {
            segment.avg_logprob = LEAST_LOGPROB;
        }
        segment.no_speech_prob = probability(segment.no_speech_prob);
    }
    segments.retain(|segment| !segment.text.is_empty());
    segments.sort_by(order);
    part(segments);
    segments.sort_by(order);
    for segment in segments {
        tidy_words(segment);
    }
}

fn order(a: &Segment, b: &Segment) -> std::cmp::Ordering {
    a.start.total_cmp(&b.start).then(a.channel.cmp(&b.channel))
}

/// Ends the overlaps within each channel: the earlier segment yields to the later one's start, and of two that start
/// together the second waits for the first.
fn part(segments: &mut [Segment]) {
    let mut last: HashMap<Option<u16>, usize> = HashMap::new();
    for index in 0..segments.len() {
        let (before, rest) = segments.split_at_mut(index);
        let Some(segment) = rest.first_mut() else { break };
        if let Some(previous) = last.insert(segment.channel, index).and_then(|at| before.get_mut(at)) {
            if segment.start > previous.start {
                previous.end = previous.end.min(segment.start);
            } else {
                segment.start = previous.end;
                segment.end = segment.end.max(segment.start);
            }
        }
    }
}

/// Brings what was dropped within the audio, in milliseconds.
pub fn tidy_dropped(dropped: &mut Vec<Dropped>, duration: f64) {
    for Dropped { start, end, text, .. } in dropped.iter_mut() {
        *text = one_line(text);
        *start = clamp(*start, 0.0, duration);
        *end = clamp(*end, *start, duration);
    }
    dropped.retain(|dropped| !dropped.text.is_empty());
}

fn tidy_words(segment: &mut Segment) {
    segment.words.retain_mut(|word| {
        word.word = one_line(&word.word);
        !word.word.is_empty()
    });
    let mut from = segment.start;
    for Word { start, end, probability: p, .. } in &mut segment.words {
        *start = clamp(*start, from, segment.end);
        *end = clamp(*end, *start, segment.end);
        *p = probability(*p);
        from = *end;
    }
}

/// `f64::clamp` without its panic, in milliseconds; a NaN becomes `low`.
fn clamp(secs: f64, low: f64, high: f64) -> f64 {
    round_ms(secs).max(low).min(high)
}

fn one_line(text: &str) -> String {
    let spaced = text.replace(|c: char| c.is_control(), " ");
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Segments as bad as they come: any order, overlaps, NaN, ends before starts, past the audio, blank texts.
    pub fn wild_segments(random: &mut fastrand::Rng, duration: f64) -> Vec<Segment> {
        let texts = [
            "Well, yes.",
            " ",
            "a\nb\0c",
            "\u{4f60}\u{597d}\u{3002}",
            "word",
            "It goes on and on; it never ends, does it?",
        ];
        let time = |random: &mut fastrand::Rng| match random.u8(..20) {
            0 => f64::NAN,
            1 => f64::INFINITY,
            2 => -3.0,
            _ => (random.f64() * 1.1 * duration * 10.0).round() / 10.0,
        };
        (0..random.usize(..40))
            .map(|_| {
                let start = time(random);
                let words = (0..random.usize(..6)).map(|_| Word {
                    start: time(random),
                    end: time(random),
                    word: random.choice(texts).unwrap_or_default().to_owned(),
                    probability: random.f64() * 2.0,
                    speaker: None,
                });
                Segment {
                    words: words.collect(),
                    unwritten_words: Vec::new(),
                    language: None,
                    start,
                    end: if random.bool() { start + 3.0 * random.f64() } else { time(random) },
                    text: random.choice(texts).unwrap_or_default().to_owned(),
                    avg_logprob: f64::NEG_INFINITY,
                    no_speech_prob: 0.1,
                    channel: random.choice([None, Some(0), Some(1)]).flatten(),
                    speaker: None,
                }
            })
            .collect()
    }

    #[test]
    fn whatever_comes_leaves_in_order_within_the_audio_and_without_overlap() {
        for seed in 0..2_000 {
            let mut random = fastrand::Rng::with_seed(seed);
            let duration = random.choice([0.0, 0.0004, 1.0, 12.3456, 86_400.0]).unwrap_or_default();
            let mut segments = wild_segments(&mut random, duration);
            let texts = segments.iter().filter(|segment| !segment.text.trim().is_empty()).count();
            tidy(&mut segments, duration);
            assert_eq!(segments.len(), texts, "seed {seed}: no text is lost");
            assert!(segments.is_sorted_by(|a, b| order(a, b).is_le()), "seed {seed}");
            for (index, segment) in segments.iter().enumerate() {
                assert!(0.0 <= segment.start && segment.start <= segment.end && segment.end <= duration, "seed {seed}");
                let next = segments.iter().skip(index + 1).find(|next| next.channel == segment.channel);
                assert!(next.is_none_or(|next| segment.end <= next.start), "seed {seed}: overlap");
                let mut from = segment.start;
                for word in &segment.words {
                    assert!(from <= word.start && word.start <= word.end && word.end <= segment.end, "seed {seed}");
                    assert!(!word.word.is_empty() && (0.0..=1.0).contains(&word.probability), "seed {seed}");
                    from = word.end;
                }
            }
        }
    }

    #[test]
    fn tidy_segments_stay_as_they_are() {
        let segment = |start, end| Segment { start, end, text: "text".to_owned(), ..Segment::default() };
        let tidied = vec![segment(0.0, 1.0), segment(1.0, 2.5), segment(4.25, 5.0)];
        let mut again = tidied.clone();
        tidy(&mut again, 5.0);
        assert_eq!(again, tidied);
    }

    #[test]
    fn what_is_no_number_is_no_confidence() {
        let wild =
            Segment { avg_logprob: f64::NAN, no_speech_prob: f64::NAN, text: "x".to_owned(), ..Segment::default() };
        let mut segments = vec![wild];
        tidy(&mut segments, 1.0);
        let [segment] = segments.as_slice() else { unreachable!("one segment stays one") };
        assert!(segment.avg_logprob.exp() < 0.001 && segment.no_speech_prob.abs() < f64::EPSILON);
        assert!((probability(f64::INFINITY) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn text_is_brought_to_one_line() {
        let mut segments = vec![Segment { end: 1.0, text: " two\r\n\tlines\0 ".to_owned(), ..Segment::default() }];
        tidy(&mut segments, 1.0);
        assert_eq!(segments.first().map(|segment| segment.text.as_str()), Some("two lines"));
    }
}
