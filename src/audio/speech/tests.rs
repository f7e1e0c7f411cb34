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

/// Seconds of sound without voice that the engine is given.
fn net_secs(windows: &[Speech]) -> f64 {
    let caught = windows.iter().filter(|window| window.found == Found::Sound);
    caught.flat_map(|window| &window.spans).map(|span| span.len).sum::<usize>() as f64 / 16_000.0
}

fn voice_samples(windows: &[Speech]) -> usize {
    let voice = windows.iter().filter(|window| window.found == Found::Voice);
    voice.flat_map(|window| &window.spans).map(|span| span.len).sum()
}

fn spans(windows: &[Speech]) -> Vec<Span> {
    windows.iter().flat_map(|window| window.spans.clone()).collect()
}

/// What every window promises.
fn check(windows: &[Speech], source: &[f32]) {
    let mut last_end = 0;
    for Speech { pcm, spans, .. } in windows {
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
    for level in [0.5, 0.05, 0.005, 0.002, 0.001, 0.000_5] {
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
fn speech_is_found_on_an_offset_and_over_rumble() {
    let clip = clip();
    let all = voice_samples(&segment(&clip));
    let mut random = fastrand::Rng::with_seed(7);
    let mut air = 0.0_f32;
    let rumble: Vec<f32> = (0..clip.len())
        .map(|n| {
            air += 0.01 * (random.f32() - 0.5 - air);
            let mains = (n as f32 * 30.0 / 16_000.0 * std::f32::consts::TAU).sin();
            0.3 * mains + air
        })
        .collect();
    let quiet_on_an_offset: Vec<f32> = clip.iter().map(|sample| 0.3 + 0.03 * sample).collect();
    let over_rumble: Vec<f32> = clip.iter().zip(&rumble).map(|(sample, rumble)| 0.1 * sample + rumble).collect();
    for (name, source) in [("offset", quiet_on_an_offset), ("rumble", over_rumble)] {
        let found = segment(&source);
        check(&found, &source);
        assert!(voice_samples(&found) * 10 > all * 9, "{name}: {} of {all}", voice_samples(&found));
    }
}

#[test]
fn a_speaker_30_db_under_another_is_found() {
    let clip = clip();
    let all = voice_samples(&segment(&clip));
    let quiet: Vec<f32> = clip.iter().map(|sample| 0.03 * sample).collect();
    let source = [&clip[..], &silence(1), &quiet, &silence(1), &clip].concat();
    let found = segment(&source);
    check(&found, &source);
    let (from, to) = (clip.len() as u64 + 16_000, (clip.len() * 2) as u64 + 16_000);
    let between = |span: &Span| (from..to).contains(&span.source_start);
    let middle: usize = spans(&found).into_iter().filter(between).map(|span| span.len).sum();
    assert!(middle * 10 >= all * 8, "{middle} of {all}");
}

#[test]
fn speech_is_found_in_noise() {
    let clip = clip();
    let all = voice_samples(&segment(&clip));
    let loud: f32 = (clip.iter().map(|s| s * s).sum::<f32>() / clip.len() as f32).sqrt();
    let mut random = fastrand::Rng::with_seed(11);
    let mut air = 0.0_f32;
    let noise: Vec<f32> = (0..clip.len())
        .map(|_| {
            air += 0.3 * (random.f32() - 0.5 - air);
            air
        })
        .collect();
    let level = (noise.iter().map(|s| s * s).sum::<f32>() / noise.len() as f32).sqrt();
    for (db, part) in [(10.0_f32, 7), (5.0, 6), (0.0, 3)] {
        let gain = loud / level * 10_f32.powf(-db / 20.0);
        let source: Vec<f32> = clip.iter().zip(&noise).map(|(sample, noise)| 0.5 * (sample + gain * noise)).collect();
        let found = voice_samples(&segment(&source));
        assert!(found * 10 >= all * part, "{found} of {all} at {db} dB");
    }
}

/// A tone of several lines, on for a part of each period.
fn signal(lines: &[f32], period: f32, on: f32) -> Vec<f32> {
    let at = |n: usize| n as f32 / 16_000.0;
    let sum = |t: f32| lines.iter().map(|hz| 0.1 * (t * hz * std::f32::consts::TAU).sin()).sum::<f32>();
    (0..30 * 16_000).map(|n| if at(n) % period < on { sum(at(n)) } else { 0.0 }).collect()
}

#[test]
fn tones_of_the_telephone_are_neither_voice_nor_sound() {
    for (name, lines, period, on) in [
        ("ring-back, US", &[440.0, 480.0][..], 6.0, 2.0),
        ("ring-back, Europe", &[425.0], 5.0, 1.0),
        ("ring-back, UK", &[400.0, 450.0], 3.0, 0.4),
        ("busy", &[480.0, 620.0], 1.0, 0.5),
        ("dial tone", &[350.0, 440.0], 30.0, 30.0),
        ("a digit", &[770.0, 1_336.0], 0.24, 0.1),
        ("beeps", &[1_000.0], 1.0, 0.25),
    ] {
        assert_eq!(segment(&signal(lines, period, on)), [], "{name}");
    }
}

#[test]
fn a_ring_before_speech_is_left_out_and_the_speech_is_not() {
    let ring = signal(&[440.0, 480.0], 6.0, 2.0);
    let source: Vec<f32> = ring[..12 * 16_000].iter().copied().chain(clip()).collect();
    let found = segment(&source);
    check(&found, &source);
    assert!(spans(&found)[0].source_start >= 12 * 16_000, "{:?}", spans(&found)[0]);
    assert!(voice_samples(&found) * 10 > voice_samples(&segment(&clip())) * 9);
}

/// Harsh bleeps, one a second, with overtones: sound that the detector does not take for voice, and no pure tone.
fn bleeps(secs: usize) -> Vec<f32> {
    let square = |t: f32| if (t * 1_000.0).fract() < 0.5 { 0.1 } else { -0.1 };
    let at = |n: usize| n as f32 / 16_000.0;
    (0..secs * 16_000).map(|n| if at(n) % 1.0 < 0.3 { square(at(n)) } else { 0.0 }).collect()
}

/// The windows of seconds that hold this.
fn packed(seconds: &[(usize, Kind)]) -> Vec<Speech> {
    let mut segmenter = Segmenter::new(0);
    let mut found = Vec::new();
    for (secs, kind) in seconds {
        for _ in 0..secs * 16_000 / FRAME_SAMPLES {
            segmenter.pack(vec![0.1; FRAME_SAMPLES], *kind, &mut found);
        }
    }
    segmenter.finish(&mut found);
    found
}

#[test]
fn sound_without_voice_is_given_to_the_engine_in_its_place() {
    let found = packed(&[(5, Kind::Voice), (50, Kind::Sound), (5, Kind::Voice)]);
    let held: Vec<(Found, u64)> =
        found.iter().map(|window| (window.found, window.spans[0].source_start / 16_000)).collect();
    assert_eq!(held, [(Found::Voice, 0), (Found::Sound, 6), (Found::Sound, 30), (Found::Voice, 54)]);
    // two seconds at each side are in the windows of the voices
    assert!((45.0..47.0).contains(&net_secs(&found)), "{}", net_secs(&found));

    // a stream that holds nothing else is heard however short
    assert!(net_secs(&segment(&bleeps(9))) > 0.5);
    // what is not long is a pause, and so is what hardly sounds
    assert_eq!(net_secs(&packed(&[(5, Kind::Voice), (7, Kind::Sound), (5, Kind::Voice)])), 0.0);
    let hardly = [(5, Kind::Voice), (20, Kind::Quiet), (2, Kind::Sound), (20, Kind::Quiet), (5, Kind::Voice)];
    assert_eq!(net_secs(&packed(&hardly)), 0.0);
}

#[test]
fn sound_beside_voice_stays_in_its_window() {
    let found = packed(&[(5, Kind::Voice), (3, Kind::Sound), (5, Kind::Voice), (3, Kind::Quiet), (5, Kind::Voice)]);
    assert_eq!(found.len(), 1);
    let secs = found[0].pcm.len() as f64 / 16_000.0;
    assert!((18.5..19.0).contains(&secs), "all of the sound and 0.8 s of the quiet: {secs}");
}

#[test]
fn what_sound_without_voice_costs_is_bounded_and_the_rest_is_told() {
    let mut segmenter = Segmenter::new(0);
    let mut found = Vec::new();
    let minute = bleeps(60);
    for _ in 0..20 {
        segmenter.push(&minute, &mut found);
    }
    segmenter.finish(&mut found);
    let sent = found.iter().map(|window| window.pcm.len()).sum::<usize>() as f64 / 16_000.0;
    assert!((100.0..=120.0 + 1_200.0 / 8.0).contains(&sent), "{sent} s");
    let sound = segmenter.sound();
    assert!(sound.unheard > sound.heard && sound.audible > 0, "{sound:?}");
    let heard = found.iter().flat_map(|window| &window.spans).map(|span| span.len as u64).sum::<u64>();
    assert_eq!(sound.heard, heard);
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
