//! See the library.

fn main() -> std::process::ExitCode {
    transcription_worker::cli::main()
}
