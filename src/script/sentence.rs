//! Where sentences end: at their marks, but not at the full stop of an abbreviation, an ordinal or an initial.

use super::character::{is_closing, is_opening, joins_words};

/// Full stops of all scripts, ASCII's aside: nothing but a sentence ends with them.
const STOPS: &str = "!?…。！？｡؟۔।॥።፧։།༎။៕។";

/// Marks that end a clause.
const COMMAS: &str = ",;:—–、，；：،؛፣";

/// Abbreviations with one full stop, in lower case, after which a name or a number follows and no sentence ends: of all
/// languages, and of one.
const TITLES: [&str; 7] = ["mr", "mrs", "ms", "dr", "prof", "st", "vs"];
#[rustfmt::skip]
const TITLES_OF: [(&str, &[&str]); 8] = [
    ("en", &["sr", "jr", "gen", "col", "capt", "lt", "sgt", "rev", "gov", "sen", "mt", "fig", "vol", "approx", "dept"]),
    ("de", &["hr", "fr", "hrn", "bzw", "ca", "vgl", "nr", "dipl", "ing", "evtl", "ggf", "hl", "geb", "gest", "sog"]),
    ("fr", &["m", "mm", "mme", "mlle", "me", "av", "env", "art"]),
    ("es", &["sr", "sra", "srta", "dra", "ud", "uds", "dña", "núm", "pág", "gral"]),
    ("it", &["sig", "dott", "avv", "ing", "art", "pag"]),
    ("pt", &["sr", "sra", "dra", "profa", "núm", "pág", "exmo"]),
    ("nl", &["dhr", "mevr", "mw", "drs", "ing", "nr", "bijv", "ca"]),
    ("pl", &["mgr", "inż", "ul", "nr", "np", "tzn", "św", "gen", "płk"]),
];

/// Abbreviations after which a sentence ends where a capital follows, and a number never begins one.
const COUNTED: [&str; 24] = [
    "no", "nos", "nr", "núm", "art", "p", "pp", "ch", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept",
    "oct", "nov", "dec", "etc", "inc", "co", "ltd",
];

/// Languages that write ordinals with a full stop.
const ORDINALS: [&str; 14] = ["de", "da", "no", "nn", "fi", "et", "cs", "sk", "pl", "hu", "hr", "sl", "sr", "is"];

/// Whether a sentence ends with each of the words of a text in the language (Whisper's code). The last word is judged
/// as if a sentence followed.
pub fn ends(words: &[&str], language: &str) -> Vec<bool> {
    // in a text without capitals a small letter says nothing
    let is_cased = words.iter().any(|word| word.contains(char::is_uppercase));
    let around = |i: usize| (i.checked_sub(1).and_then(|i| words.get(i)), words.get(i + 1));
    let end = |(i, word): (usize, &&str)| {
        let (before, next) = around(i);
        let begins_small = is_cased && next.is_some_and(|next| first(next).is_some_and(char::is_lowercase));
        match stop(word) {
            Stop::None => false,
            Stop::Certain => true,
            Stop::Ellipsis => !begins_small,
            Stop::Dot => !begins_small && !is_abbreviated(before.copied(), word, next.copied(), language),
        }
    };
    words.iter().enumerate().map(end).collect()
}

/// Whether the text ends like a sentence, closing quotes aside.
pub fn is_ended(text: &str) -> bool {
    !matches!(stop(text), Stop::None)
}

/// Whether the word ends a clause.
pub fn ends_clause(word: &str) -> bool {
    word.ends_with(|c| COMMAS.contains(c))
}

enum Stop {
    None,
    Dot,
    Ellipsis,
    Certain,
}

fn stop(word: &str) -> Stop {
    let bare = word.trim_end_matches(is_closing);
    match bare.chars().next_back() {
        Some('.') if bare.ends_with("..") => Stop::Ellipsis,
        Some('.') => Stop::Dot,
        Some('…') => Stop::Ellipsis,
        Some(c) if STOPS.contains(c) => Stop::Certain,
        _ => Stop::None,
    }
}

/// Whether the full stop at the word's end belongs to the word.
fn is_abbreviated(before: Option<&str>, word: &str, next: Option<&str>, language: &str) -> bool {
    let Some(next) = next else { return false };
    let bare = word.trim_start_matches(is_opening).trim_end_matches(is_closing).trim_end_matches('.');
    let small = bare.to_lowercase();
    let number_follows = first(next).is_some_and(char::is_numeric);
    let mut chars = bare.chars();
    let (initial, more) = (chars.next(), chars.next());
    if bare.contains('.') {
        // p.m. ends a sentence where a capital follows; U.S., i.e. and z.B. do not say
        let is_time = matches!(small.as_str(), "a.m" | "p.m");
        return bare.split('.').all(|part| part.chars().count() <= 2 && part.chars().all(char::is_alphabetic))
            && (!is_time || number_follows);
    }
    if initial.is_some_and(char::is_uppercase) && more.is_none() {
        // John F. Kennedy, J. K. Rowling; but not: vitamin C. It ...
        return before.is_none_or(|before| first(before).is_some_and(char::is_uppercase) || stops(before));
    }
    if initial.is_some_and(char::is_lowercase) && more.is_none() {
        // z. B.
        return next.trim_end_matches('.').chars().count() == 1;
    }
    if bare.len() <= 2 && !bare.is_empty() && bare.chars().all(|c| c.is_ascii_digit()) {
        return ORDINALS.contains(&language);
    }
    let own = TITLES_OF.iter().filter(|(of, _)| *of == language).flat_map(|(_, titles)| *titles);
    TITLES.iter().chain(own).any(|title| *title == small) || number_follows && COUNTED.contains(&small.as_str())
}

fn stops(word: &str) -> bool {
    !matches!(stop(word), Stop::None)
}

/// The first letter or digit.
fn first(word: &str) -> Option<char> {
    word.chars().find(|c| c.is_alphanumeric() || joins_words(*c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::word;

    fn sentences(text: &str, language: &str) -> Vec<String> {
        let words = word::split(text);
        let mut sentences = vec![Vec::new()];
        for (word, ends) in words.iter().zip(ends(&words, language)) {
            if let Some(sentence) = sentences.last_mut() {
                sentence.push(*word);
            }
            if ends {
                sentences.push(Vec::new());
            }
        }
        sentences.retain(|sentence| !sentence.is_empty());
        sentences.into_iter().map(|words| words.join(" ")).collect()
    }

    #[test]
    fn abbreviations_initials_and_numbers_end_no_sentence() {
        let whole = [
            ("Mr. Smith of the U.S. Army came at 3 p.m. today.", "en"),
            ("J. K. Rowling met John F. Kennedy.", "en"),
            ("See No. 5, i.e. 3,000.00 EUR, on Jan. 3, vs. (Dr. Who).", "en"),
            ("Mail a.b@example.com or visit www.example.com today.", "en"),
            ("Am 3. Mai, d. h. z. B. bei Hrn. Dr. Maier.", "de"),
            ("Well... maybe so.", "en"),
        ];
        for (text, language) in whole {
            assert_eq!(sentences(text, language), [text]);
        }
    }

    #[test]
    fn sentences_end_in_every_script() {
        let two = [
            ("We left at 5 p.m. Then it rained.", "en"),
            ("No. No.", "en"),
            ("Take vitamin C. It helps.", "en"),
            ("hello there. how are you.", "en"),
            ("He said “no.” Then he left.", "en"),
            ("यह एक है। यह दो है।", "hi"),
            ("یہ ایک ہے۔ یہ دو ہے۔", "ur"),
            ("ይህ አንድ ነው። ይህ ሁለት ነው።", "am"),
            ("Սա մեկն է։ Սա երկուսն է։", "hy"),
            ("هل أنت هنا؟ نعم.", "ar"),
        ];
        for (text, language) in two {
            assert_eq!(sentences(text, language).len(), 2, "{text}: {:?}", sentences(text, language));
        }
        assert_eq!(sentences("你好。「世界。」再见！", "zh"), ["你好。", "「世界。」", "再见！"]);
        assert_eq!(sentences("នេះគឺមួយ។ នេះគឺពីរ។", "km").len(), 2);
        assert_eq!(sentences("ဒါက တစ်ခု။ ဒါက နှစ်ခု။", "my").len(), 2);
    }
}
