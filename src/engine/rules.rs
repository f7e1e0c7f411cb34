//! What no text holds, and how long one may be.

use super::vocabulary::{Token, Vocabulary};

/// Signs that describe sounds or set type, which nobody speaks: Whisper is not to begin a word with them. (OpenAI's list
/// has `"`, `:`, `;`, `/`, `+`, `@` and the corner brackets too, which times, addresses and quotations are written with.)
const UNSPOKEN: [&str; 35] = [
    "(", ")", "[", "]", "{", "}", "<", ">", "<<", ">>", "<<<", ">>>", "((", "))", "(((", ")))", "[[", "]]", "{{", "}}",
    "-(", "-[", "('", "(\"", "*", "#", "=", "\\", "^", "_", "`", "|", "~", "--", "---",
];
/// The same, where one sign is several tokens of which the first is suppressed.
const NOTES: [&str; 8] = ["♪", "♪♪", "♪♪♪", "♩", "♫", "♬", "♭", "♯"];

/// Text tokens a window may take: 30 s of the fastest speech is about 150.
pub const MAX_TOKENS: usize = 220;

/// Tokens that are not chosen.
#[derive(Debug)]
pub struct Rules {
    /// What no text holds: signs that nobody speaks.
    pub unspoken: Vec<Token>,
    /// What no text begins with: those, nothing, and a blank.
    pub no_beginning: Vec<Token>,
}

impl Rules {
    /// Those of a model.
    pub fn new(vocabulary: &Vocabulary) -> Self {
        let unspoken = unspoken(vocabulary);
        let mut no_beginning = vocabulary.tokenize(" ");
        no_beginning.push(vocabulary.end_of_text);
        no_beginning.extend(&unspoken);
        Self { unspoken, no_beginning }
    }
}

/// The tokens of [`UNSPOKEN`] and [`NOTES`], with a space before them and without, and the dash that opens a turn.
fn unspoken(vocabulary: &Vocabulary) -> Vec<Token> {
    let mut tokens = Vec::new();
    for sign in UNSPOKEN.iter().chain(&NOTES) {
        for text in [(*sign).to_owned(), format!(" {sign}")] {
            let sign_tokens = vocabulary.tokenize(&text);
            let first = sign_tokens.first().filter(|first| match NOTES.contains(sign) {
                // two bytes of three: what else begins so is a sign of the same block
                true => vocabulary.bytes(**first).trim_ascii().len() >= 2,
                false => sign_tokens.len() == 1,
            });
            tokens.extend(first);
        }
    }
    if let [dash] = vocabulary.tokenize(" -").as_slice() {
        tokens.push(*dash);
    }
    tokens.sort_unstable();
    tokens.dedup();
    tokens
}
