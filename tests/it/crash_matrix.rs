//! A worker is killed at every step of a job in turn, and another one comes after it: nothing is lost, nothing stays half
//! done, and only what was done after the last thing that is kept is done again.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::net::unix::pipe;
use tokio::process::Command;
use transcription_worker::job::Format;
use transcription_worker::transcript::json::parse;

use crate::resume::{number, sentences};
use crate::rig::{Rig, assert_valid, scratch, scripted_engine, speech, wait_until};
use crate::running::Running;
use crate::wire::{Wire, answer, download, look, request};

/// Where the job's objects are.
const FOLDER: &str = "u1/file-talk/";

/// What they end in, in the order they are written.
const RENDITIONS: [(&str, Format); 5] = [
    ("txt", Format::Txt),
    ("srt", Format::Srt),
    ("vtt", Format::Vtt),
    ("amazon.json", Format::Amazon),
    ("json", Format::Json),
];

/// What a worker is at when it is killed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    /// It has the message and has done nothing with it.
    Received,
    /// Half of the audio is on its disk.
    Fetching,
    /// The decoder has the whole audio and has given nothing yet.
    Decoding,
    /// Some windows are finished, others are with the engine.
    Inferring,
    /// A checkpoint is on its way.
    Checkpointing,
    /// All renditions before this one are written.
    Writing(&'static str),
    /// All are written.
    Publishing,
    /// The event is out, and the worker does not know yet.
    Published,
    /// The message is still there.
    Deleting,
    /// It is gone, and the worker does not know yet.
    Deleted,
}

use Step::{Checkpointing, Decoding, Deleted, Deleting, Fetching, Inferring, Published, Publishing, Received, Writing};

const STEPS: [Step; 14] = [
    Received,
    Fetching,
    Decoding,
    Inferring,
    Checkpointing,
    Writing("txt"),
    Writing("srt"),
    Writing("vtt"),
    Writing("amazon.json"),
    Writing("json"),
    Publishing,
    Published,
    Deleting,
    Deleted,
];

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Received => "received, nothing done",
            Fetching => "in the middle of the download",
            Decoding => "decoding",
            Inferring => "in the middle of inference",
            Checkpointing => "saving a checkpoint",
            Writing(extension) => &format!("before writing {extension}"),
            Publishing => "before publishing",
            Published => "published, not told so",
            Deleting => "before deleting the message",
            Deleted => "deleted, not told so",
        };
        f.pad(name)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Engine {
    Scripted,
    /// With audio of several windows, checkpoints every second.
    Real,
}

/// What one kill came to; the rest is asserted.
struct Row {
    step: Step,
    found: String,
    receives: u32,
    events: usize,
    windows: f64,
    repeated: f64,
}

/// One job, whose worker is killed at a step.
struct Killing {
    rig: Rig,
    wire: Wire,
    engine: Engine,
    audio: Vec<u8>,
    /// Where the workers' downloads lie.
    scratch: tempfile::TempDir,
    /// What the workers take for ffmpeg, and its output beside it.
    tools: tempfile::TempDir,
}

impl Killing {
    async fn new(engine: Engine) -> Self {
        let rig = Rig::new().await;
        let wire = Wire::to(&rig.endpoint).await;
        let audio = match engine {
            Engine::Scripted => speech("wav"),
            Engine::Real => sentences(180),
        };
        let killing = Self { rig, wire, engine, audio, scratch: scratch(), tools: scratch() };
        let script = killing.ffmpeg();
        std::fs::write(&script, FFMPEG).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        killing
    }

    fn ffmpeg(&self) -> PathBuf {
        self.tools.path().join("ffmpeg")
    }

    fn ffmpeg_output(&self) -> PathBuf {
        self.tools.path().join("ffmpeg.out")
    }

    /// The least visibility there is: what a worker leaves behind comes back soonest.
    fn worker(&self, endpoint: &str) -> Command {
        let mut command = self.rig.worker_at(endpoint);
        command
            .env("TRANSCRIPTION_VISIBILITY_SECS", "30")
            // the event that is meant is the end's
            .env("TRANSCRIPTION_STARTED_EVENTS", "off")
            .env("TRANSCRIPTION_CHECKPOINT_SECS", "1")
            .env("TRANSCRIPTION_FORMATS", "json,txt,srt,vtt,amazon")
            // so that every rendition can be made again from the JSON, and compared
            .env("TRANSCRIPTION_WORD_TIMESTAMPS", "on")
            .env("TRANSCRIPTION_LANES", "1")
            .env("TRANSCRIPTION_SCRATCH_DIR", self.scratch.path())
            .env("TRANSCRIPTION_FFMPEG", self.ffmpeg())
            .env("RUST_LOG", "transcription_worker::pipeline=debug,info");
        if self.engine == Engine::Scripted {
            command.env("TRANSCRIPTION_ENGINE_COMMAND", scripted_engine());
        }
        command
    }

    /// Starts a worker and kills it exactly there; what it had inferred.
    async fn kill_at(&self, step: Step) -> f64 {
        let (input, output) = (self.rig.audio_bucket(), self.rig.output_bucket());
        match step {
            Received => self.wire.will(look(&input)),
            Fetching => self.wire.will(download(&input).after_bytes(self.audio.len() / 2)),
            Decoding | Inferring => {}
            Checkpointing => self.wire.will(request(format!("PUT /{output}/{FOLDER}.checkpoint/"))),
            Writing(extension) => self.wire.will(request(format!("PUT /{output}/{FOLDER}transcript.{extension}?"))),
            Publishing => self.wire.will(request("AWSEvents.PutEvents")),
            Published => self.wire.will(answer("AWSEvents.PutEvents")),
            Deleting => self.wire.will(request("AmazonSQS.DeleteMessage")),
            Deleted => self.wire.will(answer("AmazonSQS.DeleteMessage")),
        }
        let mut worker = Running::start(&mut self.worker(&self.wire.endpoint));
        // open until the worker is dead: to the decoder its end would be that of the audio
        let feed = OnceCell::new();
        match step {
            Decoding => {
                wait_until("the decoder waits for its first byte", async || {
                    pipe::OpenOptions::new().open_sender(self.ffmpeg_output()).is_ok_and(|it| feed.set(it).is_ok())
                })
                .await;
            }
            Inferring => drop(worker.logs("\"window finished\"").await),
            _ => self.wire.hits(1).await,
        }
        worker.kill().await;
        worker.log().iter().filter(|line| line.contains("\"window finished\"")).count() as f64
    }

    /// Keys of the output, without their folder.
    async fn objects(&self) -> BTreeSet<String> {
        let listed = self.rig.s3.list_objects_v2().bucket(self.rig.output_bucket()).send().await.unwrap();
        let keys = listed.contents().iter().map(|object| object.key().unwrap());
        keys.map(|key| key.strip_prefix(FOLDER).unwrap().to_owned()).collect()
    }

    /// All that a killed worker leaves, in words.
    async fn found(&self) -> String {
        let mut found = Vec::new();
        if downloads(self.scratch.path()) > 0 {
            found.push("download".to_owned());
        }
        for key in self.objects().await {
            found.push(match key.split_once('/') {
                Some((folder, _)) => folder.trim_start_matches('.').replace("started", "start marker"),
                None => key.trim_start_matches("transcript.").to_owned(),
            });
        }
        let events = self.rig.counts_of(&self.rig.done).await.0;
        found.extend((events > 0).then(|| "event".to_owned()));
        found.extend((self.rig.counts().await == (0, 0)).then(|| "no message".to_owned()));
        if found.is_empty() { "nothing".to_owned() } else { found.join(", ") }
    }

    /// The next worker, from its start to its end; its log.
    async fn recover(&self) -> Vec<String> {
        let mut worker = Running::start(&mut self.worker(&self.rig.endpoint));
        worker.logs("worker ready").await;
        let left: Vec<_> = std::fs::read_dir(self.scratch.path()).unwrap().map(|entry| entry.unwrap()).collect();
        assert_eq!(left.len(), 1, "its own directory, and nothing of the dead worker's: {left:?}");
        assert_eq!(left[0].metadata().unwrap().permissions().mode() & 0o777, 0o700);
        self.rig.queue_is_empty().await;
        assert!(worker.stop().await.success());
        assert_eq!(std::fs::read_dir(self.scratch.path()).unwrap().count(), 0, "nothing is left on the disk");
        worker.log()
    }

    /// The objects are those of this job, all of one transcript, and no others.
    async fn assert_whole(&self) {
        let expected = RENDITIONS.map(|(extension, _)| format!("transcript.{extension}"));
        assert_eq!(self.objects().await, BTreeSet::from(expected));
        let document = self.rig.transcript("talk").await.unwrap();
        assert_valid("transcript.json", &document);
        assert_eq!(document["job"]["job_id"], "talk", "{document:#}");
        let transcript = parse(&self.rig.object(&format!("{FOLDER}transcript.json")).await.unwrap()).unwrap();
        let sentence = if self.engine == Engine::Scripted { "all is well" } else { "fellow american" };
        assert!(transcript.text.to_lowercase().contains(sentence), "{}", transcript.text);
        for (extension, format) in RENDITIONS {
            let written = self.rig.object(&format!("{FOLDER}transcript.{extension}")).await.unwrap();
            assert!(written == transcript.render(format).unwrap(), "{extension} is of another transcript");
        }
    }

    /// How many events there were, each of them right.
    async fn events(&self) -> usize {
        let mut count = 0;
        while count == 0 || self.rig.counts_of(&self.rig.done).await.0 > 0 {
            let event = self.rig.event().await;
            assert_eq!((&event["status"], &event["jobId"]), (&json!("completed"), &json!("talk")), "{event:#}");
            count += 1;
        }
        count
    }
}

async fn killed_at(step: Step, engine: Engine) -> Row {
    let killing = Killing::new(engine).await;
    let rig = &killing.rig;
    if step == Decoding {
        // no built-in decoder knows it, and the one that is asked waits for its other end
        rig.upload("talk", b"#!AMR\n".to_vec()).await;
        assert!(Command::new("mkfifo").arg(killing.ffmpeg_output()).status().await.unwrap().success());
    } else {
        rig.upload("talk", killing.audio.clone()).await;
    }
    rig.send(rig.job("talk", "talk")).await;
    let first_inferred = killing.kill_at(step).await;
    let found = killing.found().await;
    if step == Decoding {
        std::fs::remove_file(killing.ffmpeg_output()).unwrap();
        std::fs::write(killing.ffmpeg_output(), matroska_audio(&killing.audio).await).unwrap();
    }
    let log = killing.recover().await;
    killing.assert_whole().await;
    assert_eq!(rig.counts_of(&rig.dead).await, (0, 0), "no dead letter");
    let events = killing.events().await;
    let twice = matches!(step, Published | Deleting);
    assert_eq!(events, if twice { 2 } else { 1 }, "{step}: at least once, and no oftener than it must be");

    let lines = |text: &str| log.iter().filter(|line| line.contains(text)).collect::<Vec<_>>();
    let receives = if step == Deleted { 1 } else { 2 };
    if step != Deleted {
        assert!(!lines("\"receive_count\":2").is_empty(), "{step}: {log:#?}");
        assert!(lines("\"receive_count\":3").is_empty(), "{step}: {log:#?}");
    }
    let done = lines("\"job done\"");
    // once the JSON is there, its presence is the proof, and nothing is transcribed again
    let again = !matches!(step, Publishing | Published | Deleting | Deleted);
    assert_eq!(done.len(), usize::from(again), "{step}: {log:#?}");
    let windows = done.first().map_or(first_inferred, |line| number(line, "windows"));
    let second_inferred = done.first().map_or(0.0, |line| number(line, "windows_inferred"));
    Row { step, found, receives, events, windows, repeated: first_inferred + second_inferred - windows }
}

/// Files that workers have downloaded.
fn downloads(scratch: &Path) -> usize {
    let directories = std::fs::read_dir(scratch).unwrap().map(|entry| entry.unwrap().path());
    let files = directories.flat_map(|directory| std::fs::read_dir(directory).unwrap());
    files.filter(|file| file.as_ref().unwrap().metadata().unwrap().len() > 0).count()
}

/// Asked what a file holds it says so, and asked for its sound it gives what lies beside it.
const FFMPEG: &str = "#!/bin/sh
case \"$*\" in
*pipe:1*) exec cat \"$0.out\" ;;
*) echo 'Input #0, amr, from file:' >&2; echo '  Stream #0:0: Audio: amr_nb, 8000 Hz, mono, flt' >&2; exit 1 ;;
esac
";

/// What ffmpeg makes of a file for the worker: Matroska with plain samples.
async fn matroska_audio(wav: &[u8]) -> Vec<u8> {
    let place = scratch();
    let path = place.path().join("talk.wav");
    std::fs::write(&path, wav).unwrap();
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-loglevel", "error", "-i"]).arg(&path).args(["-c:a", "pcm_f32le", "-f", "matroska", "pipe:1"]);
    let made = ffmpeg.output().await.unwrap();
    assert!(made.status.success(), "{made:?}");
    made.stdout
}

#[tokio::test]
async fn a_worker_killed_at_any_step_leaves_a_job_that_the_next_one_ends_whole() {
    // the other two need the real engine: resume.rs
    let steps = STEPS.into_iter().filter(|step| !matches!(step, Inferring | Checkpointing));
    join_all(steps.map(|step| killed_at(step, Engine::Scripted))).await;
}

/// Run by `make crash-matrix`.
#[tokio::test]
#[ignore = "takes minutes"]
async fn crash_matrix() {
    /// Each loads the model.
    const AT_ONCE: usize = 5;
    let rows = stream::iter(STEPS).map(|step| killed_at(step, Engine::Real)).buffered(AT_ONCE);
    println!("{:<30} | {:<62} | receives | events | windows repeated | outcome", "killed", "found by the next worker");
    println!("{:-<30} | {:-<62} | -------- | ------ | ---------------- | -------", "", "");
    let rows: Vec<Row> = rows.collect().await;
    for Row { step, found, receives, events, windows, repeated } in &rows {
        let repeated = format!("{repeated} of {windows}");
        println!("{step:<30} | {found:<62} | {receives:>8} | {events:>6} | {repeated:>16} | whole");
    }
    let windows = rows.iter().map(|row| row.repeated).sum::<f64>();
    println!("{} kills, {windows} windows repeated in all, nothing lost", rows.len());
}
