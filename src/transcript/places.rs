//! Places to check: where a person who corrects the transcript should listen first.

use super::{DropReason, Transcript, words};

/// Mean probability of a segment's words below which it is doubtful.
const DOUBTFUL: f64 = 0.6;

/// A place in the audio, and why to listen there.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Seconds.
    pub start: f64,
    /// Why.
    pub why: &'static str,
    /// What is written there, or was heard and left out.
    pub text: String,
}

/// The doubtful and the dropped passages of a transcript, in order of start.
pub fn to_check(transcript: &Transcript) -> Vec<Place> {
    let doubtful = transcript.segments.iter().filter_map(|segment| {
        let words = words::timed(segment);
        let mean = words.iter().map(|word| word.probability).sum::<f64>() / words.len().max(1) as f64;
        let place = || Place { start: segment.start, why: "doubtful", text: segment.text.clone() };
        (mean < DOUBTFUL && !words.is_empty()).then(place)
    });
    let dropped = transcript.quality.dropped.iter().map(|dropped| Place {
        start: dropped.start,
        why: why(dropped.reason),
        text: dropped.text.clone(),
    });
    let mut places: Vec<_> = doubtful.chain(dropped).collect();
    places.sort_by(|a, b| a.start.total_cmp(&b.start));
    places
}

fn why(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Annotation => "left out: describes a sound",
        DropReason::NoWords => "left out: signs without words",
        DropReason::NoSpeech => "left out: perhaps nobody spoke",
        DropReason::Invented => "left out: a phrase that is often invented",
        DropReason::Prompt => "left out: the prompt's own words",
        DropReason::Repetition => "left out: repeated faster than anyone speaks",
        DropReason::TooFast => "left out: more than anyone can say in the time",
        DropReason::Unsure => "left out: very unsure",
        DropReason::NoVoice => "left out: no voice was found there",
    }
}

/// Hours, minutes and seconds, the hours only where there are any.
pub fn clock(secs: f64) -> String {
    let whole = secs.max(0.0) as u64;
    let (hours, minutes, secs) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{secs:02}") } else { format!("{minutes}:{secs:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::{Dropped, Segment, Word, samples};

    #[test]
    fn what_is_doubtful_or_left_out_is_listed_in_order() {
        let mut transcript = samples::jfk();
        assert_eq!(to_check(&transcript), [], "nothing is doubtful there");
        let word = Word { start: 9.7, end: 10.98, word: "Ask".to_owned(), probability: 0.3, speaker: None };
        if let Some(last) = transcript.segments.last_mut() {
            *last = Segment { words: vec![word], ..last.clone() };
        }
        let reason = DropReason::Repetition;
        let dropped = Dropped { start: 8.0, end: 9.0, reason, text: "so so so".to_owned(), channel: None };
        transcript.quality.dropped.push(dropped);
        let places: Vec<_> = to_check(&transcript).into_iter().map(|place| (place.start, place.text)).collect();
        assert_eq!(places, [(8.0, "so so so".to_owned()), (9.7, "Ask what you can do.".to_owned())]);
    }

    #[test]
    fn a_clock_shows_hours_where_there_are_any() {
        assert_eq!((clock(59.9).as_str(), clock(3725.0).as_str()), ("0:59", "1:02:05"));
    }
}
