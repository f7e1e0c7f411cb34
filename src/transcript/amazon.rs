//! The transcript in the shape of Amazon Transcribe's output file, so that its consumers move over unchanged.
//!
//! Times and confidences are strings there, and punctuation marks are items of their own, without times. Where we have no
//! value, ours says so in the way theirs may: `accountId` is empty, `language_code` absent.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::{Segment, Transcript, Word, round_ms, words};
use crate::job::Task;

pub mod locale;

/// The document, ending in a newline.
///
/// # Errors
/// None for a tidied transcript; serde's signature.
pub fn render(transcript: &Transcript) -> Result<Vec<u8>, serde_json::Error> {
    let mut document = serde_json::to_vec(&file(transcript))?;
    document.push(b'\n');
    Ok(document)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    job_name: &'a str,
    account_id: &'a str,
    status: &'a str,
    results: Results<'a>,
}

#[derive(Serialize)]
struct Results<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    language_code: Option<&'static str>,
    transcripts: [Whole<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_labels: Option<ChannelLabels<'a>>,
    items: Items<'a>,
    audio_segments: AudioSegments<'a>,
}

/// The words and marks of all segments, or of one channel's. Made while they are written: a list of them would take half
/// as much memory again as the document, 30 MB for ten hours of speech.
struct Items<'a> {
    segments: &'a [Segment],
    channel: Option<u16>,
}

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let of_channel = |segment: &&Segment| self.channel.is_none() || segment.channel == self.channel;
        let items = self.segments.iter().filter(of_channel).flat_map(items_of).enumerate();
        to.collect_seq(items.map(|(id, item)| Item { id: self.channel.is_none().then_some(id), ..item }))
    }
}

/// The segments, each with the ids of its items. Made while they are written, as [`Items`].
struct AudioSegments<'a>(&'a [Segment]);

impl Serialize for AudioSegments<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut next = 0;
        to.collect_seq(self.0.iter().enumerate().map(|(id, segment)| {
            let first = next;
            next += items_of(segment).len();
            AudioSegment {
                id,
                transcript: &segment.text,
                start_time: number(segment.start),
                end_time: number(segment.end),
                items: (first..next).collect(),
                channel_label: segment.channel.map(label),
            }
        }))
    }
}

#[derive(Serialize)]
struct Whole<'a> {
    transcript: &'a str,
}

#[derive(Serialize)]
struct ChannelLabels<'a> {
    channels: Vec<ChannelItems<'a>>,
    number_of_channels: usize,
}

#[derive(Serialize)]
struct ChannelItems<'a> {
    channel_label: String,
    items: Items<'a>,
}

#[derive(Serialize)]
struct Item {
    /// Absent under `channel_labels`.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<usize>,
    #[serde(rename = "type")]
    kind: &'static str,
    alternatives: [Alternative; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_label: Option<String>,
}

#[derive(Serialize)]
struct Alternative {
    confidence: String,
    content: String,
}

#[derive(Serialize)]
struct AudioSegment<'a> {
    id: usize,
    transcript: &'a str,
    start_time: String,
    end_time: String,
    items: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_label: Option<String>,
}

fn file(transcript: &Transcript) -> File<'_> {
    let segments = &transcript.segments;
    File {
        job_name: &transcript.job.job_id,
        account_id: "",
        status: "COMPLETED",
        results: Results {
            language_code: language_code(transcript),
            transcripts: [Whole { transcript: &transcript.text }],
            channel_labels: channel_labels(segments),
            items: Items { segments, channel: None },
            audio_segments: AudioSegments(segments),
        },
    }
}

/// The segment's words, ids aside.
fn items_of(segment: &Segment) -> Vec<Item> {
    let mut items = Vec::new();
    for word in words::timed(segment) {
        push_word(&mut items, &word, segment);
    }
    items
}

/// The word without the punctuation at its end, and each mark of that as an item of its own.
fn push_word(items: &mut Vec<Item>, word: &Word, segment: &Segment) {
    // a dash alone opens a turn of dialogue; within or after a word it belongs to that
    let spoken = if word.word == "-" { "" } else { word.word.trim_end_matches(is_punctuation) };
    let mut push = |kind, content: &str, confidence, times: Option<(f64, f64)>| {
        items.push(Item {
            id: None,
            kind,
            alternatives: [Alternative { confidence: number(confidence), content: content.to_owned() }],
            start_time: times.map(|(start, _)| number(start)),
            end_time: times.map(|(_, end)| number(end)),
            channel_label: segment.channel.map(label),
        });
    };
    if !spoken.is_empty() {
        push("pronunciation", spoken, word.probability, Some((word.start, word.end)));
    }
    for mark in word.word.chars().skip(spoken.chars().count()) {
        push("punctuation", mark.encode_utf8(&mut [0; 4]), 0.0, None);
    }
}

/// Marks that close a word or sentence. An apostrophe is none: it belongs to words.
fn is_punctuation(c: char) -> bool {
    ".,?!;:…\"”)]»。，、？！；：」』）؟،۔।។။–—♪".contains(c)
}

/// The items again by channel, in the order of the channels' labels; `None` where no segment with a word has a channel.
fn channel_labels(segments: &[Segment]) -> Option<ChannelLabels<'_>> {
    let spoken = segments.iter().filter(|segment| !items_of(segment).is_empty());
    let by_label: BTreeMap<String, u16> =
        spoken.filter_map(|segment| segment.channel).map(|channel| (label(channel), channel)).collect();
    let channels: Vec<_> = by_label
        .into_iter()
        .map(|(channel_label, channel)| ChannelItems {
            channel_label,
            items: Items { segments, channel: Some(channel) },
        })
        .collect();
    (!channels.is_empty()).then_some(ChannelLabels { number_of_channels: channels.len(), channels })
}

/// The text's language: English, when it was translated.
fn language_code(transcript: &Transcript) -> Option<&'static str> {
    match transcript.task {
        Task::Translate => locale::of("en"),
        Task::Transcribe => locale::of(&transcript.language.as_ref()?.code),
    }
}

fn label(channel: u16) -> String {
    format!("ch_{channel}")
}

/// A number as they write it: at least one decimal, at most three.
fn number(number: f64) -> String {
    format!("{:?}", round_ms(number))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::{Value, json};

    use super::*;
    use crate::transcript::samples;

    fn rendered(transcript: &Transcript) -> Value {
        serde_json::from_slice(&render(transcript).unwrap()).unwrap()
    }

    #[test]
    fn the_document_is_the_golden_one() {
        for (transcript, golden) in [
            (samples::jfk(), include_str!("../../tests/golden/transcripts/jfk.amazon.json")),
            (samples::call(), include_str!("../../tests/golden/transcripts/call.amazon.json")),
        ] {
            assert_eq!(rendered(&transcript), serde_json::from_str::<Value>(golden).unwrap());
        }
    }

    #[test]
    fn times_and_confidences_are_strings_and_punctuation_has_no_time() {
        let segment = samples::segment(0.0, 1.0, "Yes.", None);
        let items = rendered(&samples::transcript(1.0, 1, "en", vec![segment]))["results"]["items"].clone();
        assert_eq!(
            items,
            json!([
                {"id": 0, "type": "pronunciation", "alternatives": [{"confidence": "0.779", "content": "Yes"}],
                 "start_time": "0.0", "end_time": "1.0"},
                {"id": 1, "type": "punctuation", "alternatives": [{"confidence": "0.0", "content": "."}]},
            ])
        );
    }

    #[test]
    fn silence_has_one_empty_transcript_and_no_items() {
        let results = &rendered(&samples::silence())["results"];
        assert_eq!(results["transcripts"], json!([{"transcript": ""}]));
        assert_eq!(results["items"], json!([]));
        assert!(results.get("language_code").is_none() && results.get("channel_labels").is_none());
    }

    #[test]
    fn a_translation_is_english() {
        let german = Transcript { task: Task::Translate, ..samples::transcript(1.0, 1, "de", Vec::new()) };
        assert_eq!(rendered(&german)["results"]["language_code"], "en-US");
    }
}
