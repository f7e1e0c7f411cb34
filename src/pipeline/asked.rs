//! What a job asks for, the worker's defaults put in where it says nothing.

use super::Defaults;
use crate::audio::AudioOptions;
use crate::job::{Format, Job, Task, language};
use crate::transcribe::wire::WindowOptions;
use crate::transcript::Request;

/// How one job is done.
#[derive(Debug, Clone)]
pub struct Asked {
    /// How it is decoded.
    pub audio: AudioOptions,
    /// How each window is transcribed.
    pub window: WindowOptions,
    /// What the transcript says of it.
    pub request: Request,
}

impl Asked {
    /// What `job` asks for; `formats` are written where it names none.
    pub fn of(job: &Job, defaults: &Defaults, formats: &[Format]) -> Self {
        let options = &job.options;
        let mut audio = defaults.audio.clone();
        audio.channels = options.channels.unwrap_or(audio.channels);
        audio.clip = options.clip.or(audio.clip);
        let mut window = defaults.window.clone();
        // any word of the job about languages stands in the place of the worker's
        if options.language.is_some() || options.languages.is_some() {
            window.language = options.language.clone().filter(|language| language != language::AUTO);
            window.languages = options.languages.clone().unwrap_or_default();
        }
        window.task = options.task.unwrap_or(window.task);
        window.prompt = options.prompt.clone().or(window.prompt);
        let word_timestamps = options.word_timestamps.unwrap_or(defaults.word_timestamps);
        let asked = Defaults { audio, window, word_timestamps };
        let request = asked.request(options.formats.as_deref().unwrap_or(formats));
        Self { audio: asked.audio, window: asked.window, request }
    }

    /// Transcribe or translate.
    pub fn task(&self) -> Task {
        self.window.task
    }
}
