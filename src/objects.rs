//! The object store port: S3, or a folder.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;

use crate::fault::Fault;

pub mod folder;
#[cfg(test)]
pub mod memory;
pub mod s3;

/// A bucket and a key, displayed as `s3://bucket/key`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location {
    /// Bucket name.
    pub bucket: String,
    /// Object key, decoded: exactly the object's name.
    pub key: String,
}

impl Location {
    /// A location from its parts.
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), key: key.into() }
    }

    /// Reads `s3://bucket/key`. The key is taken literally, nothing is URL-decoded. `None` when it is not of that shape
    /// or either part is empty.
    pub fn parse(uri: &str) -> Option<Self> {
        let (bucket, key) = uri.strip_prefix("s3://")?.split_once('/')?;
        (!bucket.is_empty() && !key.is_empty()).then(|| Self::new(bucket, key))
    }
}

impl Location {
    /// The location of this name in the same folder.
    pub fn sibling(&self, name: &str) -> Self {
        let folder = self.key.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        Self::new(&self.bucket, format!("{folder}{name}"))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// A small object, read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its content.
    pub body: Bytes,
    /// Opaque version of the content, without quotes.
    pub etag: String,
}

/// When a write may be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Whatever is there.
    Always,
    /// Only where nothing is.
    Absent,
    /// Only over the content with this etag.
    Unchanged(String),
}

/// What `head` tells of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Size in bytes.
    pub size_bytes: u64,
    /// Opaque version of the content, without quotes.
    pub etag: String,
}

/// The body of one ranged read, in chunks.
pub type Body = Pin<Box<dyn Stream<Item = Result<Bytes, Fault>> + Send>>;

/// What the flow needs of an object store. Every error names the location.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Size and etag; `ObjectNotFound` and `AccessDenied` are permanent.
    async fn head(&self, at: &Location) -> Result<ObjectInfo, Fault>;

    /// Bytes `range` of the object, on condition that its etag is still `etag` (else a transient
    /// `ObjectChanged`: the next attempt sees the new object). An empty object is never asked for.
    async fn get(&self, at: &Location, range: Range<u64>, etag: &str) -> Result<Body, Fault>;

    /// A small object whole; `None` when there is none. More than `limit_bytes` is a permanent `ObjectTooLarge`.
    async fn read(&self, at: &Location, limit_bytes: u64) -> Result<Option<Found>, Fault>;

    /// Writes the object whole or not at all, and returns its etag. Where `condition` does not hold, a transient
    /// `ObjectChanged`.
    async fn put(&self, at: &Location, body: Bytes, content_type: &str, condition: &Condition)
    -> Result<String, Fault>;

    /// Writes an object that is removed again when its job ends, so that a rule of the store can take what was left
    /// behind.
    async fn put_temporary(
        &self,
        at: &Location,
        body: Bytes,
        content_type: &str,
        condition: &Condition,
    ) -> Result<String, Fault> {
        self.put(at, body, content_type, condition).await
    }

    /// Removes the object; one that is not there is no error.
    async fn remove(&self, at: &Location) -> Result<(), Fault>;
}
