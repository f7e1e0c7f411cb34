//! The document of what was heard.

use std::time::Duration;

use tokio::time::Instant;

use super::Defaults;
use super::listen::Heard;
use crate::audio::AudioReport;
use crate::fault::Code;
use crate::job::wording::{FEW_TERMS, Wording};
use crate::job::{Task, language};
use crate::model::Model;
use crate::publish::Status;
use crate::speakers::labels;
use crate::transcript::tidy::tidy_dropped;
use crate::transcript::{
    Dropped, JobRef, Language, LanguageShare, Mark, ModelRef, Quality, Request, Segment, SourceRef, Timings,
    Transcript, VERSION, Warning, WorkerRef, paragraph, round_ms, tidy,
};
use crate::wording;

/// Less sound than this is silence, 0.5 s.
const AUDIBLE_SECS: f64 = 0.5;

/// What a transcript says besides what was heard.
#[derive(Debug, Clone)]
pub struct About {
    /// Whose work it is.
    pub job: JobRef,
    /// What was read.
    pub source: SourceRef,
    /// Transcribed or translated.
    pub task: Task,
    /// What was asked for.
    pub request: Request,
    /// What is wanted of single words.
    pub wording: Wording,
    /// The weights.
    pub model: ModelRef,
    /// Who did it.
    pub worker: WorkerRef,
    /// Time the download took.
    pub fetch: Duration,
    /// When the work on it began.
    pub begun: Instant,
}

impl About {
    /// A file of this machine, which is nobody's job; work on it begins now.
    pub fn local(name: &str, size_bytes: u64, defaults: &Defaults, model: &Model) -> Self {
        Self {
            job: JobRef { job_id: name.to_owned(), user_id: "local".to_owned(), file_id: name.to_owned() },
            source: SourceRef { bucket: String::new(), key: name.to_owned(), etag: String::new(), size_bytes },
            task: defaults.window.task,
            request: defaults.request(&[]),
            wording: defaults.wording.clone(),
            model: model_ref(model),
            worker: WorkerRef { version: env!("CARGO_PKG_VERSION").to_owned(), instance: String::new() },
            fetch: Duration::ZERO,
            begun: Instant::now(),
        }
    }
}

/// The transcript, complete.
pub fn transcript(heard: Heard, about: About) -> Transcript {
    let About { job, source, task, request, wording, model, worker, fetch, begun } = about;
    let Heard { mut segments, mut quality, report, speakers, .. } = heard;
    let AudioReport { mut audio, mut warnings, sounds } = report;
    audio.duration = round_ms(audio.duration);
    audio.speech_duration = round_ms(audio.speech_duration);
    let speakers = match speakers {
        Some(Ok(followed)) => labels::label(&mut segments, &followed),
        Some(Err(why)) => {
            let message = format!("who speaks is not known: {why}");
            warnings.push(Warning { code: Code::SpeakersUnknown, message });
            Vec::new()
        }
        None => Vec::new(),
    };
    tidy(&mut segments, audio.duration);
    tidy_dropped(&mut quality.dropped, audio.duration);
    let mut marks = wording::replace_and_filter(&mut segments, &wording);
    let mut as_heard = wording.keeps_unredacted().then(|| (segments.clone(), quality.dropped.clone(), marks.clone()));
    marks.extend(wording::redact(&mut segments, &mut quality.dropped, &wording));
    marks.sort_by(|a, b| a.start.total_cmp(&b.start));
    for segments in [Some(&mut segments), as_heard.as_mut().map(|(segments, ..)| segments)].into_iter().flatten() {
        labels::split(segments);
    }
    if !request.word_timestamps {
        hide_words(&mut segments);
    }
    let secs = |time: Duration| round_ms(time.as_secs_f64());
    let status = if warnings.is_empty() { Status::Completed } else { Status::Partial };
    quality.sound_heard = round_ms(quality.sound_heard);
    quality.sound_unheard = round_ms(quality.sound_unheard);
    if segments.is_empty() && sounds.audible_secs >= AUDIBLE_SECS {
        // nothing of the audio is missing: the transcript is whole, and may be wrong
        let message = format!("no speech was understood in {:.1} s of sound", sounds.audible_secs);
        warnings.push(Warning { code: Code::NoSpeechFound, message });
    }
    if wording.vocabulary.len() > FEW_TERMS {
        let terms = wording.vocabulary.len();
        let message =
            format!("of {terms} terms of the vocabulary few are heard: about ten, at most {FEW_TERMS}, are best");
        warnings.push(Warning { code: Code::LongVocabulary, message });
    }
    let transcript = Transcript {
        version: VERSION.to_owned(),
        job,
        status,
        source,
        audio,
        language: heard.language.or_else(undetermined),
        languages: LanguageShare::of(&segments),
        task,
        request: Some(request),
        model,
        text: paragraph::join(&segments),
        paragraphs: paragraph::listed(&segments),
        timing: heard.timing.filter(|_| !segments.is_empty()),
        segments,
        speakers,
        marks,
        quality,
        warnings,
        timings: Timings {
            fetch: secs(fetch),
            decode: secs(heard.decode),
            transcribe: secs(heard.transcribe),
            total: secs(begun.elapsed()),
        },
        worker,
        unredacted: None,
    };
    let unredacted = as_heard.map(|(segments, dropped, marks)| as_it_was_heard(&transcript, segments, dropped, marks));
    Transcript { unredacted: unredacted.map(Box::new), ..transcript }
}

/// The transcript with what was taken out of it.
fn as_it_was_heard(
    redacted: &Transcript,
    mut segments: Vec<Segment>,
    dropped: Vec<Dropped>,
    marks: Vec<Mark>,
) -> Transcript {
    if redacted.request.as_ref().is_none_or(|request| !request.word_timestamps) {
        hide_words(&mut segments);
    }
    let quality = Quality { dropped, ..redacted.quality.clone() };
    let (text, paragraphs) = (paragraph::join(&segments), paragraph::listed(&segments));
    Transcript { text, paragraphs, segments, quality, marks, ..redacted.clone() }
}

/// Keeps the words for the renditions and out of the document.
fn hide_words(segments: &mut [Segment]) {
    for segment in segments {
        segment.unwritten_words = std::mem::take(&mut segment.words);
    }
}

/// Where nothing was said.
fn undetermined() -> Option<Language> {
    Some(Language { code: language::UNDETERMINED.to_owned(), probability: None })
}

/// The weights, as transcripts name them.
pub fn model_ref(model: &Model) -> ModelRef {
    ModelRef { name: model.name.clone(), sha256: model.sha256.clone() }
}

#[cfg(test)]
mod tests;
