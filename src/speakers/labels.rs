//! Who says which word: the turns of speakers laid beside the words' times. Those are estimates, good to some tenths of a
//! second, so that a change of speakers has to be worth it: it costs little where a clause ends or a pause is, more
//! elsewhere, nothing between segments.

use super::turns::{Followed, Turn};
use crate::script::{line, sentence};
use crate::transcript::{Segment, Speaker, Word, round_ms};

/// Seconds of words by another that a change inside a clause must save.
const CHANGE_SECS: f64 = 1.0;
/// The same after a comma, a full stop or a pause.
const BREAK_SECS: f64 = 0.3;
/// Seconds; a pause.
const PAUSE_SECS: f64 = 0.2;
/// Seconds from a word to a turn that is still taken for its own, where none is over it.
const NEAR_SECS: f64 = 2.0;
/// A word counts for so long at least, seconds.
const LEAST_WORD_SECS: f64 = 0.05;

/// Gives each word the number of its speaker, and each segment that of its first words; answers the speakers, numbered as
/// they appear. Who says no word is none. Segments stay whole, so that a phrase or a number that one speaker begins and
/// another ends is still found in them: [`split`] comes after that.
pub fn label(segments: &mut [Segment], followed: &[Followed]) -> Vec<Speaker> {
    let of = |segment: &Segment| {
        let stream = followed.iter().position(|stream| stream.channel == segment.channel)?;
        let turns = followed.get(stream).map_or(&[][..], |stream| &stream.foremost);
        Some(Spoken { stream, speakers: speakers_of(segment, turns) })
    };
    let spoken: Vec<Option<Spoken>> = segments.iter().map(of).collect();
    let known = in_order(segments, &spoken);
    let number = |stream: usize, speaker: Option<usize>| {
        let at = known.iter().position(|known| Some(*known) == speaker.map(|speaker| (stream, speaker)))?;
        u16::try_from(at + 1).ok()
    };
    for (segment, spoken) in segments.iter_mut().zip(&spoken) {
        let Some(Spoken { stream, speakers }) = spoken else { continue };
        let mut numbers = speakers.iter().map(|speaker| number(*stream, *speaker));
        for (word, number) in segment.words.iter_mut().zip(numbers.clone()) {
            word.speaker = number;
        }
        segment.speaker = numbers.next().flatten();
    }
    let speaker = |(number, (stream, speaker)): (u16, &(usize, usize))| {
        let stream = followed.get(*stream)?;
        let turns = stream.turns.iter().filter(|turn| turn.speaker == *speaker);
        let seconds = round_ms(turns.map(|turn| turn.end - turn.start).sum());
        Some(Speaker { number, seconds, channel: stream.channel })
    };
    (1..=u16::MAX).zip(&known).filter_map(speaker).collect()
}

/// Who says a segment: of which stream, and the speaker of each word, or one for all where there are no words.
struct Spoken {
    stream: usize,
    speakers: Vec<Option<usize>>,
}

/// Streams and speakers in the order of their first words.
fn in_order(segments: &[Segment], spoken: &[Option<Spoken>]) -> Vec<(usize, usize)> {
    let mut words: Vec<(f64, (usize, usize))> = Vec::new();
    for (segment, spoken) in segments.iter().zip(spoken) {
        let Some(Spoken { stream, speakers }) = spoken else { continue };
        let starts = segment.words.iter().map(|word| word.start);
        let starts = starts.chain(segment.words.is_empty().then_some(segment.start));
        words.extend(starts.zip(speakers).filter_map(|(start, speaker)| Some((start, (*stream, (*speaker)?)))));
    }
    words.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut known: Vec<(usize, usize)> = Vec::new();
    for (_, speaker) in words {
        if !known.contains(&speaker) {
            known.push(speaker);
        }
    }
    known
}

/// Splits segments where the speaker of their words changes. They come back in order of start, then of channel.
pub fn split(segments: &mut Vec<Segment>) {
    *segments = segments.drain(..).flat_map(parts).collect();
    segments.sort_by(|a, b| a.start.total_cmp(&b.start).then(a.channel.cmp(&b.channel)));
}

/// The speaker of each word; one for all where there are no words.
fn speakers_of(segment: &Segment, turns: &[Turn]) -> Vec<Option<usize>> {
    let whole = [Word { start: segment.start, end: segment.end, word: String::new(), probability: 0.0, speaker: None }];
    let words = if segment.words.is_empty() { &whole[..] } else { &segment.words };
    // turns are in order: those about the segment are a run of them
    let from = turns.partition_point(|turn| turn.end < segment.start - NEAR_SECS);
    let about = turns.get(from..).unwrap_or_default();
    let about = about.get(..about.partition_point(|turn| turn.start <= segment.end + NEAR_SECS)).unwrap_or_default();
    let mut candidates: Vec<usize> = about.iter().map(|turn| turn.speaker).collect();
    candidates.sort_unstable();
    candidates.dedup();
    if candidates.is_empty() {
        return vec![None; words.len()];
    }
    cheapest(words, about, &candidates).into_iter().map(|at| candidates.get(at).copied()).collect()
}

/// The sequence of candidates that costs least: a dynamic programme over the words.
fn cheapest(words: &[Word], turns: &[Turn], candidates: &[usize]) -> Vec<usize> {
    let mut costs = vec![0.0; candidates.len()];
    let mut steps: Vec<Vec<usize>> = Vec::with_capacity(words.len());
    let mut before: Option<&Word> = None;
    for word in words {
        let change = before.map_or(0.0, |before| change_secs(before, word));
        let best = least(&costs);
        let from: Vec<usize> = (0..candidates.len())
            .map(|at| if costs.get(at) > costs.get(best).map(|cost| cost + change).as_ref() { best } else { at })
            .collect();
        let cost = |(at, speaker): (usize, &usize)| {
            let origin = from.get(at).copied().unwrap_or(at);
            let moved = if origin == at { 0.0 } else { change };
            costs.get(origin).copied().unwrap_or_default() + moved + word_cost(word, turns, *speaker)
        };
        costs = candidates.iter().enumerate().map(cost).collect();
        steps.push(from);
        before = Some(word);
    }
    let mut at = least(&costs);
    let mut path = vec![at];
    for from in steps.iter().skip(1).rev() {
        at = from.get(at).copied().unwrap_or(at);
        path.push(at);
    }
    path.reverse();
    path
}

fn least(costs: &[f64]) -> usize {
    costs.iter().enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(at, _)| at)
}

fn change_secs(before: &Word, word: &Word) -> f64 {
    let is_break = sentence::ends_clause(&before.word) || sentence::is_ended(&before.word);
    if is_break || word.start - before.end >= PAUSE_SECS { BREAK_SECS } else { CHANGE_SECS }
}

/// Seconds of the word in which the speaker is not heard; where nobody is, how far the speaker is, in small.
fn word_cost(word: &Word, turns: &[Turn], speaker: usize) -> f64 {
    let end = word.end.max(word.start + LEAST_WORD_SECS);
    let own = || turns.iter().filter(|turn| turn.speaker == speaker);
    let over = |turn: &Turn| (end.min(turn.end) - word.start.max(turn.start)).max(0.0);
    let away = own().map(|turn| (turn.start - end).max(word.start - turn.end).max(0.0)).fold(NEAR_SECS, f64::min);
    let heard: f64 = own().map(over).sum();
    (end - word.start - heard).max(0.0) + away / 100.0
}

/// The segment in parts, one for each run of words by the same speaker.
fn parts(mut segment: Segment) -> Vec<Segment> {
    let Some(first) = segment.words.first().map(|word| word.speaker) else { return vec![segment] };
    if segment.words.iter().all(|word| word.speaker == first) {
        segment.speaker = first;
        return vec![segment];
    }
    let spaces = line::spaces(&segment.text, segment.words.iter().map(|word| word.word.as_str()));
    let words = std::mem::take(&mut segment.words);
    let mut parts: Vec<Segment> = Vec::new();
    for (word, space) in words.into_iter().zip(spaces) {
        match parts.last_mut() {
            Some(part) if part.speaker == word.speaker => {
                if space {
                    part.text.push(' ');
                }
                part.text.push_str(&word.word);
                part.words.push(word);
            }
            before => {
                let start = match before {
                    Some(part) => {
                        part.end = part.words.last().map_or(part.end, |last| last.end);
                        word.start
                    }
                    None => segment.start,
                };
                let (text, speaker) = (word.word.clone(), word.speaker);
                parts.push(Segment { start, text, speaker, words: vec![word], ..segment.clone() });
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start: f64, words: &[&str], channel: Option<u16>) -> Segment {
        let word = |(at, text): (usize, &&str)| Word {
            start: start + 0.5 * at as f64,
            end: start + 0.5 * at as f64 + 0.45,
            word: (*text).to_owned(),
            probability: 0.9,
            speaker: None,
        };
        let words: Vec<Word> = words.iter().enumerate().map(word).collect();
        let end = words.last().map_or(start, |last| last.end);
        let text = words.iter().map(|word| word.word.as_str()).collect::<Vec<_>>().join(" ");
        Segment { start, end, text, words, channel, ..Segment::default() }
    }

    fn followed(channel: Option<u16>, turns: &[(usize, f64, f64)]) -> Followed {
        let turns: Vec<Turn> =
            turns.iter().map(|(speaker, start, end)| Turn { speaker: *speaker, start: *start, end: *end }).collect();
        Followed { channel, foremost: turns.clone(), turns }
    }

    /// Labelled and split.
    fn label(segments: &mut Vec<Segment>, followed: &[Followed]) -> Vec<Speaker> {
        let speakers = super::label(segments, followed);
        split(segments);
        speakers
    }

    fn said(segments: &[Segment]) -> Vec<(Option<u16>, &str)> {
        segments.iter().map(|segment| (segment.speaker, segment.text.as_str())).collect()
    }

    #[test]
    fn a_segment_is_split_where_the_speaker_changes_and_speakers_are_numbered_as_they_appear() {
        let mut segments =
            vec![segment(0.0, &["Do", "you", "see?", "Yes,", "I", "do."], None), segment(4.0, &["Good."], None)];
        let speakers = label(&mut segments, &[followed(None, &[(3, 0.0, 1.6), (1, 1.6, 3.2), (3, 3.9, 4.6)])]);
        assert_eq!(said(&segments), [(Some(1), "Do you see?"), (Some(2), "Yes, I do."), (Some(1), "Good.")]);
        assert_eq!((segments[0].end, segments[1].start), (1.45, 1.5));
        assert!(segments.iter().all(|segment| segment.words.iter().all(|word| word.speaker == segment.speaker)));
        let expected = [(1, 2.3), (2, 1.6)].map(|(number, seconds)| Speaker { number, seconds, channel: None });
        assert_eq!(speakers, expected);
    }

    #[test]
    fn a_turn_that_ends_within_a_clause_by_an_error_of_the_times_splits_nothing() {
        let mut segments = vec![segment(0.0, &["This", "is", "one", "clause", "only."], None)];
        label(&mut segments, &[followed(None, &[(0, 0.0, 1.9), (1, 1.9, 9.0)])]);
        assert_eq!(said(&segments), [(Some(1), "This is one clause only.")]);
    }

    #[test]
    fn a_word_beside_a_turn_belongs_to_the_nearer_and_one_far_from_all_to_nobody() {
        let mut segments = vec![segment(10.0, &["Yes."], None), segment(60.0, &["Hm."], None)];
        let speakers = label(&mut segments, &[followed(None, &[(0, 7.0, 9.0), (1, 11.0, 12.0)])]);
        assert_eq!(said(&segments), [(Some(1), "Yes."), (None, "Hm.")]);
        assert_eq!(speakers.len(), 1, "who says no word is no speaker");
    }

    #[test]
    fn each_channel_has_speakers_of_its_own() {
        let mut segments = vec![segment(0.0, &["Hello."], Some(1)), segment(0.2, &["Hi."], Some(0))];
        let turns = [(0, 0.0, 5.0)];
        let speakers = label(&mut segments, &[followed(Some(0), &turns), followed(Some(1), &turns)]);
        assert_eq!(said(&segments), [(Some(1), "Hello."), (Some(2), "Hi.")]);
        assert_eq!(speakers.iter().map(|speaker| speaker.channel).collect::<Vec<_>>(), [Some(1), Some(0)]);
    }

    #[test]
    fn without_turns_nothing_changes() {
        let mut segments = vec![segment(0.0, &["Hello."], None)];
        let before = segments.clone();
        assert_eq!(label(&mut segments, &[]), []);
        assert_eq!(segments, before);
    }
}
