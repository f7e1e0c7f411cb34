//! The tokens of a Whisper tokenizer as bytes: what each adds to the text.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::ModelError;

/// The first token that is no text; the text tokens are those before it.
const END_OF_TEXT: &str = "<|endoftext|>";

/// The part of a `tokenizer.json` that is needed here.
#[derive(Deserialize)]
struct Tokenizer {
    model: TokenizerModel,
}

#[derive(Deserialize)]
struct TokenizerModel {
    vocab: BTreeMap<String, usize>,
}

/// The bytes of the text tokens, in the order of their ids, from a faster-whisper model's `vocabulary.txt` (a token
/// a line), `vocabulary.json` (a list) or `tokenizer.json`.
///
/// # Errors
/// `Io`; `BadFile` for a file that is none of these.
pub fn read(path: &Path) -> Result<Vec<Vec<u8>>, ModelError> {
    let text = fs::read_to_string(path).map_err(|e| ModelError::io("read", path, e))?;
    let is = |name: &str| path.file_name().is_some_and(|file| file == name);
    let bad = |what: String| ModelError::BadFile { path: path.to_owned(), offset: 0, what };
    let json = |e: serde_json::Error| bad(format!("not a Whisper vocabulary: {e}"));
    let tokens: Vec<String> = if is("tokenizer.json") {
        let by_token = serde_json::from_str::<Tokenizer>(&text).map_err(json)?.model.vocab;
        let by_id: BTreeMap<usize, String> = by_token.into_iter().map(|(token, id)| (id, token)).collect();
        by_id.into_values().collect()
    } else if is("vocabulary.json") {
        serde_json::from_str(&text).map_err(json)?
    } else {
        text.lines().map(str::to_owned).collect()
    };
    let alphabet = alphabet();
    tokens
        .iter()
        .take_while(|token| *token != END_OF_TEXT)
        .map(|token| token.chars().map(|c| alphabet.get(&c).copied()).collect())
        .collect::<Option<Vec<Vec<u8>>>>()
        .filter(|tokens| !tokens.is_empty())
        .ok_or_else(|| bad("not a vocabulary of byte-level tokens".to_owned()))
}

/// GPT-2's way to write bytes as visible characters: printable Latin-1 stands for itself, the others, in order, are
/// the characters from U+0100 on.
fn alphabet() -> BTreeMap<char, u8> {
    let mut spare = '\u{100}'..;
    (0..=u8::MAX)
        .filter_map(|byte| {
            let visible = matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
            let written = if visible { Some(char::from(byte)) } else { spare.next() };
            written.map(|c| (c, byte))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn tokens_of(name: &str, content: &str) -> Result<Vec<Vec<u8>>, ModelError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        read(&path)
    }

    #[test]
    fn all_three_forms_of_a_vocabulary_give_the_same_bytes_and_stop_before_the_special_tokens() {
        let expected = vec![b"!".to_vec(), " caf\u{e9}".as_bytes().to_vec(), b"\n".to_vec(), Vec::new()];
        let forms = [
            ("vocabulary.txt", "!\n\u{120}caf\u{c3}\u{a9}\n\u{10a}\n\n<|endoftext|>\n<|en|>\n"),
            ("vocabulary.json", r#"["!", "ĠcafÃ©", "Ċ", "", "<|endoftext|>", "<|en|>"]"#),
            ("tokenizer.json", r#"{"model":{"vocab":{"Ċ":2,"!":0,"ĠcafÃ©":1,"":3,"<|endoftext|>":4}}}"#),
        ];
        for (name, content) in forms {
            assert_eq!(tokens_of(name, content).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn half_a_character_is_a_token_too() {
        // the two halves of the UTF-8 form of e acute
        assert_eq!(tokens_of("vocabulary.txt", "\u{c3}\n\u{a9}\n").unwrap(), [vec![0xC3], vec![0xA9]]);
    }

    #[test]
    fn every_byte_can_be_written() {
        let mut bytes: Vec<u8> = alphabet().into_values().collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=u8::MAX).collect::<Vec<_>>());
    }

    #[test]
    fn a_file_that_is_no_vocabulary_is_named() {
        for (name, content) in [("vocabulary.txt", "two words\n"), ("tokenizer.json", "{"), ("vocabulary.txt", "")] {
            assert!(tokens_of(name, content).unwrap_err().to_string().contains(name));
        }
    }
}
