//! Telephone numbers: by their shape, for they have no checksum.

use std::ops::{Range, RangeInclusive};

use super::code::{Codes, is_digits};

/// Digits of a number; less is an extension. E.164 has at most 15, but people give two numbers in one breath.
const LENGTHS: RangeInclusive<usize> = 7..=40;

/// Before one of these within so many words, a number in one piece is a telephone's.
const NEAR: usize = 6;

/// How people announce one, by their beginnings.
const ANNOUNCED: [&str; 21] = [
    "call",
    "phone",
    "telephone",
    "number",
    "mobile",
    "cell",
    "fax",
    "text",
    "reach",
    "whatsapp",
    "tel",
    "telefon",
    "handy",
    "rufnummer",
    "nummer",
    "anruf",
    "numéro",
    "portable",
    "teléfono",
    "móvil",
    "numero",
];

/// The number that begins with word `at`, within `free` words; `is_free` tells whether the word before is too.
pub fn at(words: &[&str], codes: &Codes, at: usize, free: usize, is_free: bool) -> Option<Range<usize>> {
    let first = codes.get(at)?;
    // in the midst of a longer run it was looked at from the run's beginning
    let goes_on =
        |at: usize| codes.get(at).is_some_and(|code| !code.is_empty() && is_digits(code) && !is_amount(words, at));
    if first.is_empty() || !goes_on(at) || is_free && at.checked_sub(1).is_some_and(goes_on) {
        return None;
    }
    let run = (at..at + free).take_while(|at| codes.get(*at).is_some_and(is_digits) && !is_amount(words, *at));
    let end = run.filter(|at| goes_on(*at)).last()? + 1;
    let groups: Vec<&str> = (at..end).filter_map(|at| codes.get(at)).filter(|code| !code.is_empty()).collect();
    let digits = groups.concat();
    let written = words.get(at..end)?;
    is_number(&digits, &groups, written, announced(words, at)).then_some(at..end)
}

fn is_number(digits: &str, groups: &[&str], written: &[&str], is_announced: bool) -> bool {
    if !LENGTHS.contains(&digits.len()) || written.iter().any(|word| is_date(word)) {
        return false;
    }
    let has_sign =
        |signs: &[char]| written.iter().any(|word| word.trim_end_matches(['.', ',', '?', '!']).contains(signs));
    let is_year = |group: &&&str| group.len() == 4 && (group.starts_with("19") || group.starts_with("20"));
    let years = groups.iter().filter(is_year).count();
    let is_grouped = groups.len() > 1 && years < groups.len() || has_sign(&['-', '(', '/', '.']);
    let is_plus = written.first().is_some_and(|word| word.trim_start_matches('(').starts_with('+'));
    is_announced
        || is_plus
        || is_grouped
        || digits.starts_with('0')
        || digits.len() == 10 && !digits.starts_with(['0', '1'])
}

/// Whether a word is an amount: of money, of a hundred, or with commas or points as thousands have them.
pub fn is_amount(words: &[&str], at: usize) -> bool {
    let Some(word) = words.get(at) else { return false };
    let word = word.trim_end_matches(['.', ',', '?', '!', ';', ':']);
    let groups: Vec<&str> = word.split([',', '.']).collect();
    let is_digits = |group: &&str| group.bytes().all(|byte| byte.is_ascii_digit()) && !group.is_empty();
    let is_split = groups.len() > 1 && groups.iter().all(is_digits);
    // three groups of four, or of three and four at the end, with points, are how some write telephone numbers
    let is_dotted_phone = groups.len() > 2 && word.contains('.') && groups.last().is_some_and(|last| last.len() == 4);
    let is_spelled = groups.iter().all(|group| group.len() == 1);
    word.contains(['$', '€', '£', '¥', '%']) || is_split && !is_dotted_phone && !is_spelled
}

/// Whether a word is a date in numbers.
fn is_date(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_ascii_digit());
    let lengths = |sign: char| word.split(sign).map(str::len).collect::<Vec<_>>();
    ['/', '-', '.'].iter().any(|sign| matches!(lengths(*sign).as_slice(), [4, 1 | 2, 1 | 2] | [1 | 2, 1 | 2, 4]))
}

fn announced(words: &[&str], at: usize) -> bool {
    let before = words.get(at.saturating_sub(NEAR)..at).unwrap_or_default();
    before.iter().any(|word| {
        let word = word.to_lowercase();
        ANNOUNCED.iter().any(|announced| word.trim_matches(|c: char| !c.is_alphanumeric()).starts_with(announced))
    })
}
