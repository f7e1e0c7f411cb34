//! What each frame holds: voice, another sound, or nothing to hear. The detector's score on a stream brought to one level,
//! with hysteresis; where a stretch is much quieter than what is loudest of late, its score at its own level counts too.

use std::collections::VecDeque;
use std::ops::Range;

use earshot::Detector;

use super::highpass::HighPass;
use super::level::Levels;
use super::tone::Tones;
use super::{BLOCK_FRAMES, FRAME_SAMPLES};

/// The level (RMS of a loud frame) that speech is brought to before it is judged.
const TARGET_RMS: f32 = 0.02;

/// Most amplification, 40 dB: speech at -45 dB is half way to the target then.
const MAX_GAIN: f32 = 100.0;

/// A frame below this RMS is never voiced (-80 dBFS): digital silence and its dither.
const FLOOR_RMS: f32 = 0.000_03;

/// Where the room's noise lies between these shares of the loudest, speech is brought so much higher (8 dB). More of it is
/// noise alone, and what is louder there is taken for voice.
const NOISY: Range<f32> = 0.08..0.7;
const LOUDER_IN_NOISE: f32 = 2.5;

/// Quieter than this share of the loudest, a frame is judged at its own level too (-6 dB).
const QUIETER: f32 = 0.5;
/// But noise is not brought nearer to the target than by this factor, and what does not stand out of it is no voice.
const OVER_ROOM: f32 = 4.0;
const ABOVE_ROOM: f32 = 2.0;

/// What is heard there for less than this is a breath, the fading of a word or the detector's start (0.3 s).
const WORD_FRAMES: usize = 20;

/// What stands out of the room's noise so far, and is no fainter than this, is a sound (8 dB; -74 dBFS).
const SOUND_ABOVE_ROOM: f32 = 2.5;
/// And not so far under what is loudest of late: breaths of who speaks (-26 dB).
const SOUND_UNDER_LOUDEST: f32 = 0.05;
const FAINTEST_SOUND_RMS: f32 = 0.000_2;

/// From here on a frame is something to hear, whatever it is (-60 dBFS).
const AUDIBLE_RMS: f32 = 0.001;

/// What a detector hears before its first frame counts, 0.5 s.
const WARM_UP_FRAMES: usize = 32;

/// Scores from which a run begins, and down to which it goes on.
const ON_SCORE: f32 = 0.5;
const OFF_SCORE: f32 = 0.42;

/// Frames after a tone that still sound like its end.
const AFTER_TONE_FRAMES: usize = 3;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Somebody speaks.
    Voice,
    /// Something sounds, and no voice was found in it.
    Sound,
    /// Nothing that stands out of the noise, or a steady tone.
    Quiet,
}

/// Judges frames, with a delay of up to two blocks.
#[derive(Default)]
pub struct Activity {
    high_pass: HighPass,
    tones: Tones,
    after_tone: usize,
    levels: Levels,
    waiting: Vec<Frame>,
    judged: VecDeque<(Vec<f32>, Kind)>,
    /// At the level of what is loudest of late, and at each frame's own.
    steady: Listener,
    own: Listener,
    /// The end of the block before, for a listener that was not there.
    before: Vec<Vec<f32>>,
    audible: u64,
}

/// A frame that waits to be judged.
struct Frame {
    samples: Vec<f32>,
    filtered: Vec<f32>,
    rms: f32,
    in_tone: bool,
}

/// A detector, and whether it heard voice last.
#[derive(Default)]
struct Listener {
    detector: Detector,
    voiced: bool,
    /// It heard the frame before.
    warm: bool,
}

impl Activity {
    /// Takes one frame. Only the last one of a stream may be shorter than a frame.
    pub fn push(&mut self, samples: Vec<f32>) {
        let filtered: Vec<f32> = self.high_pass.pass(&samples).collect();
        let rms = rms(&filtered);
        self.levels.push(rms);
        self.audible += if rms >= AUDIBLE_RMS { samples.len() as u64 } else { 0 };
        let in_tone = self.after_tone > 0;
        self.after_tone = self.after_tone.saturating_sub(1);
        let tone = self.tones.push(&filtered);
        self.waiting.push(Frame { samples, filtered, rms, in_tone });
        if tone > 0 {
            self.waiting.iter_mut().rev().take(tone).for_each(|frame| frame.in_tone = true);
            self.after_tone = AFTER_TONE_FRAMES;
        }
        if self.waiting.len() == 2 * BLOCK_FRAMES {
            self.turn(BLOCK_FRAMES);
        }
    }

    /// Judges what is left.
    pub fn finish(&mut self) {
        self.turn(self.waiting.len().min(BLOCK_FRAMES));
        self.turn(self.waiting.len());
    }

    /// Samples so far in which there was something to hear.
    pub fn audible(&self) -> u64 {
        self.audible
    }

    /// The next judged frame, and what it holds.
    pub fn pop(&mut self) -> Option<(Vec<f32>, Kind)> {
        self.judged.pop_front()
    }

    /// Judges the next `block` frames.
    fn turn(&mut self, block: usize) {
        if block == 0 {
            return;
        }
        self.levels.turn(block);
        let (loudest, room) = (self.levels.loudest(), self.levels.room());
        // noise lifts what lies between the features of voice: it is heard better a little louder
        let in_noise = NOISY.contains(&(room / loudest.max(f32::MIN_POSITIVE)));
        let steady_gain = gain(loudest) * if in_noise { LOUDER_IN_NOISE } else { 1.0 };
        let own: Vec<f32> = self.levels.around(block).map(|level| level.max(room * OVER_ROOM)).collect();
        let smooth: Vec<f32> = self.levels.smooth(block).collect();
        self.levels.turned(block);
        let frames: Vec<Frame> = self.waiting.drain(..block).collect();
        if !self.steady.warm {
            // the detector takes the step from nothing to noise for speech: let it hear the noise first
            self.steady.warm_up(frames.iter().take(WARM_UP_FRAMES).map(|frame| &frame.filtered), steady_gain);
        }
        let stands_out = |frame: &Frame| frame.rms > (room * ABOVE_ROOM).max(FAINTEST_SOUND_RMS);
        let faintest = (room * SOUND_ABOVE_ROOM).max(loudest * SOUND_UNDER_LOUDEST).max(FAINTEST_SOUND_RMS);
        let is_quieter = |own: &f32| *own < loudest * QUIETER;
        let listens_closely = frames.iter().zip(&own).any(|(frame, own)| stands_out(frame) && is_quieter(own));
        if listens_closely && !self.own.warm {
            let first = own.first().copied().unwrap_or_default();
            self.own.warm_up(self.before.iter(), gain(first));
        }
        self.own.warm = listens_closely;
        let tail = frames.len().saturating_sub(WARM_UP_FRAMES);
        self.before = frames.iter().skip(tail).map(|frame| frame.filtered.clone()).collect();
        let mut heard_closely = vec![false; frames.len()];
        if listens_closely {
            for ((heard, frame), own) in heard_closely.iter_mut().zip(&frames).zip(&own) {
                *heard = self.own.hears(frame, gain(*own)) && stands_out(frame) && is_quieter(own);
            }
            without_blips(&mut heard_closely);
        }
        for ((frame, smooth), closely) in frames.into_iter().zip(smooth).zip(heard_closely) {
            let voiced = self.steady.hears(&frame, steady_gain) || closely;
            let kind = match voiced {
                _ if frame.in_tone => Kind::Quiet,
                true => Kind::Voice,
                false if smooth > faintest => Kind::Sound,
                false => Kind::Quiet,
            };
            self.judged.push_back((frame.samples, kind));
        }
    }
}

/// Takes out what is too short for a word, but at the edges, where it may go on.
fn without_blips(heard: &mut [bool]) {
    let len = heard.len();
    let mut from = 0;
    while from < len {
        let run = heard[from..].iter().take_while(|voiced| **voiced == heard[from]).count();
        let is_blip = run < WORD_FRAMES && from > 0 && from + run < len;
        if is_blip && heard[from] {
            heard[from..from + run].fill(false);
        }
        from += run;
    }
}

impl Listener {
    fn warm_up<'a>(&mut self, frames: impl Iterator<Item = &'a Vec<f32>>, gain: f32) {
        for frame in frames {
            self.score(frame, gain);
        }
        (self.warm, self.voiced) = (true, false);
    }

    fn hears(&mut self, frame: &Frame, gain: f32) -> bool {
        let threshold = if self.voiced { OFF_SCORE } else { ON_SCORE };
        let score = self.score(&frame.filtered, gain);
        self.voiced = frame.rms >= FLOOR_RMS && score >= threshold;
        self.voiced
    }

    fn score(&mut self, frame: &[f32], gain: f32) -> f32 {
        let mut scaled = [0.0; FRAME_SAMPLES];
        for (to, from) in scaled.iter_mut().zip(frame) {
            *to = (from * gain).clamp(-1.0, 1.0);
        }
        self.detector.predict_f32(&scaled)
    }
}

fn gain(level: f32) -> f32 {
    (TARGET_RMS / level.max(f32::MIN_POSITIVE)).min(MAX_GAIN)
}

fn rms(samples: &[f32]) -> f32 {
    (samples.iter().map(|s| s * s).sum::<f32>() / samples.len().max(1) as f32).sqrt()
}
