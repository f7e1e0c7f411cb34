//! Where transcripts go: their keys, the order they are written in, and whether a job is done already.

use std::sync::Arc;

use bytes::Bytes;
use tracing::warn;

use crate::fault::{Code, Fault};
use crate::job::{Format, Job, ids};
use crate::objects::{Condition, Location, Objects};
use crate::publish::TranscriptLocation;
use crate::transcript::{ModelRef, Transcript, json};

/// Bytes; a day of speech with word times is about 30 MB.
const MAX_JSON_BYTES: u64 = 256 * 1024 * 1024;

/// Every rendition, in the order they are written: the JSON last, since its presence means "done".
const ORDER: [Format; 5] = [Format::Txt, Format::Srt, Format::Vtt, Format::Amazon, Format::Json];

/// The output side of an object store.
#[derive(Clone)]
pub struct Store {
    /// The store itself.
    pub objects: Arc<dyn Objects>,
    /// Output bucket, for jobs that name no output.
    pub bucket: String,
    /// In front of every key, verbatim: `transcripts/` is a folder, `transcripts` is not. May be empty.
    pub prefix: String,
    /// Renditions to write for jobs that name none; `json` and `txt` are always written.
    pub formats: Vec<Format>,
}

/// The objects a job will write, in the order of writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The JSON; its presence means "done".
    pub json: Location,
    /// What is written before it.
    pub siblings: Vec<(Format, Location)>,
}

impl Store {
    /// Where the job's renditions go: `{prefix}{user}/{file}/transcript.{json,txt,srt,vtt,amazon.json}` in the output
    /// bucket, or exactly where the job wants its JSON and beside it. The same for every delivery.
    pub fn plan(&self, job: &Job) -> Plan {
        let json = job.output.clone().unwrap_or_else(|| {
            let (user, file) = (ids::key_part(&job.user_id), ids::key_part(&job.file_id));
            Location::new(&self.bucket, format!("{}{user}/{file}/transcript.json", self.prefix))
        });
        let stem = json.key.strip_suffix(".json").unwrap_or(&json.key);
        let wanted = job.options.formats.as_ref().unwrap_or(&self.formats);
        let sibling =
            |format: Format| Some((format, Location::new(&json.bucket, format!("{stem}.{}", extension(format)?))));
        let siblings = ORDER.into_iter().filter(|format| *format == Format::Txt || wanted.contains(format));
        Plan { siblings: siblings.filter_map(sibling).collect(), json }
    }

    /// The transcript an earlier delivery of this job has written: of the same job id, source object, etag and model.
    /// `None` when there is none, or another's, or a damaged one (which is then written anew).
    ///
    /// # Errors
    /// What the store answers; a refusal to read counts as "none", since a role may write without reading.
    pub async fn find_done(&self, job: &Job, etag: &str, model: &ModelRef) -> Result<Option<Transcript>, Fault> {
        let at = self.plan(job).json;
        let document = match self.objects.read(&at, MAX_JSON_BYTES).await {
            Ok(Some(found)) => found.body,
            Ok(None) => return Ok(None),
            Err(Fault::Permanent(problem)) if matches!(problem.code, Code::AccessDenied | Code::ObjectTooLarge) => {
                warn!(job_id = %job.id, "cannot tell whether {at} is done, doing it: {}", problem.message);
                return Ok(None);
            }
            Err(fault) => return Err(fault),
        };
        let found = match json::parse(&document) {
            Ok(found) => found,
            Err(why) => {
                warn!(job_id = %job.id, "{at} is there but {why}: writing it anew");
                return Ok(None);
            }
        };
        if let Some(what) = difference(&found, job, etag, model) {
            warn!(job_id = %job.id, "{at} is there with another {what}: writing it anew");
            return Ok(None);
        }
        Ok(Some(found))
    }

    /// Writes every rendition, the JSON last: whoever sees it finds the others complete. The same job writes the same
    /// keys, so that a second attempt replaces what a first one left.
    ///
    /// # Errors
    /// The first put's that failed; there is then no new JSON.
    pub async fn write(&self, job: &Job, transcript: &Transcript) -> Result<TranscriptLocation, Fault> {
        let plan = self.plan(job);
        for (format, at) in &plan.siblings {
            self.put(*format, at, transcript).await?;
        }
        self.put(Format::Json, &plan.json, transcript).await?;
        Ok(plan.location())
    }

    async fn put(&self, format: Format, at: &Location, transcript: &Transcript) -> Result<(), Fault> {
        let body = transcript
            .render(format)
            .map_err(|error| Fault::permanent(Code::Internal, format!("failed to render {at}: {error}")))?;
        self.objects.put(at, Bytes::from(body), content_type(format), &Condition::Always).await.map(drop)
    }
}

impl Plan {
    /// The keys as the event carries them. For a finished job too: they depend on the job alone.
    pub fn location(&self) -> TranscriptLocation {
        let key = |format| self.siblings.iter().find(|(of, _)| *of == format).map(|(_, at)| at.key.clone());
        TranscriptLocation {
            bucket: self.json.bucket.clone(),
            text_key: key(Format::Txt).unwrap_or_default(),
            json_key: self.json.key.clone(),
            srt_key: key(Format::Srt),
            vtt_key: key(Format::Vtt),
            amazon_key: key(Format::Amazon),
        }
    }
}

/// What a sibling's key ends in, after the JSON's stem; `None` for the JSON, which has none.
fn extension(format: Format) -> Option<&'static str> {
    match format {
        Format::Json => None,
        Format::Txt => Some("txt"),
        Format::Srt => Some("srt"),
        Format::Vtt => Some("vtt"),
        Format::Amazon => Some("amazon.json"),
    }
}

/// What browsers and players are told.
fn content_type(format: Format) -> &'static str {
    match format {
        Format::Json | Format::Amazon => "application/json",
        Format::Txt => "text/plain; charset=utf-8",
        Format::Srt => "application/x-subrip",
        Format::Vtt => "text/vtt",
    }
}

/// What tells a transcript from the one this job would make; `None` when nothing does.
fn difference(found: &Transcript, job: &Job, etag: &str, model: &ModelRef) -> Option<&'static str> {
    let of_job = found.job.job_id == job.id;
    let of_source = found.source.bucket == job.source.bucket && found.source.key == job.source.key;
    match (of_job, of_source && found.source.etag == etag, found.model.sha256 == model.sha256) {
        (false, ..) => Some("job id"),
        (_, false, _) => Some("source or etag"),
        (.., false) => Some("model"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
