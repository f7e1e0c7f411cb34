//! The threads that look at windows, of all jobs together, and the nets they share. They are loaded when the first job asks
//! for speakers. They run like all others: of a busy machine a thread of less priority has next to nothing, and whoever asked
//! for speakers waits for them. A panic in them costs that job's labels and nothing else: it is caught where it happens.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use super::glimpse::{Glimpse, Nets};
use super::tracker::Tracker;
use crate::job::Channels;
use crate::job::speakers::SpeakerCount;

const ENDED: &str = "the speakers' threads have ended";

/// What was seen in a window.
type Reply = Result<Glimpse, String>;

/// A window to be looked at.
struct Task {
    /// Its first sample.
    start: u64,
    /// 16 kHz.
    pcm: Vec<f32>,
    /// See [`Nets::look`].
    own: Range<usize>,
    reply: SyncSender<Reply>,
}

/// What becomes of a window that was given away.
pub struct Answer(Receiver<Reply>);

/// Where voices are told apart, if anybody asks. Cheap to clone.
#[derive(Clone)]
pub struct Voices {
    crew: Arc<OnceLock<Result<Crew, String>>>,
    nets: Result<PathBuf, String>,
}

/// Threads at work.
#[derive(Clone)]
pub struct Crew {
    tasks: SyncSender<Task>,
    /// Threads.
    pub size: usize,
}

impl Voices {
    /// With the nets of this file; or why there are none.
    pub fn new(nets: Result<PathBuf, String>) -> Self {
        Self { crew: Arc::default(), nets }
    }

    /// Without nets: for who never asks.
    pub fn none() -> Self {
        Self::new(Err("there are no nets here".to_owned()))
    }

    /// Follows the speakers of a recording, between so many.
    pub fn tracker(&self, count: SpeakerCount, channels: Channels) -> Tracker {
        Tracker::new(self.clone(), count, channels)
    }

    /// With a crew of one, who does this with each window, of its first sample and its own frames. It ends where that is `None`.
    #[cfg(test)]
    pub fn played(mut look: impl FnMut(u64, Range<usize>) -> Option<Reply> + Send + 'static) -> Self {
        let (tasks, queue) = sync_channel::<Task>(1);
        thread::spawn(move || {
            while let Ok(task) = queue.recv()
                && let Some(seen) = look(task.start, task.own)
            {
                let _ = task.reply.send(seen);
            }
        });
        Self { crew: Arc::new(OnceLock::from(Ok(Crew { tasks, size: 1 }))), nets: Err(String::new()) }
    }

    /// The threads, which begin now where they have not yet. Blocks while the nets are loaded.
    ///
    /// # Errors
    /// Why there are no nets, in a sentence.
    pub fn crew(&self) -> Result<Crew, String> {
        self.crew.get_or_init(|| self.nets.clone().and_then(|path| Crew::start(Nets::load(&path)?))).clone()
    }
}

impl Crew {
    fn start(nets: Nets) -> Result<Self, String> {
        let size = (thread::available_parallelism().map_or(1, usize::from) / 2).max(1);
        let (tasks, queue) = sync_channel(size);
        let (nets, queue) = (Arc::new(nets), Arc::new(Mutex::new(queue)));
        for _ in 0..size {
            let (nets, queue) = (nets.clone(), queue.clone());
            let thread = thread::Builder::new().name("speakers".to_owned()).spawn(move || work(&nets, &queue));
            thread.map_err(|e| format!("no thread for the speakers: {e}"))?;
        }
        Ok(Self { tasks, size })
    }

    /// Gives a window of 16 kHz that begins at sample `start` away, of which these frames are its own; waits while all are at
    /// work.
    ///
    /// # Errors
    /// Nobody works any more.
    pub fn give(&self, start: u64, pcm: Vec<f32>, own: Range<usize>) -> Result<Answer, String> {
        let (reply, answer) = sync_channel(1);
        self.tasks.send(Task { start, pcm, own, reply }).map_err(|_| ENDED)?;
        Ok(Answer(answer))
    }
}

impl Answer {
    /// Waits for it.
    ///
    /// # Errors
    /// What went wrong with the window, or nobody works any more: whoever has the window is the only one who can answer, so
    /// that this ends with them.
    pub fn wait(self) -> Result<Glimpse, String> {
        self.0.recv().map_err(|_| ENDED)?
    }
}

fn work(nets: &Nets, queue: &Mutex<Receiver<Task>>) {
    loop {
        let task = match queue.lock() {
            Ok(queue) => queue.recv(),
            Err(_) => return,
        };
        let Ok(Task { start, pcm, own, reply }) = task else { return };
        let seen = catch_unwind(AssertUnwindSafe(|| nets.look(start, &pcm, &own)));
        // nobody listens where the job was given up
        let _ = reply.send(seen.unwrap_or_else(|_| Err("the speakers' nets panicked".to_owned())));
    }
}
