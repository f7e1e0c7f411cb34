//! One window: asked of the engine and judged by the guards, or answered from what an earlier run has saved.

use std::sync::Arc;

use crate::audio::{SAMPLE_RATE_HZ, Window};
use crate::checkpoint::{FinishedWindow, shape};
use crate::fault::Fault;
use crate::transcribe::Session;
use crate::transcribe::guard::{self, Verdict};
use crate::transcribe::wire::{WindowOptions, WindowText};

/// A window's answer, after the guards.
pub struct Answer {
    /// Without its samples.
    pub window: Window,
    /// [`shape`] of the window while it had them.
    shape: u64,
    /// Seconds of audio that were in it.
    pub secs: f64,
    /// What was heard.
    pub text: WindowText,
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
        let (answer, _) = Self::to_be(window);
        let FinishedWindow { text, dropped, retried, .. } = saved;
        Ok(Self { text, dropped, retried, saved: true, ..answer })
    }

    /// As it is saved.
    pub fn into_finished(self) -> FinishedWindow {
        let Self { window, shape, text, dropped, retried, .. } = self;
        FinishedWindow { index: window.index, shape, text, dropped, retried }
    }

    /// An answer that has no text yet, and the samples to ask the engine about.
    fn to_be(mut window: Window) -> (Self, Arc<Vec<f32>>) {
        let shape = shape(&window);
        let pcm = Arc::new(std::mem::take(&mut window.pcm));
        let secs = pcm.len() as f64 / f64::from(SAMPLE_RATE_HZ);
        let text = WindowText::default();
        (Self { window, shape, secs, text, dropped: false, retried: false, saved: false }, pcm)
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
    let speech_secs = window.spans.iter().map(|span| span.len).sum::<usize>() as f64 / f64::from(SAMPLE_RATE_HZ);
    let (answer, pcm) = Answer::to_be(window);
    let first_look = session.submit(pcm.clone(), options.clone());
    async move {
        let mut text = first_look.await?;
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
        Ok(Answer { text: guard::clean(text), dropped, retried, ..answer })
    }
}
