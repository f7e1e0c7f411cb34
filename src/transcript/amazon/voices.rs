//! Who speaks, as Amazon Transcribe tells it: a stretch for each segment, with the times of its words, by which readers find
//! them among the items.

use serde::{Serialize, Serializer};

use super::items::{self, Item};
use super::number;
use crate::transcript::Transcript;

/// The stretches of all speakers. Made while they are written.
#[derive(Serialize)]
pub struct SpeakerLabels<'a> {
    segments: Stretches<'a>,
    speakers: usize,
}

impl<'a> SpeakerLabels<'a> {
    /// Those of a transcript that tells who speaks; channels are labels of their own.
    pub fn of(transcript: &'a Transcript) -> Option<Self> {
        let speakers = transcript.speakers.len();
        are_told(transcript).then_some(Self { segments: Stretches(transcript), speakers })
    }
}

/// Whether items carry their speakers.
pub fn are_told(transcript: &Transcript) -> bool {
    !transcript.speakers.is_empty() && super::channels(transcript) == 0
}

/// What they call a speaker.
pub fn label(number: u16) -> String {
    format!("spk_{}", number.saturating_sub(1))
}

struct Stretches<'a>(&'a Transcript);

#[derive(Serialize)]
struct Stretch {
    start_time: String,
    end_time: String,
    speaker_label: String,
    items: Vec<Placed>,
}

/// A word by its time.
#[derive(Serialize)]
struct Placed {
    start_time: String,
    end_time: String,
    speaker_label: String,
}

impl Serialize for Stretches<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut words =
            items::all(self.0).filter_map(|spoken| Some((spoken.segment, placed(spoken.items.first()?)?))).peekable();
        let stretches = self.0.segments.iter().enumerate().filter_map(|(at, segment)| {
            let mut items = Vec::new();
            while let Some((_, word)) = words.next_if(|(of, _)| *of == at) {
                items.push(word);
            }
            let speaker_label = items.first()?.speaker_label.clone();
            let (start_time, end_time) = (number(segment.start), number(segment.end));
            Some(Stretch { start_time, end_time, speaker_label, items })
        });
        to.collect_seq(stretches)
    }
}

fn placed(item: &Item) -> Option<Placed> {
    let (start_time, end_time) = (item.start_time.clone()?, item.end_time.clone()?);
    Some(Placed { start_time, end_time, speaker_label: item.speaker_label.clone()? })
}
