//! `transcript.html`: one page for a person who reads, listens and corrects. It needs nothing from elsewhere but the audio,
//! which is chosen on the page (a file or a URL), and nothing that was spoken can become markup or script.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::paragraph::{Paragraph, paragraphs};
use super::places::{self, clock};
use super::{Segment, Transcript, Word, title, words};
use crate::script::line;

const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/script.js");

/// Probability of a word below which it is underlined.
const UNSURE: f64 = 0.5;

/// The page.
pub fn render(transcript: &Transcript) -> String {
    let name = escape(title(transcript));
    let language = transcript.language.as_ref().map_or("und", |language| language.code.as_str());
    let mut page = format!(
        "<!doctype html>\n<html lang=\"{language}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{name}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
        language = escape(language),
        policy = policy(),
    );
    head(&mut page, transcript, &name);
    check(&mut page, transcript);
    page.push_str("<main>\n");
    for paragraph in paragraphs(&transcript.segments) {
        section(&mut page, &paragraph);
    }
    if transcript.segments.is_empty() {
        page.push_str("<p class=\"nothing\">No speech was found.</p>\n");
    }
    page.push_str("</main>\n");
    page.push_str(&format!("<script>{SCRIPT}</script>\n</body>\n</html>\n"));
    page
}

/// Nothing is loaded but audio that a person chose, and no script runs but ours.
fn policy() -> String {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text.as_bytes())));
    let (style, script) = (hash(STYLE), hash(SCRIPT));
    format!(
        "default-src 'none'; style-src {style}; script-src {script}; media-src 'self' blob: https: http: file:; \
         base-uri 'none'; form-action 'none'"
    )
}

fn head(page: &mut String, transcript: &Transcript, name: &str) {
    let length = clock(transcript.audio.duration);
    let model = escape(&transcript.model.name);
    page.push_str(&format!(
        "<header>\n<h1 dir=\"auto\">{name}</h1>\n<p class=\"about\">{length} · {words} words · {model}</p>\n",
        words = transcript.word_count(),
    ));
    for warning in &transcript.warnings {
        page.push_str(&format!("<p class=\"warning\" dir=\"auto\">{}</p>\n", escape(&warning.message)));
    }
    page.push_str(&format!(
        "<div class=\"player\">\n<audio id=\"audio\" controls preload=\"metadata\" data-name=\"{name}\"></audio>\n\
         <div class=\"sources\"><label class=\"button\">Choose the audio<input id=\"file\" type=\"file\" accept=\"audio/*,video/*\">\
         </label> <input id=\"url\" type=\"url\" placeholder=\"or its URL\" aria-label=\"URL of the audio\"></div>\n\
         <div class=\"search\"><input id=\"search\" type=\"search\" placeholder=\"Search ( / )\" aria-label=\"Search\">\
         <output id=\"found\"></output></div>\n\
         <p class=\"keys\">Click a word to hear it. Space: play or pause. ← →: 5 seconds. /: search. n, p: next, previous match. \
         c: next place to check.</p>\n</div>\n</header>\n"
    ));
}

fn check(page: &mut String, transcript: &Transcript) {
    let places = places::to_check(transcript);
    if places.is_empty() {
        return;
    }
    page.push_str(&format!(
        "<details class=\"check\" open>\n<summary>Places to check ({})</summary>\n<ol>\n",
        places.len()
    ));
    for place in places {
        page.push_str(&format!(
            "<li><button data-t=\"{start}\">{clock}</button> <span class=\"why\">{why}</span> <q dir=\"auto\">{text}</q></li>\n",
            start = place.start,
            clock = clock(place.start),
            why = place.why,
            text = escape(&place.text),
        ));
    }
    page.push_str("</ol>\n</details>\n");
}

fn section(page: &mut String, paragraph: &Paragraph<'_>) {
    let start = paragraph.start();
    page.push_str(&format!("<section><button class=\"at\" data-t=\"{start}\">{}</button>", clock(start)));
    if let Some(speaker) = paragraph.speaker() {
        page.push_str(&format!("<b class=\"who\">{}</b>", escape(&speaker)));
    }
    page.push_str("<p dir=\"auto\">");
    let mut before = "";
    for segment in paragraph.segments {
        if line::gap(before, &segment.text) == 1 && !before.is_empty() {
            page.push(' ');
        }
        sentence(page, segment);
        before = &segment.text;
    }
    page.push_str("</p></section>\n");
}

fn sentence(page: &mut String, segment: &Segment) {
    let words = words::timed(segment);
    let spaces = line::spaces(&segment.text, words.iter().map(|word| word.word.as_str()));
    for (Word { start, word, probability, .. }, space) in words.iter().zip(spaces) {
        if space {
            page.push(' ');
        }
        let unsure = if *probability < UNSURE { " class=\"u\"" } else { "" };
        page.push_str(&format!("<span data-t=\"{start}\"{unsure}>{}</span>", escape(word)));
    }
}

/// The text as text, in an element or an attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::samples;

    #[test]
    fn every_word_has_its_time_and_a_doubtful_one_its_line() {
        let mut transcript = samples::jfk();
        if let Some(word) = transcript.segments.get_mut(1).and_then(|segment| segment.words.get_mut(4)) {
            word.probability = 0.2;
        }
        let page = render(&transcript);
        assert!(page.contains("<span data-t=\"3.4\">ask</span> <span data-t=\"3.8\">not</span>"), "{page}");
        assert!(page.contains("<span data-t=\"6\" class=\"u\">country</span>"), "{page}");
        assert!(page.contains("<html lang=\"en\">") && page.contains("<title>talk.mp3</title>"), "{page}");
    }

    #[test]
    fn what_was_spoken_never_becomes_markup() {
        let evil = "</script><script>alert(1)</script> \" onload='x' & ]]>";
        let mut transcript = samples::transcript(9.0, 1, "en", vec![samples::segment(0.0, 9.0, evil, None)]);
        transcript.source.key = "u/<img src=x>.mp3".to_owned();
        transcript.segments.iter_mut().for_each(|segment| segment.avg_logprob = -3.0);
        let page = render(&transcript);
        let ours = page.replace(SCRIPT, "").replace(STYLE, "");
        assert_eq!(ours.matches("<script>").count(), 1, "{ours}");
        assert!(!ours.contains("<img") && !ours.contains("onload='"), "{ours}");
        assert!(ours.contains("&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;"), "{ours}");
    }

    #[test]
    fn the_policy_names_the_scripts_and_nothing_that_loads() {
        let page = render(&samples::call());
        assert!(page.contains(&policy()) && !policy().contains("-inline") && !policy().contains("-eval"), "{page}");
        let elsewhere = page.replace(SCRIPT, "").replace("https: http: file:", "");
        assert!(!elsewhere.contains("http://") && !elsewhere.contains("src="), "{elsewhere}");
        assert!(page.contains("2 damaged packets were skipped"));
    }

    #[test]
    fn silence_says_so() {
        assert!(render(&samples::silence()).contains("No speech was found."));
    }
}
