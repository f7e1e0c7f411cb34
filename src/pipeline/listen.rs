//! A file in, segments out: decoding runs ahead on a thread of its own, windows of speech go to the engine as lanes
//! come free, and answers are put back in order. Memory is bounded by the windows under way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, ready};
use futures_util::stream::FuturesOrdered;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::audio::recording::{Decoded, OnStep, Recording};
use crate::audio::{AudioOptions, AudioReport, SAMPLE_RATE_HZ, Window};
use crate::checkpoint::FinishedWindow;
use crate::fault::Fault;
use crate::handler::Control;
use crate::speakers::Followed;
use crate::transcribe::Transcriber;
use crate::transcribe::pace::Pace;
use crate::transcribe::placement;
use crate::transcribe::task::Share;
use crate::transcribe::wire::WindowOptions;
use crate::transcript::{Language, Quality, Segment, Timing};
use answer::Answer;
use language::Languages;

mod answer;
mod guess;
mod language;
mod parts;
#[cfg(test)]
mod tests;

/// Windows decoded ahead of those with the engine.
const DECODED_AHEAD: usize = 2;

/// A recording and how to listen to it.
pub struct Listening {
    /// The audio.
    pub recording: Box<dyn Recording>,
    /// What it is called in errors, and a hint for its format.
    pub name: String,
    /// How to decode it.
    pub audio: AudioOptions,
    /// How to transcribe each window. Without language and languages one is decided for each channel.
    pub options: WindowOptions,
    /// How its turns are counted beside others.
    pub share: Share,
    /// Told how many seconds of the file are done.
    pub on_progress: Option<Box<dyn Fn(f64) + Send + Sync>>,
    /// Told that decoding came a step further.
    pub on_step: OnStep,
    /// How it goes on from an earlier run; `None` where runs are not interrupted.
    pub resume: Option<Resume>,
}

/// What was heard.
#[derive(Debug, Default)]
pub struct Heard {
    /// What the decoder read.
    pub report: AudioReport,
    /// In order of windows, words included.
    pub segments: Vec<Segment>,
    /// How their words' times came about; `None` when there was no speech.
    pub timing: Option<Timing>,
    /// `None` when there was no speech.
    pub language: Option<Language>,
    /// What the guards did.
    pub quality: Quality,
    /// Who spoke when, where that was asked for, or why it is not known.
    pub speakers: Option<Result<Vec<Followed>, String>>,
    /// What an earlier run had done.
    pub resumed: Resumed,
    /// Time the decoder was at work.
    pub decode: Duration,
    /// From the first window to the last answer.
    pub transcribe: Duration,
}

/// Goes on where an earlier run ended, and tells what the next one need not repeat.
pub struct Resume {
    /// Windows an earlier run has finished, by index.
    pub known: BTreeMap<u32, FinishedWindow>,
    /// Told of each window this run finishes.
    pub finished: mpsc::UnboundedSender<FinishedWindow>,
}

/// Work of an earlier run that was not repeated.
#[derive(Debug, Clone, Copy, Default)]
pub struct Resumed {
    /// Windows that did not go to the engine.
    pub windows: u32,
    /// Seconds of audio in them.
    pub secs: f64,
}

/// Transcribes one file. `control.lease_lost` ends it at once with `LeaseLost`. `control.abort` ends it with
/// `Interrupted`: windows that wait are withdrawn, those with the engine are awaited if there is someone to tell.
///
/// # Errors
/// The decoder's and the engine's, naming the file.
pub async fn listen(work: Listening, engine: &Transcriber, control: &Control) -> Result<Heard, Fault> {
    tokio::select! {
        biased;
        () = control.lease_lost.cancelled() => Err(Fault::LeaseLost),
        heard = listen_to_end(work, engine, &control.abort) => heard,
    }
}

async fn listen_to_end(work: Listening, engine: &Transcriber, abort: &CancellationToken) -> Result<Heard, Fault> {
    let Listening { recording, name, audio, options, share, on_progress, on_step, mut resume } = work;
    let (sender, mut windows) = mpsc::channel(DECODED_AHEAD);
    let decoding = recording.decode(name.clone(), audio, sender, on_step);
    tokio::pin!(decoding);
    let mut decoded = None;
    let session = Arc::new(engine.session_of(share));
    // windows listened to; heard again if that was in another language; heard again if text was lost: all in order
    let (mut answers, mut spoken, mut settled) = (FuturesOrdered::new(), FuturesOrdered::new(), FuturesOrdered::new());
    let mut languages = Languages::new(&options, engine.is_multilingual());
    let mut pace = Pace::default();
    let mut heard = Heard::default();
    let mut first_window = None;
    let mut decoded_all = false;
    let Decoded { report, busy, speakers } = loop {
        if decoded_all && answers.is_empty() {
            languages.end();
        }
        while let Some((answer, again)) = languages.next() {
            spoken.push_back(match again {
                None => Either::Left(ready(Ok(answer))),
                Some(language) => {
                    let options = WindowOptions { language: Some(language), ..options.clone() };
                    Either::Right(answer::ask_again(session.clone(), answer, options))
                }
            });
        }
        // its speakers may be followed for a while yet
        if decoded_all
            && answers.is_empty()
            && spoken.is_empty()
            && settled.is_empty()
            && let Some(outcome) = decoded.take()
        {
            break outcome?;
        }
        let under_way = answers.len() + spoken.len() + settled.len();
        tokio::select! {
            biased;
            () = abort.cancelled() => {
                if let Some(resume) = &resume {
                    session.withdraw();
                    // one to be listened to again is not finished
                    let mut tell = |answer: Answer| {
                        if !answer.is_short(&mut pace) || answer.retried {
                            resume.tell(answer);
                        }
                    };
                    // a withdrawn window's answer is an error
                    let mut goes_on = true;
                    while let Some(answer) = spoken.next().await {
                        match answer {
                            Ok(answer) if goes_on => tell(answer),
                            _ => goes_on = false,
                        }
                    }
                    while goes_on && let Some(Ok(answer)) = answers.next().await {
                        languages.hear(answer);
                        while goes_on && let Some((answer, again)) = languages.next() {
                            match again {
                                None => tell(answer),
                                Some(_) => goes_on = false,
                            }
                        }
                    }
                    while let Some(answer) = settled.next().await {
                        let answer: Result<Answer, Fault> = answer;
                        answer.into_iter().for_each(|answer| resume.tell(answer));
                    }
                }
                return Err(Fault::Interrupted);
            }
            Some(answer) = settled.next() => {
                let answer: Answer = answer.map_err(|fault| naming(fault, &name))?;
                languages.take(&answer);
                heard.take(&answer);
                if let (Some(tell), Some(span)) = (&on_progress, answer.window.spans.last()) {
                    tell((span.source_start + span.len as u64) as f64 / f64::from(SAMPLE_RATE_HZ));
                }
                if let Some(resume) = &resume {
                    resume.tell(answer);
                }
            }
            Some(answer) = spoken.next() => {
                let answer: Answer = answer.map_err(|fault| naming(fault, &name))?;
                let short = answer.is_short(&mut pace);
                settled.push_back(if short && !answer.saved && !answer.retried {
                    Either::Right(answer::listen_to_parts(session.clone(), answer, options.clone()))
                } else {
                    Either::Left(ready(Ok(answer)))
                });
            }
            Some(answer) = answers.next() => languages.hear(answer.map_err(|fault| naming(fault, &name))?),
            outcome = &mut decoding, if decoded.is_none() => decoded = Some(outcome),
            window = windows.recv(), if !decoded_all && under_way < engine.lanes() * 2 => match window {
                Some(window) => {
                    first_window.get_or_insert_with(Instant::now);
                    answers.push_back(match saved(resume.as_mut(), window) {
                        Ok(answer) => Either::Left(ready(Ok(answer))),
                        Err(window) => {
                            let language = languages.decided(window.channel).or_else(|| options.language.clone());
                            let options = WindowOptions { language, ..options.clone() };
                            Either::Right(answer::ask(session.clone(), window, options))
                        }
                    });
                }
                None => decoded_all = true,
            },
        }
    };
    heard.quality.sound_heard = report.sounds.heard_secs;
    heard.quality.sound_unheard = report.sounds.unheard_secs;
    heard.report = report;
    heard.speakers = speakers;
    heard.language = languages.of_job();
    heard.decode = busy;
    heard.transcribe = first_window.map_or(Duration::ZERO, |first: Instant| first.elapsed());
    let words = || heard.segments.iter().flat_map(|segment| &segment.words);
    let count = words().count();
    if count > 0 {
        heard.quality.confidence = words().map(|word| word.probability).sum::<f64>() / count as f64;
    }
    Ok(heard)
}

/// The answer of an earlier run, or the window back.
fn saved(resume: Option<&mut Resume>, window: Window) -> Result<Answer, Window> {
    match resume.and_then(|resume| resume.known.remove(&window.index)) {
        Some(saved) => Answer::from_saved(window, saved),
        None => Err(window),
    }
}

impl Resume {
    fn tell(&self, answer: Answer) {
        tracing::debug!(window = answer.window.index, saved = answer.saved, "window finished");
        if !answer.saved {
            // nobody listens once the lease is lost
            let _ = self.finished.send(answer.into_finished());
        }
    }
}

impl Heard {
    fn take(&mut self, answer: &Answer) {
        self.quality.windows += 1;
        self.quality.windows_dropped += u32::from(answer.is_dropped);
        self.quality.windows_retried += u32::from(answer.retried);
        if answer.saved {
            self.resumed.windows += 1;
            self.resumed.secs += answer.secs;
        }
        self.quality.dropped.extend_from_slice(&answer.dropped);
        let segments = placement::place(&answer.window, &answer.text);
        if !segments.is_empty() {
            let is_measured = self.timing != Some(Timing::Placed) && placement::is_measured(&answer.text);
            self.timing = Some(if is_measured { Timing::Measured } else { Timing::Placed });
        }
        self.segments.extend(segments);
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
        Fault::Unable(problem) => {
            Fault::unable(problem.code, format!("failed to transcribe {name}: {}", problem.message))
        }
        other => other,
    }
}
