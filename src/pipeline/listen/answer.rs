//! One window: asked of the engine and judged by the guards, or answered from what an earlier run has saved.

use std::sync::Arc;

use futures_util::future::try_join_all;

use super::parts;
use crate::audio::{SAMPLE_RATE_HZ, Window};
use crate::checkpoint::{FinishedWindow, shape};
use crate::fault::Fault;
use crate::transcribe::guard::{self, Verdict};
use crate::transcribe::wire::{WindowOptions, WindowText};
use crate::transcribe::{Session, placement};

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
    /// The guards dropped its text.
    pub dropped: bool,
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
        let FinishedWindow { text, letters, dropped, retried, .. } = saved;
        Ok(Self { text, letters, dropped, retried, saved: true, ..Self::to_be(window) })
    }

    /// As it is saved.
    pub fn into_finished(self) -> FinishedWindow {
        let Self { window, shape, text, letters, dropped, retried, .. } = self;
        FinishedWindow { index: window.index, shape, text, letters, dropped, retried }
    }

    /// Seconds of voice.
    pub fn speech_secs(&self) -> f64 {
        self.window.spans.iter().map(|span| span.len).sum::<usize>() as f64 / f64::from(SAMPLE_RATE_HZ)
    }

    /// An answer that has no text yet.
    fn to_be(mut window: Window) -> Self {
        let shape = shape(&window);
        let pcm = Arc::new(std::mem::take(&mut window.pcm));
        let secs = pcm.len() as f64 / f64::from(SAMPLE_RATE_HZ);
        let text = WindowText::default();
        Self { window, pcm, shape, secs, text, letters: 0, dropped: false, retried: false, saved: false }
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
    let answer = Answer::to_be(window);
    let first_look = session.submit(answer.pcm.clone(), options.clone());
    async move {
        let mut text = first_look.await?;
        let mut verdict = guard::judge(&text, answer.speech_secs(), false);
        let retried = verdict == Verdict::Retry;
        if retried {
            text = session.submit(answer.pcm.clone(), WindowOptions { careful: true, ..options }).await?;
            verdict = guard::judge(&text, answer.speech_secs(), true);
        }
        let dropped = verdict == Verdict::Drop;
        if dropped {
            text.pieces.clear();
        }
        let text = guard::clean(text);
        Ok(Answer { letters: placement::letters(&text.pieces), text, dropped, retried, ..answer })
    }
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
    let options = WindowOptions { language: Some(answer.text.language.clone()), ..options };
    let looks = parts.iter().map(|part| {
        let pcm = answer.pcm.get(part.clone()).unwrap_or_default().to_vec();
        session.submit(Arc::new(pcm), options.clone())
    });
    let heard = try_join_all(looks.collect::<Vec<_>>()).await?;
    let sound = parts.iter().zip(heard).filter_map(|(part, text)| {
        let secs = part.len() as f64 / f64::from(SAMPLE_RATE_HZ);
        // what is doubtful by itself is no proof that something was lost
        (guard::judge(&text, secs, false) == Verdict::Keep).then(|| guard::clean(text))
    });
    let text = guard::join(answer.text.clone(), sound);
    let more = placement::letters(&text.pieces) > answer.letters + answer.letters / MORE_BY;
    Ok(Answer { retried: true, text: if more { text } else { answer.text }, ..answer })
}
