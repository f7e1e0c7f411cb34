//! `transcript.md`: for wikis, notes and pull requests.

use super::paragraph::paragraphs;
use super::places::{self, clock};
use super::{Transcript, title};

/// The title, the paragraphs with their times, and the places to check where there are any.
pub fn render(transcript: &Transcript) -> String {
    let mut text = format!("# {}\n", escape(title(transcript)));
    if transcript.segments.is_empty() {
        text.push_str("\n*No speech was found.*\n");
    }
    for paragraph in paragraphs(&transcript.segments) {
        let speaker = paragraph.speaker().map(|speaker| format!(" **{}:**", escape(&speaker))).unwrap_or_default();
        text.push_str(&format!("\n[{}]{speaker} {}\n", clock(paragraph.start()), escape(&paragraph.text())));
    }
    let places = places::to_check(transcript);
    if !places.is_empty() {
        text.push_str("\n## Places to check\n\n");
    }
    for place in places {
        text.push_str(&format!("- [{}] {}: {}\n", clock(place.start), place.why, escape(&place.text)));
    }
    text
}

/// The text with a backslash before whatever Markdown or HTML would take for its own.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '#' | '|' | '~' | '&' | '$') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::samples;

    #[test]
    fn paragraphs_have_times_and_nothing_spoken_is_markup() {
        let text = render(&samples::call());
        assert_eq!(text.lines().next(), Some("# talk.mp3"));
        assert!(text.contains("\n[0:00] **Channel 0:** Hello, is a\\<b \\& c --\\> d?\n"), "{text}");
        assert!(text.contains("\n[0:01] **Channel 1:** \"Yes!\" I think so... OK.\n"), "{text}");
    }

    #[test]
    fn silence_says_so() {
        assert!(render(&samples::silence()).contains("No speech"));
    }
}
