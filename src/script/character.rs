//! Kinds of characters, by how their scripts use spaces.

/// Han, kana, their punctuation and full-width forms: no spaces, neither between words nor between sentences.
pub fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c), 0x2E80..=0x30FF | 0x3100..=0x312F | 0x31A0..=0x31FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF
        | 0xF900..=0xFAFF | 0xFE30..=0xFE4F | 0xFF00..=0xFF9F | 0x20000..=0x3FFFF)
}

/// Thai, Lao, Tibetan, Burmese, Khmer and their neighbours: no spaces between words, but between phrases.
pub fn runs_on(c: char) -> bool {
    matches!(u32::from(c), 0x0E00..=0x0FFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x1950..=0x19FF | 0x1A20..=0x1AAF
        | 0xA9E0..=0xA9FF | 0xAA60..=0xAADF)
}

/// Whether words of the character's script follow each other without spaces.
pub fn joins_words(c: char) -> bool {
    is_unspaced(c) || runs_on(c)
}

/// Hangul syllables and letters: written with spaces, as wide as Han.
pub fn is_hangul(c: char) -> bool {
    matches!(u32::from(c), 0x1100..=0x11FF | 0x3130..=0x318F | 0xA960..=0xA97F | 0xAC00..=0xD7FF)
}

/// Kinds of writing that take unlike numbers of characters to write the same speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Writing {
    /// A letter for each sound: Latin, Greek, Cyrillic, Armenian, Georgian.
    Alphabet,
    /// Han, kana, Hangul: a character for a syllable or word.
    Syllables,
    /// All others: vowels are marks, or are left out.
    Marks,
}

/// The kind of writing that most of a text's letters are of; an alphabet where there is none.
pub fn writing(text: &str) -> Writing {
    let count = |kind: fn(char) -> bool| text.chars().filter(|c| c.is_alphabetic() && kind(*c)).count();
    let alphabet = count(is_of_alphabet);
    let syllables = count(|c| is_unspaced(c) || is_hangul(c));
    let marks = text.chars().filter(|c| c.is_alphabetic()).count() - alphabet - syllables;
    match (alphabet, syllables, marks) {
        (a, s, m) if a >= s && a >= m => Writing::Alphabet,
        (_, s, m) if s >= m => Writing::Syllables,
        _ => Writing::Marks,
    }
}

fn is_of_alphabet(c: char) -> bool {
    matches!(u32::from(c), 0x41..=0x58F | 0x10A0..=0x10FF | 0x1C90..=0x1CBF | 0x1D00..=0x1FFF | 0x2C00..=0x2DFF | 0xA640..=0xA7FF)
}

/// Opens a quotation or a bracket: belongs to what follows.
pub fn is_opening(c: char) -> bool {
    matches!(c, '(' | '[' | '{' | '«' | '“' | '‘' | '„' | '「' | '『' | '（' | '【' | '《' | '〈' | '［' | '¿' | '¡')
}

/// Closes a quotation or a bracket: belongs to what precedes it, also after the mark that ends a sentence.
pub fn is_closing(c: char) -> bool {
    matches!(c, '"' | '\'' | ')' | ']' | '}' | '»' | '”' | '’' | '」' | '』' | '）' | '】' | '》' | '〉' | '］')
}

/// How long a character takes to say, in letters of a Latin text: digits and signs are read out as words, Han, kana and
/// Hangul are syllables, Hebrew and Arabic leave vowels out.
pub fn spoken_length(c: char) -> f64 {
    match c {
        _ if c.is_ascii_digit() => 4.0,
        '%' | '$' | '€' | '£' | '&' | '+' => 5.0,
        _ if !c.is_alphanumeric() => 0.0,
        _ if is_unspaced(c) || is_hangul(c) => 2.5,
        _ if matches!(u32::from(c), 0x0590..=0x08FF | 0xFB1D..=0xFDFF | 0xFE70..=0xFEFF) => 1.4,
        _ => 1.0,
    }
}
