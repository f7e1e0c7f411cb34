//! Brings an object to this machine: checked, in constant memory, and gone again when it is dropped.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Instant;

use rustix::fs::FallocateFlags;
use tempfile::{NamedTempFile, TempPath};

use crate::fault::{Code, Fault};
use crate::handler::Control;
use crate::objects::{Location, ObjectInfo, Objects};

mod parts;
mod scratch;
#[cfg(test)]
mod tests;

pub use scratch::Scratch;

/// What a download may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchLimits {
    /// Larger objects are refused.
    pub max_bytes: u64,
    /// Disk space that must stay free beside the object.
    pub reserve_bytes: u64,
}

/// A downloaded object; its file is deleted when this is dropped.
#[derive(Debug)]
pub struct Fetched {
    file: TempPath,
    /// Size and etag of what lies in the file.
    pub info: ObjectInfo,
    /// How long the download took, seconds.
    pub secs: f64,
}

impl Fetched {
    /// Where the object lies.
    pub fn path(&self) -> &Path {
        &self.file
    }
}

/// Downloads the object at `at` into `scratch`, exactly as `head` described it: another version arriving meanwhile is
/// `ObjectChanged`. A connection that breaks is resumed where it stopped; what stays broken is transient. Larger than
/// `limits.max_bytes` is a permanent `ObjectTooLarge`, empty a permanent `CorruptAudio`, no room a transient
/// `DiskFull`. Ends at once, with nothing left on disk, when `control` says so.
pub async fn fetch(
    objects: &dyn Objects,
    at: &Location,
    scratch: &Scratch,
    limits: &FetchLimits,
    control: &Control,
) -> Result<Fetched, Fault> {
    tokio::select! {
        biased;
        () = control.lease_lost.cancelled() => Err(Fault::LeaseLost),
        () = control.abort.cancelled() => Err(Fault::Interrupted),
        fetched = download(objects, at, scratch, limits) => fetched,
    }
}

async fn download(
    objects: &dyn Objects,
    at: &Location,
    scratch: &Scratch,
    limits: &FetchLimits,
) -> Result<Fetched, Fault> {
    let started = Instant::now();
    let info = objects.head(at).await?;
    let size = info.size_bytes;
    if size == 0 {
        return Err(Fault::permanent(Code::CorruptAudio, format!("{at} is empty")));
    }
    if size > limits.max_bytes {
        let message = format!("{at} has {size} bytes, more than the limit of {}", limits.max_bytes);
        return Err(Fault::permanent(Code::ObjectTooLarge, message));
    }
    let (directory, reserve) = (scratch.path().to_owned(), limits.reserve_bytes);
    let room = tokio::task::spawn_blocking(move || make_room(&directory, size, reserve)).await;
    let (file, path) = disk(at, room.unwrap_or_else(|e| Err(std::io::Error::other(e))))?.into_parts();
    parts::download(objects, at, &info, file).await?;
    Ok(Fetched { file: path, info, secs: started.elapsed().as_secs_f64() })
}

/// A file of `size` bytes in `directory`, its blocks already taken, so that downloads side by side cannot promise
/// themselves the same free space. `StorageFull` when less than `reserve` bytes would stay free.
fn make_room(directory: &Path, size: u64, reserve: u64) -> std::io::Result<NamedTempFile> {
    let disk = rustix::fs::statvfs(directory)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < size.saturating_add(reserve) {
        let why = format!("{free} bytes are free, {size} are needed and {reserve} must stay free");
        return Err(std::io::Error::new(ErrorKind::StorageFull, why));
    }
    let file = NamedTempFile::new_in(directory)?;
    match rustix::fs::fallocate(file.as_file(), FallocateFlags::empty(), 0, size) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => file.as_file().set_len(size)?,
        done => done?,
    }
    Ok(file)
}

/// The fault of work on the local copy of `at`.
fn disk<T>(at: &Location, done: std::io::Result<T>) -> Result<T, Fault> {
    done.map_err(|e| {
        let full = matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        let code = if full { Code::DiskFull } else { Code::Internal };
        Fault::transient(code, format!("failed to store {at} on the local disk: {e}"))
    })
}
