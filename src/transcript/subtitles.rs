//! Subtitles: SubRip (`.srt`) and WebVTT (`.vtt`) from the same cues.

use std::fmt::Write as _;

use super::Transcript;
use cues::{Naming, cues};

pub mod cues;

/// SubRip. Empty when nothing was said. `-->` within a text is written `->`, since SubRip has no escape for it.
pub fn srt(transcript: &Transcript) -> String {
    let mut document = String::new();
    let first = u64::from(transcript.subtitles().start_index);
    for (index, cue) in cues(transcript, Naming::InText).iter().enumerate() {
        let text = cue.lines.join("\n").replace("-->", "->");
        let (start, end) = (time(cue.start_ms, ','), time(cue.end_ms, ','));
        let separator = if index == 0 { "" } else { "\n" };
        // writing to a string cannot fail
        let _ = writeln!(document, "{separator}{}\n{start} --> {end}\n{text}", first + index as u64);
    }
    document
}

/// WebVTT. Only its header when nothing was said.
pub fn vtt(transcript: &Transcript) -> String {
    let mut document = "WEBVTT\n".to_owned();
    for cue in cues(transcript, Naming::Apart) {
        let text = cue.lines.join("\n").replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let voice = cue.voice.map_or(String::new(), |voice| format!("<v {voice}>"));
        let _ = writeln!(document, "\n{} --> {}\n{voice}{text}", time(cue.start_ms, '.'), time(cue.end_ms, '.'));
    }
    document
}

/// `hh:mm:ss.mmm`; hours take as many digits as they need, at least two.
fn time(ms: u64, point: char) -> String {
    let (hours, minutes, secs) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{hours:02}:{minutes:02}:{secs:02}{point}{:03}", ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::samples;

    #[test]
    fn subrip_is_the_golden_one() {
        assert_eq!(srt(&samples::jfk()), include_str!("../../tests/golden/transcripts/jfk.srt"));
        assert_eq!(srt(&samples::call()), include_str!("../../tests/golden/transcripts/call.srt"));
    }

    #[test]
    fn webvtt_is_the_golden_one_and_escapes_what_it_must() {
        assert_eq!(vtt(&samples::jfk()), include_str!("../../tests/golden/transcripts/jfk.vtt"));
        assert_eq!(vtt(&samples::call()), include_str!("../../tests/golden/transcripts/call.vtt"));
    }

    #[test]
    fn speakers_are_voices_in_one_and_before_their_text_in_the_other() {
        let vtt = vtt(&samples::interview());
        assert!(vtt.contains("\n<v Speaker 1>Who are &lt;you&gt;?\n"), "{vtt}");
        assert!(vtt.contains("\n<v Speaker 2>A &amp; B.\n"), "{vtt}");
        let srt = srt(&samples::interview());
        assert!(srt.contains("\nSpeaker 1: Who are <you>?\n") && srt.contains("\nSpeaker 2: A & B.\n"), "{srt}");
    }

    #[test]
    fn silence_is_a_valid_document() {
        assert_eq!(srt(&samples::silence()), "");
        assert_eq!(vtt(&samples::silence()), "WEBVTT\n");
    }

    #[test]
    fn hours_beyond_ninety_nine_are_written_out() {
        assert_eq!(time(100 * 3_600_000 + 61_001, ','), "100:01:01,001");
        assert_eq!(time(59_999, '.'), "00:00:59.999");
    }
}
