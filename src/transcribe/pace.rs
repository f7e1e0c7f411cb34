//! Has a window lost text? Whisper may end a window's text early, mostly where the speaker changes, and is as sure of what
//! is left as ever. Only the amount tells: far less was heard than people say in so many seconds of voice.

use std::collections::VecDeque;

/// Windows whose pace is remembered, about five minutes of speech.
const REMEMBERED: usize = 12;
/// Letters in a second of voice, words counted as a letter more: read English has 14 to 17, conversation more, a slow
/// reading of verse 13. It is believed as much as [`BELIEVED`] windows.
const TYPICAL: f64 = 15.0;
const BELIEVED: usize = 4;
/// Of 217 windows of shuffled sentences by many speakers, all but a few of those that had lost one had less than this share
/// of the median pace, and nine in ten of the others more.
const SHORT: f64 = 0.85;
/// With less voice than this, seconds, a pace is chance.
const MIN_SPEECH_SECS: f64 = 6.0;

/// The pace of a job's windows so far. It must be told of them in their order, so that the same file is judged alike
/// whenever it is transcribed.
#[derive(Debug)]
pub struct Pace {
    recent: VecDeque<f64>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { recent: VecDeque::from([TYPICAL; BELIEVED]) }
    }
}

impl Pace {
    /// Takes the next window: how many letters were heard in so many seconds of voice. Returns whether they are too few.
    pub fn is_short(&mut self, letters: u32, speech_secs: f64) -> bool {
        if speech_secs < MIN_SPEECH_SECS {
            return false;
        }
        if letters == 0 {
            // nothing at all says nothing about how fast somebody speaks
            return true;
        }
        let pace = f64::from(letters) / speech_secs;
        let short = pace < SHORT * self.median();
        self.recent.push_back(pace);
        if self.recent.len() > REMEMBERED {
            self.recent.pop_front();
        }
        short
    }

    fn median(&self) -> f64 {
        let mut sorted: Vec<f64> = self.recent.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(TYPICAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_lost_a_sentence_is_short_among_others() {
        let mut pace = Pace::default();
        let heard = [400, 430, 390, 250, 410].map(|letters| pace.is_short(letters, 26.0));
        assert_eq!(heard, [false, false, false, true, false]);
    }

    #[test]
    fn a_slow_speaker_is_soon_known_to_be_slow() {
        let mut pace = Pace::default();
        let heard: Vec<bool> = (0..12).map(|_| pace.is_short(230, 26.0)).collect();
        assert!(heard[8..].iter().all(|short| !short), "{heard:?}");
    }

    #[test]
    fn a_few_words_say_nothing_about_pace() {
        assert!(!Pace::default().is_short(5, 3.0));
        assert!(!Pace::default().is_short(0, 3.0));
    }

    #[test]
    fn a_window_of_voice_without_text_lost_it() {
        let mut pace = Pace::default();
        let heard = [0, 400, 0, 390].map(|letters| pace.is_short(letters, 26.0));
        assert_eq!(heard, [true, false, true, false]);
    }
}
