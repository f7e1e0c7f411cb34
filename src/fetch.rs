//! Brings an object to this machine: checked, in constant memory, and gone again when it is dropped.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use rustix::fs::FallocateFlags;
use tempfile::{NamedTempFile, TempPath};

use crate::audio::recording::{LocalFile, Recording};
use crate::fault::{Code, Fault};
use crate::handler::Control;
use crate::objects::{Location, ObjectInfo, Objects};
use crate::watchdog::Progress;

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

/// Who brings objects to this machine.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// The object at `at`, exactly as `info` describes it; gone again once it was read or dropped.
    ///
    /// # Errors
    /// As [`fetch`].
    async fn fetch(&self, at: &Location, info: &ObjectInfo, control: &Control) -> Result<Box<dyn Recording>, Fault>;
}

/// Brings objects into a scratch directory.
pub struct Downloader {
    /// Where they come from.
    pub objects: Arc<dyn Objects>,
    /// Where they lie meanwhile.
    pub scratch: Scratch,
    /// What they may take.
    pub limits: FetchLimits,
    /// Told of bytes that came.
    pub progress: Progress,
}

#[async_trait]
impl Fetch for Downloader {
    async fn fetch(&self, at: &Location, info: &ObjectInfo, control: &Control) -> Result<Box<dyn Recording>, Fault> {
        let step = || self.progress.step();
        let file = fetch(&*self.objects, at, info, &self.scratch, &self.limits, control, &step).await?;
        Ok(Box::new(LocalFile::temporary(file)))
    }
}

/// Downloads the object at `at` into `scratch`, exactly as `info` describes it: another version arriving meanwhile is
/// `ObjectChanged`. A connection that breaks is resumed where it stopped; what stays broken is transient. Larger than
/// `limits.max_bytes` is a permanent `ObjectTooLarge`, empty a permanent `CorruptAudio`, no room a transient
/// `DiskFull`. Ends at once, with nothing left on disk, when `control` says so. `on_step` is told of bytes that came. The
/// file is deleted when its path is dropped.
pub async fn fetch(
    objects: &dyn Objects,
    at: &Location,
    info: &ObjectInfo,
    scratch: &Scratch,
    limits: &FetchLimits,
    control: &Control,
    on_step: &(dyn Fn() + Send + Sync),
) -> Result<TempPath, Fault> {
    tokio::select! {
        biased;
        () = control.lease_lost.cancelled() => Err(Fault::LeaseLost),
        () = control.abort.cancelled() => Err(Fault::Interrupted),
        fetched = download(objects, at, info, scratch, limits, on_step) => fetched,
    }
}

async fn download(
    objects: &dyn Objects,
    at: &Location,
    info: &ObjectInfo,
    scratch: &Scratch,
    limits: &FetchLimits,
    on_step: &(dyn Fn() + Send + Sync),
) -> Result<TempPath, Fault> {
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
    parts::download(objects, at, info, file, on_step).await?;
    Ok(path)
}

/// What a user like us may still write on the disk of `directory`.
pub fn free_bytes(directory: &Path) -> std::io::Result<u64> {
    let disk = rustix::fs::statvfs(directory)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// A file of `size` bytes in `directory`, its blocks already taken, so that downloads side by side cannot promise
/// themselves the same free space. `StorageFull` when less than `reserve` bytes would stay free.
fn make_room(directory: &Path, size: u64, reserve: u64) -> std::io::Result<NamedTempFile> {
    let free = free_bytes(directory)?;
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
