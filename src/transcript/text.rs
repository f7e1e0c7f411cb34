//! `transcript.txt`: paragraphs for people, one a line, an empty line between them.

use super::{Segment, Transcript};
use crate::script::{line, sentence};

/// Seconds of silence that end a paragraph.
const PAUSE_SECS: f64 = 2.0;

/// Characters after which a paragraph ends with its sentence: a speaker without pauses is still read in paragraphs.
const LONG_PARAGRAPH_CHARS: usize = 800;

/// The segments' texts on one line: `Transcript::text`.
pub fn join(segments: &[Segment]) -> String {
    line::join(segments.iter().map(|segment| segment.text.as_str()))
}

/// The paragraphs, each named after its channel where channels are separate; empty when nothing was said.
pub fn render(transcript: &Transcript) -> String {
    let mut text = String::new();
    for paragraph in paragraphs(&transcript.segments) {
        if !text.is_empty() {
            text.push('\n');
        }
        if let Some(channel) = paragraph.first().and_then(|segment| segment.channel) {
            text.push_str(&format!("Channel {channel}: "));
        }
        text.push_str(&join(paragraph));
        text.push('\n');
    }
    text
}

fn paragraphs(segments: &[Segment]) -> impl Iterator<Item = &[Segment]> {
    let mut chars = 0;
    segments.chunk_by(move |before, after| {
        chars += before.text.chars().count();
        let is_long = chars > LONG_PARAGRAPH_CHARS && sentence::is_ended(&before.text);
        let together = before.channel == after.channel && after.start - before.end < PAUSE_SECS && !is_long;
        if !together {
            chars = 0;
        }
        together
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::samples;

    #[test]
    fn a_long_pause_ends_a_paragraph_and_a_channel_is_named() {
        assert_eq!(render(&samples::jfk()), include_str!("../../tests/golden/transcripts/jfk.txt"));
        assert_eq!(render(&samples::call()), include_str!("../../tests/golden/transcripts/call.txt"));
    }

    #[test]
    fn silence_is_an_empty_text() {
        assert_eq!(render(&samples::silence()), "");
    }

    #[test]
    fn a_speaker_without_pauses_still_gets_paragraphs() {
        let sentence = |second: usize| Segment {
            start: second as f64,
            end: second as f64 + 1.0,
            text: "This is one sentence of exactly fifty characters!!".to_owned(),
            ..Segment::default()
        };
        let transcript = Transcript { segments: (0..40).map(sentence).collect(), ..samples::silence() };
        let text = render(&transcript);
        assert!(text.lines().all(|line| line.len() < 1_000), "{text}");
        assert_eq!(text.lines().filter(|line| !line.is_empty()).count(), 3);
    }
}
