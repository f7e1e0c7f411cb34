//! Where nobody speaks nothing is written: Whisper invents sentences on silence, noise, tones and music.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::time::timeout;

use crate::rig::{PATIENCE, binary, repository, scratch, wav};

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

/// Thirty voices that say nothing: pitches that wander, syllables without vowels or consonants.
fn crowd() -> Sound {
    let mut random = fastrand::Rng::with_seed(17);
    let voices: Vec<[f64; 4]> = (0..30)
        .map(|_| [90.0 + 150.0 * random.f64(), 2.0 + 3.0 * random.f64(), 0.2 + random.f64(), TAU * random.f64()])
        .collect();
    sound(move |t, random| {
        let voice = |[hz, syllables, wander, phase]: &[f64; 4]| {
            let turn = TAU * hz * t + 5.0 * (wander * t + phase).sin();
            let loud = (syllables * t + phase).sin().max(0.0);
            loud * (1..8).map(|n| (turn * f64::from(n)).sin() / f64::from(n)).sum::<f64>()
        };
        0.01 * voices.iter().map(voice).sum::<f64>() + 0.005 * random
    })
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
        ("a dial tone", 20.0, sound(|t, _| 0.1 * ((TAU * 350.0 * t).sin() + (TAU * 440.0 * t).sin()))),
        ("a ring of Europe", 20.0, sound(|t, _| if t % 5.0 < 1.0 { 0.2 * (TAU * 425.0 * t).sin() } else { 0.0 })),
        (
            "a ring of Britain",
            20.0,
            sound(|t, _| {
                let on = t % 3.0 < 0.4 || (0.6..1.0).contains(&(t % 3.0));
                if on { 0.1 * ((TAU * 400.0 * t).sin() + (TAU * 450.0 * t).sin()) } else { 0.0 }
            }),
        ),
        (
            "harsh beeps",
            30.0,
            sound(|t, _| if t % 1.0 < 0.25 { 0.1 * (TAU * 1_000.0 * t).sin().signum() } else { 0.0 }),
        ),
        ("traffic", 60.0, {
            let mut air = noise(0.1, 0.5);
            sound(move |t, random| {
                air(t, random) * (0.3 + (TAU * t / 14.6).sin().abs().powi(3) + (TAU * t / 22.0).sin().abs())
            })
        }),
        ("gusts of wind", 60.0, {
            let mut air = noise(0.03, 2.0);
            sound(move |t, random| air(t, random) * ((TAU * 0.21 * t).sin() * (TAU * 0.034 * t).sin()).powi(2))
        }),
        ("a keyboard", 60.0, {
            let mut since = 1.0;
            sound(move |_, random| {
                since = if random > 0.9995 { 0.0 } else { since + 1.0 / RATE_HZ };
                0.3 * random * (-250.0_f64 * since).exp() + 0.2 * (TAU * 2_500.0 * since).sin() * (-200.0 * since).exp()
            })
        }),
        ("breathing", 60.0, {
            let mut air = noise(0.4, 0.1);
            sound(move |t, random| air(t, random) * (TAU * t / 3.8).sin().abs().powi(2))
        }),
        ("a crowd", 60.0, crowd()),
    ]
}

/// The transcripts of the sounds, played so many times as fast and as loud, each after something.
async fn transcripts(before: &[i16], pace: f64, level: f64) -> BTreeMap<&'static str, Value> {
    let dir = scratch();
    let out = dir.path().join("out");
    let mut random = fastrand::Rng::with_seed(5);
    let mut files = Vec::new();
    for (name, secs, mut sound) in sounds() {
        let played = (0..(secs * RATE_HZ) as u32).map(|n| {
            let noise = random.f64() * 2.0 - 1.0;
            let sample = level * sound(pace * f64::from(n) / RATE_HZ, noise);
            (sample.clamp(-1.0, 1.0) * 32_767.0) as i16
        });
        let samples: Vec<i16> = before.iter().copied().chain(played).collect();
        let path = dir.path().join(name.replace(' ', "_")).with_extension("wav");
        std::fs::write(&path, wav(&samples)).unwrap();
        files.push((name, path));
    }
    let mut command = binary();
    command
        .args(["transcribe", "--formats", "json", "--output-dir"])
        .arg(&out)
        .args(files.iter().map(|(_, path)| path));
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let ended = timeout(5 * PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    files.iter().map(|(name, path)| (*name, transcript_of(&out, path))).collect()
}

/// What was made up for the sounds: their names, and the text.
fn invented(transcripts: &BTreeMap<&'static str, Value>) -> Vec<String> {
    let said = transcripts.iter().map(|(name, transcript)| (name, transcript["text"].as_str().unwrap()));
    said.filter(|(_, text)| !text.is_empty()).map(|(name, text)| format!("{name}: {text}")).collect()
}

#[tokio::test]
#[ignore = "takes minutes: make no-speech"]
async fn sounds_of_other_pitches_and_levels_become_no_sentence() {
    let mut made_up = Vec::new();
    for (pace, level) in [0.8, 0.9, 0.97, 1.03, 1.1, 1.25].into_iter().flat_map(|pace| [(pace, 1.0), (pace, 0.3)]) {
        let heard = invented(&transcripts(&[], pace, level).await);
        println!("pace {pace}, level {level}: {heard:?}");
        made_up.extend(heard);
    }
    assert!(made_up.is_empty(), "{made_up:#?}");
}

#[tokio::test]
#[ignore = "takes minutes: make no-speech"]
async fn sounds_after_speech_add_nothing_to_it() {
    let clip = std::fs::read(repository().join("tests/audio/speech.wav")).unwrap();
    // as far as the first pause
    let clip = clip[44..].chunks_exact(2).take(27 * 1_600).map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
    let clip: Vec<i16> = clip.collect();
    let mut others = Vec::new();
    for (pace, level) in [0.9, 1.0, 1.1].into_iter().flat_map(|pace| [(pace, 1.0), (pace, 0.3)]) {
        let mut heard = invented(&transcripts(&clip, pace, level).await);
        heard.retain(|text| {
            let text = text.split(": ").last().unwrap().trim_end_matches(['.', ',', '?', '!']);
            !text.ends_with("fellow Americans") || text.split(' ').count() > 6
        });
        println!("pace {pace}, level {level}: {heard:?}");
        others.extend(heard);
    }
    assert!(others.is_empty(), "{}", others.join("\n"));
}

#[tokio::test]
async fn sounds_without_speech_become_no_sentence() {
    let transcripts = transcripts(&[], 1.0, 1.0).await;
    assert!(transcripts.len() >= 40);
    let invented = invented(&transcripts);
    assert!(invented.is_empty(), "{invented:#?}");

    // the guards were really asked: sounds reached the engine, which made up something
    let windows: u64 = transcripts.values().map(|transcript| transcript["quality"]["windows"].as_u64().unwrap()).sum();
    let dropped = transcripts.values().map(|transcript| transcript["quality"]["dropped"].as_array().unwrap().len());
    assert!(windows >= 10 && dropped.sum::<usize>() >= 3, "{windows} windows");
    assert!(transcripts.values().any(|transcript| transcript["quality"]["sound_heard"].as_f64().unwrap() > 1.0));
    for tone in
        ["a ringing line", "a ring of Europe", "a ring of Britain", "a busy line", "a dial tone", "dialled digits"]
    {
        assert_eq!(transcripts[tone]["quality"]["windows"], 0, "{tone}");
        assert_eq!(transcripts[tone]["warnings"][0]["code"], "NO_SPEECH_FOUND", "{tone}");
    }
    for silence in ["silence of 60 s", "dither", "an offset"] {
        assert_eq!(transcripts[silence]["warnings"], Value::Array(Vec::new()), "{silence}");
    }
    assert!(transcripts.values().all(|transcript| transcript["status"] == "completed"));
}

/// What is said in a clip that was changed sample by sample.
async fn said_in(name: &str, change: impl Fn(usize, f32) -> f32, after: &[f32]) -> Value {
    let clip = std::fs::read(repository().join("tests/audio/speech.wav")).unwrap();
    let clip = clip[44..].chunks_exact(2).map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0);
    let changed = clip.enumerate().map(|(n, sample)| change(n, sample));
    let samples = after.iter().copied().chain(changed).map(|sample| (sample * 32_767.0) as i16);
    let dir = scratch();
    let path = dir.path().join(name).with_extension("wav");
    std::fs::write(&path, wav(&samples.collect::<Vec<i16>>())).unwrap();
    let mut command = binary();
    command.args(["transcribe", "--formats", "json", "--output-dir"]).arg(dir.path()).arg(&path);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let ended = timeout(5 * PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    transcript_of(dir.path(), &path)
}

#[tokio::test]
async fn speech_on_an_offset_and_after_a_ring_is_written_once() {
    let quiet = said_in("quiet", |_, sample| 0.3 + 0.03 * sample, &[]).await;
    let less = said_in("less", |_, sample| 0.3 + 0.1 * sample, &[]).await;
    let at = |n: usize| n as f32 / 16_000.0;
    let tone = |t: f32| 0.1 * ((t * 440.0 * std::f32::consts::TAU).sin() + (t * 480.0 * std::f32::consts::TAU).sin());
    let ring: Vec<f32> = (0..12 * 16_000).map(|n| if at(n) % 6.0 < 2.0 { tone(at(n)) } else { 0.0 }).collect();
    let called = said_in("called", |_, sample| sample, &ring).await;
    for transcript in [&quiet, &less, &called] {
        let text = transcript["text"].as_str().unwrap();
        assert_eq!(text.matches("my fellow").count(), 1, "{text}");
        assert_eq!(transcript["warnings"], Value::Array(Vec::new()));
    }
    assert!(called["segments"][0]["start"].as_f64().unwrap() >= 11.9, "{:#}", called["segments"]);
}

fn transcript_of(out: &Path, file: &Path) -> Value {
    let json = std::fs::read(out.join(format!("{}.json", file.file_stem().unwrap().to_string_lossy()))).unwrap();
    serde_json::from_slice(&json).unwrap()
}
