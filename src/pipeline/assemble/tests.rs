//! What is replaced, filtered and redacted where the speaker changes amid it, and what a job gets whose speakers are not known.

use std::collections::BTreeMap;

use super::*;
use crate::job::wording::{Filter, FilterMethod, Private, RedactionOutput};
use crate::speakers::{Followed, Turn};
use crate::transcript::{AudioRef, Word};

/// One segment of a word a second; the speaker changes at `change` (seconds).
fn said(text: &str, change: f64, wording: Wording) -> Transcript {
    let turn = |speaker, start, end| Turn { speaker, start, end };
    let turns = vec![turn(0, 0.0, change), turn(1, change, 60.0)];
    made(text, Ok(vec![Followed { channel: None, turns: turns.clone(), foremost: turns }]), wording)
}

fn made(text: &str, speakers: Result<Vec<Followed>, String>, wording: Wording) -> Transcript {
    let word = |(at, word): (f64, &str)| {
        let word = word.to_owned();
        Word { start: at, end: at + 0.9, word, probability: 0.9, speaker: None }
    };
    let words: Vec<Word> = (0..).map(f64::from).zip(text.split(' ')).map(word).collect();
    let end = words.last().map_or(0.0, |last| last.end);
    let segment = Segment { start: 0.0, end, text: text.to_owned(), words, ..Segment::default() };
    let audio = AudioRef { duration: 60.0, ..AudioRef::default() };
    let heard = Heard {
        segments: vec![segment],
        speakers: Some(speakers),
        report: AudioReport { audio, ..AudioReport::default() },
        ..Heard::default()
    };
    let none = String::new;
    let about = About {
        job: JobRef { job_id: none(), user_id: none(), file_id: none() },
        source: SourceRef { bucket: none(), key: none(), etag: none(), size_bytes: 0 },
        task: Task::Transcribe,
        request: Request { word_timestamps: true, ..Request::default() },
        wording,
        model: ModelRef { name: none(), sha256: none() },
        worker: WorkerRef::default(),
        fetch: Duration::ZERO,
        begun: Instant::now(),
    };
    transcript(heard, about)
}

fn lines(segments: &[Segment]) -> Vec<(Option<u16>, &str)> {
    segments.iter().map(|segment| (segment.speaker, segment.text.as_str())).collect()
}

#[test]
fn a_phrase_that_two_speakers_share_is_filtered() {
    let text = "Well, he is a bloody fool I think he is indeed.";
    for (method, first, second) in [
        (FilterMethod::Mask, "Well, he is a ***", "I think he is indeed."),
        (FilterMethod::Remove, "Well, he is a", "I think he is indeed."),
    ] {
        let filter = Some(Filter { words: vec!["bloody fool".to_owned()], method });
        // "bloody" is the last word of the first, "fool" the first of the second
        let transcript = said(text, 5.0, Wording { filter, ..Wording::default() });
        assert_eq!(lines(&transcript.segments), [(Some(1), first), (Some(2), second)], "{method:?}");
        assert_eq!(transcript.marks.len(), 1);
    }
}

#[test]
fn a_name_that_two_speakers_share_is_replaced_and_is_the_first_ones() {
    let replacements = BTreeMap::from([("cooper netties".to_owned(), "Kubernetes".to_owned())]);
    let wording = Wording { replacements, ..Wording::default() };
    let transcript = said("We run it all on Cooper netties and have no other machines.", 6.0, wording);
    let expected = [(Some(1), "We run it all on Kubernetes"), (Some(2), "and have no other machines.")];
    assert_eq!(lines(&transcript.segments), expected);
}

#[test]
fn a_card_number_that_two_speakers_share_is_redacted_and_both_transcripts_name_the_same_speakers() {
    let wording = Wording {
        redact: vec![Private::CardNumber],
        redaction_output: RedactionOutput::RedactedAndUnredacted,
        ..Wording::default()
    };
    let transcript = said("My card is 4111 1111 1111 1111 and that is all I have.", 5.0, wording);
    let first = "My card is [CARD_NUMBER]";
    assert_eq!(lines(&transcript.segments), [(Some(1), first), (Some(2), "and that is all I have.")]);
    let unredacted = transcript.unredacted.as_deref().map(|unredacted| lines(&unredacted.segments));
    let heard = [(Some(1), "My card is 4111 1111"), (Some(2), "1111 1111 and that is all I have.")];
    assert_eq!(unredacted.as_deref(), Some(&heard[..]));
}

#[test]
fn whose_speakers_are_not_known_has_the_transcript_all_the_same() {
    let transcript = made("All is well.", Err("the nets panicked".to_owned()), Wording::default());
    assert_eq!((transcript.status, transcript.text.as_str()), (Status::Partial, "All is well."));
    assert_eq!(transcript.warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), [Code::SpeakersUnknown]);
    assert_eq!((transcript.speakers.len(), lines(&transcript.segments)), (0, vec![(None, "All is well.")]));
}
