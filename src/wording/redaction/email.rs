//! E-mail addresses, as they are written and as they are spelled.

use std::ops::Range;

/// How `@` is said.
const AT: [&str; 8] = ["@", "at", "arroba", "arobase", "klammeraffe", "chiocciola", "apenstaartje", "malpa"];

/// How `.` is said.
const DOT: [&str; 8] = [".", "dot", "punkt", "point", "punto", "ponto", "punt", "kropka"];

/// What else joins the parts of a name.
const JOINTS: [&str; 8] = ["underscore", "hyphen", "dash", "minus", "plus", "unterstrich", "bindestrich", "tiret"];

/// How spelled domains end.
#[rustfmt::skip]
const ENDS: [&str; 48] = [
    "com", "org", "net", "edu", "gov", "mil", "int", "info", "biz", "app", "dev", "io", "ai", "me", "tv", "uk", "de", "fr", "es",
    "it", "nl", "be", "pl", "se", "no", "dk", "fi", "at", "ch", "eu", "ie", "pt", "cz", "gr", "ru", "ua", "tr", "ca", "us", "mx",
    "br", "ar", "au", "nz", "jp", "cn", "in", "za",
];

/// Words of a spelled name.
const LONGEST_NAME: usize = 24;

/// The address that holds word `at` as its sign, its dots and its name around it; within `free` words after it.
pub fn at(words: &[&str], at: usize, free: usize) -> Option<Range<usize>> {
    let end = at + free;
    let word = plain(words.get(at)?);
    if let Some((name, domain)) = word.split_once('@').filter(|(name, domain)| !(name.is_empty() && domain.is_empty()))
    {
        // "ann.lee@" and "example.com", or all of it in one piece
        let start = if name.is_empty() { name_before(words, at)? } else { at };
        let domain_end = if domain.is_empty() {
            domain_from(words, at + 1, end)?
        } else {
            rest_of_domain(words, domain, at + 1, end)?
        };
        return Some(start..domain_end);
    }
    if !AT.contains(&word.as_str()) {
        return None;
    }
    Some(name_before(words, at)?..domain_from(words, at + 1, end)?)
}

/// Whether a word may be part of an address.
pub fn is_part(word: &str) -> bool {
    let word = plain(word);
    word.contains('@') || AT.contains(&word.as_str()) || DOT.contains(&word.as_str())
}

/// In small letters, without the marks around it.
fn plain(word: &str) -> String {
    let word = word.to_lowercase();
    match word.as_str() {
        "@" | "." => word,
        _ => word.trim_matches(|c: char| !c.is_alphanumeric() && c != '@' && c != '_').to_owned(),
    }
}

/// Where the name before word `at` begins: its parts are joined by what is said, or are single letters and numbers.
fn name_before(words: &[&str], at: usize) -> Option<usize> {
    let is_joint = |word: &str| DOT.contains(&word) || JOINTS.contains(&word) || word == "_";
    let has_digit = |word: &str| word.bytes().any(|byte| byte.is_ascii_digit());
    let is_piece = |word: &str| word.chars().count() == 1 || has_digit(word);
    let word = |at: usize| words.get(at).map(|word| plain(word)).unwrap_or_default();
    let mut start = at.checked_sub(1)?;
    while let Some(before) = start.checked_sub(1).filter(|_| at - start < LONGEST_NAME) {
        if is_joint(&word(before)) {
            start = before.saturating_sub(1);
        } else if has_digit(&word(start)) || is_piece(&word(start)) && is_piece(&word(before)) {
            start = before;
        } else {
            break;
        }
    }
    Some(start)
}

/// Where the domain that begins with word `from` ends.
fn domain_from(words: &[&str], from: usize, end: usize) -> Option<usize> {
    let first = plain(words.get(from).filter(|_| from < end)?);
    // spelled: "g mail dot com", "e x a m p l e dot com"
    let joined =
        (from + 1..end.min(from + LONGEST_NAME)).take_while(|at| !is_dot(words, at - 1) && !is_ended(words, at - 1));
    let dot = joined.filter(|at| is_dot(words, *at)).last();
    if first.contains('.')
        || dot == Some(from + 1)
        || dot.is_some_and(|dot| dot <= from + 2 || is_spelled(words, from, dot))
    {
        return rest_of_domain(words, &first, from + 1, end).or_else(|| {
            let dot = dot?;
            rest_of_domain(words, "", dot, end)
        });
    }
    None
}

fn is_spelled(words: &[&str], from: usize, to: usize) -> bool {
    words.get(from..to).unwrap_or_default().iter().all(|word| plain(word).chars().count() == 1)
}

fn is_dot(words: &[&str], at: usize) -> bool {
    words.get(at).is_some_and(|word| DOT.contains(&plain(word).as_str()))
}

fn is_ended(words: &[&str], at: usize) -> bool {
    words.get(at).is_some_and(|word| word.len() > 1 && word.ends_with(['.', '!', '?', ';']))
}

/// Where a domain ends of which `so_far` is known and word `from` is the next; `None` where it is none.
fn rest_of_domain(words: &[&str], so_far: &str, from: usize, end: usize) -> Option<usize> {
    let is_end = |label: &str| label.len() >= 2 && label.chars().all(char::is_alphabetic);
    let mut last = so_far.rsplit_once('.').map(|(_, last)| last.to_owned()).filter(|last| is_end(last)).map(|_| from);
    let mut at = from;
    while at + 1 < end && is_dot(words, at) && !is_ended(words, at - 1) {
        let label = words.get(at + 1).map(|word| plain(word)).unwrap_or_default();
        let top = label.rsplit_once('.').map_or(label.as_str(), |(_, top)| top);
        if ENDS.contains(&top) {
            last = Some(at + 2);
        }
        at += 2;
    }
    last
}
