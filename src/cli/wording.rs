//! The options of commands about single words.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::job::wording::{Filter, FilterMethod, Private, RedactionOutput, Wording};

/// What is wanted of single words.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Words")]
pub struct WordingArgs {
    /// Names and terms to expect, about ten
    #[arg(long, value_delimiter = ',', value_name = "TERM,…")]
    vocabulary: Vec<String>,

    /// Write one word or phrase in the place of another; may be given again
    #[arg(long, value_name = "FROM=TO", value_parser = pair)]
    replace: Vec<(String, String)>,

    /// Words that are not to be read
    #[arg(long, value_delimiter = ',', value_name = "WORD,…")]
    filter_words: Vec<String>,

    /// What becomes of them
    #[arg(long, value_enum, default_value_t, requires = "filter_words")]
    filter_method: FilterMethod,

    /// Take out what is private
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND,…")]
    redact: Vec<Private>,

    /// Whether the JSON as it was heard is kept too
    #[arg(long, value_enum, default_value_t, requires = "redact")]
    redaction_output: RedactionOutput,
}

/// A key and its value.
///
/// # Errors
/// There is no `=`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    let (from, to) = text.split_once('=').ok_or("there is no = in it")?;
    Ok((from.to_owned(), to.to_owned()))
}

impl WordingArgs {
    /// As a job's fields.
    pub fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut put = |name: &str, is_there: bool, value: Value| {
            if is_there {
                fields.insert(name.to_owned(), value);
            }
        };
        let filter = json!({ "words": self.filter_words, "method": self.filter_method });
        let replacements: BTreeMap<_, _> = self.replace.iter().cloned().collect();
        put("vocabulary", !self.vocabulary.is_empty(), json!(self.vocabulary));
        put("replacements", !self.replace.is_empty(), json!(replacements));
        put("filter", !self.filter_words.is_empty(), filter);
        put("redact", !self.redact.is_empty(), json!(self.redact));
        put("redaction_output", !self.redact.is_empty(), json!(self.redaction_output));
        fields
    }

    /// As a job has it.
    ///
    /// # Errors
    /// A sentence that names the field that is wrong.
    pub fn wording(&self) -> Result<Wording, String> {
        let filter = Filter { words: self.filter_words.clone(), method: self.filter_method };
        Wording {
            vocabulary: self.vocabulary.clone(),
            replacements: self.replace.iter().cloned().collect(),
            filter: (!self.filter_words.is_empty()).then_some(filter),
            redact: self.redact.clone(),
            redaction_output: self.redaction_output,
        }
        .clean()
    }
}
