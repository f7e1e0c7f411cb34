//! Who speaks when in files, as RTTM on stdout: what `make bench-speakers` scores. No text is made.
//!
//! `turns [--speakers on|N|MIN-MAX|off] MODELS_DIR FILE…`; `off` only decodes, for telling what the rest costs.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use transcription_worker::audio::{AudioOptions, Listener, Window, read_windows};
use transcription_worker::job::Channels;
use transcription_worker::job::speakers::SpeakersSetting;
use transcription_worker::model::speakers;
use transcription_worker::speakers::{Tracker, Voices};

/// Hears a file without making text of it.
struct Ear(Option<Tracker>);

impl Listener for Ear {
    fn hear(&mut self, index: usize, position: u64, samples: &[f32]) {
        if let Some(tracker) = &mut self.0 {
            tracker.hear(index, position, samples);
        }
    }

    fn restart(&mut self) {
        if let Some(tracker) = &mut self.0 {
            tracker.restart();
        }
    }

    fn window(&mut self, _: Window) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("turns: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut setting: SpeakersSetting = "on".parse()?;
    if arguments.first().is_some_and(|first| first == "--speakers") {
        setting = arguments.get(1).ok_or("--speakers needs a value")?.parse()?;
        arguments.drain(..2);
    }
    let (models, files) = arguments.split_first().ok_or("usage: turns [--speakers …] MODELS_DIR FILE…")?;
    let voices = Voices::new(speakers::resolve(Path::new(models)).map_err(|e| e.to_string()));
    for file in files.iter().map(PathBuf::from) {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().replace(' ', "_");
        let options = AudioOptions { channels: Channels::Mix, max_duration_secs: 360_000.0, ffmpeg: None, clip: None };
        let mut ear = Ear(setting.0.map(|count| voices.tracker(count, Channels::Mix)));
        read_windows(&file, &name, &options, &mut ear).map_err(|fault| format!("{}: {fault:?}", file.display()))?;
        let Some(tracker) = ear.0 else { continue };
        for turn in tracker.finish()?.iter().flat_map(|followed| &followed.turns) {
            let secs = turn.end - turn.start;
            println!("SPEAKER {name} 1 {:.3} {secs:.3} <NA> <NA> {} <NA> <NA>", turn.start, turn.speaker + 1);
        }
    }
    Ok(())
}
