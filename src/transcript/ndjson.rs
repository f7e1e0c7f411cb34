//! `transcript.ndjson`: a line of JSON per sentence, as a search index takes them.

use serde::Serialize;

use super::paragraph::{Paragraph, sentences};
use super::{Transcript, round_ms, words};

/// One sentence.
#[derive(Debug, Serialize)]
struct Line<'a> {
    /// The same however often the job is done: a search index replaces instead of adding.
    id: String,
    job_id: &'a str,
    user_id: &'a str,
    file_id: &'a str,
    /// Seconds.
    start: f64,
    /// Seconds.
    end: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a str>,
    text: String,
    /// Mean probability of the words, 0 to 1.
    confidence: f64,
}

/// The lines; none when nothing was said.
///
/// # Errors
/// None for a tidied transcript; serde's signature.
pub fn render(transcript: &Transcript) -> Result<Vec<u8>, serde_json::Error> {
    let mut lines = Vec::new();
    for (number, sentence) in sentences(&transcript.segments).enumerate() {
        serde_json::to_writer(&mut lines, &line(transcript, number, &sentence))?;
        lines.push(b'\n');
    }
    Ok(lines)
}

fn line<'a>(transcript: &'a Transcript, number: usize, sentence: &Paragraph<'_>) -> Line<'a> {
    let job = &transcript.job;
    let words: Vec<_> = sentence.segments.iter().flat_map(words::timed).collect();
    let confidence = words.iter().map(|word| word.probability).sum::<f64>() / words.len().max(1) as f64;
    Line {
        id: format!("{}-{number:06}", job.job_id),
        job_id: &job.job_id,
        user_id: &job.user_id,
        file_id: &job.file_id,
        start: sentence.start(),
        end: sentence.segments.last().map_or(0.0, |last| last.end),
        speaker: sentence.speaker(),
        language: transcript.language.as_ref().map(|language| language.code.as_str()),
        text: sentence.text(),
        confidence: round_ms(confidence),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::Value;

    use super::*;
    use crate::transcript::samples;

    fn lines(transcript: &Transcript) -> Vec<Value> {
        let document = String::from_utf8(render(transcript).unwrap()).unwrap();
        document.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn each_sentence_is_a_line_with_its_time_and_an_id_of_its_own() {
        let lines = lines(&samples::jfk());
        let said: Vec<_> =
            lines.iter().map(|line| (line["id"].as_str().unwrap(), line["text"].as_str().unwrap())).collect();
        assert_eq!(
            said,
            [
                ("j1-000000", "And so, my fellow Americans, ask not what your country can do for you."),
                ("j1-000001", "Ask what you can do."),
            ]
        );
        assert_eq!((lines[0]["start"].as_f64(), lines[0]["end"].as_f64()), (Some(0.32), Some(7.6)));
        assert_eq!((&lines[0]["language"], &lines[0]["file_id"]), (&Value::from("en"), &Value::from("f1")));
        assert!(lines[0].get("speaker").is_none());
    }

    #[test]
    fn channels_are_told_apart_and_silence_is_no_line() {
        let lines = lines(&samples::call());
        assert_eq!(
            lines.iter().map(|line| line["speaker"].as_str().unwrap()).collect::<Vec<_>>(),
            ["Channel 0", "Channel 1", "Channel 1"]
        );
        assert_eq!(render(&samples::silence()).unwrap(), b"");
    }
}
