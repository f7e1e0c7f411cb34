#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

/// Feeds `input` in uneven pieces, as packets come.
fn resample(rate_hz: u32, input: &[f32]) -> Vec<f32> {
    let mut resampler = Resampler::new(rate_hz).unwrap();
    let mut out = Vec::new();
    for piece in input.chunks(777) {
        resampler.push(piece, &mut out).unwrap();
    }
    resampler.finish(&mut out).unwrap();
    out
}

#[test]
fn an_impulse_stays_where_it_was() {
    for rate_hz in [8_000, 11_025, 22_050, 24_000, 44_100, 48_000, 96_000] {
        for at_secs in [0.01, 0.5, 1.2345] {
            let at = (at_secs * f64::from(rate_hz)).round() as usize;
            let mut input = vec![0.0; 2 * rate_hz as usize];
            input[at] = 1.0;
            let output = resample(rate_hz, &input);
            let peak = (0..output.len()).max_by(|a, b| output[*a].abs().total_cmp(&output[*b].abs())).unwrap();
            let moved_secs = peak as f64 / 16_000.0 - at as f64 / f64::from(rate_hz);
            assert!(moved_secs.abs() < 0.000_1, "{rate_hz} Hz: an impulse at {at_secs} s moved by {moved_secs} s");
        }
    }
}

#[test]
fn the_length_is_the_inputs_rounded_to_a_sample() {
    for rate_hz in [8_000, 11_025, 16_000, 44_100, 44_101, 48_000] {
        for frames in [0, 1, 2, 441, 1023, 1024, 1025, 50_000] {
            let output = resample(rate_hz, &vec![0.1; frames]);
            let expected = (frames as f64 * 16_000.0 / f64::from(rate_hz)).round() as usize;
            assert_eq!(output.len(), expected, "{frames} frames at {rate_hz} Hz");
        }
    }
}

#[test]
fn a_tone_keeps_its_level_and_what_16_khz_cannot_hold_is_removed() {
    let rms_of_tone = |hz: f32| {
        let input: Vec<f32> = (0..48_000).map(|n| (n as f32 * hz / 48_000.0 * std::f32::consts::TAU).sin()).collect();
        let output = resample(48_000, &input);
        let middle = &output[4_000..12_000];
        (middle.iter().map(|s| s * s).sum::<f32>() / middle.len() as f32).sqrt()
    };
    assert!((rms_of_tone(1_000.0) - 0.5_f32.sqrt()).abs() < 0.01);
    assert!(rms_of_tone(11_000.0) < 0.001);
}

#[test]
fn sixteen_khz_passes_unchanged() {
    let input: Vec<f32> = (0..5_000).map(|n| (n as f32 * 0.37).sin()).collect();
    assert_eq!(resample(16_000, &input), input);
}

#[test]
fn rates_that_only_broken_headers_claim_are_refused() {
    for rate_hz in [0, 1, 999, 767_999, 768_001, u32::MAX] {
        assert!(Resampler::new(rate_hz).is_err(), "{rate_hz} Hz");
    }
    assert!(Resampler::new(768_000).is_ok());
}
