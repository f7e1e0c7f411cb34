#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::packing::WINDOW_SAMPLES;
use super::*;

fn clip() -> Vec<f32> {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audio/speech.wav")).unwrap();
    bytes[44..].chunks_exact(2).map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0).collect()
}

fn segment(samples: &[f32]) -> Vec<Speech> {
    let mut segmenter = Segmenter::new(0);
    let mut found = Vec::new();
    for piece in samples.chunks(1_000) {
        segmenter.push(piece, &mut found);
    }
    segmenter.finish(&mut found);
    found
}

fn silence(secs: usize) -> Vec<f32> {
    vec![0.0; secs * 16_000]
}

fn spans(windows: &[Speech]) -> Vec<Span> {
    windows.iter().flat_map(|window| window.spans.clone()).collect()
}

/// What every window promises.
fn check(windows: &[Speech], source: &[f32]) {
    let mut last_end = 0;
    for Speech { pcm, spans } in windows {
        assert!(!spans.is_empty() && pcm.len() <= WINDOW_SAMPLES);
        let mut last_in_window = 0;
        for span in spans {
            assert!(span.window_start >= last_in_window && span.source_start >= last_end && span.len > 0);
            last_in_window = span.window_start + span.len;
            let from = span.source_start as usize;
            last_end = (from + span.len) as u64;
            assert_eq!(pcm[span.window_start..last_in_window], source[from..from + span.len], "the speech itself");
        }
    }
}

#[test]
fn silence_noise_and_tones_give_no_window() {
    let mut random = fastrand::Rng::with_seed(3);
    for level in [0.5, 0.05, 0.005, 0.000_5] {
        let noise: Vec<f32> = (0..160_000).map(|_| level * (2.0 * random.f32() - 1.0)).collect();
        assert_eq!(segment(&noise), [], "noise at {level}");
        for hz in [50.0, 440.0, 1_000.0] {
            let tone: Vec<f32> =
                (0..160_000).map(|n| level * (n as f32 * hz / 16_000.0 * std::f32::consts::TAU).sin()).collect();
            assert_eq!(segment(&tone), [], "{hz} Hz at {level}");
        }
    }
    assert_eq!(segment(&silence(10)), []);
}

#[test]
fn speech_is_found_at_any_level() {
    let clip = clip();
    let at_full_level: usize = spans(&segment(&clip)).iter().map(|span| span.len).sum();
    for gain in [2.0, 0.1, 0.01] {
        let quiet: Vec<f32> = clip.iter().map(|sample| (sample * gain).clamp(-1.0, 1.0)).collect();
        let found = segment(&quiet);
        check(&found, &quiet);
        let speech: usize = spans(&found).iter().map(|span| span.len).sum();
        assert!(speech * 10 > at_full_level * 9, "{speech} of {at_full_level} samples at gain {gain}");
    }
}

#[test]
fn one_short_word_in_long_silence_survives() {
    // "so", 0.35 s, faded so that the cut itself is no click
    let word: Vec<f32> = clip().into_iter().skip(52_800).take(5_600).collect();
    let faded = word.iter().enumerate().map(|(n, sample)| sample * (n.min(word.len() - n) as f32 / 160.0).min(1.0));
    let source: Vec<f32> = silence(30).into_iter().chain(faded).chain(silence(30)).collect();
    let found = segment(&source);
    check(&found, &source);
    assert_eq!(found.len(), 1);
    let (first, last) = (found[0].spans[0], *found[0].spans.last().unwrap());
    assert!(first.source_start <= 30 * 16_000 + 1_600 && first.source_start > 29 * 16_000);
    assert!(last.source_start + last.len as u64 >= 30 * 16_000 + 4_000);
}

#[test]
fn a_pause_is_shortened_and_the_times_after_it_are_true() {
    let clip = clip();
    let source: Vec<f32> = clip.iter().copied().chain(silence(60)).chain(clip.iter().copied()).collect();
    let found = segment(&source);
    check(&found, &source);
    assert_eq!(found.len(), 1);
    assert!(found[0].pcm.len() < 2 * clip.len() + 16_000, "the minute of silence is not sent");
    assert!(spans(&found).iter().any(|span| span.source_start > 66 * 16_000 && span.source_start < 67 * 16_000));
}

#[test]
fn long_speech_is_cut_at_pauses() {
    let source = clip().repeat(20);
    let found = segment(&source);
    check(&found, &source);
    assert!(found.len() >= 4);
    for pair in found.windows(2) {
        let (before, after) = (*pair[0].spans.last().unwrap(), pair[1].spans[0]);
        let pause = after.source_start - (before.source_start + before.len as u64);
        assert!(pause >= 4_800, "cut in a pause of {pause} samples");
    }
}

#[test]
fn speech_without_a_pause_is_cut_and_no_sample_is_lost_or_doubled() {
    // one breathless sentence, over and over: 1.6 s of "my fellow Americans"
    let breathless: Vec<f32> = clip().into_iter().skip(8_000).take(25_600).collect();
    let source = breathless.repeat(50);
    let found = segment(&source);
    check(&found, &source);
    assert!(found.len() >= 3);
    for pair in found.windows(2) {
        let (before, after) = (*pair[0].spans.last().unwrap(), pair[1].spans[0]);
        let end = before.source_start + before.len as u64;
        assert!(after.source_start >= end && after.source_start - end < 4_800);
    }
}

#[test]
fn a_late_channel_keeps_the_source_time() {
    let mut segmenter = Segmenter::new(16_000);
    let mut found = Vec::new();
    segmenter.push(&clip(), &mut found);
    segmenter.finish(&mut found);
    let shifted: Vec<u64> = spans(&segment(&clip())).iter().map(|span| span.source_start + 16_000).collect();
    assert_eq!(spans(&found).iter().map(|span| span.source_start).collect::<Vec<_>>(), shifted);
}
