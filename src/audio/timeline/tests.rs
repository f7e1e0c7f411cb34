#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::audio::AudioOptions;
use crate::audio::streams::Sink;

const RATE_HZ: u32 = 16_000;
/// A packet of 20 ms.
const PACKET: usize = 320;

/// Puts a packet at each of the times, each filled with its number, and answers what came out: number and length in packets.
fn played(longest_gap_secs: f64, times: &[Option<f64>]) -> Vec<(u32, f64)> {
    let options = AudioOptions { channels: Default::default(), max_duration_secs: 3_600.0, ffmpeg: None, clip: None };
    let mut samples = Vec::new();
    let mut take = |piece: &[f32]| samples.extend_from_slice(piece);
    let mut streams = Streams::new("talk", &options, Sink::Samples(&mut take));
    let mut timeline = Timeline::new(longest_gap_secs);
    for (number, at) in times.iter().enumerate() {
        let level = (number + 1) as f32 / 1024.0;
        timeline.push(RATE_HZ, vec![vec![level; PACKET]], *at, &mut streams).unwrap();
    }
    timeline.finish(&mut streams).unwrap();
    let mut runs: Vec<(u32, f64)> = Vec::new();
    for sample in samples {
        let number = (sample * 1024.0).round() as u32;
        match runs.last_mut() {
            Some((last, len)) if *last == number => *len += 1.0 / PACKET as f64,
            _ => runs.push((number, 1.0 / PACKET as f64)),
        }
    }
    runs
}

fn even(count: usize) -> Vec<Option<f64>> {
    (0..count).map(|number| Some(number as f64 * 0.02)).collect()
}

/// Packets of silence, by what [`played`] answered.
fn silence(runs: &[(u32, f64)]) -> f64 {
    runs.iter().filter(|(number, _)| *number == 0).map(|(_, len)| len).sum()
}

fn total(runs: &[(u32, f64)]) -> f64 {
    runs.iter().map(|(_, len)| len).sum()
}

#[test]
fn a_gap_is_filled_and_a_late_start_too() {
    let times: Vec<_> = (0..300).map(|n| Some(4.0 + n as f64 * 0.02 + if n < 100 { 0.0 } else { 3.0 })).collect();
    let runs = played(600.0, &times);
    assert_eq!((runs[0].0, runs[101].0), (0, 0));
    assert!((runs[0].1 - 200.0).abs() < 0.1 && (runs[101].1 - 150.0).abs() < 0.1, "{:?}", &runs[..102]);
    assert!((total(&runs) - 650.0).abs() < 0.1);
}

#[test]
fn packets_that_are_late_for_a_while_move_nothing() {
    let mut times = even(300);
    // a quarter of a second at one time, twice; then rounded to 10 ms
    for burst in [40..52, 200..212] {
        let end = times[burst.end];
        times[burst].fill(end);
    }
    let runs = played(600.0, &times);
    assert!(silence(&runs) == 0.0 && (total(&runs) - 300.0).abs() < 0.1, "{} packets", total(&runs));
    // a stream whose first packets were waiting for it
    let mut times = even(300);
    times[..10].fill(Some(0.2));
    let zero: Vec<_> = times.iter().map(|at| at.map(|at| at - 0.2)).collect();
    assert!((total(&played(600.0, &zero)) - 300.0).abs() < 0.1);
}

#[test]
fn what_overlaps_is_played_once() {
    // the second of two fragments begins a second before the first ends
    let times: Vec<_> = (0..400).map(|n| Some(n as f64 * 0.02 - if n < 200 { 0.0 } else { 1.0 })).collect();
    let runs = played(600.0, &times);
    assert!((total(&runs) - 350.0).abs() < 0.1, "{} packets", total(&runs));
    assert!(
        runs.iter().any(|(number, _)| *number == 200) && !runs.iter().any(|(number, _)| (201..250).contains(number))
    );
}

#[test]
fn clocks_that_drift_apart_are_set_right_where_it_is_quietest() {
    // 2 % fast
    let times: Vec<_> = (0..1_000).map(|n| Some(n as f64 * 0.0196)).collect();
    let runs = played(600.0, &times);
    assert!((total(&runs) - 980.0).abs() < 12.0, "{} packets", total(&runs));
    // of packets that grow louder the first is the quietest; of those that are alike any is
    let slow: Vec<_> = (0..1_000).map(|n| Some(n as f64 * 0.0204)).collect();
    assert!((total(&played(600.0, &slow)) - 1_020.0).abs() < 12.0);
}

#[test]
fn another_clock_follows_what_was_there() {
    // back to the start, and a jump that nobody paused for
    for jump in [-5_000.0, 700.0] {
        let times: Vec<_> = (0..400).map(|n| Some(n as f64 * 0.02 + if n < 200 { 0.0 } else { jump })).collect();
        assert!((total(&played(600.0, &times)) - 400.0).abs() < 0.1, "{jump}");
    }
    let believed: Vec<_> = (0..400).map(|n| Some(n as f64 * 0.02 + if n < 200 { 0.0 } else { 700.0 })).collect();
    assert!((total(&played(f64::INFINITY, &believed)) - 35_400.0).abs() < 0.1);
}

#[test]
fn a_silence_of_days_is_refused_before_it_is_made() {
    let options = AudioOptions { channels: Default::default(), max_duration_secs: 3_600.0, ffmpeg: None, clip: None };
    let mut ignored = |_: &[f32]| ();
    let mut streams = Streams::new("talk", &options, Sink::Samples(&mut ignored));
    let mut timeline = Timeline::new(f64::INFINITY);
    timeline.push(RATE_HZ, vec![vec![0.1; PACKET]], Some(1e9), &mut streams).unwrap();
    let fault = timeline.finish(&mut streams).unwrap_err();
    assert_eq!(fault.problem().map(|p| p.code), Some(crate::fault::Code::AudioTooLong));
}

#[test]
fn what_has_no_time_comes_at_once_and_silence_is_known() {
    assert!((total(&played(600.0, &[None, None, Some(0.04), None])) - 4.0).abs() < 0.01);
    let options = AudioOptions { channels: Default::default(), max_duration_secs: 3_600.0, ffmpeg: None, clip: None };
    let mut ignored = |_: &[f32]| ();
    let mut streams = Streams::new("talk", &options, Sink::Samples(&mut ignored));
    let mut timeline = Timeline::new(600.0);
    assert!(timeline.is_silent());
    // an offset is no sound
    timeline.push(RATE_HZ, vec![vec![0.3; PACKET]], None, &mut streams).unwrap();
    assert!(timeline.is_silent());
    timeline.push(RATE_HZ, vec![vec![0.31; PACKET]], None, &mut streams).unwrap();
    assert!(!timeline.is_silent());
}
