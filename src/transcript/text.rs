//! `transcript.txt`: paragraphs for people, one a line, an empty line between them.

use super::Transcript;
use super::paragraph::paragraphs;

/// The paragraphs, each named after its speaker, as far as it is known; empty when nothing was said.
pub fn render(transcript: &Transcript) -> String {
    let mut text = String::new();
    for paragraph in paragraphs(&transcript.segments) {
        if !text.is_empty() {
            text.push('\n');
        }
        if let Some(speaker) = paragraph.speaker() {
            text.push_str(&format!("{speaker}: "));
        }
        text.push_str(&paragraph.text());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::{Segment, samples};

    #[test]
    fn a_long_pause_ends_a_paragraph_and_a_channel_is_named() {
        assert_eq!(render(&samples::jfk()), include_str!("../../tests/golden/transcripts/jfk.txt"));
        assert_eq!(render(&samples::call()), include_str!("../../tests/golden/transcripts/call.txt"));
    }

    #[test]
    fn another_speaker_begins_a_paragraph() {
        let text = render(&samples::interview());
        assert_eq!(text, "Speaker 1: Who are <you>?\n\nSpeaker 2: A & B.\n\nSpeaker 1: I see.\n");
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
