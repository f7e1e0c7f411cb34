//! Where transcripts go: their keys, the order they are written in, and whether a job is done already.

use std::sync::Arc;

use bytes::Bytes;
use tracing::{info, warn};

use crate::fault::{Code, Fault};
use crate::job::{Format, Job, Task, ids};
use crate::objects::{Condition, Found, Location, Objects};
use crate::publish::TranscriptLocation;
use crate::transcript::{ModelRef, Request, Transcript, json};

/// Bytes; a day of speech with word times is about 30 MB.
const MAX_JSON_BYTES: u64 = 256 * 1024 * 1024;

/// Every rendition, in the order they are written: the JSON last, since its presence means "done".
const ORDER: [Format; 9] = [
    Format::Txt,
    Format::Srt,
    Format::Vtt,
    Format::Amazon,
    Format::Html,
    Format::Md,
    Format::Ndjson,
    Format::Podcast,
    Format::Json,
];

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
    /// The JSON without redaction, where the job wants both.
    pub unredacted: Option<Location>,
}

/// What a transcript must be for its job to be done.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Of these weights.
    pub model: &'a ModelRef,
    /// Transcribed or translated.
    pub task: Task,
    /// Made for this, or for more.
    pub request: &'a Request,
}

/// What lies where a job's JSON goes.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// Nothing, or what may be written over, on this condition.
    Open(Condition),
    /// The job's transcript, and the etag of the object; of which version of the source it says itself.
    Done(Box<Transcript>, String),
}

impl Store {
    /// Where the job's renditions go: `{prefix}{user}/{file}/transcript.{json,txt,srt,…}` in the output
    /// bucket, or exactly where the job wants its JSON and beside it. The same for every delivery.
    pub fn plan(&self, job: &Job) -> Plan {
        let json = job.output.clone().unwrap_or_else(|| {
            let (user, file) = (ids::key_part(&job.user_id), ids::key_part(&job.file_id));
            Location::new(&self.bucket, format!("{}{user}/{file}/transcript.json", self.prefix))
        });
        let wanted = job.options.formats.as_ref().unwrap_or(&self.formats);
        Plan::new(json, wanted, job.options.wording.keeps_unredacted())
    }

    /// What an earlier delivery of this job, or somebody else, has left where its JSON goes.
    ///
    /// # Errors
    /// A permanent `OutputTaken` where another source's transcript is there, unless the message itself gave both the same
    /// place. What the store answers; a refusal to read counts as nothing there, since a role may write without reading.
    pub async fn look(&self, job: &Job, wanted: Wanted<'_>) -> Result<Standing, Fault> {
        let at = self.plan(job).json;
        let (found, etag) = match self.read(&at).await? {
            Reading::Nothing => return Ok(Standing::Open(Condition::Absent)),
            Reading::Unreadable => return Ok(Standing::Open(Condition::Always)),
            Reading::Foreign(etag) => return Ok(Standing::Open(Condition::Unchanged(etag))),
            Reading::Ours(found, etag) => (found, etag),
        };
        if !is_of_source(&found, job) && !job.place_is_named {
            let theirs = Location::new(&found.source.bucket, &found.source.key);
            let message = format!(
                "{at} holds the transcript of {theirs}: give the job of {} a file_id or s3_output_path of its own",
                job.source
            );
            return Err(Fault::permanent(Code::OutputTaken, message));
        }
        if let Some(what) = difference(&found, job, wanted) {
            info!(job_id = %job.id, "{at} is there with another {what}: writing it anew");
            return Ok(Standing::Open(Condition::Unchanged(etag)));
        }
        Ok(Standing::Done(found, etag))
    }

    /// The transcript of this job and source, whatever else it asks for today: a job that completed never fails afterwards.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn finished(&self, job: &Job) -> Result<Option<Box<Transcript>>, Fault> {
        Ok(match self.read(&self.plan(job).json).await? {
            Reading::Ours(found, _) if found.job.job_id == job.id && is_of_source(&found, job) => Some(found),
            _ => None,
        })
    }

    /// Writes every rendition, the JSON last and only on `condition`: whoever sees it finds the others complete. The same
    /// job writes the same keys, so that a second attempt replaces what a first one left.
    ///
    /// # Errors
    /// The first put's that failed; there is then no new JSON. `ObjectChanged` where the JSON's condition does not hold.
    pub async fn write(
        &self,
        job: &Job,
        transcript: &Transcript,
        condition: &Condition,
    ) -> Result<TranscriptLocation, Fault> {
        let plan = self.plan(job);
        for (format, at) in &plan.siblings {
            self.put(*format, at, transcript, &Condition::Always).await?;
        }
        if let (Some(at), Some(unredacted)) = (&plan.unredacted, &transcript.unredacted) {
            self.put(Format::Json, at, unredacted, &Condition::Always).await?;
        }
        self.put(Format::Json, &plan.json, transcript, condition).await?;
        Ok(plan.location())
    }

    /// Makes the renditions that `transcript`, found with this etag, was written without and the job asks for. Nothing is
    /// transcribed again.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn complete(
        &self,
        job: &Job,
        transcript: &Transcript,
        etag: &str,
        request: &Request,
    ) -> Result<TranscriptLocation, Fault> {
        let plan = self.plan(job);
        let before = transcript.request.as_ref().map(|before| before.formats.as_slice()).unwrap_or_default();
        let is_laid_out = transcript.request.as_ref().is_none_or(|before| before.subtitles == request.subtitles);
        let is_other = |format: &Format| !is_laid_out && matches!(format, Format::Srt | Format::Vtt);
        let missing = |format: &Format| *format != Format::Txt && (!before.contains(format) || is_other(format));
        if plan.siblings.iter().any(|(format, _)| missing(format)) {
            let mut formats = before.to_vec();
            formats.extend(plan.siblings.iter().map(|(format, _)| *format).filter(|format| !before.contains(format)));
            let subtitles = request.subtitles;
            let request =
                Request { formats, subtitles, ..transcript.request.clone().unwrap_or_else(|| request.clone()) };
            let transcript = Transcript { request: Some(request), ..transcript.clone() };
            for (format, at) in plan.siblings.iter().filter(|(format, _)| missing(format)) {
                self.put(*format, at, &transcript, &Condition::Always).await?;
            }
            self.put(Format::Json, &plan.json, &transcript, &Condition::Unchanged(etag.to_owned())).await?;
        }
        Ok(plan.location())
    }

    /// Whether objects can be written, read and removed where the JSON at `json` goes.
    ///
    /// # Errors
    /// The store's refusal; one to read or remove is a warning only.
    pub async fn prove(&self, json: &Location, name: &str) -> Result<(), Fault> {
        let at = json.sibling(&format!(".check/{}", ids::key_part(name)));
        self.objects.put(&at, Bytes::from_static(b"{}\n"), "application/json", &Condition::Always).await?;
        for done in [self.objects.read(&at, MAX_JSON_BYTES).await.map(drop), self.objects.remove(&at).await] {
            match done {
                Err(Fault::Permanent(problem)) => warn!("{}", problem.message),
                done => done?,
            }
        }
        Ok(())
    }

    async fn read(&self, at: &Location) -> Result<Reading, Fault> {
        let Found { body, etag } = match self.objects.read(at, MAX_JSON_BYTES).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Reading::Nothing),
            Err(Fault::Permanent(problem)) if matches!(problem.code, Code::AccessDenied | Code::ObjectTooLarge) => {
                warn!("cannot tell what is at {at}: {}", problem.message);
                return Ok(Reading::Unreadable);
            }
            Err(fault) => return Err(fault),
        };
        Ok(match json::parse(&body) {
            Ok(found) => Reading::Ours(Box::new(found), etag),
            Err(why) => {
                warn!("{at} is there but {why}: it is written anew");
                Reading::Foreign(etag)
            }
        })
    }

    async fn put(
        &self,
        format: Format,
        at: &Location,
        transcript: &Transcript,
        condition: &Condition,
    ) -> Result<(), Fault> {
        let body = transcript
            .render(format)
            .map_err(|error| Fault::permanent(Code::Internal, format!("failed to render {at}: {error}")))?;
        self.objects.put(at, Bytes::from(body), content_type(format), condition).await.map(drop)
    }
}

/// What was read where a JSON goes.
enum Reading {
    Nothing,
    /// We may not read there, or it is too large for one of ours.
    Unreadable,
    /// No transcript of ours, with its etag.
    Foreign(String),
    /// A transcript, with the object's etag.
    Ours(Box<Transcript>, String),
}

impl Plan {
    fn new(json: Location, formats: &[Format], keeps_unredacted: bool) -> Self {
        let stem = json.key.strip_suffix(".json").unwrap_or(&json.key).to_owned();
        let siblings = ORDER.into_iter().filter(|format| *format == Format::Txt || formats.contains(format));
        let sibling = |format: Format| {
            let extension = format.extension();
            (format != Format::Json).then(|| (format, Location::new(&json.bucket, format!("{stem}.{extension}"))))
        };
        let unredacted = keeps_unredacted.then(|| Location::new(&json.bucket, format!("{stem}.unredacted.json")));
        Self { siblings: siblings.filter_map(sibling).collect(), unredacted, json }
    }

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
            html_key: key(Format::Html),
            md_key: key(Format::Md),
            ndjson_key: key(Format::Ndjson),
            podcast_key: key(Format::Podcast),
            unredacted_json_key: self.unredacted.as_ref().map(|at| at.key.clone()),
        }
    }
}

/// What browsers and players are told.
fn content_type(format: Format) -> &'static str {
    match format {
        Format::Json | Format::Amazon | Format::Podcast => "application/json",
        Format::Txt => "text/plain; charset=utf-8",
        Format::Srt => "application/x-subrip",
        Format::Vtt => "text/vtt",
        Format::Html => "text/html; charset=utf-8",
        Format::Md => "text/markdown; charset=utf-8",
        Format::Ndjson => "application/x-ndjson",
    }
}

fn is_of_source(found: &Transcript, job: &Job) -> bool {
    found.source.bucket == job.source.bucket && found.source.key == job.source.key
}

/// What tells a transcript from the one this job would make, of whatever version of the source; `None` when nothing does.
fn difference(found: &Transcript, job: &Job, wanted: Wanted<'_>) -> Option<&'static str> {
    let covers = found.request.as_ref().is_none_or(|request| request.covers(wanted.request));
    let parts = [
        (found.job.job_id == job.id, "job id"),
        (is_of_source(found, job), "source"),
        (found.model.sha256 == wanted.model.sha256, "model"),
        (found.task == wanted.task && covers, "choice of options"),
    ];
    parts.into_iter().find_map(|(same, what)| (!same).then_some(what))
}

#[cfg(test)]
mod tests;
