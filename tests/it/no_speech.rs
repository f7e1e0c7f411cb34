//! Where nobody speaks nothing is written: Whisper invents sentences on silence, noise, tones and music.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::f64::consts::TAU;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::time::timeout;

use crate::rig::{PATIENCE, binary, scratch, wav};

const RATE_HZ: f64 = 16_000.0;

/// A sound: its value at a time in seconds, given a random number in [-1, 1].
type Sound = Box<dyn FnMut(f64, f64) -> f64>;

fn sound(of: impl FnMut(f64, f64) -> f64 + 'static) -> Sound {
    Box::new(of)
}

fn tone(hz: f64, level: f64) -> Sound {
    sound(move |t, _| level * (TAU * hz * t).sin())
}

/// Noise through a low-pass filter of one pole; 1 is white.
fn noise(openness: f64, level: f64) -> Sound {
    let mut last = 0.0;
    sound(move |_, random| {
        last += openness * (random - last);
        level * last
    })
}

/// Notes of a scale, each struck and fading, with overtones.
fn melody(notes: &'static [f64], secs_per_note: f64, overtones: i32) -> Sound {
    sound(move |t, _| {
        let hz = 220.0 * 2.0_f64.powf(notes[(t / secs_per_note) as usize % notes.len()] / 12.0);
        let struck = (-3.0 * (t % secs_per_note) / secs_per_note).exp();
        0.2 * struck * (1..=overtones).map(|n| (TAU * hz * f64::from(n) * t).sin() / f64::from(n)).sum::<f64>()
    })
}

/// Something struck so many times a second: noise that fades at once.
fn beats(per_sec: f64, fade: f64, level: f64) -> Sound {
    sound(move |t, random| level * random * (-fade * (t * per_sec).fract() / per_sec).exp())
}

fn sounds() -> Vec<(&'static str, f64, Sound)> {
    const MINOR: &[f64] = &[0.0, 3.0, 7.0, 12.0, 7.0, 3.0];
    const MAJOR: &[f64] = &[0.0, 2.0, 4.0, 5.0, 7.0, 9.0, 11.0, 12.0];
    vec![
        ("silence of 0.1 s", 0.1, sound(|_, _| 0.0)),
        ("silence of 3 s", 3.0, sound(|_, _| 0.0)),
        ("silence of 60 s", 60.0, sound(|_, _| 0.0)),
        ("dither", 20.0, sound(|_, random| random / 32_768.0)),
        ("an offset", 10.0, sound(|_, _| 0.2)),
        ("faint white noise", 20.0, noise(1.0, 0.002)),
        ("white noise", 20.0, noise(1.0, 0.05)),
        ("loud white noise", 10.0, noise(1.0, 0.9)),
        ("a waterfall", 20.0, noise(0.3, 0.3)),
        ("a fan", 30.0, noise(0.05, 0.8)),
        ("rumble", 20.0, noise(0.005, 4.0)),
        ("wind", 30.0, {
            let mut air = noise(0.1, 0.6);
            sound(move |t, random| air(t, random) * (0.5 + 0.5 * (TAU * 0.2 * t).sin()))
        }),
        ("waves", 30.0, {
            let mut air = noise(0.4, 0.4);
            sound(move |t, random| air(t, random) * (TAU * 0.1 * t).sin().abs())
        }),
        ("mains hum", 20.0, tone(50.0, 0.1)),
        (
            "mains hum with overtones",
            20.0,
            sound(|t, _| 0.1 * (1..8).map(|n| (TAU * 60.0 * f64::from(n) * t).sin() / f64::from(n)).sum::<f64>()),
        ),
        ("a tone of 440 Hz", 10.0, tone(440.0, 0.3)),
        ("a tone of 1 kHz", 30.0, tone(1_000.0, 0.1)),
        ("a whistle of 7 kHz", 10.0, tone(7_000.0, 0.3)),
        ("a sweep", 20.0, sound(|t, _| 0.3 * (TAU * (100.0 + 150.0 * t) * t).sin())),
        ("a siren", 20.0, sound(|t, _| 0.3 * (TAU * 800.0 * t + 200.0 * (TAU * 0.3 * t).sin()).sin())),
        (
            "a busy line",
            20.0,
            sound(|t, _| if t % 1.0 < 0.5 { 0.2 * ((TAU * 480.0 * t).sin() + (TAU * 620.0 * t).sin()) } else { 0.0 }),
        ),
        (
            "a ringing line",
            24.0,
            sound(|t, _| if t % 6.0 < 2.0 { 0.2 * ((TAU * 440.0 * t).sin() + (TAU * 480.0 * t).sin()) } else { 0.0 }),
        ),
        (
            "dialled digits",
            10.0,
            sound(|t, _| if t % 0.2 < 0.1 { 0.2 * ((TAU * 770.0 * t).sin() + (TAU * 1_336.0 * t).sin()) } else { 0.0 }),
        ),
        ("an arpeggio", 30.0, melody(MINOR, 0.25, 5)),
        ("a scale", 20.0, melody(MAJOR, 0.5, 8)),
        ("a slow organ", 30.0, melody(MAJOR, 2.0, 12)),
        (
            "a chord",
            20.0,
            sound(|t, _| 0.1 * [220.0, 277.18, 329.63, 440.0].map(|hz| (TAU * hz * t).sin()).iter().sum::<f64>()),
        ),
        ("a drum", 20.0, beats(2.0, 30.0, 0.8)),
        ("typing", 20.0, beats(7.0, 200.0, 0.3)),
        ("a clock", 30.0, beats(1.0, 400.0, 0.5)),
        ("crackle", 20.0, sound(|_, random| if random > 0.999 { 0.8 } else { random * 0.001 })),
        ("an engine", 20.0, sound(|t, random| 0.3 * ((TAU * 30.0 * t).sin().powi(9) + 0.1 * random))),
    ]
}

#[tokio::test]
async fn thirty_two_sounds_without_speech_become_no_sentence() {
    let dir = scratch();
    let out = dir.path().join("out");
    let mut random = fastrand::Rng::with_seed(5);
    let mut files = Vec::new();
    for (name, secs, mut sound) in sounds() {
        let samples: Vec<i16> = (0..(secs * RATE_HZ) as u32)
            .map(|n| {
                let noise = random.f64() * 2.0 - 1.0;
                (sound(f64::from(n) / RATE_HZ, noise).clamp(-1.0, 1.0) * 32_767.0) as i16
            })
            .collect();
        let path = dir.path().join(name.replace(' ', "_")).with_extension("wav");
        std::fs::write(&path, wav(&samples)).unwrap();
        files.push(path);
    }
    assert!(files.len() >= 30);
    let mut command = binary();
    command.args(["transcribe", "--formats", "json", "--output-dir"]).arg(&out).args(&files);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let ended = timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let transcripts: Vec<(&Path, Value)> = files.iter().map(|file| (file.as_path(), transcript(&out, file))).collect();
    let invented: Vec<_> = transcripts.iter().filter(|(_, transcript)| transcript["text"] != "").collect();
    assert!(invented.is_empty(), "{invented:#?}");
    // what the detector takes for voice the guards have to judge: without such a sound they would not have been tried
    let heard = transcripts.iter().filter(|(_, transcript)| transcript["quality"]["windows"].as_u64() > Some(0));
    assert!(heard.count() > 0, "no sound came as far as the engine");
}

fn transcript(out: &Path, file: &Path) -> Value {
    let json = std::fs::read(out.join(format!("{}.json", file.file_stem().unwrap().to_string_lossy()))).unwrap();
    serde_json::from_slice(&json).unwrap()
}
