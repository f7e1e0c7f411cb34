//! The tokens of a model: what each adds to a text, what the special ones are numbered, and a text as tokens.

use std::collections::HashMap;
use std::ops::Range;

use crate::model::ggml::Hparams;

/// A number of the vocabulary.
pub type Token = i32;

/// The special tokens and the texts of the others.
#[derive(Debug)]
pub struct Vocabulary {
    texts: Vec<Vec<u8>>,
    ranks: HashMap<Vec<u8>, Token>,
    multilingual: bool,
    /// Ends a text; all greater tokens are special, all smaller ones are text.
    pub end_of_text: Token,
    /// Starts a transcript.
    pub start: Token,
    /// Asks for a translation.
    pub translate: Token,
    /// Asks for a transcript.
    pub transcribe: Token,
    /// Stands before the prompt.
    pub previous: Token,
    /// Says that there is no speech.
    pub no_speech: Token,
    /// Asks for text without timestamp tokens.
    pub no_timestamps: Token,
    /// All, special ones included.
    pub size: usize,
}

impl Vocabulary {
    /// Of a model of these dimensions, whose file has these texts.
    pub fn new(hparams: &Hparams, mut texts: Vec<Vec<u8>>) -> Self {
        /// Of an English model. Others have one text token more, and as many languages as fit.
        const ENGLISH_END: Token = 50_256;
        const ENGLISH_SIZE: Token = 51_864;
        let multilingual = hparams.languages() > 1;
        let size = Token::try_from(hparams.vocabulary).unwrap_or(ENGLISH_SIZE);
        let end_of_text = ENGLISH_END + Token::from(multilingual);
        // English models keep the numbers of 99 languages free; the timestamps are the last 1,501 tokens
        let no_timestamps = size - 1_502;
        texts.truncate(usize::try_from(end_of_text).unwrap_or_default());
        let numbered = texts.iter().cloned().zip(0..);
        // the first of equal texts is the one that merges give
        let mut ranks = HashMap::with_capacity(texts.len());
        numbered.for_each(|(text, token)| {
            ranks.entry(text).or_insert(token);
        });
        Self {
            texts,
            ranks,
            multilingual,
            end_of_text,
            start: end_of_text + 1,
            translate: no_timestamps - 5,
            transcribe: no_timestamps - 4,
            previous: no_timestamps - 2,
            no_speech: no_timestamps - 1,
            no_timestamps,
            size: usize::try_from(size).unwrap_or_default(),
        }
    }

    /// Whether it has languages other than English.
    pub fn is_multilingual(&self) -> bool {
        self.multilingual
    }

    /// The tokens that name languages, in Whisper's order.
    pub fn languages(&self) -> Range<Token> {
        self.start + 1..self.translate
    }

    /// The bytes of a text token; they may end inside a character. A special one has none.
    pub fn bytes(&self, token: Token) -> &[u8] {
        usize::try_from(token).ok().and_then(|index| self.texts.get(index)).map_or(&[], Vec::as_slice)
    }

    /// A text as tokens, as OpenAI's tokeniser has them: the text cut before spaces and between letters, digits and signs,
    /// and in each part the neighbours merged whose union comes first in the vocabulary.
    pub fn tokenize(&self, text: &str) -> Vec<Token> {
        parts(text).into_iter().flat_map(|part| self.merge(part.as_bytes())).collect()
    }

    fn merge(&self, part: &[u8]) -> Vec<Token> {
        let mut ends: Vec<usize> = (0..=part.len()).collect();
        let union = |ends: &[usize], at: usize| {
            let (start, end) = (ends.get(at)?, ends.get(at + 2)?);
            self.ranks.get(part.get(*start..*end)?).copied()
        };
        while let Some((_, at)) = (0..ends.len()).filter_map(|at| union(&ends, at).map(|rank| (rank, at))).min() {
            ends.remove(at + 1);
        }
        let pieces = ends.windows(2).filter_map(|pair| part.get(pair[0]..pair[1]));
        pieces.filter_map(|piece| self.ranks.get(piece).copied()).collect()
    }
}

/// The parts that no token goes beyond: English endings after an apostrophe; letters, digits or signs with one space before
/// them; runs of white space, whose last space belongs to what follows.
fn parts(text: &str) -> Vec<&str> {
    const ENDINGS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let ending = ENDINGS.iter().find(|ending| rest.starts_with(**ending));
        let len = ending.map_or_else(|| run_len(rest, first), |ending| ending.len());
        let (part, after) = rest.split_at(len.max(first.len_utf8()).min(rest.len()));
        parts.push(part);
        rest = after;
    }
    parts
}

#[derive(PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    Space,
    Sign,
}

fn class(c: char) -> Class {
    match c {
        c if c.is_whitespace() => Class::Space,
        c if c.is_alphabetic() => Class::Letter,
        c if c.is_numeric() => Class::Digit,
        _ => Class::Sign,
    }
}

fn run_len(text: &str, first: char) -> usize {
    let body = if first == ' ' { text.get(1..).unwrap_or_default() } else { text };
    match body.chars().next().map(class) {
        Some(Class::Space) | None => {
            let end = text.find(|c: char| !c.is_whitespace());
            let Some(end) = end else { return text.len() };
            // the last one goes with what follows, unless it is alone
            let last = text[..end].chars().next_back().map_or(1, char::len_utf8);
            if end > last { end - last } else { end }
        }
        Some(kind) => {
            let run = body.find(|c: char| class(c) != kind).unwrap_or(body.len());
            text.len() - body.len() + run
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const TINY_EN: Hparams = Hparams {
        vocabulary: 51_864,
        audio_context: 1_500,
        audio_state: 384,
        audio_heads: 6,
        audio_layers: 4,
        text_context: 448,
        text_state: 384,
        text_heads: 6,
        text_layers: 4,
        mels: 80,
        ftype: 1,
    };

    pub fn english(words: &[&str]) -> Vocabulary {
        let bytes = (0..=u8::MAX).map(|byte| vec![byte]);
        let texts = bytes.chain(words.iter().map(|word| word.as_bytes().to_vec())).collect();
        Vocabulary::new(&TINY_EN, texts)
    }

    #[test]
    fn special_tokens_are_numbered_as_openai_does() {
        let v = english(&[]);
        assert_eq!(
            [v.end_of_text, v.start, v.previous, v.no_speech, v.no_timestamps],
            [50_256, 50_257, 50_360, 50_361, 50_362]
        );
        let of = |vocabulary| Vocabulary::new(&Hparams { vocabulary, ..TINY_EN }, vec![]);
        let v2 = of(51_865);
        assert_eq!([v2.end_of_text, v2.start, v2.translate, v2.transcribe], [50_257, 50_258, 50_358, 50_359]);
        assert_eq!(
            ([v2.previous, v2.no_speech, v2.no_timestamps], v2.languages().len()),
            ([50_361, 50_362, 50_363], 99)
        );
        let v3 = of(51_866);
        assert_eq!(([v3.translate, v3.no_timestamps], v3.languages().len()), ([50_359, 50_364], 100));
    }

    #[test]
    fn a_text_is_cut_as_the_tokeniser_was_trained_on() {
        assert_eq!(
            parts("It's 20 km, she'll  go.\n Now"),
            ["It", "'s", " 20", " km", ",", " she", "'ll", " ", " go", ".", "\n", " Now"]
        );
        assert_eq!(parts("  "), ["  "]);
    }

    #[test]
    fn the_first_union_of_the_vocabulary_is_made_first() {
        let v = english(&["he", "ll", "hell", "llo", " hello"]);
        let texts = |text: &str| v.tokenize(text).into_iter().map(|token| v.bytes(token).to_vec()).collect::<Vec<_>>();
        // "he" and "ll" come before "llo"
        assert_eq!(texts("hello"), [b"hell".to_vec(), b"o".to_vec()]);
        assert_eq!(texts("hello hello").concat(), b"hello hello");
        assert_eq!(texts("Zürich").concat(), "Zürich".as_bytes());
    }
}
