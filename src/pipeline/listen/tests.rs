//! In which language each window is heard and whether whole, by an engine on tokio's clock whose lanes take turns at being slow.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::pending;
use std::sync::Mutex;

use async_trait::async_trait;
use tokio::time::{sleep_until, timeout};

use super::*;
use crate::audio::Span;
use crate::audio::recording::Decoding;
use crate::health::Health;
use crate::job::Channels;
use crate::transcribe::link::{Launch, Link};
use crate::transcribe::supervisor::EngineSettings;
use crate::transcribe::wire::{EngineInfo, PROTOCOL, Piece, Request, Response, WindowText};
use crate::transcript::DropReason;

const LONG: Duration = Duration::from_secs(3600);

/// What the engine guesses of a window, how surely, and on which channel it is.
#[derive(Debug, Clone, Copy)]
struct Said {
    language: &'static str,
    probability: f32,
    is_music: bool,
    channel: Option<u16>,
    /// How long it is.
    secs: usize,
    /// What is said in the last so many seconds of it, which the engine hears only by themselves.
    missed: Option<(usize, &'static str)>,
}

fn said(language: &'static str, probability: f32) -> Said {
    Said { language, probability, is_music: false, channel: None, secs: 1, missed: None }
}

/// The languages that each window was asked for in, in the order of asking: the window's number and the options.
type Asked = Arc<Mutex<Vec<(usize, WindowOptions)>>>;

#[derive(Debug, Clone)]
struct Script {
    said: Vec<Said>,
    seed: u64,
    asked: Asked,
}

#[async_trait]
impl Launch for Script {
    async fn launch(&self) -> Result<Box<dyn Link>, String> {
        let info = EngineInfo { protocol: PROTOCOL, multilingual: true, lanes: 4, ..EngineInfo::default() };
        let random = fastrand::Rng::with_seed(self.seed);
        Ok(Box::new(Lanes { script: self.clone(), info, random, due: BTreeMap::new() }))
    }
}

struct Lanes {
    script: Script,
    info: EngineInfo,
    random: fastrand::Rng,
    due: BTreeMap<(Instant, u64), WindowText>,
}

#[async_trait]
impl Link for Lanes {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn pid(&self) -> Option<u32> {
        None
    }

    async fn send(&mut self, request: &Request, pcm: &[f32]) -> Result<(), String> {
        let (number, secs) = (pcm[0] as usize, pcm.len() / 16_000);
        self.script.asked.lock().unwrap().push((number, request.options.clone()));
        let takes = Duration::from_millis(self.random.u64(100..1_000));
        self.due.insert(
            (Instant::now() + takes, request.id),
            answer(number, secs, self.script.said[number], &request.options),
        );
        Ok(())
    }

    async fn receive(&mut self) -> Result<Response, String> {
        let Some((&(at, id), _)) = self.due.first_key_value() else { return pending().await };
        sleep_until(at).await;
        Ok(Response::Done { id, text: self.due.remove(&(at, id)).unwrap() })
    }

    async fn end(self: Box<Self>) -> String {
        String::new()
    }

    async fn kill(self: Box<Self>) -> String {
        String::new()
    }
}

fn answer(number: usize, secs: usize, said: Said, options: &WindowOptions) -> WindowText {
    let language = options.language.clone().unwrap_or_else(|| said.language.to_owned());
    let (words, until) = match said.missed {
        Some((missed, words)) if secs <= missed => (words.to_owned(), secs),
        missed => {
            let words = if said.is_music { "[Music]".to_owned() } else { format!("in {language} number {number}") };
            (words, secs - missed.map_or(0, |(missed, _)| missed))
        }
    };
    let each = 1_000 * until as u32 / words.split(' ').count() as u32;
    let pieces = words.split(' ').zip(0..);
    let pieces = pieces
        .map(|(word, at)| Piece { text: format!(" {word}"), p: 0.9, said: Some((each * at, each * (at + 1))) })
        .collect();
    let language_probability = options.language.is_none().then_some(said.probability);
    WindowText { language, language_probability, pieces, avg_logprob: -0.2, ..WindowText::default() }
}

/// Windows of voice.
struct Windows(Vec<Said>);

impl Recording for Windows {
    fn decode(self: Box<Self>, _: String, _: AudioOptions, to: mpsc::Sender<Window>, _: OnStep) -> Decoding {
        Box::pin(async move {
            for (number, said) in self.0.iter().enumerate() {
                let spans =
                    vec![Span { window_start: 0, source_start: 320_000 * number as u64, len: 16_000 * said.secs }];
                let pcm = vec![number as f32; 16_000 * said.secs];
                let window = Window {
                    index: number as u32,
                    channel: said.channel,
                    pcm,
                    spans,
                    found: crate::audio::Found::Voice,
                };
                if to.send(window).await.is_err() {
                    return Err(Fault::Interrupted);
                }
            }
            Ok(Decoded::default())
        })
    }
}

/// The same, of which the speakers are still followed when all windows are out.
struct Followed(Windows);

impl Recording for Followed {
    fn decode(self: Box<Self>, name: String, audio: AudioOptions, to: mpsc::Sender<Window>, step: OnStep) -> Decoding {
        let windows = Box::new(self.0).decode(name, audio, to, step);
        Box::pin(async {
            windows.await?;
            pending().await
        })
    }
}

async fn engine(script: &Script) -> Transcriber {
    let settings = EngineSettings {
        launch: Arc::new(script.clone()),
        timeout_base: LONG,
        timeout_factor: 0.0,
        recycle_after_windows: 20_000,
    };
    Transcriber::start(vec![settings], Health::default()).await.unwrap()
}

fn work(script: &Script, languages: &[&str], resume: Option<Resume>) -> Listening {
    let languages = languages.iter().map(|code| (*code).to_owned()).collect();
    Listening {
        recording: Box::new(Windows(script.said.clone())),
        name: "talk".to_owned(),
        audio: AudioOptions { channels: Channels::Mix, max_duration_secs: 36_000.0, ffmpeg: None, clip: None },
        options: WindowOptions { languages, ..WindowOptions::default() },
        share: Default::default(),
        on_progress: None,
        on_step: Box::new(|| ()),
        resume,
    }
}

/// What is heard, and how the engine was asked.
async fn listened(said: &[Said], languages: &[&str]) -> (Heard, Vec<(usize, WindowOptions)>) {
    let script = Script { said: said.to_vec(), seed: 1, asked: Asked::default() };
    let engine = engine(&script).await;
    let control = Control::default();
    let heard = timeout(LONG, listen(work(&script, languages, None), &engine, &control)).await.unwrap().unwrap();
    engine.end().await;
    let asked = script.asked.lock().unwrap().clone();
    (heard, asked)
}

/// The language that each window's text is in at last.
fn languages(heard: &Heard) -> Vec<&str> {
    heard.segments.iter().map(|segment| segment.text.split(' ').nth(1).unwrap()).collect()
}

fn decided(heard: &Heard) -> &str {
    &heard.language.as_ref().unwrap().code
}

#[tokio::test(start_paused = true)]
async fn a_window_without_text_says_nothing_about_the_language() {
    let music = Said { is_music: true, ..said("en", 0.3) };
    let german = said("de", 0.98);
    let (heard, asked) = listened(&[music, german, german, german, said("en", 0.7), german, german], &[]).await;
    assert_eq!((languages(&heard), decided(&heard)), (vec!["de"; 6], "de"));
    assert!(asked.iter().any(|(number, options)| *number == 0 && options.language.as_deref() == Some("de")));
    assert!(heard.segments.iter().all(|segment| segment.language.as_deref() == Some("de")));
    let probability = heard.language.unwrap().probability.unwrap();
    assert!((probability - 0.98).abs() < 1e-6, "{probability}");
}

#[tokio::test(start_paused = true)]
async fn an_announcement_in_another_language_does_not_decide() {
    let spanish = said("es", 0.97);
    let (heard, _) =
        listened(&[said("en", 0.98), spanish, spanish, said("pt", 0.9), spanish, said("en", 0.5)], &[]).await;
    // it is sure and stays; what comes after the decision is heard in the language that won
    assert_eq!((languages(&heard), decided(&heard)), (vec!["en", "es", "es", "es", "es", "es"], "es"));
}

#[tokio::test(start_paused = true)]
async fn until_a_language_has_won_each_window_is_heard_in_its_own() {
    let (heard, asked) = listened(&[said("en", 0.9), said("de", 0.9), said("fr", 0.9), said("it", 0.9)], &[]).await;
    assert_eq!(languages(&heard), ["en", "de", "fr", "it"]);
    assert!(asked.iter().all(|(_, options)| options.language.is_none()));
}

#[tokio::test(start_paused = true)]
async fn at_the_end_an_uncertain_window_is_heard_in_the_language_of_the_others() {
    let (heard, _) = listened(&[said("en", 0.4), said("de", 0.98)], &[]).await;
    assert_eq!((languages(&heard), decided(&heard)), (vec!["de", "de"], "de"));
    let (heard, _) = listened(&[said("en", 0.4)], &[]).await;
    assert_eq!((languages(&heard), decided(&heard)), (vec!["en"], "en"));
}

#[tokio::test(start_paused = true)]
async fn a_recording_that_is_uncertain_for_long_is_not_kept_waiting() {
    let unsure = ["en", "de", "fr", "it", "es"].map(|language| said(language, 0.3));
    let many: Vec<Said> = unsure.iter().copied().cycle().take(100).collect();
    let (heard, _) = listened(&many, &[]).await;
    assert_eq!(heard.segments.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn each_channel_has_its_language() {
    let on = |channel, said| Said { channel: Some(channel), ..said };
    let turns = [on(0, said("en", 0.9)), on(1, said("es", 0.9)), on(0, said("en", 0.9)), on(1, said("es", 0.9))];
    let mut both: Vec<Said> = turns.repeat(2);
    both.extend([on(0, said("de", 0.7)), on(1, said("it", 0.7)), on(1, said("es", 0.9))]);
    let (heard, _) = listened(&both, &[]).await;
    let of_channel = |channel| {
        let segments = heard.segments.iter().filter(move |segment| segment.channel == Some(channel));
        segments.map(|segment| segment.language.clone().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((of_channel(0), of_channel(1)), (vec!["en".to_owned(); 5], vec!["es".to_owned(); 6]));
    assert_eq!(decided(&heard), "es", "more was said on the second channel");
}

#[tokio::test(start_paused = true)]
async fn between_languages_that_were_named_each_window_is_decided_by_itself() {
    let turns = [said("de", 0.9), said("en", 0.6), said("de", 0.9), said("de", 0.9), said("en", 0.9)];
    let (heard, asked) = listened(&turns, &["de", "en"]).await;
    assert_eq!((languages(&heard), decided(&heard)), (vec!["de", "en", "de", "de", "en"], "de"));
    assert!(asked.iter().all(|(_, options)| options.language.is_none() && options.languages == ["de", "en"]));
}

#[tokio::test(start_paused = true)]
async fn a_text_that_ends_long_before_its_voice_does_goes_on() {
    let early = |missed, words| Said { secs: 8, missed: Some((missed, words)), ..said("en", 0.9) };
    let whole = Said { secs: 8, ..said("en", 0.9) };
    let turns = [whole, early(4, "and this is what was said after it"), whole];
    let (heard, asked) = listened(&turns, &[]).await;
    assert_eq!(asked.len(), 4, "one rest was listened to: {asked:?}");
    let texts: Vec<&str> = heard.segments.iter().map(|segment| segment.text.as_str()).collect();
    assert_eq!(texts, ["in en number 0", "in en number 1 and this is what was said after it", "in en number 2"]);
    let word = |n: usize| &heard.segments[1].words[n];
    assert!((word(3).end - 24.0).abs() < 0.01 && (word(11).end - 28.0).abs() < 0.01, "{:?}", heard.segments[1].words);
    assert!(heard.quality.dropped.is_empty() && heard.quality.windows_retried == 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_invented_after_the_end_of_a_text_is_dropped_and_told_of() {
    let (invented, too_little, sound) = (DropReason::Invented, DropReason::NoSpeech, DropReason::Annotation);
    for (words, reason) in [("Thank you.", invented), ("So", too_little), ("[Music]", sound)] {
        let turns = [Said { secs: 8, missed: Some((4, words)), ..said("en", 0.9) }];
        let (heard, asked) = listened(&turns, &[]).await;
        assert_eq!((asked.len(), heard.segments.len(), heard.segments[0].text.as_str()), (2, 1, "in en number 0"));
        let dropped: Vec<(f64, &str, DropReason)> =
            heard.quality.dropped.iter().map(|one| (one.start, one.text.as_str(), one.reason)).collect();
        assert_eq!(dropped, [(4.0, words, reason)]);
    }
}

/// A recording that changes its mind, with what a guard doubts.
fn fickle() -> Vec<Said> {
    let music = Said { is_music: true, ..said("ko", 0.2) };
    let mut all =
        vec![music, said("en", 0.9), said("de", 0.5), said("de", 0.95), music, said("de", 0.7), said("de", 0.9)];
    all.extend([said("fr", 0.9), said("de", 0.4), said("en", 0.5), music, said("de", 0.99), said("nl", 0.7)]);
    all
}

#[tokio::test(start_paused = true)]
async fn what_is_heard_depends_neither_on_the_lanes_nor_on_interruptions() {
    let mut expected: Option<Vec<Segment>> = None;
    for seed in 0..30 {
        let script = Script { said: fickle(), seed, asked: Asked::default() };
        let engine = engine(&script).await;
        // interrupted twice, at any moment
        let mut known = BTreeMap::new();
        let mut random = fastrand::Rng::with_seed(seed);
        let mut heard = None;
        for is_last in [false, false, true] {
            let (finished, mut windows) = mpsc::unbounded_channel();
            let control = Control::default();
            let resume = Resume { known: known.clone(), finished };
            let abort = control.abort.clone();
            let stops = Duration::from_millis(random.u64(0..2_500));
            let stop = async move {
                if !is_last {
                    tokio::time::sleep(stops).await;
                    abort.cancel();
                }
            };
            let (listened, ()) = tokio::join!(listen(work(&script, &[], Some(resume)), &engine, &control), stop);
            while let Ok(window) = windows.try_recv() {
                known.insert(window.index, window);
            }
            heard = listened.ok();
        }
        engine.end().await;
        let segments = heard.unwrap().segments;
        assert_eq!(*expected.get_or_insert(segments.clone()), segments, "seed {seed}");
    }
    let segments = expected.unwrap();
    assert_eq!(segments.len(), 10, "all but the music: {segments:?}");
}

#[tokio::test(start_paused = true)]
async fn an_interruption_does_not_wait_for_the_speakers() {
    let script = Script { said: vec![said("en", 0.9); 3], seed: 1, asked: Asked::default() };
    let engine = engine(&script).await;
    let (finished, mut windows) = mpsc::unbounded_channel();
    let mut work = work(&script, &[], Some(Resume { known: BTreeMap::new(), finished }));
    work.recording = Box::new(Followed(Windows(script.said.clone())));
    let control = Control::default();
    let stop = async {
        tokio::time::sleep(LONG / 2).await;
        control.abort.cancel();
    };
    let (listened, ()) = tokio::join!(timeout(LONG, listen(work, &engine, &control)), stop);
    assert_eq!(listened.unwrap().err(), Some(Fault::Interrupted));
    for index in 0..3 {
        assert_eq!(windows.recv().await.map(|window| window.index), Some(index), "what was heard is not lost");
    }
    engine.end().await;
}
