//! What a job wants of single words: heard right, replaced, filtered, redacted.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Terms of a vocabulary; a prompt has room for no more.
const MOST_TERMS: usize = 100;

/// Characters of a term, and of what is replaced or filtered.
const LONGEST_TERM: usize = 100;

/// Terms that Whisper takes up from a prompt; each more makes the others weaker.
pub const FEW_TERMS: usize = 20;

/// A job's words. Empty where it says nothing of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Wording {
    /// Names and terms to expect, in the spelling that is wanted.
    pub vocabulary: Vec<String>,
    /// What is written in the place of words: whole words, whatever their case.
    pub replacements: BTreeMap<String, String>,
    /// Words that are not to be read.
    pub filter: Option<Filter>,
    /// What is taken out of all that is written.
    pub redact: Vec<Private>,
    /// Whether what is taken out is kept somewhere.
    pub redaction_output: RedactionOutput,
}

/// Words that are not to be read, in the shape of Amazon Transcribe's vocabulary filters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Filter {
    /// Words or phrases, whatever their case; only whole words match.
    pub words: Vec<String>,
    /// What becomes of them.
    #[serde(default)]
    pub method: FilterMethod,
}

/// What becomes of a filtered word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum FilterMethod {
    /// `***` stands in its place.
    #[default]
    Mask,
    /// It is left out.
    Remove,
    /// It stays, and the transcript tells where it is.
    Tag,
}

/// What may be redacted.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Private {
    /// Numbers of credit and debit cards: a known issuer's beginning and length, and Luhn's checksum.
    CardNumber,
    /// E-mail addresses, written or spelled ("ann dot lee at example dot com").
    Email,
    /// Telephone numbers, by their shape.
    Phone,
    /// International bank account numbers: a known country's length, and ISO 7064's checksum.
    Iban,
    /// Numbers of people, of countries whose numbers have a checksum, and of the United States by their shape.
    NationalId,
}

impl Private {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::CardNumber, Self::Email, Self::Phone, Self::Iban, Self::NationalId];

    /// What stands in its place.
    pub fn tag(self) -> &'static str {
        match self {
            Self::CardNumber => "[CARD_NUMBER]",
            Self::Email => "[EMAIL]",
            Self::Phone => "[PHONE]",
            Self::Iban => "[IBAN]",
            Self::NationalId => "[NATIONAL_ID]",
        }
    }
}

/// Which transcripts a job that redacts leaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum RedactionOutput {
    /// Redacted ones only.
    #[default]
    Redacted,
    /// Besides these the JSON as it was heard, `….unredacted.json`.
    RedactedAndUnredacted,
}

impl Wording {
    /// With each text on one line, and nothing empty or twice.
    ///
    /// # Errors
    /// A sentence that names the field that is wrong, without what it says: that may be private.
    pub fn clean(self) -> Result<Self, String> {
        let mut vocabulary = Vec::new();
        for term in self.vocabulary.iter().map(|term| line(term)) {
            if !term.is_empty() && !vocabulary.contains(&term) {
                vocabulary.push(term);
            }
        }
        if vocabulary.len() > MOST_TERMS {
            return Err(format!("`vocabulary` has {} terms, more than {MOST_TERMS}", vocabulary.len()));
        }
        let has_word = |text: &str| text.contains(char::is_alphanumeric);
        let is_long = |text: &str| text.chars().count() > LONGEST_TERM;
        let replacements: BTreeMap<_, _> = self.replacements.iter().map(|(from, to)| (line(from), line(to))).collect();
        if replacements.keys().any(|from| !has_word(from)) {
            return Err("`replacements` has what is no word".to_owned());
        }
        let filter = self.filter.map(|filter| Filter {
            words: filter.words.iter().map(|word| line(word)).filter(|word| has_word(word)).collect(),
            method: filter.method,
        });
        let filter = filter.filter(|filter| !filter.words.is_empty());
        for (field, is_wrong) in [
            ("vocabulary", vocabulary.iter().any(|term| is_long(term))),
            ("replacements", replacements.iter().any(|(from, to)| is_long(from) || is_long(to))),
            ("filter", filter.iter().flat_map(|filter| &filter.words).any(|word| is_long(word))),
        ] {
            if is_wrong {
                return Err(format!("`{field}` has what is longer than {LONGEST_TERM} characters"));
            }
        }
        let mut redact = self.redact;
        redact.sort_unstable();
        redact.dedup();
        Ok(Self { vocabulary, replacements, filter, redact, redaction_output: self.redaction_output })
    }

    /// The vocabulary as the end of a prompt, the prompt before it: Whisper goes on in the spelling it has read.
    pub fn prompt(&self, prompt: Option<String>) -> Option<String> {
        if self.vocabulary.is_empty() {
            return prompt;
        }
        let terms = format!("{}.", self.vocabulary.join(", "));
        Some(prompt.map_or(terms.clone(), |prompt| format!("{prompt} {terms}")))
    }

    /// Whether the JSON as it was heard is wanted too.
    pub fn keeps_unredacted(&self) -> bool {
        !self.redact.is_empty() && self.redaction_output == RedactionOutput::RedactedAndUnredacted
    }
}

/// On one line, without control characters.
fn line(text: &str) -> String {
    let spaced = text.replace(char::is_control, " ");
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}
