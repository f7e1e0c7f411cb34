//! The directory for downloads: one per process, and none left behind by processes that died.

use std::fs::{self, DirEntry, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

/// What the names of our directories begin with; the process id and six random characters follow.
const PREFIX: &str = "transcription-worker-";

/// The lock in each directory: held as long as its process lives, however that ends.
const LOCK: &str = "lock";

/// This process's own directory for downloads, removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    directory: TempDir,
    // after the directory, so that it is removed while still locked
    _lock: File,
}

impl Scratch {
    /// Makes a directory that only this user can enter under `parent`, which must exist, and removes those that dead
    /// processes left there. Directories of live processes are not touched.
    pub fn open(parent: &Path) -> io::Result<Self> {
        // held until ours is locked: a neighbour starting now must not take it for a dead one
        let door = File::open(parent)?;
        door.lock()?;
        for entry in fs::read_dir(parent)?.flatten() {
            remove_if_dead(&entry);
        }
        let directory = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)?;
        let lock = File::create_new(directory.path().join(LOCK))?;
        lock.lock()?;
        Ok(Self { directory, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Removes the directory if it is one of ours and nobody holds its lock. What cannot be removed stays: it may be
/// another user's.
fn remove_if_dead(entry: &DirEntry) {
    let ours = entry.file_name().to_str().is_some_and(is_scratch);
    // a link of that name leads somewhere else
    if !ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
        return;
    }
    let dead = match File::open(entry.path().join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        // its removal was itself cut short
        Err(e) => e.kind() == io::ErrorKind::NotFound,
    };
    if !dead {
        return;
    }
    match fs::remove_dir_all(entry.path()) {
        Ok(()) => tracing::info!(directory = %entry.path().display(), "removed what a dead worker left"),
        Err(e) => tracing::warn!(directory = %entry.path().display(), error = %e, "failed to remove an old directory"),
    }
}

/// `transcription-worker-<pid>-<random>`.
fn is_scratch(name: &str) -> bool {
    let parts = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
    parts.is_some_and(|(pid, random)| pid.parse::<u32>().is_ok() && random.len() == 6)
}
