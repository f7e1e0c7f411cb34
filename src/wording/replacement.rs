//! Words that are written otherwise than they were heard.

use std::collections::{BTreeMap, HashMap};

use super::phrase::{self, Bare};
use super::spoken::Spoken;

/// What stands in the place of what. By the first unit, so that a long list costs a look-up for each word.
pub struct Replacements<'a> {
    by_first: HashMap<String, Vec<(Vec<String>, &'a str)>>,
}

impl<'a> Replacements<'a> {
    /// Of these, the longest first: `New York Times` goes before `New York`.
    pub fn new(list: &'a BTreeMap<String, String>) -> Self {
        let mut by_first: HashMap<String, Vec<(Vec<String>, &str)>> = HashMap::new();
        for (from, to) in list {
            let units = phrase::units(from);
            if let Some(first) = units.first() {
                by_first.entry(first.clone()).or_default().push((units, to));
            }
        }
        by_first.values_mut().for_each(|list| list.sort_by_key(|(units, _)| std::cmp::Reverse(units.len())));
        Self { by_first }
    }

    /// Writes them.
    pub fn apply(&self, spoken: &mut Spoken) {
        let mut at = 0;
        while at < spoken.words.len() {
            at += self.apply_at(spoken, at).unwrap_or(1);
        }
    }

    /// Writes one in the place of the words from `at`; how many words then stand there.
    fn apply_at(&self, spoken: &mut Spoken, at: usize) -> Option<usize> {
        let first = Bare::of(&spoken.words.get(at)?.0.word);
        let candidates = self.by_first.get(first.units.first()?)?;
        let longest = candidates.iter().map(|(units, _)| units.len()).max()?;
        let bare = phrase::bare(spoken.words.iter().skip(at).take(longest).map(|(word, _)| word));
        let (count, to) = candidates.iter().find_map(|(units, to)| Some((phrase::matches(&bare, units)?, *to)))?;
        let last = bare.get(count - 1)?;
        let mut texts: Vec<String> = to.split_whitespace().map(str::to_owned).collect();
        if texts.is_empty() {
            // nothing stands there, but the end of a sentence does
            spoken.replace(at, at + count, Vec::new());
            super::filter::close(spoken, at, &last.after);
            return Some(0);
        }
        let core = bare.get(..count)?.iter().map(|bare| bare.core.as_str()).collect::<Vec<_>>().join(" ");
        if !to.chars().any(char::is_uppercase) {
            texts = in_case_of(&core, texts);
        }
        if let Some(text) = texts.first_mut() {
            text.insert_str(0, &first.before);
        }
        if let Some(text) = texts.last_mut() {
            text.push_str(&last.after);
        }
        let len = texts.len();
        spoken.replace(at, at + count, texts);
        Some(len)
    }
}

/// A text in small letters gets the case of what it replaces: all capitals, or a capital at its beginning.
fn in_case_of(heard: &str, texts: Vec<String>) -> Vec<String> {
    let letters = heard.chars().filter(|c| c.is_alphabetic()).count();
    if letters > 1 && heard.chars().all(|c| !c.is_lowercase()) {
        return texts.into_iter().map(|text| text.to_uppercase()).collect();
    }
    let is_capital = heard.chars().next().is_some_and(char::is_uppercase);
    let capital = |text: String| {
        let mut chars = text.chars();
        chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
    };
    texts.into_iter().enumerate().map(|(at, text)| if at == 0 && is_capital { capital(text) } else { text }).collect()
}
