//! What a job asks for, the worker's defaults put in where it says nothing.

use super::Defaults;
use crate::audio::AudioOptions;
use crate::job::wording::Wording;
use crate::job::{Format, Job, Task, language};
use crate::transcribe::wire::WindowOptions;
use crate::transcript::Request;
use crate::wording::redaction;

/// How one job is done.
#[derive(Debug, Clone)]
pub struct Asked {
    /// How it is decoded.
    pub audio: AudioOptions,
    /// How each window is transcribed.
    pub window: WindowOptions,
    /// What is wanted of single words.
    pub wording: Wording,
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
        let speakers = options.speakers.unwrap_or(defaults.speakers);
        let wording = if options.wording == Wording::default() { &defaults.wording } else { &options.wording };
        let subtitles = options.subtitles.unwrap_or(defaults.subtitles);
        let asked = Defaults { audio, window, word_timestamps, wording: wording.clone(), subtitles, speakers };
        let request = asked.request(options.formats.as_deref().unwrap_or(formats));
        Self { window: asked.window_options(), audio: asked.audio, wording: asked.wording, request }
    }

    /// How each window is transcribed, as a checkpoint may say it: what is private in the prompt is not in it.
    pub fn bound(&self) -> WindowOptions {
        let prompt = self.window.prompt.as_ref().map(|prompt| redaction::redact_text(prompt, &self.wording.redact));
        WindowOptions { prompt, ..self.window.clone() }
    }

    /// Transcribe or translate.
    pub fn task(&self) -> Task {
        self.window.task
    }
}
