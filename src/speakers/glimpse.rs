//! What one window of ten seconds tells: which of its voices speaks when, and what each sounds like.

use std::ops::Range;
use std::path::Path;

use super::embedding::{Embedding, Voice};
use super::fbank::{BANDS, FRAME_SAMPLES, Fbank, HOP_SAMPLES};
use super::segmentation::{CLASSES, FRAME_CENTRE, FRAME_STEP, FRAMES, RATE_HZ, SPEAKING, Segmentation, VOICES};
use super::weights::Weights;
use crate::model::{safetensors, speakers};

/// Frames; a voice heard for less has no direction. 0.1 s.
const LEAST_FRAMES: usize = 6;
/// Frames; where a voice is alone for less, what it says together with others counts too. 0.4 s.
const LEAST_SOLO_FRAMES: usize = 24;
/// Frames of features that a direction is made of, at most, 4 s: what bounds the work.
const MOST_FEATURES: usize = 400;
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
}

/// What a voice sounds like.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its direction.
    pub voice: Voice,
    /// Seconds in which it was heard alone.
    pub solo_secs: f32,
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

    /// Looks at a window that begins at sample `start`.
    ///
    /// # Errors
    /// A sentence; only a bug can cause one.
    pub fn look(&self, start: u64, pcm: &[f32]) -> Result<Glimpse, String> {
        if pcm.iter().all(|sample| sample.abs() < SILENCE) {
            return Ok(Glimpse { start, activity: Vec::new(), voices: [const { None }; VOICES], is_narrow: false });
        }
        let classes = self.segmentation.run(pcm)?;
        let speaking: Vec<[bool; VOICES]> = classes.iter().map(likeliest).collect();
        let features = self.fbank.analyse(pcm)?;
        let mut voices = [const { None }; VOICES];
        for (index, sample) in voices.iter_mut().enumerate() {
            let is_on = |frame: &[bool; VOICES]| frame.get(index) == Some(&true);
            let is_solo = |frame: &[bool; VOICES]| is_on(frame) && frame.iter().filter(|on| **on).count() == 1;
            let solo = speaking.iter().filter(|frame| is_solo(frame)).count();
            if speaking.iter().filter(|frame| is_on(frame)).count() < LEAST_FRAMES {
                continue;
            }
            let counts = |frame: &[bool; VOICES]| if solo < LEAST_SOLO_FRAMES { is_on(frame) } else { is_solo(frame) };
            let heard = features.iter().enumerate().filter(|(at, _)| speaking.get(frame_of(*at)).is_some_and(counts));
            let heard: Vec<_> = heard.map(|(_, row)| *row).take(MOST_FEATURES).collect();
            *sample = self.embedding.run(&heard).map(|voice| Sample { voice, solo_secs: secs(solo) });
        }
        Ok(Glimpse { start, activity: classes.iter().map(activity).collect(), voices, is_narrow: is_narrow(&features) })
    }
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
