//! `transcribe`: files, here and now, through the worker's own path.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tempfile::NamedTempFile;

use super::clip::ClipArgs;
use super::complain;
use super::subtitles::SubtitleArgs;
use super::wording::WordingArgs;
use crate::app;
use crate::audio;
use crate::audio::recording::{LocalFile, Recording};
use crate::config::EngineConfig;
use crate::exit;
use crate::fault::Fault;
use crate::handler::Control;
use crate::health::Health;
use crate::job::Format;
use crate::model::Model;
use crate::pipeline::Defaults;
use crate::pipeline::assemble::{self, About};
use crate::pipeline::listen::{Listening, listen};
use crate::speakers::Voices;
use crate::transcribe::Transcriber;
use crate::transcript::Transcript;

use outputs::Outputs;

mod outputs;

/// Arguments of `transcribe`.
#[derive(Debug, clap::Args)]
pub struct TranscribeArgs {
    /// Audio or video files; `-` is stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// What to write
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "json,txt,srt,vtt",
        value_name = "FORMAT,…",
        requires = "output_dir"
    )]
    formats: Vec<Format>,

    /// Write `<stem>.<format>` here instead of text to stdout; the whole name where two files share a stem
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,

    #[command(flatten)]
    clip: ClipArgs,

    #[command(flatten)]
    wording: WordingArgs,

    #[command(flatten)]
    subtitles: SubtitleArgs,

    #[command(flatten)]
    engine: EngineConfig,
}

/// Runs the command: 0 only if every file succeeded.
pub async fn main(args: TranscribeArgs) -> u8 {
    let prepared = async {
        let mut defaults = app::defaults(&args.engine)?;
        defaults.audio.clip = args.clip.clip()?;
        defaults.wording = args.wording.wording()?;
        defaults.subtitles = args.subtitles.subtitles()?;
        let model = app::resolve_model(&args.engine)?;
        let voices = app::voices(&args.engine)?;
        if let Some(dir) = &args.output_dir {
            std::fs::create_dir_all(dir).map_err(|e| format!("failed to create {}: {e}", dir.display()))?;
        }
        let outputs = match &args.output_dir {
            Some(dir) => Some(outputs::plan(&args.files, dir, &args.formats)?),
            None => None,
        };
        let engine = app::start_engine(&args.engine, &model, Health::default()).await?;
        Ok::<_, String>((Local { defaults, model, voices, engine }, outputs))
    };
    let (local, outputs) = match prepared.await {
        Ok(prepared) => prepared,
        Err(message) => return complain(&message, exit::CONFIG),
    };
    let control = Control::default();
    let abort = control.abort.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            abort.cancel();
        }
    });
    let mut status = exit::OK;
    for (at, file) in args.files.iter().enumerate() {
        let outputs = outputs.as_ref().and_then(|outputs| outputs.get(at));
        let result = transcribe_file(file, outputs, &local, &control).await;
        if let Err(message) = result {
            status = complain(&message, exit::FAILED);
        }
        if control.abort.is_cancelled() {
            break;
        }
    }
    local.engine.end().await;
    status
}

/// What all files are transcribed with.
struct Local {
    defaults: Defaults,
    model: Model,
    voices: Voices,
    engine: Transcriber,
}

async fn transcribe_file(
    file: &Path,
    outputs: Option<&Outputs>,
    local: &Local,
    control: &Control,
) -> Result<(), String> {
    let Local { defaults, model, voices, engine } = local;
    let name = if file == Path::new("-") { "stdin".to_owned() } else { file.display().to_string() };
    let spooled = if file == Path::new("-") { Some(spool_stdin()?) } else { None };
    let path = spooled.as_ref().map_or(file, NamedTempFile::path);
    let size_bytes = std::fs::metadata(path).map_err(|e| format!("failed to read {name}: {e}"))?.len();
    let progress = progress_bar(&name);
    let started = Instant::now();
    let about = About::local(&name, size_bytes, defaults, model);
    let mut recording = LocalFile::new(path.to_owned());
    if let Some(count) = defaults.speakers {
        recording.follow(voices.tracker(count, defaults.audio.channels));
    }
    let listening = Listening {
        recording: Box::new(recording),
        name: name.clone(),
        audio: defaults.audio.clone(),
        options: defaults.window_options(),
        share: Default::default(),
        on_progress: Some(Box::new({
            let progress = progress.clone();
            let whole_secs = if progress.is_hidden() { None } else { audio::likely_secs(path, &name) };
            move |done_secs| show(&progress, done_secs, whole_secs, started.elapsed())
        })),
        on_step: Box::new(|| ()),
        resume: None,
    };
    let heard = listen(listening, engine, control).await;
    progress.finish_and_clear();
    let heard = heard.map_err(|fault| match fault {
        Fault::Permanent(problem) | Fault::Transient(problem) | Fault::Unable(problem) => problem.message,
        Fault::Interrupted | Fault::LeaseLost => format!("{name}: interrupted"),
    })?;
    let transcript = assemble::transcript(heard, about);
    for warning in &transcript.warnings {
        eprintln!("transcription-worker: {name}: {}", warning.message);
    }
    output(&transcript, &name, outputs)
}

/// Writes the transcripts, or the text alone to stdout.
fn output(transcript: &Transcript, name: &str, outputs: Option<&Outputs>) -> Result<(), String> {
    let rendered = |format| transcript.render(format).map_err(|e| format!("failed to render {name}: {e}"));
    let Some(outputs) = outputs else {
        let text = rendered(Format::Txt)?;
        return io::stdout().write_all(&text).map_err(|e| format!("failed to write the text of {name}: {e}"));
    };
    for (format, path) in outputs {
        std::fs::write(path, rendered(*format)?).map_err(|e| format!("failed to write {}: {e}", path.display()))?;
        if let (Format::Json, Some(unredacted)) = (format, &transcript.unredacted) {
            let path = path.with_extension("unredacted.json");
            let json = unredacted.render(Format::Json).map_err(|e| format!("failed to render {name}: {e}"))?;
            std::fs::write(&path, json).map_err(|e| format!("failed to write {}: {e}", path.display()))?;
        }
    }
    Ok(())
}

fn spool_stdin() -> Result<NamedTempFile, String> {
    let spool = || {
        let mut file = NamedTempFile::new()?;
        io::copy(&mut io::stdin().lock(), &mut file)?;
        Ok(file)
    };
    spool().map_err(|e: io::Error| format!("failed to read stdin: {e}"))
}

fn progress_bar(name: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    // the template is a constant of ours
    if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {msg}") {
        bar.set_style(style);
    }
    bar.set_prefix(name.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn show(bar: &ProgressBar, done_secs: f64, whole_secs: Option<f64>, elapsed: Duration) {
    let speed = done_secs / elapsed.as_secs_f64().max(1e-3);
    let left = whole_secs.map_or(String::new(), |whole| {
        format!(" of {}, {} left", clock(whole), clock((whole - done_secs).max(0.0) / speed.max(1e-3)))
    });
    bar.set_message(format!("{} done{left}, {speed:.1} x realtime", clock(done_secs)));
}

/// Minutes and seconds.
fn clock(secs: f64) -> String {
    format!("{}:{:02}", (secs / 60.0) as u64, secs as u64 % 60)
}
