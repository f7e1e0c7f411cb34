//! The composition root: the only place that names adapters. Builds what the commands run from the configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::audio::AudioOptions;
use crate::config::{Device, EngineConfig};
use crate::engine;
use crate::health::Health;
use crate::job::subtitles::Subtitles;
use crate::job::wording::Wording;
use crate::model::{self, Model, leftovers};
use crate::pipeline::Defaults;
use crate::speakers::Voices;
use crate::transcribe::child::EngineCommand;
use crate::transcribe::supervisor::EngineSettings;
use crate::transcribe::wire::WindowOptions;
use crate::transcribe::{Transcriber, own_engine};
use crate::transcript::WorkerRef;

pub mod aws;
pub mod checkup;
pub mod daemon;
pub mod letters;
pub mod machine;
pub mod places;
pub mod proof;

/// What a job gets where it asks for nothing else.
///
/// # Errors
/// A setting is wrong.
pub fn defaults(config: &EngineConfig) -> Result<Defaults, String> {
    let (language, languages) = config.spoken()?;
    Ok(Defaults {
        audio: AudioOptions {
            channels: config.channels,
            max_duration_secs: config.max_duration_hours * 3600.0,
            ffmpeg: ffmpeg_program(config),
            clip: None,
        },
        window: WindowOptions {
            language,
            languages,
            task: config.task,
            prompt: config.prompt.clone(),
            beam_size: config.beam_size,
            careful: false,
        },
        word_timestamps: config.word_timestamps,
        speakers: config.speakers.0,
        wording: Wording::default(),
        subtitles: Subtitles::default(),
    })
}

/// The program that decodes what we cannot; `None` when it is absent or switched off.
pub fn ffmpeg_program(config: &EngineConfig) -> Option<PathBuf> {
    if config.ffmpeg == "off" {
        return None;
    }
    let named = PathBuf::from(&config.ffmpeg);
    if named.components().count() > 1 {
        return named.is_file().then_some(named);
    }
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(&named)).find(|path| path.is_file())
}

/// The model's file, verified.
///
/// # Errors
/// It is not there or damaged; the sentence says how to get it.
pub fn resolve_model(config: &EngineConfig) -> Result<Model, String> {
    let dir = config.models_dir.clone().unwrap_or_else(model::default_models_dir);
    let model = model::resolve(&config.model, &dir).map_err(|e| e.to_string())?;
    let (language, languages) = config.spoken()?;
    match model.refusal(language.iter().chain(&languages).map(String::as_str), config.task) {
        Some(why) => Err(why),
        None => Ok(model),
    }
}

/// Who tells voices apart; loaded when somebody asks.
///
/// # Errors
/// All jobs are to have their speakers told, and the nets are not there or damaged; the sentence says how to get them.
pub fn voices(config: &EngineConfig) -> Result<Voices, String> {
    let dir = config.models_dir.clone().unwrap_or_else(model::default_models_dir);
    match model::speakers::resolve(&dir).map_err(|e| e.to_string()) {
        Err(why) if config.speakers.0.is_some() => Err(why),
        nets => Ok(Voices::new(nets)),
    }
}

/// Whether the engine's kernels run on this machine's processor.
///
/// # Errors
/// It lacks instructions that they were compiled for; the sentence names them and the cure.
pub fn suits_processor(config: &EngineConfig) -> Result<(), String> {
    // another program in the engine's place has other kernels
    if config.engine_command.is_some() {
        return Ok(());
    }
    engine::processor::unsuited().map_or(Ok(()), Err)
}

/// Starts the engine processes; `health` is told how they do.
///
/// # Errors
/// One does not start.
pub async fn start_engine(config: &EngineConfig, model: &Model, health: Health) -> Result<Transcriber, String> {
    suits_processor(config)?;
    let gpus = gpus(config)?;
    let lanes = lanes(config, !gpus.is_empty());
    let devices: Vec<Option<u8>> = if gpus.is_empty() { vec![None] } else { gpus.iter().copied().map(Some).collect() };
    let beside = model.path.parent().map(Path::to_owned);
    beside.into_iter().chain(model::cache_dir()).for_each(|dir| leftovers::remove(model, &dir));
    let mut engines = Vec::new();
    for gpu in devices {
        let own = own_engine(&model.path, &config.weights, config.beam_size, lanes, usize::from(config.threads), gpu)
            .map_err(|e| format!("failed to find the path of this program: {e}"))?;
        let command = match &config.engine_command {
            Some(program) => EngineCommand { program: program.clone(), ..own },
            None => own,
        };
        engines.push(EngineSettings {
            launch: Arc::new(command),
            timeout_base: Duration::from_secs(u64::from(config.engine_timeout_base_secs)),
            timeout_factor: config.engine_timeout_factor,
            recycle_after_windows: config.engine_recycle_windows,
        });
    }
    Transcriber::start(engines, health).await
}

/// GPUs to use; empty for the CPU.
///
/// # Errors
/// A GPU is asked for that this build cannot use.
pub fn gpus(config: &EngineConfig) -> Result<&[u8], String> {
    match config.device {
        Device::Cpu => Ok(&[]),
        Device::Auto if !cfg!(feature = "cuda") => Ok(&[]),
        // another program in the engine's place knows its own devices
        Device::Cuda if !cfg!(feature = "cuda") && config.engine_command.is_none() => {
            Err("--device cuda: this program was built without CUDA; build it with --features cuda".to_owned())
        }
        Device::Auto | Device::Cuda => Ok(&config.gpus),
    }
}

/// Windows at a time in each engine.
fn lanes(config: &EngineConfig, on_gpu: bool) -> usize {
    /// Rows of a batch: so many read the weights together. Twice as many made no file faster, a short job's wait longer and the
    /// engine larger.
    const ROWS: usize = 2;
    const GPU_ROWS: usize = 8;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let streams = if on_gpu { 1 } else { (cores / usize::from(config.threads)).max(1) };
    let rows = if on_gpu { GPU_ROWS } else { ROWS };
    // each text that a beam search follows is a row
    let rows = (rows / usize::from(config.beam_size)).max(1);
    // the engine takes no more
    config.lanes.first().copied().map_or((streams * rows).min(64), usize::from)
}

/// This worker, as transcripts name it.
pub fn worker_ref(instance: String) -> WorkerRef {
    WorkerRef { version: env!("CARGO_PKG_VERSION").to_owned(), instance }
}
