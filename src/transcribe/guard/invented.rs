//! Phrases that Whisper is known to invent where nobody speaks, from the subtitles it was trained on: a file for each
//! language, a phrase a line. Those after a `~` are also said in earnest.

use std::ops::Range;

use crate::script::{sentence, word};

const PHRASES: [(&str, &str); 18] = [
    ("ar", include_str!("invented/ar.txt")),
    ("cs", include_str!("invented/cs.txt")),
    ("de", include_str!("invented/de.txt")),
    ("en", include_str!("invented/en.txt")),
    ("es", include_str!("invented/es.txt")),
    ("fr", include_str!("invented/fr.txt")),
    ("it", include_str!("invented/it.txt")),
    ("ja", include_str!("invented/ja.txt")),
    ("ko", include_str!("invented/ko.txt")),
    ("nl", include_str!("invented/nl.txt")),
    ("pl", include_str!("invented/pl.txt")),
    ("pt", include_str!("invented/pt.txt")),
    ("ru", include_str!("invented/ru.txt")),
    ("sv", include_str!("invented/sv.txt")),
    ("tr", include_str!("invented/tr.txt")),
    ("uk", include_str!("invented/uk.txt")),
    ("vi", include_str!("invented/vi.txt")),
    ("zh", include_str!("invented/zh.txt")),
];

/// The sentences at a text's end that are such phrases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invented {
    /// Where they are, in bytes.
    pub at: Range<usize>,
    /// They are all of the text.
    pub is_all: bool,
    /// Each is one that people say too.
    pub in_earnest: bool,
}

/// The phrases at the end of a text in a language (Whisper's code); English ones turn up in all.
pub fn find(text: &str, language: &str) -> Option<Invented> {
    let phrases = PHRASES.iter().filter(|(of, _)| *of == language || *of == "en" || language.is_empty());
    let lines: Vec<&str> = phrases.flat_map(|(_, lines)| lines.lines()).collect();
    let known: Vec<(String, bool)> = lines.iter().map(|line| (word::plain(line), line.starts_with('~'))).collect();
    let mut start = text.len();
    let (mut in_earnest, mut is_all) = (true, true);
    for range in sentences(text, language).into_iter().rev() {
        let plain = word::plain(&text[range.clone()]);
        match known.iter().find(|(phrase, _)| *phrase == plain) {
            Some((_, earnest)) => {
                in_earnest &= earnest;
                start = range.start;
            }
            None if plain.is_empty() => {}
            None => {
                is_all = false;
                break;
            }
        }
    }
    (start < text.len()).then_some(Invented { at: start..text.len(), is_all, in_earnest })
}

/// Each sentence with the white space before it, in bytes.
fn sentences(text: &str, language: &str) -> Vec<Range<usize>> {
    let words = word::ranges(text);
    let texts: Vec<&str> = words.iter().filter_map(|range| text.get(range.clone())).collect();
    let mut sentences = Vec::new();
    let mut start = 0;
    for (word, ends) in words.iter().zip(sentence::ends(&texts, language)) {
        if ends {
            sentences.push(start..word.end);
            start = word.end;
        }
    }
    if !text[start..].trim().is_empty() {
        sentences.push(start..text.len());
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_found_by_whole_sentences_at_the_end_in_their_language() {
        let found = |text, language| find(text, language).map(|found| (text[found.at].to_owned(), found.is_all));
        assert_eq!(found(" Thank you for watching!", "en"), Some((" Thank you for watching!".to_owned(), true)));
        assert_eq!(found(" So it is. Thanks for watching.", "en"), Some((" Thanks for watching.".to_owned(), false)));
        assert_eq!(found(" Thank you for watching the children.", "en"), None);
        assert_eq!(found("ご視聴ありがとうございました。", "ja").map(|(_, all)| all), Some(true));
        assert_eq!(found(" Продолжение следует...", "ru").map(|(_, all)| all), Some(true));
        assert_eq!(found(" Продолжение следует...", "de"), None);
    }

    #[test]
    fn every_phrase_of_the_files_is_one_sentence_with_words() {
        for (language, lines) in PHRASES {
            for line in lines.lines() {
                let found = find(line.trim_start_matches('~'), language);
                assert!(found.is_some_and(|found| found.is_all), "{language}: {line}");
            }
        }
    }
}
