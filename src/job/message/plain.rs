//! The plain job: what the transcription Lambda sends, and what the older worker's producers send.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{bad, clean_id, location, owners, shown};
use crate::fault::Fault;
use crate::job::clip::Clip;
use crate::job::speakers::Speakers;
use crate::job::subtitles::Subtitles;
use crate::job::wording::{Filter, Private, RedactionOutput, Wording};
use crate::job::{Channels, Echo, Format, Job, JobOptions, Task, ids, language};
use crate::objects::Location;

/// Characters; Whisper keeps 224 tokens of a prompt, which are fewer.
const MAX_PROMPT_CHARS: usize = 1_000;

/// Characters; longer names no model.
const MAX_MODEL_CHARS: usize = 128;

/// An id; a number counts as its digits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a string or a whole number")]
pub enum Id {
    /// As producers should send it.
    Text(String),
    /// As databases number their rows.
    Whole(u64),
}

impl Id {
    /// The cleaned id.
    ///
    /// # Errors
    /// `BadMessage` naming `field`.
    pub fn clean(&self, field: &str) -> Result<String, Fault> {
        match self {
            Self::Text(text) => clean_id(field, text),
            Self::Whole(number) => Ok(number.to_string()),
        }
    }
}

/// A job as a plain JSON object. Only `s3_input_path` is required; `null` is the same as absent; fields not listed are
/// ignored.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(title = "Job")]
pub struct PlainJob {
    /// Id of the job; derived from the location and `file_id` when absent.
    pub job_id: Option<Id>,
    /// Whose audio it is; `unknown` when absent and the key is not shaped `userId/fileId/name` or `users/userId/…`.
    pub user_id: Option<Id>,
    /// Id of the audio file; when absent the UUID that the key holds, else derived from the location.
    pub file_id: Option<Id>,
    /// `s3://bucket/key` of the audio. Taken literally: nothing is URL-decoded.
    #[schemars(regex(pattern = "^s3://[^/]+/.*[^/]$"))]
    pub s3_input_path: String,
    /// `s3://bucket/key.json` for the JSON; the other renditions lie beside it under the same stem.
    #[schemars(regex(pattern = r"^s3://[^/]+/(.*/)?[^/]+\.json$"))]
    pub s3_output_path: Option<String>,
    /// Spoken language: a code (`en`, `eng`), a tag (`en-US`), a name (`english`), or `auto`. Empty is the same as absent.
    pub language: Option<String>,
    /// The languages that are spoken: of two or more, one is decided for each stretch of speech. Not beside a `language` other
    /// than `auto`. Empty is the same as absent.
    pub languages: Option<Vec<String>>,
    /// Transcribe, or translate to English.
    pub task: Option<Task>,
    /// Model name; must be the one the worker serves.
    pub model: Option<String>,
    /// Words to expect: names, spelling, style. At most 1,000 characters count.
    pub prompt: Option<String>,
    /// Renditions to write; `json` and `txt` are always written.
    pub formats: Option<Vec<Format>>,
    /// Times for each word.
    pub word_timestamps: Option<bool>,
    /// One transcript of the mix, or of each channel.
    pub channels: Option<Channels>,
    /// Who speaks: `true`, or how many do.
    pub speakers: Option<Speakers>,
    /// Only what comes after so many seconds of the recording is heard. Times stay the recording's own.
    #[schemars(range(min = 0.0))]
    pub start_secs: Option<f64>,
    /// Only what comes before so many seconds of the recording is heard.
    #[schemars(range(min = 0.0))]
    pub end_secs: Option<f64>,
    /// Names and terms to expect in each window of speech, in the spelling that is wanted: about ten; more than 20 weaken each
    /// other.
    #[schemars(length(max = 100))]
    pub vocabulary: Option<Vec<String>>,
    /// What is written in the place of words and phrases: whole ones, whatever their case. Small letters take the case of what
    /// they replace.
    pub replacements: Option<BTreeMap<String, String>>,
    /// Words that are not to be read.
    pub filter: Option<Filter>,
    /// What is taken out of all that is written.
    pub redact: Option<Vec<Private>>,
    /// Whether the JSON as it was heard is kept besides.
    pub redaction_output: Option<RedactionOutput>,
    /// How `srt` and `vtt` are laid out.
    pub subtitles: Option<Subtitles>,
    /// How many turns it has at the engine against the tenant's other jobs: 1 (usual) to 10, or `low` (1), `normal` (1), `high` (4).
    /// Anything else counts as 1.
    pub priority: Option<Value>,
    /// Accepted for the older worker's producers; not used.
    pub estimated_duration_seconds: Option<Value>,
    /// Given back in every event about the job, as it is: any JSON, up to 16 KiB.
    pub metadata: Option<Value>,
    /// Given back in every event about the job, as it is: any JSON, up to 16 KiB.
    pub tags: Option<Value>,
    /// Accepted for the older worker's producers; not used: the queue counts deliveries.
    pub retry_count: Option<Value>,
    /// Accepted for the older worker's producers; not used: the queue knows when it was sent.
    pub submitted_at: Option<Value>,
}

impl PlainJob {
    /// The job, checked.
    ///
    /// # Errors
    /// `BadMessage` naming the field.
    pub fn job(self) -> Result<Job, Fault> {
        let source = parsed("s3_input_path", &self.s3_input_path)?;
        if source.key.ends_with('/') {
            return Err(bad(format!("`s3_input_path` names a folder: {source}")));
        }
        let output = self.s3_output_path.as_deref().map(|path| output(path, &source)).transpose()?;
        let clean = |field, id: &Option<Id>| id.as_ref().map(|id| id.clean(field)).transpose();
        let file_id = clean("file_id", &self.file_id)?;
        let job_id = clean("job_id", &self.job_id)?;
        let id = job_id.unwrap_or_else(|| ids::job_id(&source, file_id.as_deref().unwrap_or_default()));
        let place_is_named = file_id.is_some() || output.is_some();
        let (user_id, file_id) = owners(clean("user_id", &self.user_id)?, file_id, &source);
        let echo = Echo::of(self.metadata.clone(), self.tags.clone());
        let options = self.options()?;
        Ok(Job { id, user_id, file_id, source, output, place_is_named, options, echo })
    }

    fn options(self) -> Result<JobOptions, Fault> {
        let language = self.language.as_deref().filter(|text| !text.trim().is_empty());
        let mut language = language.map(known_language).transpose()?;
        let mut languages = self.languages.filter(|named| !named.is_empty()).map(known_languages).transpose()?;
        if languages.is_some() && language.as_ref().is_some_and(|language| language != language::AUTO) {
            return Err(bad("`language` and `languages` exclude each other"));
        }
        if let Some([only]) = languages.as_deref() {
            language = Some(only.clone());
            languages = None;
        } else if languages.is_some() {
            language = None;
        }
        let formats = self.formats.map(|mut formats| {
            formats.sort_unstable();
            formats.dedup();
            formats
        });
        let wording = Wording {
            vocabulary: self.vocabulary.unwrap_or_default(),
            replacements: self.replacements.unwrap_or_default(),
            filter: self.filter,
            redact: self.redact.unwrap_or_default(),
            redaction_output: self.redaction_output.unwrap_or_default(),
        };
        Ok(JobOptions {
            language,
            languages,
            task: self.task,
            model: self.model.and_then(|model| one_line(&model, MAX_MODEL_CHARS)),
            prompt: self.prompt.and_then(|prompt| one_line(&prompt, MAX_PROMPT_CHARS)),
            formats,
            word_timestamps: self.word_timestamps,
            channels: self.channels,
            speakers: self
                .speakers
                .map(Speakers::count)
                .transpose()
                .map_err(|why| bad(format!("`speakers`: {why}")))?,
            clip: Clip::new(self.start_secs, self.end_secs).map_err(bad)?,
            wording: wording.clean().map_err(bad)?,
            subtitles: self.subtitles.map(Subtitles::checked).transpose().map_err(bad)?,
            priority: self.priority.as_ref().and_then(weight),
        })
    }
}

/// A plain job's body that asks for exactly this job, whatever the message it came in.
pub fn single(job: &Job) -> String {
    let Job { id, user_id, file_id, source, output, place_is_named, options, echo } = job;
    let JobOptions {
        language,
        languages,
        task,
        model,
        prompt,
        formats,
        word_timestamps,
        channels,
        speakers,
        clip,
        wording,
        subtitles,
        priority,
    } = options;
    let Wording { vocabulary, replacements, filter, redact, redaction_output } = wording;
    let mut body = json!({
        "job_id": id,
        "user_id": user_id,
        // one that was derived is derived again, and a place nobody named stays one
        "file_id": place_is_named.then_some(file_id),
        "s3_input_path": source.to_string(),
        "s3_output_path": output.as_ref().map(ToString::to_string),
        "language": language,
        "languages": languages,
        "task": task,
        "model": model,
        "prompt": prompt,
        "formats": formats,
        "word_timestamps": word_timestamps,
        "channels": channels,
        "speakers": speakers.map(|count| count.map_or(Speakers::Wanted(false), Speakers::from)),
        "start_secs": clip.map(|clip| clip.start_secs),
        "end_secs": clip.and_then(|clip| clip.end_secs),
        "vocabulary": (!vocabulary.is_empty()).then_some(vocabulary),
        "replacements": (!replacements.is_empty()).then_some(replacements),
        "filter": filter,
        "redact": (!redact.is_empty()).then_some(redact),
        "redaction_output": (!redact.is_empty()).then_some(redaction_output),
        "subtitles": subtitles,
        "priority": priority,
        "metadata": echo.metadata,
        "tags": echo.tags,
    });
    if let Value::Object(fields) = &mut body {
        fields.retain(|_, value| !value.is_null());
    }
    body.to_string()
}

fn parsed(field: &str, path: &str) -> Result<Location, Fault> {
    let Some(parts) = Location::parse(path) else {
        return Err(bad(format!("`{field}` is not of the form s3://bucket/key: {}", shown(path))));
    };
    location(field, &parts.bucket, &parts.key)
}

/// Where the JSON must go. The siblings replace `.json`, so there has to be one, and a name before it.
fn output(path: &str, source: &Location) -> Result<Location, Fault> {
    let output = parsed("s3_output_path", path)?;
    let stem = output.key.strip_suffix(".json").unwrap_or_default();
    if stem.is_empty() || stem.ends_with('/') {
        return Err(bad(format!("`s3_output_path` must name a .json object: {output}")));
    }
    if output == *source {
        return Err(bad(format!("`s3_output_path` would overwrite the audio: {output}")));
    }
    Ok(output)
}

fn known_language(text: &str) -> Result<String, Fault> {
    if text.trim().eq_ignore_ascii_case(language::AUTO) {
        return Ok(language::AUTO.to_owned());
    }
    match language::code(text) {
        Some(code) => Ok(code.to_owned()),
        None => Err(bad(format!("`language` \"{}\" is none that Whisper knows", shown(text)))),
    }
}

fn known_languages(named: Vec<String>) -> Result<Vec<String>, Fault> {
    language::codes(&named)
        .map_err(|unknown| bad(format!("`languages` has \"{}\", which Whisper does not know", shown(unknown))))
}

/// The weight that a priority means. Producers of the older worker send what they like: it fails no job.
fn weight(priority: &Value) -> Option<u8> {
    match priority {
        Value::String(word) if word == "high" => Some(4),
        Value::Number(number) => number.as_u64().filter(|number| (2..=10).contains(number)).map(|number| number as u8),
        _ => None,
    }
}

/// The text on one line, without control characters (a NUL would panic in the engine's C strings), capped and trimmed.
fn one_line(text: &str, max_chars: usize) -> Option<String> {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line: String = spaced.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(max_chars).collect();
    let line = line.trim_end().to_owned();
    (!line.is_empty()).then_some(line)
}
