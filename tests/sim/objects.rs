//! S3 in memory: etags, conditional writes, ranges.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use transcription_worker::fault::{Code, Fault};
use transcription_worker::objects::{Body, Condition, Found, Location, ObjectInfo, Objects};

use crate::chance::fnv;

#[derive(Default)]
pub struct MemoryObjects {
    objects: Mutex<BTreeMap<String, Bytes>>,
}

impl MemoryObjects {
    /// Puts an object there as somebody else would.
    pub fn place(&self, at: &Location, body: Bytes) {
        self.objects.lock().unwrap().insert(at.to_string(), body);
    }

    /// Removes it as somebody else would.
    pub fn take_away(&self, at: &Location) {
        self.objects.lock().unwrap().remove(&at.to_string());
    }

    pub fn get_now(&self, at: &Location) -> Option<Bytes> {
        self.objects.lock().unwrap().get(&at.to_string()).cloned()
    }

    fn found(&self, at: &Location) -> Result<Bytes, Fault> {
        let missing = || Fault::permanent(Code::ObjectNotFound, format!("{at} does not exist"));
        self.get_now(at).ok_or_else(missing)
    }
}

/// The same content has the same etag, as in S3.
fn etag(body: &Bytes) -> String {
    format!("{:016x}", fnv(body, 0))
}

fn changed(at: &Location) -> Fault {
    Fault::transient(Code::ObjectChanged, format!("{at} is not what it was"))
}

#[async_trait]
impl Objects for MemoryObjects {
    async fn head(&self, at: &Location) -> Result<ObjectInfo, Fault> {
        let body = self.found(at)?;
        Ok(ObjectInfo { size_bytes: body.len() as u64, etag: etag(&body) })
    }

    async fn get(&self, at: &Location, range: Range<u64>, wanted: &str) -> Result<Body, Fault> {
        let body = self.found(at)?;
        if etag(&body) != wanted {
            return Err(changed(at));
        }
        let part = body.slice(range.start as usize..range.end as usize);
        Ok(Box::pin(stream::iter([Ok(part)])))
    }

    async fn read(&self, at: &Location, limit_bytes: u64) -> Result<Option<Found>, Fault> {
        let Some(body) = self.get_now(at) else { return Ok(None) };
        if body.len() as u64 > limit_bytes {
            return Err(Fault::permanent(Code::ObjectTooLarge, format!("{at} is too large")));
        }
        Ok(Some(Found { etag: etag(&body), body }))
    }

    async fn put(&self, at: &Location, body: Bytes, _: &str, condition: &Condition) -> Result<String, Fault> {
        let mut objects = self.objects.lock().unwrap();
        let there = objects.get(&at.to_string());
        let holds = match condition {
            Condition::Always => true,
            Condition::Absent => there.is_none(),
            Condition::Unchanged(wanted) => there.is_some_and(|there| etag(there) == *wanted),
        };
        if !holds {
            return Err(changed(at));
        }
        let etag = etag(&body);
        objects.insert(at.to_string(), body);
        Ok(etag)
    }

    async fn remove(&self, at: &Location) -> Result<(), Fault> {
        self.objects.lock().unwrap().remove(&at.to_string());
        Ok(())
    }
}
