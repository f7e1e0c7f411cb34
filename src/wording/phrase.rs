//! Words of a list, found among the words of a segment: whole ones, whatever their case and punctuation.

use crate::script::word;
use crate::transcript::Word;

/// What a word is compared by, and what stands around it.
pub struct Bare {
    /// In lower case, hyphens divide.
    pub units: Vec<String>,
    /// Signs before it.
    pub before: String,
    /// Without the signs around it and without `'s`.
    pub core: String,
    /// `'s` and the signs after it.
    pub after: String,
}

impl Bare {
    /// Of a word with its punctuation.
    pub fn of(word: &str) -> Self {
        let inner = word.trim_start_matches(|c: char| !c.is_alphanumeric());
        let before = word.get(..word.len() - inner.len()).unwrap_or_default().to_owned();
        let trimmed = inner.trim_end_matches(|c: char| !c.is_alphanumeric());
        let core = trimmed.strip_suffix("'s").or_else(|| trimmed.strip_suffix("’s")).unwrap_or(trimmed);
        let after = inner.get(core.len()..).unwrap_or_default().to_owned();
        Self { units: units(core), before, core: core.to_owned(), after }
    }
}

/// What a phrase is compared by.
pub fn units(phrase: &str) -> Vec<String> {
    word::units(phrase).into_iter().map(|unit| unit.plain).collect()
}

/// How many of the words, from the first on, are the phrase; `None` where they are not. Only its last word may have an ending.
pub fn matches(words: &[Bare], phrase: &[String]) -> Option<usize> {
    let mut left = phrase;
    for (at, bare) in words.iter().enumerate() {
        left = left.strip_prefix(bare.units.as_slice()).filter(|_| !bare.units.is_empty())?;
        if left.is_empty() {
            return Some(at + 1);
        }
        if bare.after.contains(char::is_alphanumeric) {
            return None;
        }
    }
    None
}

/// The segment's words, bare.
pub fn bare<'a>(words: impl Iterator<Item = &'a Word>) -> Vec<Bare> {
    words.map(|word| Bare::of(&word.word)).collect()
}
