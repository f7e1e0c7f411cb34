//! Paragraphs: what a reader takes in at once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Segment;
use crate::script::{line, sentence};

/// Seconds of silence that end a paragraph.
const PAUSE_SECS: f64 = 2.0;

/// Characters after which a paragraph ends with its sentence: a speaker without pauses is still read in paragraphs.
const LONG_CHARS: usize = 800;

/// Segments that belong together: at least one, of one speaker.
#[derive(Debug, Clone, Copy)]
pub struct Paragraph<'a> {
    /// In order of start.
    pub segments: &'a [Segment],
}

/// A paragraph as the document lists it: the text is that of its segments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ParagraphRef {
    /// Seconds.
    pub start: f64,
    /// Seconds, not before `start`.
    pub end: f64,
    /// Place of its first segment among `segments`, from 0.
    pub first_segment: usize,
    /// Place of its last one.
    pub last_segment: usize,
}

/// The paragraphs as the document lists them.
pub fn listed(segments: &[Segment]) -> Vec<ParagraphRef> {
    let mut first_segment = 0;
    let paragraph = |paragraph: Paragraph<'_>| {
        let last_segment = first_segment + paragraph.segments.len() - 1;
        let end = paragraph.segments.iter().map(|segment| segment.end).fold(0.0, f64::max);
        let listed = ParagraphRef { start: paragraph.start(), end, first_segment, last_segment };
        first_segment = last_segment + 1;
        listed
    };
    paragraphs(segments).map(paragraph).collect()
}

/// The segments' texts on one line: `Transcript::text`.
pub fn join(segments: &[Segment]) -> String {
    line::join(segments.iter().map(|segment| segment.text.as_str()))
}

impl Paragraph<'_> {
    /// Seconds.
    pub fn start(&self) -> f64 {
        self.segments.first().map_or(0.0, |first| first.start)
    }

    /// The text on one line.
    pub fn text(&self) -> String {
        join(self.segments)
    }

    /// Who speaks, as far as it is known.
    pub fn speaker(&self) -> Option<String> {
        speaker(self.segments.first()?)
    }
}

/// Who speaks in a segment, as far as it is known: a number, or the channel where channels are separate, or both.
pub fn speaker(segment: &Segment) -> Option<String> {
    match (segment.channel, segment.speaker) {
        (None, None) => None,
        (Some(channel), None) => Some(format!("Channel {channel}")),
        (None, Some(number)) => Some(format!("Speaker {number}")),
        (Some(channel), Some(number)) => Some(format!("Channel {channel}, Speaker {number}")),
    }
}

fn is_same_speaker(before: &Segment, after: &Segment) -> bool {
    (before.channel, before.speaker) == (after.channel, after.speaker)
}

/// The paragraphs of a transcript's segments.
pub fn paragraphs(segments: &[Segment]) -> impl Iterator<Item = Paragraph<'_>> {
    let mut chars = 0;
    let chunks = segments.chunk_by(move |before, after| {
        chars += before.text.chars().count();
        let is_long = chars > LONG_CHARS && sentence::is_ended(&before.text);
        let together = is_same_speaker(before, after) && after.start - before.end < PAUSE_SECS && !is_long;
        if !together {
            chars = 0;
        }
        together
    });
    chunks.map(|segments| Paragraph { segments })
}

/// The sentences of a transcript's segments: of one speaker, without a long pause, to the sentence's end.
pub fn sentences(segments: &[Segment]) -> impl Iterator<Item = Paragraph<'_>> {
    let together = |before: &Segment, after: &Segment| {
        is_same_speaker(before, after) && after.start - before.end < PAUSE_SECS && !sentence::is_ended(&before.text)
    };
    segments.chunk_by(together).map(|segments| Paragraph { segments })
}
