//! A file in, segments out: decoding runs ahead on a thread of its own, windows of speech go to the engine as lanes
//! come free, and answers are put back in order. Memory is bounded by the windows under way.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::sync::mpsc;

use crate::audio::{self, AudioOptions, AudioReport, SAMPLE_RATE_HZ, Window};
use crate::fault::{Code, Fault};
use crate::transcribe::guard::{self, Verdict};
use crate::transcribe::placement;
use crate::transcribe::wire::{WindowOptions, WindowText};
use crate::transcribe::{Session, Transcriber};
use crate::transcript::{Language, Quality, Segment};
use crate::worker::Control;

/// Windows decoded ahead of those with the engine.
const DECODED_AHEAD: usize = 2;

/// A file and how to listen to it.
pub struct Listening {
    /// The file on disk.
    pub path: PathBuf,
    /// What it is called in errors, and a hint for its format.
    pub name: String,
    /// How to decode it.
    pub audio: AudioOptions,
    /// How to transcribe each window; the language is detected once when it is `None`.
    pub options: WindowOptions,
    /// Told how many seconds of the file are done.
    pub on_progress: Option<Box<dyn Fn(f64) + Send + Sync>>,
}

/// What was heard.
#[derive(Debug, Default)]
pub struct Heard {
    /// What the decoder read.
    pub report: AudioReport,
    /// In order of windows, words included.
    pub segments: Vec<Segment>,
    /// `None` when there was no speech.
    pub language: Option<Language>,
    /// What the guards did.
    pub quality: Quality,
    /// Time the decoder was at work.
    pub decode: Duration,
    /// From the first window to the last answer.
    pub transcribe: Duration,
}

/// A window's answer, after the guards.
struct Answer {
    window: Window,
    text: WindowText,
    dropped: bool,
    retried: bool,
}

/// Transcribes one file. `control.abort` ends it with `Interrupted`, `control.lease_lost` with `LeaseLost`; windows that
/// wait are withdrawn then.
///
/// # Errors
/// The decoder's and the engine's, naming the file.
pub async fn listen(work: Listening, engine: &Transcriber, control: &Control) -> Result<Heard, Fault> {
    tokio::select! {
        biased;
        () = control.lease_lost.cancelled() => Err(Fault::LeaseLost),
        () = control.abort.cancelled() => Err(Fault::Interrupted),
        heard = listen_to_end(work, engine) => heard,
    }
}

async fn listen_to_end(work: Listening, engine: &Transcriber) -> Result<Heard, Fault> {
    let Listening { path, name, audio, mut options, on_progress } = work;
    let (sender, mut windows) = mpsc::channel(DECODED_AHEAD);
    let what = name.clone();
    let decoding = tokio::task::spawn_blocking(move || decode(&path, &what, &audio, &sender));
    let session = Arc::new(engine.session());
    let mut answers = FuturesOrdered::new();
    let mut heard = Heard::default();
    let mut first_window = None;
    let mut decoded_all = false;
    let detects = options.language.is_none() && engine.info().multilingual;
    while !decoded_all || !answers.is_empty() {
        // until the first answer has told the language the others wait
        let room = if detects && options.language.is_none() { 1 } else { engine.lanes() * 2 };
        tokio::select! {
            window = windows.recv(), if !decoded_all && answers.len() < room => match window {
                Some(window) => {
                    first_window.get_or_insert_with(Instant::now);
                    answers.push_back(answer(session.clone(), window, options.clone()));
                }
                None => decoded_all = true,
            },
            Some(answer) = answers.next() => {
                let answer = answer.map_err(|fault| naming(fault, &name))?;
                heard.take(&answer);
                if detects && options.language.is_none() && !answer.dropped {
                    options.language = Some(answer.text.language.clone());
                }
                if let (Some(tell), Some(span)) = (&on_progress, answer.window.spans.last()) {
                    tell((span.source_start + span.len as u64) as f64 / f64::from(SAMPLE_RATE_HZ));
                }
            }
        }
    }
    let (report, decode) = decoding.await.map_err(|e| {
        Fault::permanent(Code::CorruptAudio, format!("failed to decode {name}: the decoder panicked: {e}"))
    })??;
    heard.report = report;
    heard.decode = decode;
    heard.transcribe = first_window.map_or(Duration::ZERO, |first: Instant| first.elapsed());
    let words = || heard.segments.iter().flat_map(|segment| &segment.words);
    let count = words().count();
    if count > 0 {
        heard.quality.confidence = words().map(|word| word.probability).sum::<f64>() / count as f64;
    }
    Ok(heard)
}

/// Decodes on this thread; time spent waiting for the engine does not count.
fn decode(
    path: &std::path::Path,
    name: &str,
    options: &AudioOptions,
    windows: &mpsc::Sender<Window>,
) -> Result<(AudioReport, Duration), Fault> {
    let started = Instant::now();
    let mut waited = Duration::ZERO;
    let report = audio::read_windows(path, name, options, &mut |window| {
        let handed_over = Instant::now();
        let sent = windows.blocking_send(window);
        waited += handed_over.elapsed();
        // nobody listens any more: the job was given up
        if sent.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok((report, started.elapsed().saturating_sub(waited)))
}

async fn answer(session: Arc<Session>, mut window: Window, options: WindowOptions) -> Result<Answer, Fault> {
    let speech_secs = window.spans.iter().map(|span| span.len).sum::<usize>() as f64 / f64::from(SAMPLE_RATE_HZ);
    let pcm = Arc::new(std::mem::take(&mut window.pcm));
    let mut text = session.submit(pcm.clone(), options.clone()).await?;
    let mut verdict = guard::judge(&text, speech_secs, false);
    let retried = verdict == Verdict::Retry;
    if retried {
        text = session.submit(pcm, WindowOptions { careful: true, ..options }).await?;
        verdict = guard::judge(&text, speech_secs, true);
    }
    let dropped = verdict == Verdict::Drop;
    if dropped {
        text.pieces.clear();
    }
    Ok(Answer { window, text: guard::clean(text), dropped, retried })
}

impl Heard {
    fn take(&mut self, answer: &Answer) {
        self.quality.windows += 1;
        self.quality.windows_dropped += u32::from(answer.dropped);
        self.quality.windows_retried += u32::from(answer.retried);
        if self.language.is_none() && !answer.dropped && !answer.text.language.is_empty() {
            self.language = Some(Language {
                code: answer.text.language.clone(),
                probability: answer.text.language_probability.map(f64::from),
            });
        }
        self.segments.extend(placement::place(&answer.window, &answer.text));
    }
}

fn naming(fault: Fault, name: &str) -> Fault {
    match fault {
        Fault::Permanent(problem) => {
            Fault::permanent(problem.code, format!("failed to transcribe {name}: {}", problem.message))
        }
        Fault::Transient(problem) => {
            Fault::transient(problem.code, format!("failed to transcribe {name}: {}", problem.message))
        }
        other => other,
    }
}
