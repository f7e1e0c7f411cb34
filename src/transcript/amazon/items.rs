//! Words and marks as Amazon Transcribe lists them: in order of time, each mark after its word, numbered through.

use std::iter::Peekable;

use serde::{Serialize, Serializer};

use super::number;
use crate::transcript::amazon::{locale, voices};
use crate::transcript::{Segment, Transcript, Word, words};

/// A word or a mark.
#[derive(Debug, Clone, Serialize)]
pub struct Item {
    id: usize,
    #[serde(rename = "type")]
    kind: &'static str,
    alternatives: [Alternative; 1],
    /// Seconds; of words only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// Seconds; of words only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time: Option<String>,
    /// Where it is told who speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speaker_label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_label: Option<String>,
    /// Where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    language_code: Option<&'static str>,
}

#[derive(Debug, Clone, Serialize)]
struct Alternative {
    confidence: String,
    content: String,
}

/// The items of all channels, or of one: the same ones in both, for readers compare them. Made while they are written: a
/// list of them would take half as much memory again as the document, 30 MB for ten hours of speech.
pub struct Items<'a> {
    /// Of this.
    pub transcript: &'a Transcript,
    /// Of this channel only.
    pub channel: Option<u16>,
}

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let label = self.channel.map(label);
        let is_meant = |item: &Item| label.is_none() || item.channel_label == label;
        to.collect_seq(all(self.transcript).flat_map(|spoken| spoken.items).filter(is_meant))
    }
}

/// A word with its marks.
#[derive(Debug)]
pub struct Spoken {
    /// Index of its segment.
    pub segment: usize,
    /// At least one, the word first.
    pub items: Vec<Item>,
    start: f64,
}

/// All words in order of their start, those of each channel in their own order. Where nothing was said there is one word
/// without letters as long as the audio: readers look for the first and the last one.
pub fn all(transcript: &Transcript) -> impl Iterator<Item = Spoken> {
    let mut of_channel: Vec<_> =
        channels_with_speech(transcript).into_iter().map(|channel| of(transcript, channel).peekable()).collect();
    let mut nothing = Some(of_silence(transcript));
    let mut next_id = 0;
    std::iter::from_fn(move || {
        let spoken = next_in_time(&mut of_channel);
        let silence = nothing.take().filter(|_| spoken.is_none());
        let mut spoken = spoken.or(silence)?;
        for item in &mut spoken.items {
            item.id = next_id;
            next_id += 1;
        }
        Some(spoken)
    })
}

fn next_in_time<I: Iterator<Item = Spoken>>(of_channel: &mut [Peekable<I>]) -> Option<Spoken> {
    let starts = of_channel.iter_mut().enumerate().filter_map(|(i, spoken)| Some((i, spoken.peek()?.start)));
    let (first, _) = starts.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
    of_channel.get_mut(first)?.next()
}

fn channels_with_speech(transcript: &Transcript) -> Vec<Option<u16>> {
    let mut channels: Vec<_> = transcript.segments.iter().map(|segment| segment.channel).collect();
    channels.sort_unstable();
    channels.dedup();
    channels
}

fn of(transcript: &Transcript, channel: Option<u16>) -> impl Iterator<Item = Spoken> {
    let is_mixed = transcript.languages.len() > 1;
    let segments = transcript.segments.iter().enumerate().filter(move |(_, segment)| segment.channel == channel);
    let are_told = voices::are_told(transcript);
    let mut last = 1;
    segments.flat_map(move |(at, segment)| {
        let language = if is_mixed { locale::of(transcript.written_in(segment)) } else { None };
        // what nobody is known to have said goes to who spoke before: readers leave out what has no label
        last = segment.speaker.unwrap_or(last);
        let speaker = are_told.then(|| voices::label(last));
        let mut words = of_segment(at, segment, language);
        words.iter_mut().flat_map(|word| &mut word.items).for_each(|item| item.speaker_label = speaker.clone());
        words
    })
}

/// The segment's words, numbers aside.
fn of_segment(at: usize, segment: &Segment, language_code: Option<&'static str>) -> Vec<Spoken> {
    let mut all: Vec<Spoken> = Vec::new();
    // the dash of dialogue, and marks before the first word: as items of their own they would belong to the word before
    let mut opening = String::new();
    for word in words::timed(segment) {
        let is_dash = word.word.chars().all(|c| "-–—".contains(c));
        let spoken = if is_dash { "" } else { word.word.trim_end_matches(is_punctuation) };
        let marks = word.word.get(spoken.len()..).unwrap_or_default();
        if is_dash || spoken.is_empty() && all.is_empty() {
            opening.push_str(marks);
            continue;
        }
        if !spoken.is_empty() {
            let mut item = pronunciation(&word, format!("{}{spoken}", std::mem::take(&mut opening)), segment.channel);
            item.language_code = language_code;
            all.push(Spoken { segment: at, items: vec![item], start: word.start });
        }
        if let Some(last) = all.last_mut() {
            let marks = marks.chars().map(|mark| punctuation(mark, segment.channel));
            last.items.extend(marks.map(|item| Item { language_code, ..item }));
        }
    }
    all
}

fn of_silence(transcript: &Transcript) -> Spoken {
    let whole =
        Word { start: 0.0, end: transcript.audio.duration, word: String::new(), probability: 0.0, speaker: None };
    let channel = (super::channels(transcript) > 0).then_some(0);
    Spoken { segment: usize::MAX, items: vec![pronunciation(&whole, String::new(), channel)], start: 0.0 }
}

fn pronunciation(word: &Word, content: String, channel: Option<u16>) -> Item {
    Item {
        id: 0,
        kind: "pronunciation",
        alternatives: [Alternative { confidence: number(word.probability), content }],
        start_time: Some(number(word.start)),
        end_time: Some(number(word.end)),
        speaker_label: None,
        channel_label: channel.map(label),
        language_code: None,
    }
}

fn punctuation(mark: char, channel: Option<u16>) -> Item {
    Item {
        id: 0,
        kind: "punctuation",
        alternatives: [Alternative { confidence: number(0.0), content: mark.to_string() }],
        start_time: None,
        end_time: None,
        speaker_label: None,
        channel_label: channel.map(label),
        language_code: None,
    }
}

/// What they call a channel.
pub fn label(channel: u16) -> String {
    format!("ch_{channel}")
}

/// Marks that close a word or sentence. An apostrophe is none: it belongs to words.
fn is_punctuation(c: char) -> bool {
    ".,?!;:…\"”)]»。，、？！；：」』）؟،۔།។॥।–—♪".contains(c)
}
