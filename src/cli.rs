//! The commands.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::RunConfig;
use crate::engine::{self, EngineArgs};
use crate::exit;
use crate::heap;
use crate::telemetry::{self, LogTo};

pub mod bench;
pub mod check;
mod clip;
pub mod dlq;
pub mod model;
pub mod run;
pub mod schema;
pub mod submit;
mod subtitles;
pub mod transcribe;
mod wording;

#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  transcription-worker model pull tiny.en          fetch and verify a model
  transcription-worker transcribe talk.mp3         text on stdout
  transcription-worker transcribe *.m4a --output-dir out --formats json,srt
  transcription-worker run --folder jobs           work on jobs/inbox, no AWS needed
  transcription-worker check                       is this worker's configuration sound?
  transcription-worker run                         the daemon; settings from TRANSCRIPTION_… variables

Every setting is a flag and an environment variable; see `run --help`.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Work on a queue until stopped: the daemon
    Run(Box<RunConfig>),
    /// Transcribe files, here and now
    Transcribe(Box<transcribe::TranscribeArgs>),
    /// Send a job to the queue
    Submit(Box<submit::SubmitArgs>),
    /// Dead letters: list them, look at one, send them again, remove them
    Dlq(dlq::DlqArgs),
    /// Fetch, list and verify models
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// Verify configuration, model, queue, buckets and bus; one line each
    Check(Box<RunConfig>),
    /// Measure speed, memory and accuracy on files
    Bench(Box<bench::BenchArgs>),
    /// Print the JSON Schemas of messages, events and transcripts
    Schema(schema::SchemaArgs),
    /// Print a completion script for your shell
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a directory, for packages
    #[command(hide = true)]
    Man {
        /// The directory, which must exist
        directory: PathBuf,
    },
    /// The engine process, started by the others
    #[command(hide = true)]
    Engine(EngineArgs),
}

/// Reads the command line and runs the command.
pub fn main() -> ExitCode {
    heap::give_large_blocks_back();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // nothing to be done about a terminal that takes no text
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::OK });
        }
    };
    telemetry::init(match &cli.command {
        Command::Run(_) => LogTo::Stdout,
        Command::Engine(_) => LogTo::Daemon,
        _ => LogTo::Stderr,
    });
    match cli.command {
        Command::Engine(args) => engine::main(&args),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "transcription-worker", &mut io::stdout());
            ExitCode::SUCCESS
        }
        Command::Man { directory } => match clap_mangen::generate_to(Cli::command(), &directory) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => ExitCode::from(complain(&format!("{}: {error}", directory.display()), exit::FAILED)),
        },
        Command::Run(config) => block_on(run::main(*config)),
        Command::Transcribe(args) => block_on(transcribe::main(*args)),
        Command::Submit(args) => block_on(submit::main(*args)),
        Command::Dlq(args) => block_on(dlq::main(args)),
        Command::Check(config) => block_on(check::main(*config)),
        Command::Bench(args) => block_on(bench::main(*args)),
        Command::Schema(args) => ExitCode::from(schema::main(&args)),
        Command::Model(command) => match model::run(command) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => ExitCode::from(complain(&error.to_string(), exit::FAILED)),
        },
    }
}

fn block_on(command: impl Future<Output = u8>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ExitCode::from(complain(&format!("no runtime: {error}"), exit::SOFTWARE)),
    };
    let status = runtime.block_on(command);
    // a decoder thread whose job was given up is not waited for
    runtime.shutdown_background();
    ExitCode::from(status)
}

/// Says on stderr what went wrong; returns the status.
pub fn complain(message: &str, status: u8) -> u8 {
    eprintln!("{}", telemetry::marked_for_journal(&format!("transcription-worker: {message}")));
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
