//! The queue that a folder is: a file put into `inbox` is a message, and a locked file is a lease.
//!
//! `inbox` -> `work` while it is transcribed -> `done`, or `failed` with the reason beside it. The lock (`flock`) ends
//! with the process that holds it, so the work of a dead process is free at once, whatever visibility it had asked for.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde_json::json;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use self::files::{Listing, list, lock, move_into, move_new, stem};
use super::{Message, Queue, QueueTraits};
use crate::fault::{Code, Fault, Problem};

mod files;
mod submit;

pub use self::submit::submit;

/// Deliveries of a file before it is given up, as a queue's `maxReceiveCount`.
const MAX_RECEIVE_COUNT: u32 = 5;
/// How long a receive waits for a file; short, because a stop waits for it.
const POLL: Duration = Duration::from_secs(2);
/// Between two looks into the folder.
const SCAN_EVERY: Duration = Duration::from_millis(500);
/// A file that was not written to for this long is whole.
const SETTLED_AGE: Duration = Duration::from_secs(2);
/// Or one whose size and time did not change between two looks this far apart, whatever its time says.
const SETTLED_BETWEEN: Duration = Duration::from_secs(1);

/// A folder with `inbox`, `work`, `outbox`, `done` and `failed`.
#[derive(Debug)]
pub struct FolderQueue {
    dir: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The files in `work` that are ours, by name.
    held: HashMap<String, Lease>,
    /// Fresh files in `inbox`, as they were first seen so.
    fresh: HashMap<String, (Look, Instant)>,
    /// Files that could not be taken, as the log was told once.
    refused: HashSet<String>,
    /// What is no message, as the log was told once.
    skipped: HashSet<String>,
    /// Receipts of deliveries that went to `failed`: their deletion has nothing left to do.
    buried: HashSet<String>,
}

/// Our hold on one file.
#[derive(Debug)]
struct Lease {
    /// Holds the lock while it is open.
    file: File,
    /// As it was delivered: one that differs when its job ends was still being written.
    look: Look,
    receipt: String,
    /// When we may deliver it again ourselves; the lock keeps others away until we end.
    not_before: Instant,
}

/// What a file looked like: bytes and modification time.
type Look = (u64, SystemTime);

impl FolderQueue {
    /// Opens the folder and makes what is missing in it.
    ///
    /// # Errors
    /// A folder cannot be made.
    pub fn open(dir: &Path) -> io::Result<Self> {
        for name in ["inbox", "work", "outbox", "done", "failed", ".state"] {
            fs::create_dir_all(dir.join(name))?;
        }
        Ok(Self { dir: dir.to_owned(), state: Mutex::default() })
    }

    /// Whether nothing waits in `inbox` and nobody works; files that are no messages do not count.
    pub fn is_empty(&self) -> bool {
        // in this order, as files travel from one to the other
        ["inbox", "work"].iter().all(|part| list(&self.dir.join(part)).is_ok_and(|listing| listing.names.is_empty()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // every change of it is a single insert or remove: a panic elsewhere left it whole
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, part: &str, name: &str) -> PathBuf {
        self.dir.join(part).join(name)
    }

    /// One look into the folder: first what was given back or left behind, then what is new. A file that cannot be
    /// taken, such as one that we may not read, does not keep us from the others.
    fn scan(&self, max: usize, visibility: Duration) -> io::Result<Vec<Message>> {
        let mut state = self.state();
        let working = list(&self.dir.join("work"))?.names;
        let Listing { names: waiting, skipped } = list(&self.dir.join("inbox"))?;
        for what in skipped.difference(&state.skipped) {
            tracing::warn!("{what} in {} is left alone", self.dir.join("inbox").display());
        }
        state.skipped = skipped;
        state.fresh.retain(|name, _| waiting.contains(name));
        state.refused.retain(|name| waiting.contains(name) || working.contains(name));
        let mut taken = Vec::new();
        let all = working.into_iter().map(|name| (name, true)).chain(waiting.into_iter().map(|name| (name, false)));
        for (name, in_work) in all {
            if taken.len() == max {
                break;
            }
            let file = if in_work { self.reclaim(&mut state, &name) } else { self.claim(&mut state, &name) };
            let delivered = file.and_then(|file| match file {
                Some(file) => self.deliver(&mut state, &name, file, visibility),
                None => Ok(None),
            });
            match delivered {
                Ok(message) => taken.extend(message),
                Err(error) if state.refused.insert(name.clone()) => {
                    tracing::warn!("failed to take file {name} of folder {}: {error}", self.dir.display());
                }
                Err(_) => {}
            }
        }
        Ok(taken)
    }

    /// A file in `work` whose owner is gone, or our own whose time has come.
    fn reclaim(&self, state: &mut State, name: &str) -> io::Result<Option<File>> {
        match state.held.get(name) {
            Some(lease) if lease.not_before > Instant::now() => Ok(None),
            Some(_) => Ok(state.held.remove(name).map(|lease| lease.file)),
            None => lock(&self.path("work", name)),
        }
    }

    /// A whole file in `inbox`, moved to `work`. The lock comes first: whoever has it may move the file.
    fn claim(&self, state: &mut State, name: &str) -> io::Result<Option<File>> {
        let path = self.path("inbox", name);
        let Some(file) = lock(&path)? else { return Ok(None) };
        if !is_whole(state, name, look(&file.metadata()?)?) {
            return Ok(None);
        }
        // a namesake may be in work: this one waits for it
        Ok(move_new(&path, &self.path("work", name))?.then_some(file))
    }

    /// Counts the delivery of a locked file in `work`; `None` once it was delivered too often.
    fn deliver(&self, state: &mut State, name: &str, file: File, visibility: Duration) -> io::Result<Option<Message>> {
        let look = look(&file.metadata()?)?;
        let modified = look.1.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let identity = format!("{name}\n{}\n{}", look.0, modified.as_nanos());
        let job_id = Uuid::new_v5(&Uuid::NAMESPACE_OID, identity.as_bytes()).to_string();
        let receive_count = files::count(&self.count_path(name), &job_id)?;
        if receive_count > MAX_RECEIVE_COUNT {
            let message = format!("file {name} was taken {MAX_RECEIVE_COUNT} times and never finished");
            self.bury(name, &Problem { code: Code::RetriesExhausted, message })?;
            return Ok(None);
        }
        let receipt = Uuid::new_v4().to_string();
        let lease = Lease { file, look, receipt: receipt.clone(), not_before: Instant::now() + visibility };
        state.held.insert(name.to_owned(), lease);
        let body = json!({
            "job_id": job_id,
            "file_id": Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()),
            // where its producer put it: the store of a folder run finds it, although it lies in work while it is taken
            "s3_input_path": format!("s3://inbox/{name}"),
            "s3_output_path": format!("s3://outbox/{}.json", stem(name)),
        });
        let sent_at_ms = i64::try_from(modified.as_millis()).unwrap_or(0);
        Ok(Some(Message {
            id: name.to_owned(),
            body: body.to_string(),
            receipt,
            receive_count,
            sent_at_ms,
            tenant: None,
            group: None,
            trace: None,
        }))
    }

    /// Moves a file to `failed`, the reason beside it.
    fn bury(&self, name: &str, reason: &Problem) -> io::Result<()> {
        let buried = move_into(&self.path("work", name), &self.dir.join("failed"), name)?;
        let report = json!({ "code": reason.code, "message": reason.message });
        fs::write(self.path("failed", &format!("{}.error.json", stem(&buried))), format!("{report:#}\n"))?;
        self.forget(name)
    }

    fn forget(&self, name: &str) -> io::Result<()> {
        files::missing_is_fine(fs::remove_file(self.count_path(name)))
    }

    fn count_path(&self, name: &str) -> PathBuf {
        self.path(".state", &format!("{}.json", stem(name)))
    }

    /// Whether the file was written to since it was delivered: what was made of it is not of the whole.
    fn has_grown(&self, name: &str, lease: &Lease) -> bool {
        // one that somebody took out of work is just as finished
        fs::symlink_metadata(self.path("work", name)).and_then(|now| look(&now)).is_ok_and(|now| now != lease.look)
    }

    /// Puts a file that has grown back: as it is then, it is another job.
    fn take_anew(&self, state: &mut State, name: &str) -> io::Result<()> {
        tracing::warn!("file {name} was written to while its job ran: it is taken again once it is whole");
        self.forget(name)?;
        move_new(&self.path("work", name), &self.path("inbox", name))?;
        state.held.remove(name);
        Ok(())
    }

    fn fault(&self, verb: &str, error: &io::Error) -> Fault {
        Fault::transient(
            Code::ServiceUnavailable,
            format!("failed to {verb} in folder {}: {error}", self.dir.display()),
        )
    }
}

fn look(metadata: &Metadata) -> io::Result<Look> {
    Ok((metadata.len(), metadata.modified()?))
}

/// Whether nobody is still copying the file.
fn is_whole(state: &mut State, name: &str, look: Look) -> bool {
    if look.1.elapsed().is_ok_and(|age| age >= SETTLED_AGE) {
        return true;
    }
    match state.fresh.get(name) {
        Some((before, since)) if *before == look => since.elapsed() >= SETTLED_BETWEEN,
        _ => {
            state.fresh.insert(name.to_owned(), (look, Instant::now()));
            false
        }
    }
}

/// Every step is a rename or a small file on a local disk, short enough to be taken without a thread of its own.
#[async_trait]
impl Queue for FolderQueue {
    async fn traits(&self) -> Result<QueueTraits, Fault> {
        Ok(QueueTraits { max_receive_count: Some(MAX_RECEIVE_COUNT), fifo: false, dead_letter_url: None })
    }

    async fn receive(&self, max: usize, visibility: Duration) -> Result<Vec<Message>, Fault> {
        let until = Instant::now() + POLL;
        loop {
            let taken = self.scan(max, visibility).map_err(|e| self.fault("look for files", &e))?;
            if !taken.is_empty() || Instant::now() >= until {
                return Ok(taken);
            }
            sleep(SCAN_EVERY).await;
        }
    }

    async fn extend(&self, message: &Message, visibility: Duration) -> Result<(), Fault> {
        let mut state = self.state();
        let lease = state.held.get_mut(&message.id).filter(|lease| lease.receipt == message.receipt);
        let lease = lease.ok_or(Fault::LeaseLost)?;
        if visibility > Duration::ZERO {
            lease.not_before = Instant::now() + visibility;
            return Ok(());
        }
        // where a namesake has come to inbox meanwhile it stays in work, where a free lock is enough
        let back = move_new(&self.path("work", &message.id), &self.path("inbox", &message.id));
        state.held.remove(&message.id);
        back.map(|_| ()).map_err(|e| self.fault(&format!("give back file {}", message.id), &e))
    }

    async fn delete(&self, message: &Message) -> Result<(), Fault> {
        let mut state = self.state();
        if state.buried.remove(&message.receipt) {
            return Ok(());
        }
        let lease = state.held.get(&message.id).filter(|lease| lease.receipt == message.receipt);
        if self.has_grown(&message.id, lease.ok_or(Fault::LeaseLost)?) {
            let back = self.take_anew(&mut state, &message.id);
            return back.map_err(|e| self.fault(&format!("give back file {}", message.id), &e));
        }
        let moved = move_into(&self.path("work", &message.id), &self.dir.join("done"), &message.id).map(|_| ());
        // somebody took the file out of work: it is just as finished
        files::missing_is_fine(moved)
            .and_then(|()| self.forget(&message.id))
            .map_err(|e| self.fault(&format!("finish file {}", message.id), &e))?;
        state.held.remove(&message.id);
        Ok(())
    }

    async fn dead_letter(&self, message: &Message, _body: &str, reason: &Problem) -> Result<(), Fault> {
        let mut state = self.state();
        let lease = state.held.get(&message.id).filter(|lease| lease.receipt == message.receipt);
        let set_aside = if self.has_grown(&message.id, lease.ok_or(Fault::LeaseLost)?) {
            self.take_anew(&mut state, &message.id)
        } else {
            self.bury(&message.id, reason)
        };
        set_aside.map_err(|e| self.fault(&format!("set aside file {}", message.id), &e))?;
        state.held.remove(&message.id);
        state.buried.insert(message.receipt.clone());
        Ok(())
    }

    async fn send(&self, _body: &str, _group: Option<&str>) -> Result<String, Fault> {
        let inbox = self.dir.join("inbox");
        let sentence = format!("a folder's messages are audio files: copy them to {}", inbox.display());
        Err(Fault::permanent(Code::BadMessage, sentence))
    }
}

#[cfg(test)]
mod tests;
