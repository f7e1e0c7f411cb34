//! Objects in a folder of this machine: a bucket is a directory under the root, a key is a path inside it.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;

use super::{Body, Condition, Found, Location, ObjectInfo, Objects};
use crate::fault::{Code, Fault};

#[cfg(test)]
mod tests;

/// The directories that count as buckets.
const BUCKETS: [&str; 5] = ["inbox", "work", "outbox", "done", "failed"];

/// Bytes per chunk of a body: few system calls, and little memory with many bodies open.
const CHUNK_BYTES: u64 = 256 * 1024;

/// The folder as an object store.
#[derive(Debug, Clone)]
pub struct FolderObjects {
    root: PathBuf,
}

impl FolderObjects {
    /// Objects under `root`, whose directories `inbox`, `work`, `outbox`, `done` and `failed` are the buckets. Nothing
    /// is opened or created here.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Where an object may lie, the likeliest path first; never outside the root.
    fn paths(&self, at: &Location) -> Result<Vec<PathBuf>, Fault> {
        let refuse = |why: &str| Err(Fault::permanent(Code::AccessDenied, format!("access to {at} is denied: {why}")));
        if !BUCKETS.contains(&at.bucket.as_str()) {
            return refuse("its bucket is not a directory of the watched folder");
        }
        // an absolute key is one whose first component is empty
        if at.key.split('/').any(|part| matches!(part, "" | "." | "..")) || at.key.contains('\0') {
            return refuse("its key is not a plain path inside the bucket");
        }
        let mut buckets = vec![at.bucket.as_str()];
        // the queue moves a file between these two while its job runs
        match at.bucket.as_str() {
            "work" => buckets.push("inbox"),
            "inbox" => buckets.push("work"),
            _ => {}
        }
        Ok(buckets.into_iter().map(|bucket| self.root.join(bucket).join(&at.key)).collect())
    }

    /// The path that a write or a removal goes to.
    fn path(&self, at: &Location) -> Result<PathBuf, Fault> {
        Ok(self.paths(at)?.swap_remove(0))
    }
}

#[async_trait]
impl Objects for FolderObjects {
    async fn head(&self, at: &Location) -> Result<ObjectInfo, Fault> {
        let paths = self.paths(at)?;
        blocking(at, "look at", move || open(&paths).map(|(_, metadata)| info(&metadata))).await
    }

    async fn get(&self, at: &Location, range: Range<u64>, etag: &str) -> Result<Body, Fault> {
        let paths = self.paths(at)?;
        let (file, metadata) = blocking(at, "read", move || open(&paths)).await?;
        unchanged(at, &metadata, etag)?;
        let state = Reading { file: Arc::new(file), at: at.clone(), etag: etag.to_owned(), left: range };
        Ok(Box::pin(stream::try_unfold(state, Reading::chunk)))
    }

    async fn read(&self, at: &Location, limit_bytes: u64) -> Result<Option<Found>, Fault> {
        let paths = self.paths(at)?;
        let whole = blocking(at, "read", move || {
            let mut bytes = Vec::new();
            let (file, metadata) = open(&paths)?;
            // one byte more than allowed tells "too large" from "just fits", even of a file that grows
            file.take(limit_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
            Ok((bytes, info(&metadata).etag))
        })
        .await;
        match whole {
            Ok((bytes, _)) if bytes.len() as u64 > limit_bytes => {
                let message = format!("failed to read {at}: it is larger than {limit_bytes} bytes");
                Err(Fault::permanent(Code::ObjectTooLarge, message))
            }
            Ok((bytes, etag)) => Ok(Some(Found { body: bytes.into(), etag })),
            Err(Fault::Permanent(problem)) if problem.code == Code::ObjectNotFound => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    async fn put(
        &self,
        at: &Location,
        body: Bytes,
        _content_type: &str,
        condition: &Condition,
    ) -> Result<String, Fault> {
        let (path, wanted) = (self.path(at)?, condition.clone());
        let written = blocking(at, "write", move || write(&path, &body, &wanted)).await?;
        written.ok_or_else(|| {
            Fault::transient(Code::ObjectChanged, format!("failed to write {at}: another was written there meanwhile"))
        })
    }

    async fn remove(&self, at: &Location) -> Result<(), Fault> {
        let path = self.path(at)?;
        let gone = |e: &io::Error| matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
        blocking(at, "remove", move || fs::remove_file(path).or_else(|e| if gone(&e) { Ok(()) } else { Err(e) })).await
    }
}

/// A body being read: the file, and the bytes still to come.
struct Reading {
    file: Arc<File>,
    at: Location,
    etag: String,
    left: Range<u64>,
}

impl Reading {
    /// The next chunk, with the state after it; `None` at the end of the range or of the file.
    async fn chunk(mut self) -> Result<Option<(Bytes, Self)>, Fault> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let (file, offset) = (Arc::clone(&self.file), self.left.start);
        let wanted = CHUNK_BYTES.min(self.left.end - offset);
        let (bytes, metadata) = blocking(&self.at, "read", move || {
            let mut bytes = vec![0; usize::try_from(wanted).unwrap_or_default()];
            let got = file.read_at(&mut bytes, offset)?;
            bytes.truncate(got);
            Ok((Bytes::from(bytes), file.metadata()?))
        })
        .await?;
        // S3 replaces objects whole; a file can be written over while it is read
        unchanged(&self.at, &metadata, &self.etag)?;
        self.left.start += bytes.len() as u64;
        Ok((!bytes.is_empty()).then_some((bytes, self)))
    }
}

/// Opens the first of `paths` that is a file.
fn open(paths: &[PathBuf]) -> io::Result<(File, Metadata)> {
    let mut missing = io::Error::from(ErrorKind::NotFound);
    for path in paths {
        // asked before it is opened, since opening a pipe waits for its writer
        match fs::metadata(path).and_then(|found| if found.is_file() { File::open(path) } else { Err(not_a_file()) }) {
            Ok(file) => {
                let metadata = file.metadata()?;
                return Ok((file, metadata));
            }
            Err(e) if e.kind() == ErrorKind::NotFound => missing = e,
            Err(e) => return Err(e),
        }
    }
    Err(missing)
}

fn not_a_file() -> io::Error {
    ErrorKind::IsADirectory.into()
}

/// Writes a file whole or not at all, with the directories above it; its etag, or `None` where `condition` does not hold.
fn write(path: &Path, body: &[u8], condition: &Condition) -> io::Result<Option<String>> {
    let directory = path.parent().ok_or(ErrorKind::InvalidInput)?;
    fs::create_dir_all(directory)?;
    // hidden while it grows; the umask takes its part of the mode
    let mut file = tempfile::Builder::new()
        .prefix(".put-")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(directory)?;
    file.write_all(body)?;
    file.as_file().sync_all()?;
    let persisted = match condition {
        Condition::Always => file.persist(path),
        Condition::Absent => match file.persist_noclobber(path) {
            Err(e) if e.error.kind() == ErrorKind::AlreadyExists => return Ok(None),
            persisted => persisted,
        },
        // between this look and the rename another process may write: a folder has no better
        Condition::Unchanged(etag) => match fs::metadata(path) {
            Ok(metadata) if info(&metadata).etag == *etag => file.persist(path),
            Ok(_) => return Ok(None),
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        },
    };
    let file = persisted.map_err(|e| e.error)?;
    // the rename is in the directory, which has its own cache
    File::open(directory)?.sync_all()?;
    Ok(Some(info(&file.metadata()?).etag))
}

fn info(metadata: &Metadata) -> ObjectInfo {
    let (seconds, nanos) = (metadata.mtime(), metadata.mtime_nsec());
    let etag = format!("{:x}-{seconds:x}{nanos:08x}-{:x}", metadata.len(), metadata.ino());
    ObjectInfo { size_bytes: metadata.len(), etag }
}

/// The fault of a file that is not what `etag` was given for.
fn unchanged(at: &Location, metadata: &Metadata, etag: &str) -> Result<(), Fault> {
    if info(metadata).etag == etag {
        return Ok(());
    }
    Err(Fault::transient(Code::ObjectChanged, format!("failed to read {at}: it changed since it was looked at")))
}

/// Runs file work off the async threads and turns its error into the fault `failed to {what} {at}: …`.
async fn blocking<T: Send + 'static>(
    at: &Location,
    what: &str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(io::Error::other(e)));
    done.map_err(|e| {
        let message = format!("failed to {what} {at}: {e}");
        match e.kind() {
            // a name too long to exist is a name that does not
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::InvalidFilename => {
                Fault::permanent(Code::ObjectNotFound, message)
            }
            ErrorKind::PermissionDenied => Fault::permanent(Code::AccessDenied, message),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Fault::transient(Code::DiskFull, message),
            _ => Fault::transient(Code::ServiceUnavailable, message),
        }
    })
}
