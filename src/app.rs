//! The composition root: the only place that names adapters. Builds what the commands run from the configuration.

use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::audio::AudioOptions;
use crate::config::{Device, EngineConfig};
use crate::engine;
use crate::health::Health;
use crate::model::retype::{self, Storage};
use crate::model::{self, Model};
use crate::pipeline::Defaults;
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
    let (encoder, decoder) = weights(model, gpus.is_empty());
    let mut engines = Vec::new();
    for gpu in devices {
        let own = own_engine(&encoder, decoder.as_deref(), lanes, usize::from(config.threads), gpu)
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
fn gpus(config: &EngineConfig) -> Result<&[u8], String> {
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

/// Lanes of each engine.
fn lanes(config: &EngineConfig, on_gpu: bool) -> usize {
    /// Streams that fill a GPU of g4dn to g6 without running out of its memory with large-v3-turbo.
    const GPU_LANES: usize = 4;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = usize::from(config.threads);
    config.lanes.first().copied().map_or(if on_gpu { GPU_LANES } else { (cores / threads).max(1) }, usize::from)
}

/// The files the engine loads, to encode and to decode with: the model's own, or copies that the CPU is faster with, made
/// at the first time beside it or in the cache.
pub fn weights(model: &Model, on_cpu: bool) -> (PathBuf, Option<PathBuf>) {
    if !on_cpu {
        return (model.path.clone(), None);
    }
    let beside = model.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let places: Vec<PathBuf> = iter::once(beside.to_owned()).chain(model::cache_dir()).collect();
    let copy = |storage| {
        retype::copy(model, storage, &places)
            .inspect_err(|e| tracing::warn!("the model is used as it is, which is slower: {e}"))
            .ok()
    };
    let encoder = if engine::multiplies_bf16() { copy(Storage::Bf16) } else { None };
    (encoder.unwrap_or_else(|| model.path.clone()), copy(Storage::Q8))
}

/// This worker, as transcripts name it.
pub fn worker_ref(instance: String) -> WorkerRef {
    WorkerRef { version: env!("CARGO_PKG_VERSION").to_owned(), instance }
}
