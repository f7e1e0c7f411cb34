//! Our nets against an independent computation of the same weights: six seconds of `tests/audio/speech.wav`, in double
//! precision with numpy, layer by layer as the nets' papers and PyTorch's documentation define them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::embedding::Embedding;
use super::fbank::Fbank;
use super::segmentation::{FRAMES, Segmentation};
use super::weights::Weights;
use crate::model::{safetensors, speakers};

#[derive(Deserialize)]
struct Golden {
    /// Log probabilities of the classes, by frame.
    segmentation: BTreeMap<usize, Vec<f32>>,
    /// Features, by frame.
    fbank: BTreeMap<usize, Vec<f32>>,
    /// The direction before its length is made 1.
    embedding: Vec<f32>,
}

fn furthest(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn the_nets_answer_as_the_reference_does() {
    let golden: Golden = serde_json::from_str(include_str!("../../tests/golden/speakers/speech.json")).unwrap();
    let wav = include_bytes!("../../tests/audio/speech.wav");
    let pcm: Vec<f32> =
        wav[44..].as_chunks::<2>().0.iter().map(|s| f32::from(i16::from_le_bytes(*s)) / 32_768.0).collect();
    let features = Fbank::default().analyse(&pcm).unwrap();
    assert_eq!(features.len(), 598);
    for (frame, expected) in &golden.fbank {
        assert!(furthest(&features[*frame], expected) < 2e-3, "features, frame {frame}");
    }
    let path = speakers::path_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models"));
    assert!(path.is_file(), "the nets are not there: `make test` fetches them, `model pull speakers` does too");
    let mut tensors = safetensors::read(&path).unwrap();
    let segmentation = Segmentation::load(&mut Weights::new(&mut tensors, speakers::SEGMENTATION)).unwrap();
    let classes = segmentation.run(&pcm).unwrap();
    assert_eq!(classes.len(), FRAMES);
    for (frame, expected) in &golden.segmentation {
        let ours = classes[*frame].map(f32::ln);
        assert!(furthest(&ours, expected) < 1e-3, "segmentation, frame {frame}: {ours:?}, not {expected:?}");
    }
    let embedding = Embedding::load(&mut Weights::new(&mut tensors, speakers::EMBEDDING)).unwrap();
    let raw = embedding.raw(&features).unwrap();
    assert!(furthest(&raw, &golden.embedding) < 1e-3, "embedding: {raw:?}");
}
