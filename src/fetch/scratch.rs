//! The directory for downloads: one per process, and none left behind by processes that died.

use std::fs::{self, DirEntry, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::process::geteuid;
use tempfile::TempDir;

/// What the names of our directories begin with; the process id and six random characters follow.
const PREFIX: &str = "transcription-worker-";

/// The lock in each directory: held as long as its process lives, however that ends.
const LOCK: &str = "lock";

/// The parent may be everybody's, and so is its lock: a neighbour that never lets go must not keep us from starting.
const DOOR_LIMIT: Duration = Duration::from_secs(20);

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
        Self::open_within(parent, DOOR_LIMIT)
    }

    fn open_within(parent: &Path, limit: Duration) -> io::Result<Self> {
        // held until ours is locked: a neighbour starting now must not take it for a dead one
        let door = File::open(parent)?;
        if is_locked_within(&door, limit)? {
            for entry in fs::read_dir(parent)?.flatten() {
                remove_if_dead(&entry);
            }
        } else {
            let directory = parent.display();
            tracing::warn!(%directory, "another process keeps this directory locked: what dead workers left stays there");
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

/// Takes the lock; `false` when somebody else held it all the time.
fn is_locked_within(door: &File, limit: Duration) -> io::Result<bool> {
    let until = Instant::now() + limit;
    loop {
        match door.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => return Ok(false),
            Err(TryLockError::WouldBlock) => sleep(Duration::from_millis(20)),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Removes the directory if it is one of ours, and this user's, and nobody holds its lock.
fn remove_if_dead(entry: &DirEntry) {
    let ours = entry.file_name().to_str().is_some_and(is_scratch);
    // of the entry itself: a link of that name leads somewhere else
    if !ours || !entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw()) {
        return;
    }
    // a pipe of that name would wait for its writer
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    let dead = match OpenOptions::new().read(true).custom_flags(flags).open(entry.path().join(LOCK)) {
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_neighbour_that_never_lets_go_of_the_parent_does_not_keep_us_from_starting() {
        let parent = tempfile::tempdir().unwrap();
        let neighbour = File::open(parent.path()).unwrap();
        neighbour.lock().unwrap();
        let scratch = Scratch::open_within(parent.path(), Duration::ZERO).unwrap();
        assert!(scratch.path().join(LOCK).exists());
    }

    #[test]
    fn a_pipe_in_the_place_of_a_lock_is_not_waited_for() {
        let parent = tempfile::tempdir().unwrap();
        let odd = parent.path().join("transcription-worker-1-abcdef");
        fs::create_dir(&odd).unwrap();
        mknodat(CWD, odd.join(LOCK), FileType::Fifo, Mode::RUSR, 0).unwrap();
        // waits for ever if the pipe is waited for
        Scratch::open(parent.path()).unwrap();
    }
}
