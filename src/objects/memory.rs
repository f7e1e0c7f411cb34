//! Objects in memory, for the tests of rooms that write and read them: what was put in order, and refusals by rule.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::Range;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Body, Condition, Found, Location, ObjectInfo, Objects};
use crate::fault::{Code, Fault};

/// What is asked of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `Objects::read`.
    Read,
    /// `Objects::put`.
    Put,
    /// `Objects::remove`.
    Remove,
}

/// What the store answers instead, if it does.
type Rule = Box<dyn Fn(Verb, &Location) -> Option<Fault> + Send + Sync>;

/// A store that keeps each version that was put; an ETag is the number of the version.
#[derive(Default)]
pub struct MemoryObjects {
    versions: Mutex<Vec<Version>>,
    rule: Option<Rule>,
}

/// One put, or a removal.
#[derive(Clone)]
struct Version {
    at: Location,
    content: Option<(Bytes, String)>,
}

impl MemoryObjects {
    /// A store that answers by `rule` where it has an answer.
    pub fn with(rule: impl Fn(Verb, &Location) -> Option<Fault> + Send + Sync + 'static) -> Self {
        Self { rule: Some(Box::new(rule)), ..Self::default() }
    }

    /// The object as it is now.
    pub fn now(&self, at: &Location) -> Option<Bytes> {
        let versions = self.versions.lock().unwrap();
        let last = versions.iter().rfind(|version| version.at == *at)?;
        last.content.as_ref().map(|(body, _)| body.clone())
    }

    /// Where something was put and as what type, in order.
    pub fn puts(&self) -> Vec<(Location, String)> {
        let versions = self.versions.lock().unwrap();
        let put = |version: &Version| Some((version.at.clone(), version.content.as_ref()?.1.clone()));
        versions.iter().filter_map(put).collect()
    }

    /// Puts past all rules.
    pub fn place(&self, at: &Location, body: &[u8]) {
        self.push(at, Some((Bytes::copy_from_slice(body), "application/json".to_owned())));
    }

    fn push(&self, at: &Location, content: Option<(Bytes, String)>) {
        self.versions.lock().unwrap().push(Version { at: at.clone(), content });
    }

    fn etag(&self, at: &Location) -> Option<String> {
        self.now(at)?;
        Some(self.puts().iter().filter(|(put, _)| put == at).count().to_string())
    }

    fn ask(&self, verb: Verb, at: &Location) -> Result<(), Fault> {
        self.rule.as_ref().and_then(|rule| rule(verb, at)).map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Objects for MemoryObjects {
    async fn head(&self, at: &Location) -> Result<ObjectInfo, Fault> {
        Err(Fault::permanent(Code::ObjectNotFound, at.to_string()))
    }

    async fn get(&self, at: &Location, _: Range<u64>, _: &str) -> Result<Body, Fault> {
        Err(Fault::permanent(Code::ObjectNotFound, at.to_string()))
    }

    async fn read(&self, at: &Location, _limit_bytes: u64) -> Result<Option<Found>, Fault> {
        self.ask(Verb::Read, at)?;
        Ok(self.now(at).zip(self.etag(at)).map(|(body, etag)| Found { body, etag }))
    }

    async fn put(&self, at: &Location, body: Bytes, content_type: &str, on: &Condition) -> Result<String, Fault> {
        self.ask(Verb::Put, at)?;
        let etag = self.etag(at);
        let holds = match on {
            Condition::Always => true,
            Condition::Absent => etag.is_none(),
            Condition::Unchanged(wanted) => etag.as_ref() == Some(wanted),
        };
        if !holds {
            return Err(Fault::transient(Code::ObjectChanged, format!("failed to write {at}: it changed")));
        }
        self.push(at, Some((body, content_type.to_owned())));
        Ok(self.etag(at).unwrap_or_default())
    }

    async fn remove(&self, at: &Location) -> Result<(), Fault> {
        self.ask(Verb::Remove, at)?;
        self.push(at, None);
        Ok(())
    }
}
