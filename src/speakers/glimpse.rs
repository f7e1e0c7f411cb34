//! What one window of ten seconds tells: which of its voices speaks when, what each sounds like, and what is said between
//! two pauses: the net may take voices that are alike for one, but of what is said in one breath nearly all is one voice's.

use std::ops::Range;
use std::path::Path;

use super::RATE_HZ;
use super::embedding::{Embedding, Voice};
use super::fbank::{BANDS, FRAME_SAMPLES, Fbank, HOP_SAMPLES};
use super::segmentation::{CLASSES, FRAME_CENTRE, FRAME_STEP, FRAMES, SPEAKING, Segmentation, VOICES};
use super::weights::Weights;
use crate::model::{safetensors, speakers};

/// Frames; a voice heard for less has no direction. 0.1 s.
const LEAST_FRAMES: usize = 6;
/// Frames; where a voice is alone for less, what it says together with others counts too. 0.4 s.
const LEAST_SOLO_FRAMES: usize = 24;
/// Frames; less is no pause. 0.1 s.
const PAUSE_FRAMES: usize = 6;
/// Frames; a shorter run does not show by itself whose it is. 0.8 s.
const LEAST_RUN_FRAMES: usize = 48;
/// Frames; a voice whose longest run is shorter is all that it says alone. 2 s.
const LONG_RUN_FRAMES: usize = 119;
/// Frames of features that a voice's direction is made of, at most, 4 s, and a run's, 1.5 s: what bounds the work.
const MOST_FEATURES: usize = 400;
const MOST_RUN_FEATURES: usize = 150;
/// Bands of the features from 500 to 3,000 Hz, and from 4,900 Hz on.
const TELEPHONE: Range<usize> = 16..53;
const ABOVE: Range<usize> = 66..BANDS;
/// So much more power, 30 dB, in the former: of speech in full band it is 14 dB, through a telephone 50 dB.
const NARROW_RATIO: f64 = 1e3;
/// Samples that are all weaker are silence.
const SILENCE: f32 = 1e-4;

/// What was seen in a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Glimpse {
    /// Where it begins in the source, in samples.
    pub start: u64,
    /// How probably each of its voices speaks, in parts of 255; a row per frame, none where all is silent.
    pub activity: Vec<[u8; VOICES]>,
    /// What each sounds like; `None` where it says next to nothing.
    pub voices: [Option<Sample>; VOICES],
    /// Nothing sounds above the telephone's band.
    pub is_narrow: bool,
    /// What is said in the part of the window that is its own, in no order.
    pub runs: Vec<Run>,
}

/// What one voice says alone, from one pause to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Frames of the window.
    pub frames: Range<usize>,
    /// What it sounds like.
    pub voice: Voice,
}

/// What a voice sounds like.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its direction.
    pub voice: Voice,
    /// Seconds in which it was heard alone.
    pub solo_secs: f32,
}

impl Glimpse {
    /// One of a window that begins at sample `start` and in which nothing is heard.
    pub fn silent(start: u64) -> Self {
        let voices = [const { None }; VOICES];
        Self { start, activity: Vec::new(), voices, is_narrow: false, runs: Vec::new() }
    }

    /// Which frame of the source its first one is.
    pub fn first_frame(&self) -> usize {
        (self.start as usize + FRAME_STEP / 2) / FRAME_STEP
    }
}

/// Both nets.
pub struct Nets {
    segmentation: Segmentation,
    embedding: Embedding,
    fbank: Fbank,
}

impl Nets {
    /// Those of the file that `model pull speakers` made.
    ///
    /// # Errors
    /// It cannot be read, or is not what it should be.
    pub fn load(path: &Path) -> Result<Self, String> {
        let mut tensors = safetensors::read(path).map_err(|e| e.to_string())?;
        let segmentation = Segmentation::load(&mut Weights::new(&mut tensors, speakers::SEGMENTATION))?;
        let embedding = Embedding::load(&mut Weights::new(&mut tensors, speakers::EMBEDDING))?;
        Ok(Self { segmentation, embedding, fbank: Fbank::default() })
    }

    /// Looks at a window that begins at sample `start`; the runs around these of its frames are looked at by themselves.
    ///
    /// # Errors
    /// A sentence; only a bug can cause one.
    pub fn look(&self, start: u64, pcm: &[f32], own: &Range<usize>) -> Result<Glimpse, String> {
        if pcm.iter().all(|sample| sample.abs() < SILENCE) {
            return Ok(Glimpse::silent(start));
        }
        let classes = self.segmentation.run(pcm)?;
        let speaking: Vec<[bool; VOICES]> = classes.iter().map(likeliest).collect();
        let features = self.fbank.analyse(pcm)?;
        let (mut voices, mut runs) = ([const { None }; VOICES], Vec::new());
        for (index, sample) in voices.iter_mut().enumerate() {
            let said = Said::by(index, &speaking);
            if said.all.len() < LEAST_FRAMES {
                continue;
            }
            let voice = self.direction(&features, &said.telling(), MOST_FEATURES);
            for frames in said.runs.iter().filter(|frames| is_seen(frames, own)) {
                let is_longest = said.longest() == Some(frames);
                let of_run = || self.direction(&features, &frames.clone().collect::<Vec<_>>(), MOST_RUN_FEATURES);
                let voice = if is_longest { voice } else { of_run() };
                runs.extend(voice.map(|voice| Run { frames: frames.clone(), voice }));
            }
            *sample = voice.map(|voice| Sample { voice, solo_secs: secs(said.solo.len()) });
        }
        let (activity, is_narrow) = (classes.iter().map(activity).collect(), is_narrow(&features));
        Ok(Glimpse { start, activity, voices, is_narrow, runs })
    }

    /// The direction of what is said in these frames, which are in order, made of at most so many frames of features.
    fn direction(&self, features: &[[f32; BANDS]], frames: &[usize], most: usize) -> Option<Voice> {
        let is_of = |feature: usize| frames.binary_search(&frame_of(feature)).is_ok();
        let heard = features.iter().enumerate().filter(|(feature, _)| is_of(*feature)).map(|(_, row)| *row);
        self.embedding.run(&heard.take(most).collect::<Vec<_>>())
    }
}

/// What one of a window's voices says, in frames in their order.
struct Said {
    /// In which it speaks.
    all: Vec<usize>,
    /// In which nobody else does.
    solo: Vec<usize>,
    /// The latter from one pause to the next.
    runs: Vec<Range<usize>>,
}

impl Said {
    fn by(voice: usize, speaking: &[[bool; VOICES]]) -> Self {
        let (mut all, mut solo, mut runs) = (Vec::new(), Vec::new(), Vec::<Range<usize>>::new());
        for (frame, on) in speaking.iter().enumerate().filter(|(_, on)| on.get(voice) == Some(&true)) {
            all.push(frame);
            if on.iter().filter(|on| **on).count() > 1 {
                continue;
            }
            solo.push(frame);
            match runs.last_mut() {
                Some(run) if frame - run.end < PAUSE_FRAMES => run.end = frame + 1,
                _ => runs.push(frame..frame + 1),
            }
        }
        Self { all, solo, runs }
    }

    /// The longest run, if that is long enough to show what the voice sounds like.
    fn longest(&self) -> Option<&Range<usize>> {
        self.runs.iter().max_by_key(|frames| frames.len()).filter(|frames| frames.len() >= LONG_RUN_FRAMES)
    }

    /// The frames that show what the voice sounds like: a window's voice may be two that are alike, its longest run hardly.
    fn telling(&self) -> Vec<usize> {
        match self.longest() {
            Some(longest) => longest.clone().collect(),
            None if self.solo.len() < LEAST_SOLO_FRAMES => self.all.clone(),
            None => self.solo.clone(),
        }
    }
}

/// Whether a run is long enough to be looked at by itself, and around one of the window's own frames.
fn is_seen(frames: &Range<usize>, own: &Range<usize>) -> bool {
    frames.len() >= LEAST_RUN_FRAMES && own.contains(&usize::midpoint(frames.start, frames.end))
}

/// Whether what sounds lies in the bands of a telephone and nearly nothing above them.
fn is_narrow(features: &[[f32; BANDS]]) -> bool {
    let power = |bands: Range<usize>| {
        let rows = features.iter().filter_map(|row| row.get(bands.clone()));
        rows.map(|row| row.iter().map(|band| f64::from(*band).exp()).sum::<f64>() / row.len() as f64).sum::<f64>()
    };
    power(TELEPHONE) > NARROW_RATIO * power(ABOVE)
}

/// Seconds of so many frames.
pub fn secs(frames: usize) -> f32 {
    ((frames * FRAME_STEP) as f64 / RATE_HZ) as f32
}

/// The frame of the segmentation in the middle of a frame of features.
fn frame_of(feature: usize) -> usize {
    let centre = feature * HOP_SAMPLES + FRAME_SAMPLES / 2;
    ((centre + FRAME_STEP / 2).saturating_sub(FRAME_CENTRE) / FRAME_STEP).min(FRAMES - 1)
}

fn likeliest(classes: &[f32; CLASSES]) -> [bool; VOICES] {
    let best = classes.iter().zip(SPEAKING).max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.map_or([false; VOICES], |(_, speaking)| speaking)
}

fn activity(classes: &[f32; CLASSES]) -> [u8; VOICES] {
    let mut sums = [0.0_f32; VOICES];
    for (probability, speaking) in classes.iter().zip(SPEAKING) {
        for (sum, on) in sums.iter_mut().zip(speaking) {
            *sum += if on { *probability } else { 0.0 };
        }
    }
    // a cast saturates
    sums.map(|sum| (sum * 255.0).round() as u8)
}
