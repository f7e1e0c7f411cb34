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
//! With `SCRIPTED_ENGINE=broken` in the environment it ends before it is ready; with `SCRIPTED_ENGINE=talkative` it
//! answers with as many words as people say in a window, for measuring what they cost. `SCRIPTED_ENGINE_DELAY_MS` is how
//! long it takes over each window, one after the other. `SCRIPTED_ENGINE_SAYS` is what it says in the place of "all is
//! well".

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
    let mode = std::env::var("SCRIPTED_ENGINE").unwrap_or_default();
    if mode == "broken" {
        return ExitCode::FAILURE;
    }
    let says = std::env::var("SCRIPTED_ENGINE_SAYS");
    match serve(if mode == "talkative" { TALK } else { says.as_deref().unwrap_or("all is well") }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the scripted engine ends: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(talk: &str) -> io::Result<()> {
    let (mut windows, mut answers) = (BufReader::new(io::stdin().lock()), io::stdout().lock());
    let backend = "scripted".to_owned();
    let info = EngineInfo { protocol: PROTOCOL, multilingual: false, backend, lanes: LANES, load_ms: 0 };
    write_frame(&mut answers, &Response::Ready(info), &[])?;
    let delay = std::env::var("SCRIPTED_ENGINE_DELAY_MS").ok().and_then(|ms| ms.parse().ok()).unwrap_or_default();
    while let Some((Request { id, options }, samples)) = read_frame(&mut windows)? {
        sleep(Duration::from_millis(delay));
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
        pieces.extend(letters.chunks(TOKEN_LETTERS + 1).map(|token| Piece { text: token.iter().collect(), p: 0.9 }));
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
