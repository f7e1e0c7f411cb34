//! One run over all files, and what it came to.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::Serialize;

use super::complain;
use super::inputs::Entry;
use super::process::{age_secs, peak_mib};
use super::wer::{self, Errors};
use crate::app;
use crate::audio::recording::{LocalFile, Recording};
use crate::config::EngineConfig;
use crate::exit;
use crate::handler::Control;
use crate::health::Health;
use crate::job::Format;
use crate::model::Model;
use crate::pipeline::Defaults;
use crate::pipeline::assemble::{self, About};
use crate::pipeline::listen::{Listening, listen};
use crate::speakers::Voices;
use crate::transcribe::Transcriber;

/// What one run came to.
#[derive(Debug, Default, Serialize)]
#[expect(missing_docs, reason = "each is what its name and unit say")]
pub struct Figures {
    pub lanes: usize,
    pub jobs: usize,
    pub files: usize,
    pub failed: usize,
    pub audio_secs: f64,
    pub speech_secs: f64,
    pub wall_secs: f64,
    pub x_realtime: f64,
    pub decode_secs: f64,
    pub lane_secs: f64,
    pub lanes_busy: f64,
    pub render_secs: f64,
    pub windows: u32,
    pub windows_retried: u32,
    pub windows_dropped: u32,
    /// From the start of this process, or of the run when it is not the first, to that of the engine.
    pub command_ms: u64,
    /// From there until the engine is ready.
    pub start_ms: u64,
    /// From there to the first answer.
    pub first_window_ms: u64,
    /// All three.
    pub start_to_first_window_ms: u64,
    pub daemon_peak_mib: f64,
    pub engine_peak_mib: f64,
    pub word_error_rate: Option<f64>,
    pub errors: Errors,
}

/// What all runs share.
pub struct Bench<'a> {
    /// Path and entry of each.
    pub files: &'a [(PathBuf, Entry)],
    /// How to decode and transcribe.
    pub defaults: &'a Defaults,
    /// Who tells voices apart.
    pub voices: &'a Voices,
    /// The weights.
    pub model: &'a Model,
    /// Files at a time; `None` is one more than lanes.
    pub jobs: Option<usize>,
    /// Where transcripts go, if anywhere.
    pub output_dir: Option<&'a Path>,
}

/// One file's share of the figures.
struct FileFigures {
    heard_secs: (f64, f64),
    decode_secs: f64,
    render_secs: f64,
    windows: [u32; 3],
    errors: Errors,
}

impl Bench<'_> {
    /// Starts an engine and has it transcribe every file. `before` is what this process did for it already.
    ///
    /// # Errors
    /// The engine does not start. A file that fails is counted and named on stderr.
    pub async fn run(&self, config: &EngineConfig, before: Duration) -> Result<Figures, String> {
        let started = Instant::now();
        let engine = app::start_engine(config, self.model, Health::default()).await?;
        let start = started.elapsed();
        let jobs = self.jobs.unwrap_or(engine.lanes() + 1).max(1);
        let mut figures = Figures { lanes: engine.lanes(), jobs, files: self.files.len(), ..Figures::default() };
        let started = Instant::now();
        let first_window: Arc<OnceLock<Duration>> = Arc::default();
        let mut waiting = self.files.iter();
        let mut at_work = FuturesUnordered::new();
        loop {
            while at_work.len() < jobs
                && let Some((path, entry)) = waiting.next()
            {
                let first = first_window.clone();
                let on_progress = move |_| {
                    first.get_or_init(|| started.elapsed());
                };
                at_work.push(self.transcribe(path, entry, &engine, Box::new(on_progress)));
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
        figures.set_starts([before, start, first_window.get().copied().unwrap_or_default()]);
        let stats = engine.stats();
        figures.lane_secs = stats.busy_ms() as f64 / 1000.0;
        figures.lanes_busy = figures.lane_secs / (figures.wall_secs * figures.lanes as f64).max(1e-9);
        figures.daemon_peak_mib = peak_mib("self");
        figures.engine_peak_mib =
            stats.engines().iter().map(|engine| peak_mib(&engine.pid.load(Ordering::Relaxed).to_string())).sum();
        figures.word_error_rate = figures.errors.rate();
        engine.end().await;
        Ok(figures)
    }

    async fn transcribe(
        &self,
        path: &Path,
        entry: &Entry,
        engine: &Transcriber,
        on_progress: Box<dyn Fn(f64) + Send + Sync>,
    ) -> Result<FileFigures, String> {
        let about = About::local(&entry.file, 0, self.defaults, self.model);
        let mut recording = LocalFile::new(path.to_owned());
        if let Some(count) = self.defaults.speakers {
            recording.follow(self.voices.tracker(count, self.defaults.audio.channels));
        }
        let listening = Listening {
            recording: Box::new(recording),
            name: entry.file.clone(),
            audio: self.defaults.audio.clone(),
            options: self.defaults.window_options(),
            share: Default::default(),
            on_progress: Some(on_progress),
            on_step: Box::new(|| ()),
            resume: None,
        };
        let heard = listen(listening, engine, &Control::default()).await.map_err(|fault| fault.to_string())?;
        let decode_secs = heard.decode.as_secs_f64();
        let rendering = Instant::now();
        let transcript = assemble::transcript(heard, about);
        let json = transcript.render(Format::Json).map_err(|e| e.to_string())?;
        let render_secs = rendering.elapsed().as_secs_f64();
        if let Some(dir) = self.output_dir {
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
}

impl Figures {
    fn set_starts(&mut self, [command, engine, window]: [Duration; 3]) {
        self.command_ms = command.as_millis() as u64;
        self.start_ms = engine.as_millis() as u64;
        self.first_window_ms = window.as_millis() as u64;
        self.start_to_first_window_ms = (command + engine + window).as_millis() as u64;
    }

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

/// How long this process has been at it, for [`Bench::run`].
pub fn since_process_start() -> Duration {
    Duration::try_from_secs_f64(age_secs().unwrap_or_default()).unwrap_or_default()
}
