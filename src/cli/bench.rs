//! `bench`: speed, memory and accuracy of the whole way over files, through the worker's own path.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};

use super::{complain, exit};
use crate::app;
use crate::config::EngineConfig;
use crate::job::Format;
use crate::model::Model;
use crate::pipeline::listen::{Listening, listen};
use crate::pipeline::{Defaults, assemble};
use crate::transcribe::Transcriber;
use crate::transcript::{JobRef, SourceRef};
use crate::worker::Control;
use wer::Errors;

pub mod wer;

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// Audio files, or directories of them
    #[arg(value_name = "FILE|DIR", required_unless_present = "manifest")]
    files: Vec<PathBuf>,

    /// JSON with `files: [{file, text, language, kind}]`, paths relative to it: prints word error rates of its English texts
    #[arg(long, value_name = "JSON")]
    manifest: Option<PathBuf>,

    /// Only the manifest's files of these kinds
    #[arg(long, value_delimiter = ',', requires = "manifest", value_name = "KIND,…")]
    kinds: Vec<String>,

    /// Files at a time [default: one more than lanes, as the worker does]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Write each file's JSON transcript here, under its manifest path with `/` as `__`
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,

    #[command(flatten)]
    engine: EngineConfig,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    files: Vec<Entry>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Entry {
    file: String,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    language: Option<String>,
    #[serde(default)]
    kind: String,
}

/// One run over all files.
#[derive(Debug, Default, Serialize)]
struct Figures {
    lanes: usize,
    jobs: usize,
    files: usize,
    failed: usize,
    audio_secs: f64,
    speech_secs: f64,
    wall_secs: f64,
    x_realtime: f64,
    decode_secs: f64,
    lane_secs: f64,
    lanes_busy: f64,
    render_secs: f64,
    windows: u32,
    windows_retried: u32,
    windows_dropped: u32,
    start_ms: u64,
    daemon_peak_mib: f64,
    engine_peak_mib: f64,
    word_error_rate: Option<f64>,
    errors: Errors,
}

/// Runs the command: 0 only if every file could be transcribed.
pub async fn main(args: BenchArgs) -> u8 {
    let prepared = || {
        let entries = entries(&args)?;
        Ok::<_, String>((entries, app::defaults(&args.engine)?, app::resolve_model(&args.engine)?))
    };
    let (entries, defaults, model) = match prepared() {
        Ok(prepared) => prepared,
        Err(message) => return complain(&message, exit::CONFIG),
    };
    let lanes: Vec<Option<u8>> =
        if args.engine.lanes.is_empty() { vec![None] } else { args.engine.lanes.iter().copied().map(Some).collect() };
    let mut status = exit::OK;
    let mut table = Vec::new();
    for lanes in lanes {
        let mut engine = args.engine.clone();
        engine.lanes = lanes.into_iter().collect();
        match measure(&args, &engine, &entries, &defaults, &model).await {
            Ok(figures) => table.push(figures),
            Err(message) => return complain(&message, exit::UNAVAILABLE),
        }
    }
    if table.iter().any(|figures| figures.failed > 0) {
        status = exit::FAILED;
    }
    print(&table, &model, args.json);
    status
}

async fn measure(
    args: &BenchArgs,
    config: &EngineConfig,
    entries: &[(PathBuf, Entry)],
    defaults: &Defaults,
    model: &Model,
) -> Result<Figures, String> {
    let started = Instant::now();
    let engine = app::start_engine(config, model).await?;
    let start_ms = started.elapsed().as_millis() as u64;
    let jobs = args.jobs.unwrap_or(engine.lanes() + 1).max(1);
    let mut figures = Figures { lanes: engine.lanes(), jobs, files: entries.len(), start_ms, ..Figures::default() };
    let started = Instant::now();
    let mut waiting = entries.iter();
    let mut at_work = FuturesUnordered::new();
    loop {
        while at_work.len() < jobs
            && let Some((path, entry)) = waiting.next()
        {
            at_work.push(one(args, path, entry, defaults, model, &engine));
        }
        match at_work.next().await {
            Some(Ok(file)) => figures.add(&file),
            Some(Err(message)) => {
                figures.failed += 1;
                complain(&message, exit::FAILED);
            }
            None => break,
        }
    }
    drop(at_work);
    figures.wall_secs = started.elapsed().as_secs_f64();
    figures.x_realtime = figures.audio_secs / figures.wall_secs.max(1e-9);
    let stats = engine.stats();
    figures.lane_secs = stats.busy_ms.load(Ordering::Relaxed) as f64 / 1000.0;
    figures.lanes_busy = figures.lane_secs / (figures.wall_secs * figures.lanes as f64).max(1e-9);
    figures.daemon_peak_mib = peak_mib("self");
    figures.engine_peak_mib = peak_mib(&stats.pid.load(Ordering::Relaxed).to_string());
    figures.word_error_rate = figures.errors.rate();
    engine.end().await;
    Ok(figures)
}

/// One file's share of the figures.
struct FileFigures {
    heard_secs: (f64, f64),
    decode_secs: f64,
    render_secs: f64,
    windows: [u32; 3],
    errors: Errors,
}

async fn one(
    args: &BenchArgs,
    path: &Path,
    entry: &Entry,
    defaults: &Defaults,
    model: &Model,
    engine: &Transcriber,
) -> Result<FileFigures, String> {
    let listening = Listening {
        path: path.to_owned(),
        name: entry.file.clone(),
        audio: defaults.audio.clone(),
        options: defaults.window.clone(),
        on_progress: None,
        resume: None,
    };
    let heard = listen(listening, engine, &Control::default()).await.map_err(|fault| fault.to_string())?;
    let decode_secs = heard.decode.as_secs_f64();
    let rendering = Instant::now();
    let job = JobRef { job_id: entry.file.clone(), user_id: "bench".into(), file_id: entry.file.clone() };
    let source = SourceRef { bucket: String::new(), key: entry.file.clone(), etag: String::new(), size_bytes: 0 };
    let transcript = assemble(
        heard,
        job,
        source,
        defaults.window.task,
        defaults.word_timestamps,
        model,
        app::worker_ref(String::new()),
    );
    let json = transcript.render(Format::Json).map_err(|e| e.to_string())?;
    let render_secs = rendering.elapsed().as_secs_f64();
    if let Some(dir) = &args.output_dir {
        let path = dir.join(format!("{}.json", entry.file.replace('/', "__")));
        std::fs::write(&path, json).map_err(|e| format!("failed to write {}: {e}", path.display()))?;
    }
    let english = entry.language.as_deref().is_none_or(|language| language == "en");
    let errors = match &entry.text {
        Some(text) if english => wer::compare(text, &transcript.text),
        _ => Errors::default(),
    };
    let quality = &transcript.quality;
    Ok(FileFigures {
        heard_secs: (transcript.audio.duration, transcript.audio.speech_duration),
        decode_secs,
        render_secs,
        windows: [quality.windows, quality.windows_retried, quality.windows_dropped],
        errors,
    })
}

impl Figures {
    fn add(&mut self, file: &FileFigures) {
        self.audio_secs += file.heard_secs.0;
        self.speech_secs += file.heard_secs.1;
        self.decode_secs += file.decode_secs;
        self.render_secs += file.render_secs;
        self.windows += file.windows[0];
        self.windows_retried += file.windows[1];
        self.windows_dropped += file.windows[2];
        self.errors.add(file.errors);
    }
}

fn entries(args: &BenchArgs) -> Result<Vec<(PathBuf, Entry)>, String> {
    let mut entries = Vec::new();
    if let Some(path) = &args.manifest {
        let unreadable = |e: &dyn std::fmt::Display| format!("failed to read the manifest {}: {e}", path.display());
        let text = std::fs::read_to_string(path).map_err(|e| unreadable(&e))?;
        let manifest: Manifest = serde_json::from_str(&text).map_err(|e| unreadable(&e))?;
        let dir = path.parent().unwrap_or(Path::new("."));
        let wanted =
            |entry: &Entry| if args.kinds.is_empty() { entry.text.is_some() } else { args.kinds.contains(&entry.kind) };
        entries.extend(manifest.files.into_iter().filter(wanted).map(|entry| (dir.join(&entry.file), entry)));
    }
    for path in &args.files {
        let mut found = vec![path.clone()];
        if path.is_dir() {
            let listing = std::fs::read_dir(path).map_err(|e| format!("failed to read {}: {e}", path.display()))?;
            found = listing.filter_map(Result::ok).map(|item| item.path()).filter(|path| path.is_file()).collect();
            found.sort();
        }
        entries.extend(found.into_iter().map(|path| {
            let entry = Entry { file: path.display().to_string(), ..Entry::default() };
            (path, entry)
        }));
    }
    Ok(entries)
}

/// Peak resident size of a process, in MiB; 0 where it cannot be read.
fn peak_mib(pid: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

fn print(table: &[Figures], model: &Model, json: bool) {
    if json {
        println!("{}", serde_json::json!({ "model": model.name, "sha256": model.sha256, "runs": table }));
        return;
    }
    println!("model {}", model.name);
    println!(
        "{:>5} {:>4} {:>5} {:>9} {:>8} {:>8} {:>9} {:>6} {:>7} {:>7} {:>8} {:>8} {:>7} {:>5} {:>5} {:>5}",
        "lanes",
        "jobs",
        "files",
        "audio s",
        "wall s",
        "x real",
        "decode s",
        "busy",
        "windows",
        "again",
        "daemon M",
        "engine M",
        "WER %",
        "sub",
        "del",
        "ins"
    );
    for f in table {
        println!(
            "{:>5} {:>4} {:>5} {:>9.1} {:>8.2} {:>8.1} {:>9.2} {:>5.0}% {:>7} {:>7} {:>8.0} {:>8.0} {:>7} {:>5} {:>5} {:>5}",
            f.lanes,
            f.jobs,
            f.files,
            f.audio_secs,
            f.wall_secs,
            f.x_realtime,
            f.decode_secs,
            f.lanes_busy * 100.0,
            f.windows,
            f.windows_retried,
            f.daemon_peak_mib,
            f.engine_peak_mib,
            f.word_error_rate.map_or_else(|| "-".to_owned(), |rate| format!("{:.2}", rate * 100.0)),
            f.errors.substituted,
            f.errors.deleted,
            f.errors.inserted,
        );
    }
}
