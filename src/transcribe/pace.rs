//! Has a window lost text? Whisper may end a window's text early, mostly where the speaker changes, and is as sure of what
//! is left as ever. Only the amount tells: far less was heard than people say in so many seconds of voice.

use std::collections::{BTreeMap, VecDeque};

use super::wire::WindowText;
use crate::script::character::{self, Writing};

/// Windows whose pace is remembered, about five minutes of speech.
const REMEMBERED: usize = 12;
/// Letters in a second of voice, words counted as a letter more: read English has 14 to 17, conversation more, a slow
/// reading of verse 13. In alphabets it is believed as much as [`BELIEVED`] windows.
const TYPICAL: f64 = 15.0;
const BELIEVED: usize = 4;
/// What is typical of other writing differs from language to language as much as a lost sentence matters: their windows are
/// compared with each other alone, once there are so many.
const LEAST_KNOWN: usize = 3;
/// Of 217 windows of shuffled sentences by many speakers, all but a few of those that had lost one had less than this share
/// of the median pace, and nine in ten of the others more.
const SHORT: f64 = 0.85;
/// With less voice than this, seconds, a pace is chance.
const MIN_SPEECH_SECS: f64 = 6.0;

/// The pace of a job's windows so far, each kind of writing by itself. It must be told of them in their order, so that the
/// same file is judged alike whenever it is transcribed.
#[derive(Debug)]
pub struct Pace {
    recent: BTreeMap<Writing, VecDeque<f64>>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { recent: BTreeMap::from([(Writing::Alphabet, VecDeque::from([TYPICAL; BELIEVED]))]) }
    }
}

impl Pace {
    /// Takes the next window: its text, how many letters were heard in it at first, in so many seconds of voice. Returns
    /// whether they are too few.
    pub fn is_short(&mut self, text: &WindowText, letters: u32, speech_secs: f64) -> bool {
        if speech_secs < MIN_SPEECH_SECS {
            return false;
        }
        if letters == 0 {
            // nothing at all says nothing about how fast somebody speaks
            return true;
        }
        let recent = self.recent.entry(character::writing(&text.text())).or_default();
        let pace = f64::from(letters) / speech_secs;
        let short = median(recent).is_some_and(|median| pace < SHORT * median);
        recent.push_back(pace);
        if recent.len() > REMEMBERED {
            recent.pop_front();
        }
        short
    }
}

/// Of three at least.
fn median(recent: &VecDeque<f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = recent.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().filter(|_| sorted.len() >= LEAST_KNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcribe::wire::Piece;

    /// How windows of 26 s of voice are judged that have so many letters, in this writing.
    fn judged(sample: &str, letters: impl IntoIterator<Item = u32>) -> Vec<bool> {
        let mut pace = Pace::default();
        letters.into_iter().map(|letters| pace.is_short(&text(sample), letters, 26.0)).collect()
    }

    fn text(sample: &str) -> WindowText {
        WindowText { pieces: vec![Piece { text: sample.to_owned(), p: 0.9, said: None }], ..WindowText::default() }
    }

    #[test]
    fn a_window_that_lost_a_sentence_is_short_among_others() {
        assert_eq!(judged("So it is.", [400, 430, 390, 250, 410]), [false, false, false, true, false]);
        assert_eq!(judged("네, 그렇습니다.", [200, 215, 195, 125, 205]), [false, false, false, true, false]);
    }

    #[test]
    fn a_slow_speaker_is_soon_known_to_be_slow() {
        let heard = judged("So it is.", [230; 12]);
        assert!(heard[8..].iter().all(|short| !short), "{heard:?}");
    }

    #[test]
    fn other_writing_than_ours_is_not_measured_by_our_letters() {
        for sample in
            ["네, 그렇습니다.", "כן, זה נכון.", "نعم، هذا صحيح.", "ใช่ครับ", "हाँ, यह सही है।", "はい、そうです。"]
        {
            // half as many as English has
            assert_eq!(judged(sample, [200; 6]), [false; 6], "{sample}");
        }
        let mut pace = Pace::default();
        let mixed = [("So it is.", 400), ("네, 그렇습니다.", 200), ("So it is.", 390), ("네, 그렇습니다.", 190)];
        assert!(mixed.into_iter().all(|(sample, letters)| !pace.is_short(&text(sample), letters, 26.0)));
    }

    #[test]
    fn a_few_words_say_nothing_about_pace() {
        assert!(!Pace::default().is_short(&text("Yes."), 5, 3.0));
        assert!(!Pace::default().is_short(&text(""), 0, 3.0));
    }

    #[test]
    fn a_window_of_voice_without_text_lost_it() {
        assert_eq!(judged("So it is.", [0, 400, 0, 390]), [true, false, true, false]);
    }
}
