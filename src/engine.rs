//! The engine process: `transcription-worker engine`, a child of the daemon. It holds the weights once and runs N
//! lanes; windows come in on stdin and answers go out on stdout (see `transcribe::wire`), log lines on stderr. It may
//! abort, hang or leak as whisper.cpp pleases: the daemon handles that from outside (`transcribe::supervisor`).

use std::io::{self, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::transcribe::wire::{Response, write_frame};

pub mod device;
pub mod greedy;
pub mod lanes;
pub mod native;
pub mod processor;
pub mod spectrogram;
pub mod whisper;

/// What the engine process is started with.
#[derive(Debug, Clone, clap::Args)]
pub struct EngineArgs {
    /// The ggml file
    #[arg(long)]
    pub model: PathBuf,
    /// A ggml file of the same model to decode with; without it the first is used for both
    #[arg(long)]
    pub decoder_model: Option<PathBuf>,
    /// Windows transcribed at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub lanes: u8,
    /// Threads in each lane
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

/// Whether this CPU, and the kernels this program was built with, multiply bf16 matrices in hardware: 1.7 times as fast
/// as f16, at the same accuracy.
pub fn multiplies_bf16() -> bool {
    processor::compiled(whisper_rs::print_system_info(), "AVX512_BF16")
}
