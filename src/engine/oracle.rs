//! Our forward pass against whisper.cpp's, and a window by itself against the same among others.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::alignment;
use super::batch::Place;
use super::context;
use super::forward::{Forward, Next};
use super::kinds::Kinds;
use super::lane::Lane;
use super::model::Model;
use super::native::backend::Backend;
use super::native::oracle::{Context, State};
use super::spectrogram::{Analyser, MAX_FRAMES, Spectrogram};
use super::vocabulary::Token;
use crate::audio::{AudioOptions, Window, read_windows};
use crate::job::Channels;
use crate::transcribe::wire::{Request, WindowOptions, WindowText};

fn model(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("models/ggml-{name}.bin"));
    path.is_file().then_some(path)
}

fn forward(path: &Path, kinds: &str, slots: usize) -> Forward {
    let backend = Backend::new(None, 1).unwrap();
    let model = Model::load(path, Kinds::named(kinds, false).unwrap(), backend.memory()).unwrap();
    Forward::new(Arc::new(model), backend, slots).unwrap()
}

fn clip(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audio").join(name)
}

fn windows(path: &Path) -> Vec<Vec<f32>> {
    let options = AudioOptions { channels: Channels::Mix, max_duration_secs: 3_600.0, ffmpeg: None, clip: None };
    let mut windows = Vec::new();
    read_windows(path, "clip", &options, &mut |window: Window| {
        windows.push(window.pcm);
        ControlFlow::Continue(())
    })
    .unwrap();
    windows
}

fn spectrogram(forward: &Forward, pcm: &[f32]) -> Spectrogram {
    Analyser::new(forward.model().weights.hparams.mels as usize).analyse(pcm, MAX_FRAMES).unwrap()
}

/// The greatest text token after each of `steps` of our own choice, and its logits.
fn ours(forward: &mut Forward, slot: usize, audio: usize, start: &[Token], steps: usize) -> Vec<Vec<f32>> {
    let size = forward.model().vocabulary.size;
    let mut all = Vec::new();
    let mut tokens = start.to_vec();
    for position in 0..start.len() + steps {
        let next = Next { place: Place { slot, position, audio }, token: tokens[position] };
        let mut logits = Vec::new();
        forward
            .step(&[next], size, |_, row| {
                logits = row.to_vec();
                Ok(())
            })
            .unwrap();
        if position + 1 >= tokens.len() {
            tokens.push(greatest(&logits));
        }
        all.push(logits);
    }
    all
}

fn greatest(logits: &[f32]) -> Token {
    let (token, _) = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
    token as Token
}

fn compare(name: &str, kinds: &str, positions: usize, tolerance: f32) {
    let Some(path) = model(name) else { return };
    let mut forward = forward(&path, kinds, 2);
    let vocabulary = &forward.model().vocabulary;
    let start = match vocabulary.is_multilingual() {
        false => vec![vocabulary.start, vocabulary.no_timestamps],
        true => vec![vocabulary.start, vocabulary.start + 1, vocabulary.transcribe, vocabulary.no_timestamps],
    };
    let window = spectrogram(&forward, &windows(&clip("jfk.flac"))[0]);
    forward.hear(0, &window, positions).unwrap();
    let ours = ours(&mut forward, 0, positions, &start, 30);
    let context = Arc::new(Context::load(&path).unwrap());
    let mut state = State::new(context.clone(), context, 1).unwrap();
    let full = forward.model().weights.hparams.audio_context as usize;
    state.encode(&window, if positions == full { 0 } else { positions as i32 }).unwrap();
    let mut tokens = start.clone();
    let mut worst = 0.0_f32;
    for (position, ours) in ours.iter().enumerate() {
        let theirs = state.decode(&[tokens[position]], position).unwrap();
        let off = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        worst = worst.max(off);
        if position + 1 >= tokens.len() {
            let (a, b) = (greatest(ours), greatest(theirs));
            assert_eq!(a, b, "{name}: another token at {position}");
            tokens.push(b);
        }
    }
    println!("{name} {kinds} over {positions}: logits differ by {worst} at most");
    assert!(worst < tolerance, "{name}: logits differ by {worst}");
}

#[test]
fn logits_are_whisper_cpps() {
    for name in ["tiny.en", "base"] {
        for positions in [896, 1500] {
            compare(name, "f16", positions, 0.2);
        }
    }
}

#[test]
fn what_was_attended_to_is_the_same_token_by_token_and_all_at_once() {
    let positions = 600;
    let mut forward = forward(&model("tiny.en").unwrap(), "f16", 2);
    let window = spectrogram(&forward, &windows(&clip("jfk.flac"))[0]);
    let mut tokens = vec![forward.model().vocabulary.start, forward.model().vocabulary.no_timestamps];
    forward.hear(0, &window, positions).unwrap();
    forward.hear(1, &window, positions).unwrap();
    let logits = ours(&mut forward, 0, positions, &tokens, 20);
    tokens.extend(logits[1..logits.len() - 1].iter().map(|logits| greatest(logits)));
    let places = [0, 1].map(|slot| Place { slot, position: 0, audio: positions });
    forward.feed(places[1], &tokens).unwrap();
    let [steps, once] = places.map(|place| forward.attended(place, tokens.len(), positions).unwrap());
    let off = steps.iter().zip(&once).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off < 0.05, "shares differ by {off}");
    assert_eq!(alignment::begins(&steps, positions), alignment::begins(&once, positions));
}

#[test]
fn words_of_a_beam_search_have_their_times() {
    let [greedy, beam] = [1, 4].map(|beam_size| {
        let options = WindowOptions { beam_size, ..WindowOptions::default() };
        heard(2, 4, &requests("jfk.flac", &options)).remove(&1).unwrap()
    });
    assert_eq!(beam.text(), greedy.text());
    for (beam, greedy) in beam.pieces.iter().zip(&greedy.pieces) {
        let (beam, greedy) = (beam.said.unwrap(), greedy.said.unwrap());
        assert!(beam.0.abs_diff(greedy.0) <= 20 && beam.1.abs_diff(greedy.1) <= 20, "{beam:?} {greedy:?}");
    }
}

/// Windows of these files that we and whisper.cpp write differently, both texts of each, and how many there are.
fn differing(name: &str, files: &[PathBuf]) -> (Vec<(String, String)>, usize) {
    let path = model(name).unwrap();
    let forward = forward(&path, "f16", 1);
    let model = forward.model().clone();
    let mut lane = Lane::new(forward, 1, 1, false);
    let context = Arc::new(Context::load(&path).unwrap());
    let mut state = State::new(context.clone(), context, 1).unwrap();
    let mut analyser = Analyser::new(model.weights.hparams.mels as usize);
    let options = WindowOptions { language: Some("en".to_owned()), ..WindowOptions::default() };
    let (mut all, mut differing) = (0, Vec::new());
    for pcm in files.iter().flat_map(|file| windows(file)) {
        let request = Request { id: 1, options: options.clone() };
        lane.join(&request, &pcm).unwrap();
        let ours = loop {
            if let Some((_, text)) = lane.step().unwrap().pop() {
                break text.unwrap().text();
            }
        };
        let positions = context::positions(pcm.len().max(16_000), 1_500);
        let tokens = state.greedy(&analyser.analyse(&pcm, MAX_FRAMES).unwrap(), positions as i32).unwrap();
        let bytes: Vec<u8> = tokens.iter().flat_map(|token| model.vocabulary.bytes(*token).to_vec()).collect();
        let theirs = String::from_utf8_lossy(&bytes).trim().to_owned();
        all += 1;
        if ours.trim() != theirs {
            differing.push((ours.trim().to_owned(), theirs));
        }
    }
    (differing, all)
}

#[test]
fn texts_are_whisper_cpps() {
    let clips = ["jfk.flac", "speech.flac", "abbreviations.opus", "names.opus", "sentence_x6.opus"].map(clip);
    let (differing, all) = differing("tiny.en", &clips);
    assert!(all >= clips.len() && differing.is_empty(), "of {all} windows: {differing:#?}");
}

/// `AUDIO=folder MODEL=name cargo test --release --lib texts_of_a_folder -- --ignored --nocapture`
#[test]
#[ignore = "as long as the folder's audio takes twice"]
fn texts_of_a_folder() {
    let files = std::fs::read_dir(std::env::var_os("AUDIO").unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.is_file() && path.extension().is_none_or(|e| e != "json")).collect();
    files.sort();
    let name = std::env::var("MODEL").unwrap_or_else(|_| "tiny.en".to_owned());
    let (differing, all) = differing(&name, &files);
    println!("{name}: {} of {all} windows differ", differing.len());
    for (ours, theirs) in &differing {
        println!("ours:   {ours}\ntheirs: {theirs}\n");
    }
    assert!(differing.len() * 10 < all, "more than one in ten");
}

fn requests(clip: &str, options: &WindowOptions) -> Vec<(Request, Vec<f32>)> {
    let windows = windows(&self::clip(clip)).into_iter().zip(1..);
    windows.map(|(pcm, id)| (Request { id, options: options.clone() }, pcm)).collect()
}

/// What a lane of so many rows hears in these windows, by their numbers.
fn heard(rows: usize, width: usize, requests: &[(Request, Vec<f32>)]) -> BTreeMap<u64, WindowText> {
    let path = model("tiny.en").unwrap();
    let mut lane = Lane::new(forward(&path, "auto", rows * width), rows, width, false);
    let mut waiting = requests.iter();
    let mut heard = BTreeMap::new();
    while heard.len() < requests.len() {
        while lane.has_room() {
            let Some((request, pcm)) = waiting.next() else { break };
            lane.join(request, pcm).unwrap();
        }
        for (id, text) in lane.step().unwrap() {
            heard.insert(id, WindowText { busy_ms: 0, ..text.unwrap() });
        }
    }
    heard
}

#[test]
fn a_window_comes_out_the_same_whoever_it_is_decoded_beside() {
    let clips = ["jfk.flac", "speech.flac", "abbreviations.opus", "sentence_x6.opus", "no_x8.opus"];
    let all = || clips.iter().flat_map(|clip| requests(clip, &WindowOptions::default()));
    let mut all: Vec<_> = all().chain(all()).collect();
    all.iter_mut().zip(1..).for_each(|((request, _), id)| request.id = id);
    let alone = heard(1, 1, &all);
    assert!(alone.values().all(|text| !text.pieces.is_empty()));
    for rows in [3, 8] {
        assert_eq!(heard(rows, 1, &all), alone, "{rows} rows");
    }
}

#[test]
fn a_beam_search_hears_the_same_each_time_and_goes_on_from_the_start() {
    let options = WindowOptions { beam_size: 4, ..WindowOptions::default() };
    let first = heard(2, 4, &requests("jfk.flac", &options));
    assert!(first[&1].text().contains("what your country can do for you"), "{}", first[&1].text());
    assert_eq!(heard(1, 4, &requests("jfk.flac", &options)), first);
}

#[test]
fn a_prompt_is_decoded_before_the_window() {
    let prompt = Some("Ladies and gentlemen, the president of the United States speaks to the Americans.".to_owned());
    let options = WindowOptions { prompt, ..WindowOptions::default() };
    let with = heard(2, 1, &requests("jfk.flac", &options));
    assert!(with[&1].text().contains("ask what you can do for your country"), "{}", with[&1].text());
    assert_ne!(with[&1].avg_logprob, heard(2, 1, &requests("jfk.flac", &WindowOptions::default()))[&1].avg_logprob);
}
