//! The threads that look at windows, of all jobs together, and the nets they share. They are loaded when the first job asks
//! for speakers. A panic in them costs that job's labels and nothing else: it is caught where it happens.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use super::glimpse::{Glimpse, Nets};
use super::tracker::Tracker;
use crate::job::Channels;
use crate::job::speakers::SpeakerCount;

/// How much more reluctantly these threads run than others (`nice`): windows of speech go first, and a decoder that waits
/// for labels leaves the cores to them.
const NICENESS: i32 = 10;

/// A window's index, and what was seen in it.
pub type Reply = (usize, Result<Glimpse, String>);

/// A window to be looked at.
pub struct Task {
    /// Of its stream, from 0.
    pub index: usize,
    /// Its first sample.
    pub start: u64,
    /// 16 kHz.
    pub pcm: Vec<f32>,
    /// Who waits.
    pub reply: Sender<Reply>,
}

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

    /// Gives a window away; waits while all are at work.
    ///
    /// # Errors
    /// Nobody works any more.
    pub fn give(&self, task: Task) -> Result<(), String> {
        self.tasks.send(task).map_err(|_| "the speakers' threads have ended".to_owned())
    }
}

fn work(nets: &Nets, queue: &Mutex<Receiver<Task>>) {
    // where it is refused they run as all others do
    let _ = rustix::process::setpriority_process(None, NICENESS);
    loop {
        let task = match queue.lock() {
            Ok(queue) => queue.recv(),
            Err(_) => return,
        };
        let Ok(Task { index, start, pcm, reply }) = task else { return };
        let seen = catch_unwind(AssertUnwindSafe(|| nets.look(start, &pcm)));
        // nobody listens where the job was given up
        let _ = reply.send((index, seen.unwrap_or_else(|_| Err("the speakers' nets panicked".to_owned()))));
    }
}

/// Where a stream's answers come in.
pub fn replies() -> (Sender<Reply>, Receiver<Reply>) {
    channel()
}
