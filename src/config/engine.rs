//! How audio is transcribed.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};

use super::within;
use crate::job::speakers::SpeakersSetting;
use crate::job::{Channels, Task, language};

/// Where the engine runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// The GPU if this build has CUDA, else the CPU
    #[default]
    Auto,
    /// The CPU
    Cpu,
    /// The GPU
    Cuda,
}

/// How audio is transcribed: the same for the worker, `transcribe` and `bench`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Transcription")]
pub struct EngineConfig {
    /// Model: a name of `model list` that was pulled, or the path of a ggml file
    #[arg(long, env = "TRANSCRIPTION_MODEL", default_value = "tiny.en", value_name = "NAME|PATH")]
    pub model: String,

    /// Where models are kept [default: ./models if it exists, else the user's data directory]
    #[arg(long, env = "TRANSCRIPTION_MODELS_DIR", value_name = "DIR")]
    pub models_dir: Option<PathBuf>,

    /// Spoken language: a code such as `en`, or `auto` to decide it from the first windows of a job
    #[arg(long, env = "TRANSCRIPTION_LANGUAGE", default_value = "auto")]
    pub language: String,

    /// The languages that are spoken: each window of speech is decided between them
    #[arg(long, env = "TRANSCRIPTION_LANGUAGES", value_delimiter = ',', value_name = "CODE,…")]
    pub languages: Vec<String>,

    /// Transcribe, or translate to English (multilingual models, turbo aside)
    #[arg(long, env = "TRANSCRIPTION_TASK", value_enum, default_value_t)]
    pub task: Task,

    /// Words to expect: names, spelling, style
    #[arg(long, env = "TRANSCRIPTION_PROMPT", value_name = "TEXT")]
    pub prompt: Option<String>,

    /// Times for each word in the JSON
    #[arg(long, env = "TRANSCRIPTION_WORD_TIMESTAMPS", value_parser = FalseyValueParser::new())]
    pub word_timestamps: bool,

    /// Mix all channels, or transcribe each by itself
    #[arg(long, env = "TRANSCRIPTION_CHANNELS", value_enum, default_value_t)]
    pub channels: Channels,

    /// Tell who speaks, by numbers: `on`, how many there are, or between how many; needs `model pull speakers`
    #[arg(
        long,
        env = "TRANSCRIPTION_SPEAKERS",
        num_args = 0..=1,
        require_equals = true,
        default_value = "off",
        default_missing_value = "on",
        value_name = "on|off|N|MIN-MAX"
    )]
    pub speakers: SpeakersSetting,

    /// Where the engine runs
    #[arg(long, env = "TRANSCRIPTION_DEVICE", value_enum, default_value_t)]
    pub device: Device,

    /// Indices of the GPUs to use, one engine process each
    #[arg(long, env = "TRANSCRIPTION_GPUS", value_delimiter = ',', default_value = "0", value_name = "N,…")]
    pub gpus: Vec<u8>,

    /// Windows transcribed at a time by each engine; `bench` takes several [default: 2 per core, 8 on a GPU]
    #[arg(long, env = "TRANSCRIPTION_LANES", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=64), value_name = "N")]
    pub lanes: Vec<u8>,

    /// Cores that compute the same windows together; with 1 each core has windows of its own
    #[arg(long, env = "TRANSCRIPTION_THREADS", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64), value_name = "N")]
    pub threads: u8,

    /// How the model's matrices are held in memory: `f16`, `bf16` or `q8_0`, or the encoder's and the decoder's with a comma
    /// between; `auto` as the device computes fastest
    #[arg(long, env = "TRANSCRIPTION_WEIGHTS", default_value = "auto", value_name = "KIND", hide_short_help = true)]
    pub weights: String,

    /// Texts of a window that are followed, of which the most probable is taken; 1 is greedy
    #[arg(long, env = "TRANSCRIPTION_BEAM_SIZE", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8), value_name = "N")]
    pub beam_size: u8,

    /// An answer may take this long, in seconds, and `engine_timeout_factor` times the window's length on top
    #[arg(
        long,
        env = "TRANSCRIPTION_ENGINE_TIMEOUT_BASE_SECS",
        default_value_t = 60,
        value_name = "SECS",
        hide = true
    )]
    pub engine_timeout_base_secs: u32,

    /// An answer may take 60 s and this many times the window's length before the engine counts as hung; 30 s is the length
    /// of all windows on a GPU and with beam search
    #[arg(
        long,
        env = "TRANSCRIPTION_ENGINE_TIMEOUT_FACTOR",
        default_value_t = 8.0,
        value_parser = within(0.0..=1000.0),
        value_name = "X",
        hide_short_help = true
    )]
    pub engine_timeout_factor: f64,

    /// A new engine process after so many windows, against leaks
    #[arg(
        long,
        env = "TRANSCRIPTION_ENGINE_RECYCLE_WINDOWS",
        default_value_t = 20_000,
        value_name = "N",
        hide_short_help = true
    )]
    pub engine_recycle_windows: u64,

    /// Another program in the engine's place (tests)
    #[arg(long, env = "TRANSCRIPTION_ENGINE_COMMAND", hide = true)]
    pub engine_command: Option<PathBuf>,

    /// Whether ffmpeg may read what the built-in decoders cannot
    #[arg(
        long,
        env = "TRANSCRIPTION_FFMPEG",
        default_value = "ffmpeg",
        value_name = "PROGRAM|off",
        hide_short_help = true
    )]
    pub ffmpeg: String,

    /// Longest audio taken, in hours
    #[arg(long, env = "TRANSCRIPTION_MAX_DURATION_HOURS", default_value_t = 24.0, value_parser = within(0.001..=10_000.0), value_name = "HOURS")]
    pub max_duration_hours: f64,
}

impl EngineConfig {
    /// Language of the windows, checked, or two languages and more to decide between; neither detects it.
    ///
    /// # Errors
    /// Not a language Whisper knows, or both settings at once.
    pub fn spoken(&self) -> Result<(Option<String>, Vec<String>), String> {
        let named: Vec<&str> =
            self.languages.iter().map(|named| named.trim()).filter(|named| !named.is_empty()).collect();
        let mut languages = language::codes(&named)
            .map_err(|unknown| format!("--languages {unknown}: not a language Whisper knows"))?;
        if self.language == language::AUTO {
            return Ok(if languages.len() == 1 { (languages.pop(), languages) } else { (None, languages) });
        }
        if !languages.is_empty() {
            return Err("--language and --languages exclude each other".to_owned());
        }
        let code = language::code(&self.language);
        let code = code.ok_or_else(|| format!("--language {}: not a language Whisper knows", self.language))?;
        Ok((Some(code.to_owned()), languages))
    }
}
