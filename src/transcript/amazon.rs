//! The transcript in the shape of Amazon Transcribe's output file, so that its consumers move over unchanged.
//!
//! Times and confidences are strings there, and punctuation marks are items of their own, without times. Where we have no
//! value, ours says so in the way theirs may: `accountId` is empty, `language_code` absent.

use serde::{Serialize, Serializer};

use super::{Transcript, round_ms};
use crate::job::{Channels, Task};
use items::{Items, label};
use voices::SpeakerLabels;

mod items;
pub mod locale;
mod voices;

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
    /// Where it was detected.
    #[serde(skip_serializing_if = "Option::is_none")]
    language_identification: Option<[LanguageScore; 1]>,
    /// Where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    language_codes: Vec<LanguageTime>,
    transcripts: [Whole<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker_labels: Option<SpeakerLabels<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_labels: Option<ChannelLabels<'a>>,
    items: Items<'a>,
    audio_segments: AudioSegments<'a>,
}

#[derive(Serialize)]
struct LanguageScore {
    score: String,
    code: &'static str,
}

#[derive(Serialize)]
struct LanguageTime {
    language_code: &'static str,
    duration_in_seconds: f64,
}

/// The segments, each with the ids of its items. Made while they are written, as [`Items`].
struct AudioSegments<'a>(&'a Transcript);

impl Serialize for AudioSegments<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let segments = &self.0.segments;
        let mut ids: Vec<Vec<u32>> = vec![Vec::new(); segments.len()];
        let mut next = 0;
        for spoken in items::all(self.0) {
            for _ in spoken.items {
                if let Some(of_segment) = ids.get_mut(spoken.segment) {
                    of_segment.push(next);
                }
                next += 1;
            }
        }
        to.collect_seq(segments.iter().zip(ids).enumerate().map(|(id, (segment, items))| AudioSegment {
            id,
            transcript: &segment.text,
            start_time: number(segment.start),
            end_time: number(segment.end),
            items,
            channel_label: segment.channel.map(label),
            speaker_label: segment.speaker.filter(|_| voices::are_told(self.0)).map(voices::label),
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
    number_of_channels: u16,
}

#[derive(Serialize)]
struct ChannelItems<'a> {
    channel_label: String,
    items: Items<'a>,
}

#[derive(Serialize)]
struct AudioSegment<'a> {
    id: usize,
    transcript: &'a str,
    start_time: String,
    end_time: String,
    items: Vec<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker_label: Option<String>,
}

fn file(transcript: &Transcript) -> File<'_> {
    File {
        job_name: &transcript.job.job_id,
        account_id: "",
        status: "COMPLETED",
        results: Results {
            language_code: language_code(transcript),
            language_identification: identification(transcript),
            language_codes: language_codes(transcript),
            transcripts: [Whole { transcript: &transcript.text }],
            speaker_labels: SpeakerLabels::of(transcript),
            channel_labels: channel_labels(transcript),
            items: Items { transcript, channel: None },
            audio_segments: AudioSegments(transcript),
        },
    }
}

/// Channels that were transcribed by themselves: all that the audio has, whether anybody speaks on them or not. None where
/// they were mixed.
fn channels(transcript: &Transcript) -> u16 {
    let is_separate = transcript.request.as_ref().is_some_and(|request| request.channels == Channels::Separate);
    let spoken =
        transcript.segments.iter().filter_map(|segment| segment.channel).map(|channel| channel.saturating_add(1)).max();
    let of_audio = if is_separate || spoken.is_some() { transcript.audio.channels.max(1) } else { 0 };
    of_audio.max(spoken.unwrap_or(0))
}

/// The items again by channel, in the order of the channels' numbers.
fn channel_labels(transcript: &Transcript) -> Option<ChannelLabels<'_>> {
    let number_of_channels = channels(transcript);
    let of =
        |channel| ChannelItems { channel_label: label(channel), items: Items { transcript, channel: Some(channel) } };
    let channels = (0..number_of_channels).map(of).collect();
    (number_of_channels > 0).then_some(ChannelLabels { channels, number_of_channels })
}

/// The text's language: English, when it was translated. Theirs has one or several, never both.
fn language_code(transcript: &Transcript) -> Option<&'static str> {
    match transcript.task {
        Task::Translate => locale::of("en"),
        Task::Transcribe if transcript.languages.len() > 1 => None,
        Task::Transcribe => locale::of(&transcript.language.as_ref()?.code),
    }
}

fn identification(transcript: &Transcript) -> Option<[LanguageScore; 1]> {
    let probability = transcript.language.as_ref()?.probability?;
    let code = language_code(transcript).filter(|_| transcript.task == Task::Transcribe)?;
    Some([LanguageScore { score: number(probability), code }])
}

fn language_codes(transcript: &Transcript) -> Vec<LanguageTime> {
    let shares = transcript.languages.iter().filter_map(|share| {
        Some(LanguageTime { language_code: locale::of(&share.code)?, duration_in_seconds: share.seconds })
    });
    match transcript.task {
        Task::Transcribe if transcript.languages.len() > 1 => shares.collect(),
        _ => Vec::new(),
    }
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
    use crate::transcript::{LanguageShare, Segment, samples};

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

    fn strings<'a>(items: &'a Value, field: &str) -> Vec<&'a str> {
        items.as_array().unwrap().iter().filter_map(|item| item[field].as_str()).collect()
    }

    fn contents(items: &Value) -> Vec<&str> {
        items.as_array().unwrap().iter().map(|item| item["alternatives"][0]["content"].as_str().unwrap()).collect()
    }

    #[test]
    fn silence_has_one_word_without_letters_that_readers_find_first_and_last() {
        let silence = samples::silence();
        let results = &rendered(&silence)["results"];
        assert_eq!(results["transcripts"], json!([{"transcript": ""}]));
        assert_eq!((contents(&results["items"]), &results["items"][0]["type"]), (vec![""], &json!("pronunciation")));
        assert_eq!(
            (&results["items"][0]["start_time"], &results["items"][0]["end_time"]),
            (&json!("0.0"), &json!("5.0"))
        );
        assert!(results.get("language_code").is_none() && results.get("channel_labels").is_none());
        assert_eq!(results["audio_segments"], json!([]));
    }

    #[test]
    fn every_channel_of_the_audio_is_there_in_the_order_of_their_numbers() {
        let said = |channel| samples::segment(f64::from(channel), 20.0, "Yes.", Some(channel));
        let mut call = samples::transcript(20.0, 12, "en", vec![said(2), said(10)]);
        for segments in [call.segments.clone(), Vec::new()] {
            call.segments = segments;
            call.request =
                call.request.map(|request| crate::transcript::Request { channels: Channels::Separate, ..request });
            let labels = rendered(&call)["results"]["channel_labels"].clone();
            assert_eq!(labels["number_of_channels"], 12);
            let expected: Vec<_> = (0..12).map(|channel| format!("ch_{channel}")).collect();
            assert_eq!(strings(&labels["channels"], "channel_label"), expected);
            let with_items =
                labels["channels"].as_array().unwrap().iter().filter(|channel| channel["items"] != json!([]));
            assert!(with_items.count() > 0);
        }
    }

    #[test]
    fn the_items_of_a_channel_are_those_of_all_and_no_cue_of_theirs_runs_backwards() {
        let said = |start, end, text, channel| samples::segment(start, end, text, Some(channel));
        let overlap = vec![said(0.0, 6.0, "One two three four, five six.", 0), said(1.0, 3.0, "Yes, well...", 1)];
        let results = rendered(&samples::transcript(7.0, 2, "en", overlap))["results"].clone();
        let items = results["items"].as_array().unwrap();
        for channel in results["channel_labels"]["channels"].as_array().unwrap() {
            let label = &channel["channel_label"];
            let of_channel: Vec<&Value> = items.iter().filter(|item| item["channel_label"] == *label).collect();
            assert_eq!(channel["items"].as_array().unwrap().iter().collect::<Vec<_>>(), of_channel);
        }
        let starts: Vec<f64> =
            strings(&results["items"], "start_time").iter().map(|secs| secs.parse().unwrap()).collect();
        assert!(starts.is_sorted(), "{starts:?}");
        let after_mark = items.windows(2).filter(|pair| pair[1]["type"] == "punctuation");
        assert!(after_mark.clone().count() > 0);
        assert!(after_mark.into_iter().all(|pair| pair[0]["channel_label"] == pair[1]["channel_label"]));
        // the ids of each segment's items, in this order
        let segments = results["audio_segments"].as_array().unwrap();
        let of_segment = |segment: &Value| -> Vec<&str> {
            let ids = segment["items"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap());
            ids.map(|id| items[id as usize]["alternatives"][0]["content"].as_str().unwrap()).collect()
        };
        assert_eq!(of_segment(&segments[0]), ["One", "two", "three", "four", ",", "five", "six", "."]);
        assert_eq!(of_segment(&segments[1]), ["Yes", ",", "well", ".", ".", "."]);
    }

    #[test]
    fn no_item_is_a_mark_without_a_word_before_it() {
        let said = |text| samples::segment(0.0, 2.0, text, None);
        for (text, expected) in [
            ("- No. - Yes.", vec!["-No", ".", "-Yes", "."]),
            ("… and so on", vec!["…and", "so", "on"]),
            ("...", vec![""]),
        ] {
            let results = rendered(&samples::transcript(2.0, 1, "en", vec![said(text)]))["results"].clone();
            assert_eq!(contents(&results["items"]), expected, "{text}");
            assert_eq!(results["items"][0]["type"], "pronunciation");
        }
    }

    #[test]
    fn one_detected_language_has_a_score_and_of_several_each_has_its_time() {
        let one = rendered(&samples::jfk())["results"].clone();
        assert_eq!(one["language_identification"], json!([{"score": "0.98", "code": "en-US"}]));
        let mut two = samples::transcript(3.0, 1, "en", vec![samples::segment(0.0, 1.0, "Yes.", None)]);
        two.segments.push(Segment { language: Some("de".to_owned()), ..samples::segment(1.0, 3.0, "Ja.", None) });
        two.languages = LanguageShare::of(&two.segments);
        let results = rendered(&two)["results"].clone();
        assert!(results.get("language_code").is_none());
        assert_eq!(
            results["language_codes"],
            json!([{"language_code": "de-DE", "duration_in_seconds": 2.0}, {"language_code": "en-US", "duration_in_seconds": 1.0}])
        );
        assert_eq!(strings(&results["items"], "language_code"), ["en-US", "en-US", "de-DE", "de-DE"]);
    }

    #[test]
    fn each_word_is_found_by_its_time_among_its_speakers() {
        let results = rendered(&samples::interview())["results"].clone();
        assert_eq!(results["speaker_labels"]["speakers"], 2);
        let stretches = results["speaker_labels"]["segments"].as_array().unwrap();
        assert_eq!(
            stretches.iter().map(|stretch| stretch["speaker_label"].as_str().unwrap()).collect::<Vec<_>>(),
            ["spk_0", "spk_1", "spk_0"]
        );
        let placed: Vec<&Value> = stretches.iter().flat_map(|stretch| stretch["items"].as_array().unwrap()).collect();
        let items = results["items"].as_array().unwrap();
        let words: Vec<&Value> = items.iter().filter(|item| item["type"] == "pronunciation").collect();
        assert_eq!(placed.len(), words.len());
        for (placed, word) in placed.into_iter().zip(words) {
            for field in ["start_time", "end_time", "speaker_label"] {
                assert_eq!(placed[field], word[field]);
            }
        }
        assert!(items.iter().all(|item| item["speaker_label"].is_string()));
    }

    #[test]
    fn a_translation_is_english() {
        let german = Transcript { task: Task::Translate, ..samples::transcript(1.0, 1, "de", Vec::new()) };
        assert_eq!(rendered(&german)["results"]["language_code"], "en-US");
    }
}
