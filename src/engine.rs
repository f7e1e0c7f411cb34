//! The engine process: `transcription-worker engine`, a child of the daemon. It holds the weights once and runs N
//! lanes; windows come in on stdin and answers go out on stdout (see `transcribe::wire`), log lines on stderr. It may
//! abort, hang or leak as whisper.cpp pleases: the daemon handles that from outside (`transcribe::supervisor`).

use std::io::{self, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::transcribe::wire::{Response, write_frame};

pub mod alignment;
pub mod batch;
pub mod beam;
pub mod cache;
pub mod context;
pub mod decoder;
pub mod desk;
pub mod device;
pub mod embedding;
pub mod encoder;
pub mod forward;
pub mod greedy;
pub mod kinds;
pub mod lane;
pub mod lanes;
pub mod model;
pub mod native;
#[cfg(test)]
mod oracle;
pub mod pieces;
pub mod processor;
pub mod room;
pub mod row;
pub mod rules;
pub mod spectrogram;
pub mod throughput;
pub mod trial;
pub mod vocabulary;
pub mod weights;

/// What the engine process is started with.
#[derive(Debug, Clone, clap::Args)]
pub struct EngineArgs {
    /// The ggml file
    #[arg(long)]
    pub model: PathBuf,
    /// How matrices are stored: `f16`, `bf16` or `q8_0`, or the encoder's and the decoder's; `auto` as the device likes it
    #[arg(long, default_value = "auto")]
    pub weights: String,
    /// Windows transcribed at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub lanes: u8,
    /// Texts of a window that a beam search follows at most
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub beam_size: u8,
    /// Threads of each stream; on a processor there are as many streams as they leave cores for
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub threads: u8,
    /// The GPU's index; without it the CPU is used
    #[arg(long)]
    pub gpu: Option<u8>,
}

/// Runs until stdin ends, or says why it cannot. The exit status is for the supervisor's log only.
pub fn main(args: &EngineArgs) -> ExitCode {
    native::logs::redirect();
    let Err(error) = lanes::run(args, BufReader::with_capacity(1 << 20, io::stdin().lock()), io::stdout());
    // where nobody listens the log has it
    let _ = write_frame(&mut io::stdout(), &Response::Failed { id: 0, reason: error.to_string() }, &[]);
    tracing::error!("the engine ends: {error}");
    ExitCode::FAILURE
}
