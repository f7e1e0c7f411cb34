//! An engine that behaves as badly as each window's prompt asks for: what the tests put in the place of whisper.cpp.
//!
//! | prompt | behaviour |
//! |---|---|
//! | `abort` | ends by SIGABRT, as an assertion of whisper.cpp does |
//! | `exit` | ends with status 0 without an answer |
//! | `garbage` | writes what is no frame |
//! | `hang` | never answers this window; answers the others |
//! | `count` | says how many samples it was given |
//! | anything else | "all is well" |
//!
//! With `SCRIPTED_ENGINE=broken` in the environment it ends before it is ready. `SCRIPTED_ENGINE_DELAY_MS` is how long it
//! takes over each window, one after the other.

use std::io::{self, BufReader, Write};
use std::process::ExitCode;
use std::time::Duration;

use transcription_worker::transcribe::wire::{
    EngineInfo, PROTOCOL, Piece, Request, Response, WindowText, read_frame, write_frame,
};

/// Windows at a time: as many as the jobs that the tests send at once.
const LANES: usize = 4;

fn main() -> ExitCode {
    if std::env::var_os("SCRIPTED_ENGINE").is_some_and(|mode| mode == "broken") {
        return ExitCode::FAILURE;
    }
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the scripted engine ends: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let (mut windows, mut answers) = (BufReader::new(io::stdin().lock()), io::stdout().lock());
    let backend = "scripted".to_owned();
    let info = EngineInfo { protocol: PROTOCOL, multilingual: false, backend, lanes: LANES, load_ms: 0 };
    write_frame(&mut answers, &Response::Ready(info), &[])?;
    let delay = std::env::var("SCRIPTED_ENGINE_DELAY_MS").ok().and_then(|ms| ms.parse().ok()).unwrap_or_default();
    while let Some((Request { id, options }, samples)) = read_frame(&mut windows)? {
        std::thread::sleep(Duration::from_millis(delay));
        match options.prompt.as_deref() {
            Some("abort") => std::process::abort(),
            Some("exit") => return Ok(()),
            Some("garbage") => {
                answers.write_all(&[0xff; 64])?;
                answers.flush()?;
            }
            Some("hang") => {}
            Some("count") => say(&mut answers, id, &format!("{} samples", samples.len()))?,
            _ => say(&mut answers, id, "all is well")?,
        }
    }
    Ok(())
}

fn say(answers: &mut impl Write, id: u64, said: &str) -> io::Result<()> {
    let pieces = said.split(' ').map(|word| Piece { text: format!(" {word}"), p: 0.9 });
    let text = WindowText {
        language: "en".to_owned(),
        no_speech_prob: 0.01,
        avg_logprob: -0.1,
        pieces: pieces.collect(),
        busy_ms: 1,
        ..WindowText::default()
    };
    write_frame(answers, &Response::Done { id, text }, &[])
}
