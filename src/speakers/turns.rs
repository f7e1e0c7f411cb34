//! Who speaks when in the source: the windows' probabilities laid over each other. Whose a voice is the window says, but where
//! one voice speaks alone the run it is part of, if that is sure.

use std::ops::Range;

use super::RATE_HZ;
use super::cluster::{self, Speakers};
use super::glimpse::Glimpse;
use super::segmentation::{FRAME_CENTRE, FRAME_STEP, FRAMES, VOICES};
use crate::job::speakers::SpeakerCount;

/// Seconds; a shorter pause is a part of its speaker's turn.
const PAUSE_SECS: f64 = 0.5;

/// Parts of 255: who is more probable to speak than not.
const HALF: u8 = 127;

/// A stretch of one speaker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Turn {
    /// From 0, in the order in which they were found.
    pub speaker: usize,
    /// Seconds.
    pub start: f64,
    /// Seconds.
    pub end: f64,
}

/// The speakers of one stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Followed {
    /// Channel, where channels are separate.
    pub channel: Option<u16>,
    /// In order of their ends; where several speak at once there are several.
    pub turns: Vec<Turn>,
    /// In order, none over another: where several speak at once, who is surest to.
    pub foremost: Vec<Turn>,
}

/// The turns of a stream of `secs` seconds, from what was seen in its windows in their order.
pub fn turns(channel: Option<u16>, glimpses: &[Glimpse], secs: f64, count: SpeakerCount) -> Followed {
    let Speakers { count, voices, runs } = cluster::speakers(glimpses, count);
    let mut score = Score::new(count, secs);
    for (index, (glimpse, voices)) in glimpses.iter().zip(&voices).enumerate() {
        // a window's edges are the next ones' own
        let around = runs.iter().take(index + 2).skip(index.saturating_sub(1)).flatten();
        score.add(glimpse, voices, &around.cloned().collect::<Vec<_>>());
    }
    let (turns, foremost) = score.finish();
    Followed { channel, turns, foremost }
}

/// The frames that windows to come still add to, and the turns under way.
struct Score {
    speakers: usize,
    secs: f64,
    /// Which frame of the source the first row is of.
    first: usize,
    /// A row per frame: what all windows weigh, then each speaker's probability by weight.
    rows: Vec<f32>,
    /// Where the turn under way began, by speaker; then the foremost one's speaker and beginning.
    open: Vec<Option<f64>>,
    ahead: Option<(usize, f64)>,
    turns: Vec<Turn>,
    foremost: Vec<Turn>,
}

impl Score {
    fn new(speakers: usize, secs: f64) -> Self {
        let open = vec![None; speakers];
        Self { speakers, secs, first: 0, rows: Vec::new(), open, ahead: None, turns: Vec::new(), foremost: Vec::new() }
    }

    fn add(&mut self, glimpse: &Glimpse, labels: &[Option<usize>; VOICES], runs: &[(Range<usize>, usize)]) {
        let (width, start) = (self.speakers + 1, glimpse.first_frame());
        self.settle(start.saturating_sub(self.first));
        self.rows.resize(self.rows.len().max(FRAMES * width), 0.0);
        for (frame, row) in self.rows.chunks_exact_mut(width).take(FRAMES).enumerate() {
            let weight = hamming(frame);
            let Some((all, speakers)) = row.split_first_mut() else { break };
            *all += weight;
            let Some(activity) = glimpse.activity.get(frame) else { continue };
            let is_alone = activity.iter().filter(|probability| **probability > HALF).count() == 1;
            let run = runs.iter().find(|(frames, _)| is_alone && frames.contains(&(start + frame)));
            for (probability, label) in activity.iter().zip(labels) {
                let surely = run.filter(|_| *probability > HALF).map(|(_, speaker)| *speaker);
                if let Some(sum) = surely.or(*label).and_then(|speaker| speakers.get_mut(speaker)) {
                    *sum += weight * f32::from(*probability) / 255.0;
                }
            }
        }
    }

    /// Decides the first `frames`, which no window to come touches.
    fn settle(&mut self, frames: usize) {
        let width = self.speakers + 1;
        let rows = std::mem::take(&mut self.rows);
        let (done, rest) = rows.split_at((frames * width).min(rows.len()));
        for (at, row) in done.chunks_exact(width).enumerate() {
            self.decide(self.first + at, row);
        }
        self.rows = rest.to_vec();
        self.first += frames;
    }

    fn decide(&mut self, frame: usize, row: &[f32]) {
        let Some((all, sums)) = row.split_first() else { return };
        // halfway to the frame before
        let at = ((frame * FRAME_STEP + FRAME_CENTRE).saturating_sub(FRAME_STEP / 2) as f64 / RATE_HZ).min(self.secs);
        for (speaker, (sum, open)) in sums.iter().zip(&mut self.open).enumerate() {
            match (*sum > all / 2.0, *open) {
                (true, None) => {
                    let last = self.turns.iter().rposition(|turn| turn.speaker == speaker);
                    let last = last.filter(|last| self.turns.get(*last).is_some_and(|turn| at - turn.end < PAUSE_SECS));
                    *open = Some(last.map_or(at, |last| self.turns.remove(last).start));
                }
                (false, Some(start)) => {
                    self.turns.push(Turn { speaker, start, end: at });
                    *open = None;
                }
                _ => {}
            }
        }
        let surest = sums.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
        let surest = surest.filter(|(_, sum)| **sum > all / 2.0).map(|(speaker, _)| speaker);
        if surest != self.ahead.map(|(speaker, _)| speaker) {
            self.end_foremost(at);
            let goes_on = |turn: &mut Turn| Some(turn.speaker) == surest && at - turn.end < PAUSE_SECS;
            let start = self.foremost.pop_if(goes_on).map_or(at, |turn| turn.start);
            self.ahead = surest.map(|speaker| (speaker, start));
        }
    }

    fn end_foremost(&mut self, end: f64) {
        if let Some((speaker, start)) = self.ahead.take() {
            self.foremost.push(Turn { speaker, start, end });
        }
    }

    fn finish(mut self) -> (Vec<Turn>, Vec<Turn>) {
        let frames = self.rows.len() / (self.speakers + 1);
        self.settle(frames);
        let end = ((self.first * FRAME_STEP + FRAME_CENTRE) as f64 / RATE_HZ).min(self.secs);
        for (speaker, start) in self.open.iter().enumerate().filter_map(|(speaker, open)| Some((speaker, (*open)?))) {
            self.turns.push(Turn { speaker, start, end });
        }
        self.end_foremost(end);
        let is_long = |turn: &Turn| turn.end > turn.start;
        self.turns.retain(is_long);
        self.foremost.retain(is_long);
        (self.turns, self.foremost)
    }
}

/// What a window's frame weighs: the net knows more of what lies in the middle.
fn hamming(frame: usize) -> f32 {
    0.54 - 0.46 * (std::f32::consts::TAU * frame as f32 / (FRAMES - 1) as f32).cos()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::super::embedding::SIZE;
    use super::super::glimpse::{Run, Sample};
    use super::*;

    /// A window in which the first voice speaks in the frames of `first`, the second in all others.
    fn glimpse(start: u64, first: std::ops::Range<usize>, swapped: bool) -> Glimpse {
        let voice = |axis: usize| {
            let mut voice = [0.0; SIZE];
            voice[axis] = 1.0;
            Some(Sample { voice, solo_secs: 3.0 })
        };
        let row = |frame| {
            let is_first = first.contains(&frame) != swapped;
            [255 * u8::from(is_first), 255 * u8::from(!is_first), 0]
        };
        let (a, b) = if swapped { (voice(1), voice(0)) } else { (voice(0), voice(1)) };
        Glimpse { activity: (0..FRAMES).map(row).collect(), voices: [a, b, None], ..Glimpse::silent(start) }
    }

    #[test]
    fn two_windows_that_number_the_voices_otherwise_give_one_turn_each() {
        // the change is at frame 400: 5 s into the second window it is frame 400 - 296
        let glimpses = [glimpse(0, 0..400, false), glimpse(80_000, 0..104, true)];
        let found = turns(None, &glimpses, 15.0, SpeakerCount::default());
        let [first, second] = found.foremost.as_slice() else { unreachable!("{found:?}") };
        assert_eq!(found.turns.len(), 2);
        assert_ne!(first.speaker, second.speaker);
        assert!((first.end - 400.0 * 270.0 / RATE_HZ).abs() < 0.05 && first.end == second.start, "{found:?}");
        assert!(first.start < 0.05 && (second.end - 15.0).abs() < 0.05, "{found:?}");
    }

    #[test]
    fn a_voice_that_the_window_takes_for_another_is_known_by_its_run() {
        // of the second window the net takes both voices for the first's, though what follows frame 300 is the second's
        let mut glimpses = [glimpse(0, 0..400, false), glimpse(160_000, 0..FRAMES, false)];
        let voice = glimpses[0].voices[1].as_ref().unwrap().voice;
        glimpses[1].voices[1] = None;
        let ends = |glimpses: &[Glimpse]| {
            let found = turns(None, glimpses, 20.0, SpeakerCount::default()).foremost;
            found.iter().map(|turn| turn.end.round()).collect::<Vec<_>>()
        };
        assert_eq!(ends(&glimpses), [7.0, 10.0, 20.0]);
        glimpses[1].runs = vec![Run { frames: 300..FRAMES, voice }];
        assert_eq!(ends(&glimpses), [7.0, 10.0, 15.0, 20.0]);
        // between two speakers it is nobody's
        glimpses[1].runs[0].voice[0] = voice[1];
        assert_eq!(ends(&glimpses), [7.0, 10.0, 20.0]);
    }

    #[test]
    fn a_short_pause_is_a_part_of_a_turn_and_a_long_one_is_none() {
        let pauses = |frames: usize| {
            let mut glimpse = glimpse(0, 0..FRAMES, false);
            glimpse.voices[1] = None;
            glimpse.activity.iter_mut().for_each(|row| row[1] = 0);
            glimpse.activity[200..200 + frames].fill([0; VOICES]);
            let found = turns(None, &[glimpse], 10.0, SpeakerCount::default());
            (found.turns.len(), found.foremost.len())
        };
        // 0.4 and 0.6 s
        assert_eq!((pauses(24), pauses(36)), ((1, 1), (2, 2)));
    }

    #[test]
    fn nothing_heard_is_no_turn() {
        assert_eq!(turns(Some(1), &[Glimpse::silent(0)], 10.0, SpeakerCount::default()).turns, []);
        assert_eq!(turns(None, &[], 0.0, SpeakerCount::default()), Followed::default());
    }
}
