//! Words as the letters and digits that they stand for: "DE89", "4111-1111", "four", "double one", "oh".

use std::ops::Range;

/// Letters and digits; no number that people are known by is longer.
const LONGEST: usize = 34;

/// Digits as they are said, in languages whose words for them are no other words of these.
#[rustfmt::skip]
const DIGITS: [(&str, &str); 78] = [
    ("zero", "0"), ("oh", "0"), ("nought", "0"), ("one", "1"), ("two", "2"), ("three", "3"), ("four", "4"), ("five", "5"),
    ("six", "6"), ("seven", "7"), ("eight", "8"), ("nine", "9"), ("ten", "10"), ("eleven", "11"), ("twelve", "12"),
    ("thirteen", "13"), ("fourteen", "14"), ("fifteen", "15"), ("sixteen", "16"), ("seventeen", "17"), ("eighteen", "18"),
    ("nineteen", "19"), ("hundred", "00"), ("thousand", "000"),
    ("null", "0"), ("eins", "1"), ("zwei", "2"), ("zwo", "2"), ("drei", "3"), ("vier", "4"), ("fünf", "5"), ("sechs", "6"),
    ("sieben", "7"), ("acht", "8"), ("neun", "9"),
    ("zéro", "0"), ("un", "1"), ("deux", "2"), ("trois", "3"), ("quatre", "4"), ("cinq", "5"), ("sept", "7"), ("huit", "8"),
    ("neuf", "9"),
    ("cero", "0"), ("uno", "1"), ("dos", "2"), ("tres", "3"), ("cuatro", "4"), ("cinco", "5"), ("seis", "6"), ("siete", "7"),
    ("ocho", "8"), ("nueve", "9"),
    ("due", "2"), ("tre", "3"), ("quattro", "4"), ("cinque", "5"), ("sei", "6"), ("sette", "7"), ("otto", "8"), ("nove", "9"),
    ("um", "1"), ("dois", "2"), ("três", "3"), ("quatro", "4"), ("sete", "7"), ("oito", "8"),
    ("nul", "0"), ("een", "1"), ("twee", "2"), ("drie", "3"), ("vijf", "5"), ("zes", "6"), ("zeven", "7"), ("negen", "9"),
    ("noll", "0"), ("två", "2"),
];

/// Tens as they are said: a unit after them takes the place of their nought.
const TENS: [(&str, &str); 8] = [
    ("twenty", "2"),
    ("thirty", "3"),
    ("forty", "4"),
    ("fifty", "5"),
    ("sixty", "6"),
    ("seventy", "7"),
    ("eighty", "8"),
    ("ninety", "9"),
];

/// What is said between digits and is none.
const BETWEEN: [&str; 10] = ["dash", "hyphen", "minus", "space", "uh", "er", "then", "bindestrich", "tiret", "guion"];

/// Signs between digits.
const SIGNS: [char; 10] = ['-', '.', ',', '(', ')', '+', '/', ':', '–', '\u{a0}'];

/// What each of some words stands for.
pub struct Codes(Vec<Option<String>>);

impl Codes {
    /// Of words with their punctuation.
    pub fn of(words: &[&str]) -> Self {
        let plain: Vec<String> = words.iter().map(|word| trimmed(word).to_lowercase()).collect();
        let code = |at: usize| {
            let (word, next) = (plain.get(at)?.as_str(), plain.get(at + 1).map_or("", String::as_str));
            match word {
                // the words after it say the same once more
                "double" | "doppel" | "doble" => repeated(next, 1),
                "triple" | "treble" => repeated(next, 2),
                _ if BETWEEN.contains(&word) => Some(String::new()),
                _ => said(word, next).or_else(|| written(words.get(at)?)),
            }
        };
        Self((0..words.len()).map(code).collect())
    }

    /// Whether a word stands for digits, or holds some.
    pub fn has_digits(&self, at: usize) -> bool {
        self.0.get(at).and_then(Option::as_ref).is_some_and(|code| code.bytes().any(|byte| byte.is_ascii_digit()))
    }

    /// What a word stands for; `None` where that is neither letters nor digits.
    pub fn get(&self, at: usize) -> Option<&str> {
        self.0.get(at)?.as_deref()
    }

    /// The longest run of up to `free` words from `at` on that is a number, by what they stand for together.
    pub fn longest(&self, at: usize, free: usize, is_number: impl Fn(&str) -> bool) -> Option<Range<usize>> {
        self.runs(at, free, "").filter(|(_, code)| is_number(code)).last().map(|(range, _)| range)
    }

    /// As [`Codes::longest`], by the groups: a hyphen stands between what different words stand for.
    pub fn longest_shaped(&self, at: usize, free: usize, is_number: impl Fn(&str) -> bool) -> Option<Range<usize>> {
        self.runs(at, free, "-").filter(|(_, code)| is_number(code)).last().map(|(range, _)| range)
    }

    /// The runs that begin with word `at` and neither begin nor end with a word that stands for nothing.
    fn runs(&self, at: usize, free: usize, between: &'static str) -> impl Iterator<Item = (Range<usize>, String)> {
        let codes = self.0.get(at..at + free).unwrap_or_default();
        let mut code = String::new();
        let begins = codes.first().and_then(Option::as_deref).is_some_and(|first| !first.is_empty());
        let parts = codes.iter().take(if begins { codes.len() } else { 0 }).map_while(Option::as_deref).enumerate();
        let runs = parts.map_while(move |(count, part)| {
            if !part.is_empty() && !code.is_empty() {
                code.push_str(between);
            }
            code.push_str(part);
            (code.len() <= LONGEST + 8).then(|| (at..at + count + 1, part.is_empty(), code.clone()))
        });
        runs.filter(|(_, ends_in_nothing, _)| !ends_in_nothing).map(|(range, _, code)| (range, code))
    }
}

/// Whether what a word stands for has no letter.
pub fn is_digits(code: &str) -> bool {
    code.bytes().all(|byte| byte.is_ascii_digit())
}

/// Without the signs around it; a plus before digits is one of them.
fn trimmed(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

/// A digit that is said once more: what `double` stands for before it.
fn repeated(next: &str, times: usize) -> Option<String> {
    let code = said(next, "").or_else(|| written(next))?;
    (code.len() == 1).then(|| code.repeat(times))
}

/// What is said as words; `next` may be the unit of tens.
fn said(word: &str, next: &str) -> Option<String> {
    let known =
        |list: &[(&str, &'static str)], word: &str| list.iter().find(|(said, _)| *said == word).map(|(_, code)| *code);
    if let Some(tens) = known(&TENS, word) {
        let is_unit = known(&DIGITS, next).is_some_and(|code| code.len() == 1 && code != "0");
        return Some(if is_unit { tens.to_owned() } else { format!("{tens}0") });
    }
    if let Some(code) = known(&DIGITS, word) {
        return Some(code.to_owned());
    }
    // "four-one-one", "twenty-one"
    let parts: Vec<&str> = word.split('-').collect();
    let parts_of = |at: usize| said(parts.get(at)?, parts.get(at + 1).copied().unwrap_or_default());
    (parts.len() > 1).then(|| (0..parts.len()).map(parts_of).collect::<Option<String>>()).flatten()
}

/// What is written: digits with signs between them, single letters, letters among digits, and a few
/// capitals, as banks and countries are written.
fn written(word: &str) -> Option<String> {
    let code: Option<String> = trimmed(word).chars().filter(|c| !SIGNS.contains(c)).map(ascii).collect();
    let code = code.filter(|code| !code.is_empty() && code.len() <= LONGEST)?;
    let is_code = code.bytes().any(|byte| byte.is_ascii_digit()) || code.len() == 1 || is_capitals(trimmed(word));
    is_code.then(|| code.to_ascii_uppercase())
}

fn is_capitals(word: &str) -> bool {
    word.len() <= 6 && word.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// A letter or digit of ASCII; the digits of other scripts as such. Each script has its ten digits in a row.
fn ascii(c: char) -> Option<char> {
    const ZEROS: [u32; 7] = [0x0660, 0x06f0, 0x0966, 0x09e6, 0x0e50, 0xff10, 0x1d7ce];
    if c.is_ascii_alphanumeric() {
        return Some(c);
    }
    let digit = ZEROS.iter().filter_map(|zero| u32::from(c).checked_sub(*zero)).find(|digit| *digit < 10)?;
    char::from_digit(digit, 10)
}
