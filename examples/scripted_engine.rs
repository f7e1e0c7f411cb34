//! An engine that behaves as badly as each window's prompt asks for: what the tests put in the place of whisper.cpp.
//!
//! | prompt | behaviour |
//! |---|---|
//! | `abort` | ends by SIGABRT, as an assertion of whisper.cpp does |
//! | `exit` | ends with status 0 without an answer |
//! | `garbage` | writes what is no frame |
//! | `hang` | never answers this window; answers the others |
//! | `slow` | "all is well", after 50 ms |
//! | `count` | says how many samples it was given, and as many words as people say in that time |
//! | anything else | "all is well" |
//!
//! `SCRIPTED_ENGINE` in the environment is what it does whatever the prompt:
//!
//! | mode | behaviour |
//! |---|---|
//! | `broken` | ends before it is ready |
//! | `loading` | is not ready as long as it lives |
//! | `sick-abort` | is ready, and ends by SIGABRT at each window: a GPU for which the build has no code |
//! | `sick-failed` | is ready, and refuses each window: a GPU whose memory a neighbour took |
//! | `gone` | as `sick-abort`, and ends before it is ready from its second start on; the first makes the file `SCRIPTED_ENGINE_MARK` |
//! | `talkative` | answers with as many words as people say in a window, for measuring what they cost |
//!
//! With `SCRIPTED_ENGINE_GPU` only the engine of this GPU does so. `SCRIPTED_ENGINE_DELAY_MS` is how long it takes over each
//! window, one after the other. `SCRIPTED_ENGINE_SAYS` is what it says in the place of "all is well".

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use transcription_worker::transcribe::wire::{
    EngineInfo, PROTOCOL, Piece, Request, Response, WindowText, read_frame, write_frame,
};

/// Windows at a time: as many as the jobs that the tests send at once.
const LANES: usize = 4;

/// What `slow` takes.
const SLOW: Duration = Duration::from_millis(50);

/// Half a minute of speech, 80 words: the beginning of the Gettysburg Address.
const TALK: &str = "Four score and seven years ago our fathers brought forth on this continent, a new nation, conceived \
    in Liberty, and dedicated to the proposition that all men are created equal. Now we are engaged in a great civil \
    war, testing whether that nation, or any nation so conceived and so dedicated, can long endure. We are met on a \
    great battle-field of that war. We have come to dedicate a portion of that field, as a final resting place.";

/// Three words a second.
const SAMPLES_PER_WORD: usize = 16_000 / 3;

/// Whisper's tokens of English: words that are longer come in several.
const TOKEN_LETTERS: usize = 7;

fn main() -> ExitCode {
    let mode = mode();
    if mode == "broken" || (mode == "gone" && !is_first_start()) {
        return ExitCode::FAILURE;
    }
    match serve(&mode) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the scripted engine ends: {error}");
            ExitCode::FAILURE
        }
    }
}

fn mode() -> String {
    let gpu = std::env::args().skip_while(|arg| arg != "--gpu").nth(1);
    match std::env::var("SCRIPTED_ENGINE_GPU") {
        Ok(sick) if gpu.as_ref() != Some(&sick) => String::new(),
        _ => std::env::var("SCRIPTED_ENGINE").unwrap_or_default(),
    }
}

fn is_first_start() -> bool {
    let mark = std::env::var_os("SCRIPTED_ENGINE_MARK").unwrap_or_default();
    File::create_new(mark).is_ok()
}

fn serve(mode: &str) -> io::Result<()> {
    let (mut windows, mut answers) = (BufReader::new(io::stdin().lock()), io::stdout().lock());
    if mode == "loading" {
        io::copy(&mut windows, &mut io::sink())?;
        return Ok(());
    }
    let says = std::env::var("SCRIPTED_ENGINE_SAYS");
    let talk = if mode == "talkative" { TALK } else { says.as_deref().unwrap_or("all is well") };
    let backend = "scripted".to_owned();
    let info = EngineInfo { protocol: PROTOCOL, backend, lanes: LANES, ..EngineInfo::default() };
    write_frame(&mut answers, &Response::Ready(info), &[])?;
    let delay = std::env::var("SCRIPTED_ENGINE_DELAY_MS").ok().and_then(|ms| ms.parse().ok()).unwrap_or_default();
    while let Some((Request { id, options }, samples)) = read_frame(&mut windows)? {
        sleep(Duration::from_millis(delay));
        match mode {
            "sick-abort" | "gone" => std::process::abort(),
            "sick-failed" => {
                let reason = "whisper failed to encode a window: code -6".to_owned();
                write_frame(&mut answers, &Response::Failed { id, reason }, &[])?;
                continue;
            }
            _ => {}
        }
        match options.prompt.as_deref() {
            Some("abort") => std::process::abort(),
            Some("exit") => return Ok(()),
            Some("garbage") => {
                answers.write_all(&[0xff; 64])?;
                answers.flush()?;
            }
            Some("hang") => {}
            Some("count") => {
                // with fewer words the window would be listened to again
                let words: Vec<&str> = TALK.split(' ').take(samples.len() / SAMPLES_PER_WORD).collect();
                say(&mut answers, id, &format!("{} samples {}", samples.len(), words.join(" ")))?;
            }
            prompt => {
                if prompt == Some("slow") {
                    sleep(SLOW);
                }
                say(&mut answers, id, talk)?;
            }
        }
    }
    Ok(())
}

fn say(answers: &mut impl Write, id: u64, said: &str) -> io::Result<()> {
    let mut pieces = Vec::new();
    for word in said.split_whitespace() {
        let letters: Vec<char> = format!(" {word}").chars().collect();
        pieces.extend(letters.chunks(TOKEN_LETTERS + 1).map(|token| Piece {
            text: token.iter().collect(),
            p: 0.9,
            said: None,
        }));
    }
    let text = WindowText {
        language: "en".to_owned(),
        no_speech_prob: 0.01,
        avg_logprob: -0.1,
        pieces,
        busy_ms: 1,
        ..WindowText::default()
    };
    write_frame(answers, &Response::Done { id, text }, &[])
}
