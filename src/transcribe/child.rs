//! One engine process: its pipes, its log lines, its end.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::Signal;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::link::{Launch, Link};
use super::wire::{EngineInfo, PROTOCOL, Request, Response, encode_frame, read_response};

/// A pipe that takes no byte for so long has no reader: the largest frame is 2 MB.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Loading 3 GB of weights from a cold network volume takes a minute or two.
const START_TIMEOUT: Duration = Duration::from_secs(300);

/// After its stdin has ended an engine that is well is gone within milliseconds.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

/// A process whose stdout has ended is gone at once, or writes a core dump, which takes a slow machine seconds.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);

/// No line of a log is longer.
const MAX_LINE_BYTES: u64 = 64 << 10;

/// What to run.
#[derive(Debug, Clone)]
pub struct EngineCommand {
    /// The program: this binary, or a script in a test.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

/// A running engine. Killed when dropped.
#[derive(Debug)]
struct Child {
    info: EngineInfo,
    process: tokio::process::Child,
    stdin: Option<ChildStdin>,
    responses: mpsc::Receiver<io::Result<Response>>,
    /// What reads its pipes; ends with it.
    _readers: JoinSet<()>,
}

#[async_trait]
impl Launch for EngineCommand {
    /// Errors: it cannot be started, ended early, spoke another protocol or took longer than five minutes.
    async fn launch(&self) -> Result<Box<dyn Link>, String> {
        Ok(Box::new(Child::start(self).await?))
    }
}

impl Child {
    async fn start(command: &EngineCommand) -> Result<Self, String> {
        let program = command.program.display();
        let mut process = Command::new(&command.program)
            .args(&command.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // a Ctrl-C at the terminal is for the daemon, which will end its engine when the work is given back
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| format!("failed to start the engine {program}: {e}"))?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (process.stdin.take(), process.stdout.take(), process.stderr.take())
        else {
            return Err(format!("failed to start the engine {program}: no pipes"));
        };
        let (sender, responses) = mpsc::channel(64);
        let mut readers = JoinSet::new();
        readers.spawn(relay_log(stderr));
        readers.spawn(read_responses(stdout, sender));
        let info = EngineInfo::default();
        let mut child = Self { info, process, stdin: Some(stdin), responses, _readers: readers };
        match timeout(START_TIMEOUT, child.receive()).await {
            Ok(Ok(Response::Ready(info))) if info.protocol == PROTOCOL => child.info = info,
            Ok(Ok(Response::Failed { reason, .. })) => {
                return Err(format!("the engine {program} did not start: {reason}"));
            }
            Ok(Ok(_)) => return Err(format!("the engine {program} speaks another protocol")),
            Ok(Err(reason)) => return Err(format!("the engine {program} did not start: {reason}")),
            Err(_) => return Err(format!("the engine {program} was not ready within {START_TIMEOUT:?}")),
        }
        Ok(child)
    }
}

#[async_trait]
impl Link for Child {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    async fn send(&mut self, request: &Request, pcm: &[f32]) -> Result<(), String> {
        let frame = encode_frame(request, pcm).map_err(|e| e.to_string())?;
        let Some(stdin) = &mut self.stdin else { return Err("its stdin was closed".to_owned()) };
        match timeout(WRITE_TIMEOUT, stdin.write_all(&frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(format!("it takes no window: {e}")),
            Err(_) => Err(format!("it has read nothing for {WRITE_TIMEOUT:?}")),
        }
    }

    async fn receive(&mut self) -> Result<Response, String> {
        match self.responses.recv().await {
            Some(Ok(response)) => Ok(response),
            Some(Err(e)) => Err(format!("it answers garbage: {e}")),
            // how, if the system says so at once
            None => Err(match timeout(STATUS_TIMEOUT, self.process.wait()).await {
                Ok(Ok(status)) => how_it_ended(status),
                Ok(Err(_)) | Err(_) => "it ended".to_owned(),
            }),
        }
    }

    fn was_killed(&mut self) -> bool {
        // nothing in the engine sends itself this one
        matches!(self.process.try_wait(), Ok(Some(status)) if status.signal() == Some(Signal::KILL.as_raw()))
    }

    async fn end(mut self: Box<Self>) -> String {
        drop(self.stdin.take());
        let status = match timeout(EXIT_TIMEOUT, self.process.wait()).await {
            Ok(status) => status,
            Err(_) => return self.kill().await,
        };
        status.map_or_else(|e| e.to_string(), |status| status.to_string())
    }

    async fn kill(mut self: Box<Self>) -> String {
        // an error means that it has ended already, which is what is wanted
        let _ = self.process.start_kill();
        self.process.wait().await.map_or_else(|e| e.to_string(), |status| status.to_string())
    }
}

/// The status in words, with a cure where the signal alone tells it.
fn how_it_ended(status: ExitStatus) -> String {
    let cure = match status.signal().and_then(Signal::from_named_raw) {
        Some(Signal::ILL) => ": it was built for another processor; use a portable build (GGML_NATIVE=OFF)",
        Some(Signal::KILL) => ": the kernel had no memory for it, or somebody killed it",
        _ => "",
    };
    format!("it ended ({status}){cure}")
}

async fn read_responses(stdout: ChildStdout, to: mpsc::Sender<io::Result<Response>>) {
    let mut from = BufReader::new(stdout);
    loop {
        let response = match read_response(&mut from).await {
            Ok(Some(response)) => Ok(response),
            Ok(None) => return,
            Err(e) => Err(e),
        };
        let last = response.is_err();
        if to.send(response).await.is_err() || last {
            return;
        }
    }
}

/// Relays what the engine says until it ends: what is not read fills the pipe and stops the engine.
async fn relay_log(stderr: ChildStderr) {
    let mut from = BufReader::new(stderr);
    while let Some(line) = next_line(&mut from).await {
        relay(&line);
    }
}

/// The next line as far as it is text, one that is too long in pieces; `None` at the end.
async fn next_line(from: &mut (impl AsyncBufRead + Unpin)) -> Option<String> {
    let mut line = Vec::new();
    match from.take(MAX_LINE_BYTES).read_until(b'\n', &mut line).await {
        Ok(1..) => Some(String::from_utf8_lossy(&line).trim_end().to_owned()),
        Ok(0) | Err(_) => None,
    }
}

/// The engine's own lines are JSON records; whisper.cpp's assertions are plain text.
fn relay(line: &str) {
    let record: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let text = record.get("message").and_then(|m| m.as_str()).unwrap_or(line);
    match record.get("level").and_then(|level| level.as_str()) {
        Some("TRACE" | "DEBUG" | "INFO") => tracing::debug!(target: "engine", "{text}"),
        Some("WARN") | None => tracing::warn!(target: "engine", "{text}"),
        Some(_) => tracing::error!(target: "engine", "{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_for_another_processor_is_named_with_its_cure() {
        let died = how_it_ended(ExitStatus::from_raw(Signal::ILL.as_raw()));
        assert!(died.contains("SIGILL") && died.contains("GGML_NATIVE=OFF"), "{died}");
        assert_eq!(how_it_ended(ExitStatus::from_raw(1 << 8)), "it ended (exit status: 1)");
    }

    #[tokio::test]
    async fn what_is_no_text_or_never_ends_does_not_end_the_log() {
        let endless = "x".repeat(3 * MAX_LINE_BYTES as usize / 2);
        let said = [b"\xff broken\n".as_slice(), endless.as_bytes(), b"\nlast"].concat();
        let mut from = BufReader::new(said.as_slice());
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut from).await {
            lines.push(line);
        }
        assert_eq!((lines[0].as_str(), lines.len()), ("\u{fffd} broken", 4));
        assert_eq!((lines[1].len() + lines[2].len(), lines[3].as_str()), (endless.len(), "last"));
    }
}
