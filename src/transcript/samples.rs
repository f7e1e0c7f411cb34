//! Transcripts for tests.

use super::*;
use crate::job::Task;

/// Eleven seconds of one speaker, with word times in its second segment and a pause before its third.
pub fn jfk() -> Transcript {
    let segments = vec![
        segment(0.32, 3.0, "And so, my fellow Americans,", None),
        Segment {
            words: [
                ("ask", 3.4, 3.8),
                ("not", 3.8, 4.3),
                ("what", 5.6, 5.8),
                ("your", 5.8, 6.0),
                ("country", 6.0, 6.4),
            ]
            .into_iter()
            .chain([("can", 6.4, 6.6), ("do", 6.6, 6.9), ("for", 6.9, 7.1), ("you.", 7.1, 7.6)])
            .map(|(word, start, end)| Word { start, end, word: word.to_owned(), probability: 0.875, speaker: None })
            .collect(),
            ..segment(3.4, 7.6, "ask not what your country can do for you.", None)
        },
        segment(9.7, 10.98, "Ask what you can do.", None),
    ];
    transcript(11.0, 1, "en", segments)
}

/// A call of two people on two channels, with what renditions have to escape.
pub fn call() -> Transcript {
    let segments = vec![
        segment(0.0, 2.0, "Hello, is a<b & c --> d?", Some(0)),
        segment(1.5, 3.25, "\"Yes!\" I think so...", Some(1)),
        segment(3.5, 4.0, "OK.", Some(1)),
    ];
    Transcript { status: Status::Partial, warnings: vec![damaged()], ..transcript(5.0, 2, "en", segments) }
}

/// Two people on one channel.
pub fn interview() -> Transcript {
    let said = |start, end, text, speaker| Segment { speaker, ..segment(start, end, text, None) };
    let segments = vec![
        said(0.0, 2.0, "Who are <you>?", Some(1)),
        said(2.1, 3.0, "A & B.", Some(2)),
        said(6.0, 7.0, "I see.", Some(1)),
    ];
    let speakers = [(1, 3.0), (2, 0.9)].map(|(number, seconds)| Speaker { number, seconds, channel: None });
    Transcript { speakers: speakers.into(), ..transcript(8.0, 1, "en", segments) }
}

/// Nothing was said.
pub fn silence() -> Transcript {
    let language = Some(Language { code: crate::job::language::UNDETERMINED.to_owned(), probability: None });
    Transcript { language, quality: Quality::default(), ..transcript(5.0, 1, "en", Vec::new()) }
}

fn damaged() -> Warning {
    Warning { code: Code::DamagedAudio, message: "2 damaged packets were skipped".to_owned() }
}

/// A segment without words.
pub fn segment(start: f64, end: f64, text: &str, channel: Option<u16>) -> Segment {
    Segment {
        start,
        end,
        text: text.to_owned(),
        avg_logprob: -0.25,
        no_speech_prob: 0.015,
        channel,
        ..Segment::default()
    }
}

/// A whole transcript of the segments.
pub fn transcript(duration: f64, channels: u16, language: &str, mut segments: Vec<Segment>) -> Transcript {
    segments.iter_mut().for_each(|segment| segment.language = Some(language.to_owned()));
    Transcript {
        version: VERSION.to_owned(),
        job: JobRef { job_id: "j1".to_owned(), user_id: "u1".to_owned(), file_id: "f1".to_owned() },
        status: Status::Completed,
        source: SourceRef {
            bucket: "uploads".to_owned(),
            key: "u1/f1/talk.mp3".to_owned(),
            etag: "etag1".to_owned(),
            size_bytes: 4_711,
        },
        audio: AudioRef {
            duration,
            codec: "mp3".to_owned(),
            container: "mp3".to_owned(),
            sample_rate_hz: 44_100,
            channels,
            speech_duration: 3.5,
            tracks: Vec::new(),
        },
        language: Some(Language { code: language.to_owned(), probability: Some(0.98) }),
        languages: LanguageShare::of(&segments),
        task: Task::Transcribe,
        request: Some(Request {
            word_timestamps: true,
            speakers: None,
            formats: vec![Format::Json, Format::Txt, Format::Vtt],
            ..Request::default()
        }),
        model: ModelRef { name: "tiny.en".to_owned(), sha256: "921e4cf8".to_owned() },
        text: paragraph::join(&segments),
        paragraphs: paragraph::listed(&segments),
        timing: Some(Timing::Measured),
        segments,
        speakers: Vec::new(),
        marks: Vec::new(),
        quality: Quality { windows: 1, confidence: 0.8765, ..Quality::default() },
        warnings: Vec::new(),
        timings: Timings { fetch: 0.1, decode: 0.2, transcribe: 0.3, total: 0.6 },
        worker: WorkerRef { version: "0.1.0".to_owned(), instance: "i-0abc".to_owned() },
        unredacted: None,
    }
}
