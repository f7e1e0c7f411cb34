//! What the producers of a world send: messages of every shape, and the audio they are about.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use transcription_worker::job::message::{self, Intake, identify};
use transcription_worker::objects::Location;
use transcription_worker::store::Store;

use crate::chance::Chance;
use crate::objects::MemoryObjects;

/// What is the matter with a job's audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audio {
    Sound,
    /// Some packets are lost.
    Damaged,
    /// Cannot be decoded beyond the middle.
    Corrupt,
    /// Never there.
    Missing,
    /// Its middle window kills every engine.
    KillsEngines,
    /// Decoding its middle kills the whole worker.
    KillsWorkers,
}

/// What must come of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Completed,
    Partial,
    Failed,
}

/// A job, as the world knows it.
#[derive(Debug, Clone)]
pub struct Job {
    pub id: String,
    /// What its windows call it.
    pub number: u32,
    pub audio: Audio,
    pub windows: u32,
    pub outcome: Outcome,
    /// Where its transcript goes; `None` where the message is no job.
    pub json: Option<Location>,
}

/// A message.
#[derive(Debug, Clone)]
pub struct Sending {
    pub at: Duration,
    pub body: String,
}

/// An object that is there from `at` on.
#[derive(Debug, Clone)]
pub struct Upload {
    pub at: Duration,
    pub location: Location,
    pub body: Bytes,
}

/// All of a world's work.
#[derive(Debug, Default)]
pub struct Jobs {
    pub jobs: Vec<Job>,
    pub sendings: Vec<Sending>,
    pub uploads: Vec<Upload>,
    /// Message bodies that ask for nothing.
    by_body: BTreeMap<String, Vec<usize>>,
    by_id: BTreeMap<String, usize>,
    by_folder: BTreeMap<String, usize>,
}

/// The content of an audio object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    pub number: u32,
    pub windows: u32,
    pub audio: Audio,
}

impl Jobs {
    /// `kills_workers` allows audio of that sort. Everything is sent within `span`.
    pub fn of(seed: u64, span: Duration, kills_workers: bool) -> Self {
        let mut chance = Chance::of(seed, "jobs");
        let mut jobs = Self::default();
        let size = chance.pick(&[3, 8, 20, 40]);
        for number in 0..chance.number(1..size + 1) {
            let at = chance.secs(0.0..span.as_secs_f64());
            jobs.message(&mut chance, number, at, kills_workers);
        }
        jobs
    }

    /// A plain job, and its audio there from `there_at` on.
    pub fn plain(&mut self, number: u32, at: Duration, there_at: Option<Duration>, windows: u32) {
        let key = format!("uploads/u{number}/f{number}/talk.mp3");
        let source = Location::new("uploads", &key);
        let audio = if there_at.is_some() { Audio::Sound } else { Audio::Missing };
        let script = Script { number, windows, audio };
        let body = json!({"job_id": format!("j{number}"), "user_id": format!("u{number}"),
            "file_id": format!("f{number}"), "s3_input_path": source.to_string()});
        if let Some(at) = there_at {
            self.uploads.push(Upload { at, location: source, body: script.to_string().into() });
        }
        self.send(at, &body, &[script]);
    }

    /// The jobs of a message.
    pub fn of_body(&self, body: &str) -> &[usize] {
        self.by_body.get(body).map(Vec::as_slice).unwrap_or_default()
    }

    pub fn of_id(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// The job whose output or bookkeeping an object is.
    pub fn of_object(&self, at: &Location) -> Option<usize> {
        let folder = at.to_string().split("/.").next().unwrap_or_default().to_owned();
        let folder = if folder == at.to_string() { parent(at) } else { folder };
        self.by_folder.get(&folder).copied()
    }

    fn message(&mut self, chance: &mut Chance, number: u32, at: Duration, kills_workers: bool) {
        let audio = match chance.number(0..40) {
            0 | 1 => Audio::Damaged,
            2 | 3 => Audio::Corrupt,
            4 => Audio::Missing,
            5..=7 => Audio::KillsEngines,
            8..=10 if kills_workers => Audio::KillsWorkers,
            _ => Audio::Sound,
        };
        let windows = match chance.number(0..4) {
            0 => chance.number(1..3),
            1 | 2 => chance.number(3..15),
            _ => chance.number(15..120),
        };
        let key = format!("uploads/u{number}/f{number}/talk.mp3");
        let source = Location::new("uploads", &key);
        // an object may be there before its message, or minutes after it
        let there_at = if chance.one_in(6) { at + chance.secs(0.0..300.0) } else { Duration::ZERO };
        let body = match chance.number(0..10) {
            0..=3 => json!({"job_id": format!("j{number}"), "user_id": format!("u{number}"),
                "file_id": format!("f{number}"), "s3_input_path": source.to_string()}),
            4 => json!({"job_id": format!("j{number}"), "s3_input_path": source.to_string(), "formats": ["srt", "vtt"],
                "s3_output_path": format!("s3://theirs/o{number}/talk.json")}),
            5 | 6 => uploaded(number, &key),
            7 => records(&[&key]),
            8 => return self.several(chance, number, at),
            _ => return self.odd(chance, number, at),
        };
        let script = Script { number, windows, audio };
        if audio != Audio::Missing {
            self.uploads.push(Upload { at: there_at, location: source, body: script.to_string().into() });
        }
        let sendings = if chance.one_in(12) { 2 } else { 1 };
        for again in 0..sendings {
            // a producer that tries again sends the same message once more
            let at = at + if again > 0 { chance.secs(0.0..200.0) } else { Duration::ZERO };
            self.send(at, &body, std::slice::from_ref(&script));
        }
    }

    /// An S3 notification of several uploads, one of which may be bad.
    fn several(&mut self, chance: &mut Chance, number: u32, at: Duration) {
        let mut scripts = Vec::new();
        let mut keys = Vec::new();
        for part in 0..chance.number(2..4) {
            let number = 1000 * (part + 1) + number;
            let audio = chance.pick(&[Audio::Sound, Audio::Sound, Audio::Sound, Audio::Corrupt]);
            let script = Script { number, windows: chance.number(1..12), audio };
            keys.push(format!("uploads/u{number}/f{number}/talk.mp3"));
            let location = Location::new("uploads", keys.last().map(String::as_str).unwrap_or_default());
            self.uploads.push(Upload { at: Duration::ZERO, location, body: script.to_string().into() });
            scripts.push(script);
        }
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        self.send(at, &records(&keys), &scripts);
    }

    /// What is no job: noise that is ignored, and messages that are wrong.
    fn odd(&mut self, chance: &mut Chance, number: u32, at: Duration) {
        let body = match chance.number(0..4) {
            0 => json!({"Event": "s3:TestEvent", "number": number}).to_string(),
            1 => json!({"job_id": format!("j{number}"), "s3_input_path": "s3://b/k.mp3", "language": "klingon"})
                .to_string(),
            2 => json!({"job_id": format!("j{number}")}).to_string(),
            _ => json!({"job_id": format!("j{number}"), "s3_input_path": "nowhere"}).to_string(),
        };
        let wrong = message::read(&body).is_err();
        let mut numbers = Vec::new();
        if wrong {
            numbers.push(self.jobs.len());
            let identity = identify(&body, "?");
            self.by_id.insert(identity.job_id.clone(), self.jobs.len());
            self.jobs.push(Job {
                id: identity.job_id,
                number,
                audio: Audio::Missing,
                windows: 0,
                outcome: Outcome::Failed,
                json: None,
            });
        }
        self.by_body.insert(body.clone(), numbers);
        self.sendings.push(Sending { at, body });
    }

    fn send(&mut self, at: Duration, body: &Value, scripts: &[Script]) {
        let body = body.to_string();
        if self.by_body.contains_key(&body) {
            return self.sendings.push(Sending { at, body });
        }
        let Ok(Intake::Jobs { jobs, .. }) = message::read(&body) else { panic!("no job: {body}") };
        let store = store(Arc::default());
        let mut numbers = Vec::new();
        for (job, script) in jobs.iter().zip(scripts) {
            let json = store.plan(job).json;
            let number = self.jobs.len();
            let outcome = match script.audio {
                Audio::Sound => Outcome::Completed,
                Audio::Damaged => Outcome::Partial,
                _ => Outcome::Failed,
            };
            numbers.push(number);
            self.by_id.insert(job.id.clone(), number);
            self.by_folder.insert(parent(&json), number);
            let Script { number, audio, windows } = *script;
            self.jobs.push(Job { id: job.id.clone(), number, audio, windows, outcome, json: Some(json) });
        }
        self.by_body.insert(body.clone(), numbers);
        self.sendings.push(Sending { at, body });
    }
}

impl Job {
    /// What its transcript says.
    pub fn text(&self) -> String {
        (0..self.windows).map(|window| words(self.number, window)).collect::<Vec<_>>().join(" ")
    }
}

/// What is said in a window.
pub fn words(number: u32, window: u32) -> String {
    format!("job{number} part{window} said")
}

/// The worker's own output place.
pub fn store(objects: Arc<MemoryObjects>) -> Store {
    Store { objects, bucket: "transcripts".to_owned(), prefix: "out/".to_owned(), formats: Vec::new() }
}

fn parent(at: &Location) -> String {
    let address = at.to_string();
    address.rsplit_once('/').map_or_else(String::new, |(folder, _)| folder.to_owned())
}

fn uploaded(number: u32, key: &str) -> Value {
    json!({"detail-type": "Audio Uploaded", "source": "custom.frontend", "detail": {
        "userId": format!("u{number}"), "fileId": format!("f{number}"),
        "s3Location": {"bucket": "uploads", "key": key}}})
}

fn records(keys: &[&str]) -> Value {
    let record = |key: &&str| {
        json!({"eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "uploads"}, "object": {"key": key, "eTag": "e1"}}})
    };
    json!({"Records": keys.iter().map(record).collect::<Vec<_>>()})
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.number, self.windows, self.audio)
    }
}

impl Script {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (number, windows) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let audio = match words.next()? {
            "Sound" => Audio::Sound,
            "Damaged" => Audio::Damaged,
            "Corrupt" => Audio::Corrupt,
            "Missing" => Audio::Missing,
            "KillsEngines" => Audio::KillsEngines,
            _ => Audio::KillsWorkers,
        };
        Some(Self { number, windows, audio })
    }

    /// The window at which things happen.
    pub fn middle(&self) -> u32 {
        self.windows / 2
    }
}
