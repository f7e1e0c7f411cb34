//! One window: asked of the engine and judged by the guards, or answered from what an earlier run has saved.

use std::ops::Range;
use std::sync::Arc;

use futures_util::future::try_join_all;

use super::{guess, parts};
use crate::audio::{Found, SAMPLE_RATE_HZ, Window};
use crate::checkpoint::{FinishedWindow, shape};
use crate::fault::Fault;
use crate::transcribe::guard::{self, Look, SecondLook};
use crate::transcribe::pace::Pace;
use crate::transcribe::wire::{WindowOptions, WindowText};
use crate::transcribe::{Session, placement};
use crate::transcript::{DropReason, Dropped};

/// Listening to parts is believed when it hears so much more, a tenth: less is other spellings of the same.
const MORE_BY: u32 = 10;

/// A window's answer, after the guards.
pub struct Answer {
    /// Without its samples.
    pub window: Window,
    /// The samples, as long as it may be listened to again.
    pcm: Arc<Vec<f32>>,
    /// [`shape`] of the window while it had them.
    shape: u64,
    /// Seconds of audio that were in it.
    pub secs: f64,
    /// What was heard.
    pub text: WindowText,
    /// How much was heard before any listening to parts, as [`placement::letters`] counts it.
    pub letters: u32,
    /// [`FinishedWindow::vote`].
    pub vote: Option<(String, u16)>,
    /// The guards dropped its text, all of it.
    pub is_dropped: bool,
    /// What they dropped.
    pub dropped: Vec<Dropped>,
    /// It was looked at twice.
    pub retried: bool,
    /// It comes from an earlier run.
    pub saved: bool,
}

impl Answer {
    /// The answer to this window that an earlier run has saved; the window comes back when it was cut otherwise then.
    pub fn from_saved(window: Window, saved: FinishedWindow) -> Result<Self, Window> {
        if shape(&window) != saved.shape {
            return Err(window);
        }
        let FinishedWindow { text, letters, vote, is_dropped, dropped, retried, .. } = saved;
        Ok(Self { text, letters, vote, is_dropped, dropped, retried, saved: true, ..Self::to_be(window) })
    }

    /// As it is saved.
    pub fn into_finished(self) -> FinishedWindow {
        let Self { window, shape, text, letters, vote, is_dropped, dropped, retried, .. } = self;
        FinishedWindow { index: window.index, shape, text, letters, vote, is_dropped, dropped, retried }
    }

    /// Whether the window has lost text, as far as the pace of those before it tells. Sound is no measure of it.
    pub fn is_short(&self, pace: &mut Pace) -> bool {
        self.window.found == Found::Voice && pace.is_short(&self.text, self.letters, self.window.speech_secs())
    }

    /// The answer to a window in which no voice was found. It is heard once: what it costs is bounded.
    fn of_sound(self, look: Look, prompt: Option<&str>) -> Self {
        let secs = self.window.speech_secs();
        tracing::debug!(
            secs,
            no_speech = look.text.no_speech_prob,
            logprob = look.text.avg_logprob,
            letters = placement::letters(&look.text.pieces),
            "sound without voice"
        );
        let Look { text, dropped } = match guard::is_speech_after_all(&look.text, secs, prompt) {
            true => look,
            false => guard::drop_all(&self.window, look, DropReason::NoVoice),
        };
        let letters = placement::letters(&text.pieces);
        Self { letters, text, is_dropped: letters == 0, dropped, ..self }
    }

    /// An answer that has no text yet.
    fn to_be(mut window: Window) -> Self {
        let shape = shape(&window);
        let pcm = Arc::new(std::mem::take(&mut window.pcm));
        let secs = pcm.len() as f64 / f64::from(SAMPLE_RATE_HZ);
        let text = WindowText::default();
        let (letters, vote, is_dropped, dropped) = (0, None, false, Vec::new());
        Self { window, pcm, shape, secs, text, letters, vote, is_dropped, dropped, retried: false, saved: false }
    }
}

/// Queues the window at once; the future is its answer.
///
/// # Errors
/// The engine's.
pub fn ask(
    session: Arc<Session>,
    window: Window,
    options: WindowOptions,
) -> impl Future<Output = Result<Answer, Fault>> + Send {
    ask_again(session, Answer::to_be(window), options)
}

/// As [`ask`], for a window that was answered: nothing of that answer is left but its vote.
///
/// # Errors
/// The engine's.
pub fn ask_again(
    session: Arc<Session>,
    answer: Answer,
    options: WindowOptions,
) -> impl Future<Output = Result<Answer, Fault>> + Send {
    let first_look = session.submit(answer.pcm.clone(), options.clone());
    async move {
        let first_look = first_look.await?;
        if answer.window.found == Found::Sound {
            let look = Look::at(&answer.window, first_look);
            return Ok(answer.of_sound(look, options.prompt.as_deref()));
        }
        let (look, doubted) = judge(&session, &answer.window, &answer.pcm, first_look, &options).await?;
        let (Look { text, dropped }, went_on) = go_on(&session, &answer, look, &options).await?;
        let letters = placement::letters(&text.pieces);
        let is_dropped = letters == 0 && !dropped.is_empty();
        let guess = text.language_probability.filter(|_| letters > 0);
        let vote = guess.map(|probability| (text.language.clone(), guess::thousandths(probability)));
        let vote = answer.vote.clone().or(vote);
        Ok(Answer { letters, text, vote, is_dropped, dropped, retried: doubted || went_on, ..answer })
    }
}

/// What stands of what was heard in a window at first, and whether that was in doubt.
async fn judge(
    session: &Session,
    window: &Window,
    pcm: &[f32],
    first_look: WindowText,
    options: &WindowOptions,
) -> Result<(Look, bool), Fault> {
    let look = Look::at(window, first_look);
    let speech_secs = window.speech_secs();
    let Some(reason) = guard::doubt(&look.text, speech_secs, options.prompt.as_deref()) else {
        return Ok((look, false));
    };
    let second = listen_again(session, window, pcm, &look.text, reason, options.clone()).await?;
    Ok((guard::settle(window, look, reason, second, speech_secs), true))
}

/// Listens to what is left of a window where its text ends long before its voice does: an engine may end a text early and be
/// as sure of it as ever. Returns the look with what was heard there, and whether there was such a rest.
async fn go_on(
    session: &Session,
    answer: &Answer,
    mut look: Look,
    options: &WindowOptions,
) -> Result<(Look, bool), Fault> {
    let mut ended = None;
    while let Some(end) = look.text.end_ms()
        && Some(end) > ended
        && let Some((from, rest)) = parts::after(&answer.window, end)
    {
        ended = Some(end);
        let pcm = answer.pcm.get(from..).unwrap_or_default();
        let first_look = session.submit(Arc::new(pcm.to_vec()), as_heard(&look.text, options)).await?;
        let (more, _) = judge(session, &rest, pcm, first_look, options).await?;
        let doubt = guard::doubt_of_rest(&more.text, rest.speech_secs());
        let more = match doubt {
            Some(reason) => guard::drop_all(&rest, more, reason),
            None => more,
        };
        let text = guard::join(&look.text, [look.text.clone(), more.text.later_by(end)].into_iter());
        look = Look { text, dropped: look.dropped.into_iter().chain(more.dropped).collect() };
        if doubt.is_some() {
            break;
        }
    }
    Ok((look, ended.is_some()))
}

/// The window heard in another way: its parts between pauses, or where there is no pause, another reading of it all.
async fn listen_again(
    session: &Session,
    window: &Window,
    pcm: &[f32],
    first: &WindowText,
    reason: DropReason,
    options: WindowOptions,
) -> Result<SecondLook, Fault> {
    let parts = parts::cut(&window.spans, pcm.len());
    // what may be the prompt come back must come without it
    let prompt = options.prompt.filter(|_| reason != DropReason::Prompt);
    let options = WindowOptions { careful: parts.len() < 2, prompt: prompt.clone(), ..options };
    let looks = listen_to(session, pcm, first, &parts, options).await?;
    let is_sound = |(text, secs): &&(WindowText, f64)| guard::is_sound(text, *secs, prompt.as_deref());
    let sound = guard::join(first, looks.iter().filter(is_sound).map(|(text, _)| text.clone()));
    Ok(SecondLook { sound, heard: guard::join(first, looks.into_iter().map(|(text, _)| text)) })
}

/// To listen in the language that a text was heard in, if that is certain.
fn as_heard(text: &WindowText, options: &WindowOptions) -> WindowOptions {
    let language = Some(text.language.clone()).filter(|code| !code.is_empty() && guess::is_certain(text));
    WindowOptions { language, ..options.clone() }
}

/// What is heard in each part of a window, in the language that the window was heard in if that is certain, and the part's
/// seconds.
async fn listen_to(
    session: &Session,
    pcm: &[f32],
    first: &WindowText,
    parts: &[Range<usize>],
    options: WindowOptions,
) -> Result<Vec<(WindowText, f64)>, Fault> {
    let options = as_heard(first, &options);
    let looks = parts.iter().map(|part| {
        let pcm = pcm.get(part.clone()).unwrap_or_default().to_vec();
        session.submit(Arc::new(pcm), options.clone())
    });
    let heard = try_join_all(looks.collect::<Vec<_>>()).await?;
    let secs = parts.iter().map(|part| part.len() as f64 / f64::from(SAMPLE_RATE_HZ));
    let begins = parts.iter().map(|part| part.start / (SAMPLE_RATE_HZ as usize / 1_000));
    let heard = heard.into_iter().zip(begins).map(|(text, ms)| text.later_by(u32::try_from(ms).unwrap_or(u32::MAX)));
    Ok(heard.zip(secs).collect())
}

/// Listens again, to the parts between the window's pauses, and takes what is heard there when it is more.
///
/// # Errors
/// The engine's.
pub async fn listen_to_parts(session: Arc<Session>, answer: Answer, options: WindowOptions) -> Result<Answer, Fault> {
    let parts = parts::cut(&answer.window.spans, answer.pcm.len());
    if parts.len() < 2 {
        return Ok(answer);
    }
    let prompt = options.prompt.clone();
    let heard = listen_to(&session, &answer.pcm, &answer.text, &parts, options).await?;
    // what is doubtful by itself is no proof that something was lost, nor is a guess where nothing was heard before
    let believed = |text: &WindowText| answer.letters > 0 || guard::is_sure(text);
    let is_sound = |text: &WindowText, secs| believed(text) && guard::is_sound(text, secs, prompt.as_deref());
    let sound = heard.into_iter().filter(|(text, secs)| is_sound(text, *secs));
    let joined = guard::join(&answer.text, sound.map(|(text, _)| text));
    let Look { text, dropped } = Look::at(&answer.window, joined);
    let more = placement::letters(&text.pieces) > answer.letters + answer.letters / MORE_BY;
    let answer = Answer { retried: true, ..answer };
    if !more {
        return Ok(answer);
    }
    let dropped = answer.dropped.into_iter().chain(dropped).collect();
    Ok(Answer { text, dropped, is_dropped: false, ..answer })
}
