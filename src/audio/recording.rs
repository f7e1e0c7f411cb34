//! Audio that lies on this machine, and its windows on their way to whoever listens.

use std::future::{Future, ready};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::pin::Pin;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempPath;
use tokio::sync::{mpsc, oneshot};

use super::{AudioOptions, AudioReport, Listener, Window, likely_secs, read_windows};
use crate::fault::{Code, Fault};
use crate::speakers::{Followed, Tracker};

/// Told that decoding came a step further.
pub type OnStep = Box<dyn Fn() + Send>;

/// Ends once the whole recording was read, or nobody takes its windows any more.
pub type Decoding = Pin<Box<dyn Future<Output = Result<Decoded, Fault>> + Send>>;

/// Seconds, where they can be told.
pub type LikelySecs = Pin<Box<dyn Future<Output = Option<f64>> + Send>>;

/// Audio on this machine.
pub trait Recording: Send {
    /// Decodes it once, handing each window to `to` and waiting there until it is taken. `name` is a hint for the format
    /// and what errors call it.
    ///
    /// # Errors
    /// Of the answer: as [`read_windows`].
    fn decode(
        self: Box<Self>,
        name: String,
        options: AudioOptions,
        to: mpsc::Sender<Window>,
        on_step: OnStep,
    ) -> Decoding;

    /// Has its speakers followed while it is decoded. What cannot be heard has none.
    fn follow(&mut self, _speakers: Tracker) {}

    /// How long it is by its container, or likely by its size, for telling how much is left; `None` where neither tells. `name`
    /// is a hint for the format.
    fn likely_secs(&self, _name: &str) -> LikelySecs {
        Box::pin(ready(None))
    }
}

/// What came of decoding.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decoded {
    /// What was read.
    pub report: AudioReport,
    /// Time at work, the waiting for whoever listens left out.
    pub busy: Duration,
    /// Its speakers, where they were followed, or why they are not known.
    pub speakers: Option<Result<Vec<Followed>, String>>,
}

/// A file.
#[derive(Debug)]
pub struct LocalFile {
    path: PathBuf,
    /// Deletes the file once it was read.
    _kept: Option<TempPath>,
    speakers: Option<Tracker>,
}

impl LocalFile {
    /// A file that stays.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), _kept: None, speakers: None }
    }

    /// A file that is deleted once it was read.
    pub fn temporary(path: TempPath) -> Self {
        Self { path: path.to_path_buf(), _kept: Some(path), speakers: None }
    }
}

impl Recording for LocalFile {
    /// On a thread of its own: the runtime's pool also resolves names and writes downloads, and a decoder may wait for
    /// its listener for hours.
    fn decode(
        self: Box<Self>,
        name: String,
        options: AudioOptions,
        to: mpsc::Sender<Window>,
        on_step: OnStep,
    ) -> Decoding {
        let (done, outcome) = oneshot::channel();
        let what = name.clone();
        let thread = thread::Builder::new().name("decode".to_owned()).spawn(move || {
            let mut hand_over = HandOver { to, on_step, waited: Duration::ZERO, speakers: self.speakers };
            let started = Instant::now();
            let report = read_windows(&self.path, &name, &options, &mut hand_over);
            let busy = started.elapsed().saturating_sub(hand_over.waited);
            let follow = |report| {
                let HandOver { to, speakers, .. } = hand_over;
                // whoever listens need not wait for the speakers to finish what windows there are
                drop(to);
                Decoded { report, busy, speakers: speakers.map(Tracker::finish) }
            };
            // nobody waits for it any more: the job was given up
            let _ = done.send(report.map(follow));
        });
        Box::pin(async move {
            thread.map_err(|e| Fault::transient(Code::Internal, format!("failed to decode {what}: no thread: {e}")))?;
            outcome.await.unwrap_or_else(|_| {
                Err(Fault::permanent(Code::CorruptAudio, format!("failed to decode {what}: the decoder panicked")))
            })
        })
    }

    fn follow(&mut self, speakers: Tracker) {
        self.speakers = Some(speakers);
    }

    fn likely_secs(&self, name: &str) -> LikelySecs {
        let (path, name) = (self.path.clone(), name.to_owned());
        let likely = tokio::task::spawn_blocking(move || likely_secs(&path, &name));
        // a file that the reader panics over tells nothing
        Box::pin(async { likely.await.ok().flatten() })
    }
}

/// The decoder's side of the channel.
struct HandOver {
    to: mpsc::Sender<Window>,
    on_step: OnStep,
    waited: Duration,
    speakers: Option<Tracker>,
}

impl Listener for HandOver {
    fn step(&mut self) -> ControlFlow<()> {
        (self.on_step)();
        // nobody listens any more: the job was given up
        if self.to.is_closed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn hear(&mut self, index: usize, position: u64, samples: &[f32]) {
        if let Some(speakers) = &mut self.speakers {
            let begun = Instant::now();
            speakers.hear(index, position, samples);
            self.waited += begun.elapsed();
        }
    }

    fn restart(&mut self) {
        if let Some(speakers) = &mut self.speakers {
            speakers.restart();
        }
    }

    fn window(&mut self, window: Window) -> ControlFlow<()> {
        let handed_over = Instant::now();
        let sent = self.to.blocking_send(window);
        self.waited += handed_over.elapsed();
        if sent.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::job::Channels;

    #[tokio::test]
    async fn silence_counts_as_steps_and_a_listener_that_has_gone_ends_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("silence.wav");
        let samples = vec![0_u8; 16_000 * 2 * 60];
        let mut wav = Vec::from(*b"RIFF");
        wav.extend(u32::try_from(samples.len() + 36).unwrap().to_le_bytes());
        wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data");
        wav.extend(u32::try_from(samples.len()).unwrap().to_le_bytes());
        wav.extend(samples);
        std::fs::write(&path, wav).unwrap();
        let options = AudioOptions { channels: Channels::Mix, max_duration_secs: 3600.0, ffmpeg: None, clip: None };
        let steps = Arc::new(AtomicUsize::new(0));
        let decode = |to| {
            let steps = steps.clone();
            let on_step = Box::new(move || {
                steps.fetch_add(1, Ordering::Relaxed);
            });
            Box::new(LocalFile::new(&path)).decode("silence.wav".to_owned(), options.clone(), to, on_step)
        };

        let (to, mut windows) = mpsc::channel(1);
        let decoded = decode(to).await.unwrap();
        assert_eq!((decoded.report.audio.duration.round(), windows.recv().await), (60.0, None));
        let all = steps.swap(0, Ordering::Relaxed);
        assert!(all > 30, "{all} steps in a minute of silence");

        let (to, windows) = mpsc::channel(1);
        drop(windows);
        assert_eq!(decode(to).await, Err(Fault::Interrupted));
        assert_eq!(steps.load(Ordering::Relaxed), 1);
    }
}
