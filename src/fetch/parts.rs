//! The transfer itself: ranges in parallel, each resumed where it broke, written in place.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::disk;
use crate::fault::{Code, Fault};
use crate::objects::{Location, ObjectInfo, Objects};

/// Objects up to this size come in one request: a second one would cost more than it brings.
pub(super) const SINGLE_BYTES: u64 = 32 << 20;

/// Size of the parts of larger ones; S3 advises 8 to 16 MiB.
pub(super) const PART_BYTES: u64 = 16 << 20;

/// Parts in flight: one connection brings about 90 MB/s, eight of them fill the network of the smaller instances.
pub(super) const PARALLEL: usize = 8;

/// Bytes gathered before a write; with `PARALLEL` parts this bounds the memory of a download.
const WRITE_BYTES: u64 = 1 << 20;

/// Requests in a row that brought nothing, before the job is put off.
const TRIES: u32 = 5;

/// The wait before the second try; it doubles from try to try.
const BACK_OFF: Duration = Duration::from_millis(200);

/// How long a body may bring nothing before it counts as cut.
const IDLE: Duration = Duration::from_secs(60);

/// Writes the whole object that `info` describes into `file`, which has its size already.
pub(super) async fn download(
    objects: &dyn Objects,
    at: &Location,
    info: &ObjectInfo,
    file: File,
    on_step: &(dyn Fn() + Send + Sync),
) -> Result<(), Fault> {
    let size = info.size_bytes;
    let part = if size > SINGLE_BYTES { PART_BYTES } else { size };
    let file = Arc::new(file);
    let ranges = (0..size.div_ceil(part)).map(|i| i * part..(i * part + part).min(size));
    stream::iter(ranges)
        .map(|range| Part { objects, at, etag: &info.etag, file: Arc::clone(&file), left: range, on_step }.run())
        .buffer_unordered(PARALLEL)
        .try_collect::<()>()
        .await?;
    // every part is complete, so this differs only if another process wrote to the file
    let length = disk(at, file.metadata())?.len();
    if length == size {
        return Ok(());
    }
    let message = format!("the local copy of {at} has {length} bytes instead of {size}");
    Err(Fault::transient(Code::Internal, message))
}

/// One range of an object on its way into the file.
struct Part<'a> {
    objects: &'a dyn Objects,
    at: &'a Location,
    etag: &'a str,
    file: Arc<File>,
    /// What is not in the file yet.
    left: Range<u64>,
    on_step: &'a (dyn Fn() + Send + Sync),
}

impl Part<'_> {
    /// Requests the rest until nothing is left.
    async fn run(mut self) -> Result<(), Fault> {
        let mut failures = 0;
        while !self.left.is_empty() {
            let before = self.left.start;
            let Err(fault) = self.request().await else { continue };
            if !worth_another_try(&fault) {
                return Err(fault);
            }
            failures = if self.left.start > before { 1 } else { failures + 1 };
            if failures >= TRIES {
                return Err(fault);
            }
            tracing::debug!(object = %self.at, from_byte = self.left.start, %fault, "resuming a download");
            // half of it random, so that parts cut together do not come back together
            tokio::time::sleep(BACK_OFF.mul_f64(f64::from(1 << (failures - 1)) * (0.5 + fastrand::f64() / 2.0))).await;
        }
        Ok(())
    }

    /// One request for all that is left. What it brought is in the file, also when it ends in a fault.
    async fn request(&mut self) -> Result<(), Fault> {
        let mut body = self.objects.get(self.at, self.left.clone(), self.etag).await?;
        let wanted = self.left.end - self.left.start;
        let mut received = 0;
        let mut gathered = Vec::new();
        let mut gathered_bytes = 0;
        let ended = loop {
            match tokio::time::timeout(IDLE, body.next()).await {
                Ok(Some(Ok(chunk))) => {
                    received += chunk.len() as u64;
                    if received > wanted {
                        // nothing of it can be trusted, so there is no place to resume at
                        let message = format!("failed to fetch {}: more bytes came than were asked for", self.at);
                        return Err(Fault::transient(Code::ObjectChanged, message));
                    }
                    gathered_bytes += chunk.len() as u64;
                    gathered.push(chunk);
                    if gathered_bytes >= WRITE_BYTES {
                        gathered_bytes = 0;
                        self.write(std::mem::take(&mut gathered)).await?;
                    }
                }
                Ok(Some(Err(fault))) => break Err(fault),
                Ok(None) if received < wanted => break Err(self.broken("the body ended early")),
                Ok(None) => break Ok(()),
                Err(_) => break Err(self.broken("the body stalled")),
            }
        };
        self.write(gathered).await?;
        ended
    }

    /// Writes chunks at the start of what is left.
    async fn write(&mut self, chunks: Vec<Bytes>) -> Result<(), Fault> {
        let (file, mut offset) = (Arc::clone(&self.file), self.left.start);
        let written = tokio::task::spawn_blocking(move || {
            for chunk in chunks {
                file.write_all_at(&chunk, offset)?;
                offset += chunk.len() as u64;
            }
            Ok(offset)
        });
        self.left.start = disk(self.at, written.await.unwrap_or_else(|e| Err(std::io::Error::other(e))))?;
        (self.on_step)();
        Ok(())
    }

    fn broken(&self, how: &str) -> Fault {
        Fault::transient(Code::ServiceUnavailable, format!("failed to fetch {}: {how}", self.at))
    }
}

/// Whether asking again, within this download, can help.
fn worth_another_try(fault: &Fault) -> bool {
    matches!(fault, Fault::Transient(problem) if problem.code == Code::ServiceUnavailable)
}
