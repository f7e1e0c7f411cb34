//! The languages Whisper knows.

/// What a producer writes to have the language detected.
pub const AUTO: &str = "auto";

/// Code and English name of each language Whisper was trained on, in the order of its tokens.
#[rustfmt::skip]
pub const LANGUAGES: [(&str, &str); 100] = [
    ("en", "english"), ("zh", "chinese"), ("de", "german"), ("es", "spanish"), ("ru", "russian"), ("ko", "korean"),
    ("fr", "french"), ("ja", "japanese"), ("pt", "portuguese"), ("tr", "turkish"), ("pl", "polish"),
    ("ca", "catalan"), ("nl", "dutch"), ("ar", "arabic"), ("sv", "swedish"), ("it", "italian"),
    ("id", "indonesian"), ("hi", "hindi"), ("fi", "finnish"), ("vi", "vietnamese"), ("he", "hebrew"),
    ("uk", "ukrainian"), ("el", "greek"), ("ms", "malay"), ("cs", "czech"), ("ro", "romanian"), ("da", "danish"),
    ("hu", "hungarian"), ("ta", "tamil"), ("no", "norwegian"), ("th", "thai"), ("ur", "urdu"), ("hr", "croatian"),
    ("bg", "bulgarian"), ("lt", "lithuanian"), ("la", "latin"), ("mi", "maori"), ("ml", "malayalam"),
    ("cy", "welsh"), ("sk", "slovak"), ("te", "telugu"), ("fa", "persian"), ("lv", "latvian"), ("bn", "bengali"),
    ("sr", "serbian"), ("az", "azerbaijani"), ("sl", "slovenian"), ("kn", "kannada"), ("et", "estonian"),
    ("mk", "macedonian"), ("br", "breton"), ("eu", "basque"), ("is", "icelandic"), ("hy", "armenian"),
    ("ne", "nepali"), ("mn", "mongolian"), ("bs", "bosnian"), ("kk", "kazakh"), ("sq", "albanian"),
    ("sw", "swahili"), ("gl", "galician"), ("mr", "marathi"), ("pa", "punjabi"), ("si", "sinhala"), ("km", "khmer"),
    ("sn", "shona"), ("yo", "yoruba"), ("so", "somali"), ("af", "afrikaans"), ("oc", "occitan"), ("ka", "georgian"),
    ("be", "belarusian"), ("tg", "tajik"), ("sd", "sindhi"), ("gu", "gujarati"), ("am", "amharic"),
    ("yi", "yiddish"), ("lo", "lao"), ("uz", "uzbek"), ("fo", "faroese"), ("ht", "haitian creole"), ("ps", "pashto"),
    ("tk", "turkmen"), ("nn", "nynorsk"), ("mt", "maltese"), ("sa", "sanskrit"), ("lb", "luxembourgish"),
    ("my", "myanmar"), ("bo", "tibetan"), ("tl", "tagalog"), ("mg", "malagasy"), ("as", "assamese"), ("tt", "tatar"),
    ("haw", "hawaiian"), ("ln", "lingala"), ("ha", "hausa"), ("ba", "bashkir"), ("jw", "javanese"),
    ("su", "sundanese"), ("yue", "cantonese"),
];

/// Other names in use; the ISO code of Javanese, for which Whisper has one of its own; codes that ISO 639-1 has withdrawn,
/// which Java and old databases still write.
#[rustfmt::skip]
const ALIASES: [(&str, &str); 18] = [
    ("burmese", "my"), ("valencian", "ca"), ("flemish", "nl"), ("haitian", "ht"), ("letzeburgesch", "lb"),
    ("pushto", "ps"), ("panjabi", "pa"), ("moldavian", "ro"), ("moldovan", "ro"), ("sinhalese", "si"),
    ("castilian", "es"), ("mandarin", "zh"), ("jv", "jw"), ("nb", "no"), ("iw", "he"), ("in", "id"), ("ji", "yi"),
    ("mo", "ro"),
];

/// The three letters of ISO 639-2, for terms and for libraries, and those of ISO 639-3 that producers write instead.
#[rustfmt::skip]
const THREE_LETTERS: [(&str, &str); 125] = [
    ("eng", "en"), ("zho", "zh"), ("chi", "zh"), ("cmn", "zh"), ("deu", "de"), ("ger", "de"), ("spa", "es"),
    ("rus", "ru"), ("kor", "ko"), ("fra", "fr"), ("fre", "fr"), ("jpn", "ja"), ("por", "pt"), ("tur", "tr"),
    ("pol", "pl"), ("cat", "ca"), ("nld", "nl"), ("dut", "nl"), ("ara", "ar"), ("arb", "ar"), ("swe", "sv"),
    ("ita", "it"), ("ind", "id"), ("hin", "hi"), ("fin", "fi"), ("vie", "vi"), ("heb", "he"), ("ukr", "uk"),
    ("ell", "el"), ("gre", "el"), ("msa", "ms"), ("may", "ms"), ("zsm", "ms"), ("ces", "cs"), ("cze", "cs"),
    ("ron", "ro"), ("rum", "ro"), ("mol", "ro"), ("dan", "da"), ("hun", "hu"), ("tam", "ta"), ("nor", "no"),
    ("nob", "no"), ("tha", "th"), ("urd", "ur"), ("hrv", "hr"), ("bul", "bg"), ("lit", "lt"), ("lat", "la"),
    ("mri", "mi"), ("mao", "mi"), ("mal", "ml"), ("cym", "cy"), ("wel", "cy"), ("slk", "sk"), ("slo", "sk"),
    ("tel", "te"), ("fas", "fa"), ("per", "fa"), ("pes", "fa"), ("lav", "lv"), ("ben", "bn"), ("srp", "sr"),
    ("aze", "az"), ("slv", "sl"), ("kan", "kn"), ("est", "et"), ("mkd", "mk"), ("mac", "mk"), ("bre", "br"),
    ("eus", "eu"), ("baq", "eu"), ("isl", "is"), ("ice", "is"), ("hye", "hy"), ("arm", "hy"), ("nep", "ne"),
    ("mon", "mn"), ("bos", "bs"), ("kaz", "kk"), ("sqi", "sq"), ("alb", "sq"), ("swa", "sw"), ("swh", "sw"),
    ("glg", "gl"), ("mar", "mr"), ("pan", "pa"), ("sin", "si"), ("khm", "km"), ("sna", "sn"), ("yor", "yo"),
    ("som", "so"), ("afr", "af"), ("oci", "oc"), ("kat", "ka"), ("geo", "ka"), ("bel", "be"), ("tgk", "tg"),
    ("snd", "sd"), ("guj", "gu"), ("amh", "am"), ("yid", "yi"), ("uzb", "uz"), ("fao", "fo"), ("hat", "ht"),
    ("pus", "ps"), ("tuk", "tk"), ("nno", "nn"), ("mlt", "mt"), ("san", "sa"), ("ltz", "lb"), ("mya", "my"),
    ("bur", "my"), ("bod", "bo"), ("tib", "bo"), ("tgl", "tl"), ("fil", "tl"), ("mlg", "mg"), ("asm", "as"),
    ("tat", "tt"), ("lin", "ln"), ("hau", "ha"), ("bak", "ba"), ("jav", "jw"), ("sun", "su"),
];

/// Whisper's code for a code of two or three letters or an English name, in any case; of a tag with a region (`en-US`,
/// `pt_BR`, `eng-US`) the language counts. `None` for a language Whisper does not know, and for `auto`.
pub fn code(text: &str) -> Option<&'static str> {
    let text = text.trim().to_ascii_lowercase();
    let language = match text.split_once(['-', '_']) {
        // only a code has a region: "old-english" is no language of ours
        Some((language, _)) if matches!(language.len(), 2 | 3) => language,
        _ => text.as_str(),
    };
    let known = LANGUAGES.iter().find(|(code, name)| *code == language || *name == language).map(|(code, _)| *code);
    let others = ALIASES.iter().chain(&THREE_LETTERS);
    known.or_else(|| others.into_iter().find(|(alias, _)| *alias == language).map(|(_, code)| *code))
}

/// What a transcript says where nobody spoke: "undetermined" in ISO 639-2.
pub const UNDETERMINED: &str = "und";

/// The two letters that stand for it where there must be two. ISO 639-1 has none and has given these to no language.
pub const UNKNOWN: &str = "un";

/// The codes of several languages, each once, in the order given.
///
/// # Errors
/// The first that Whisper does not know.
pub fn codes<T: AsRef<str>>(texts: &[T]) -> Result<Vec<String>, &str> {
    let mut codes: Vec<String> = Vec::new();
    for text in texts {
        let code = code(text.as_ref()).ok_or(text.as_ref())?;
        if !codes.iter().any(|known| known == code) {
            codes.push(code.to_owned());
        }
    }
    Ok(codes)
}

/// The two letters of ISO 639-1 for one of Whisper's codes; `None` for Hawaiian, which has none. Cantonese is `zh` there.
pub fn iso_639_1(code: &str) -> Option<&str> {
    match code {
        "jw" => Some("jv"),
        "yue" => Some("zh"),
        _ => (code.len() == 2).then_some(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_known_by_code_name_and_region_tag() {
        for text in ["de", "DE", " German ", "de-AT", "de_CH"] {
            assert_eq!(code(text), Some("de"), "{text}");
        }
        assert_eq!(code("Haitian Creole"), Some("ht"));
        assert_eq!(code("yue-HK"), Some("yue"));
        assert_eq!(code("Mandarin"), Some("zh"));
    }

    #[test]
    fn three_letters_and_withdrawn_codes_are_languages_too() {
        for (text, expected) in [
            ("eng", "en"),
            ("ENG-us", "en"),
            ("deu", "de"),
            ("ger", "de"),
            ("fre", "fr"),
            ("cmn", "zh"),
            ("fil-PH", "tl"),
            ("iw", "he"),
            ("in-ID", "id"),
            ("ji", "yi"),
            ("lao", "lo"),
        ] {
            assert_eq!(code(text), Some(expected), "{text}");
        }
        for (code_of_two, _) in LANGUAGES {
            let spelled = THREE_LETTERS.iter().any(|(_, code)| *code == code_of_two);
            assert!(spelled || ["lo", "haw", "yue"].contains(&code_of_two), "{code_of_two} has no three letters");
        }
    }

    #[test]
    fn what_whisper_does_not_know_has_no_code() {
        for text in ["", "xx", "klingon", "auto", "e", "english-old", "\0"] {
            assert_eq!(code(text), None, "{text}");
        }
    }

    #[test]
    fn every_code_and_name_is_listed_once() {
        let mut all: Vec<&str> = LANGUAGES.iter().flat_map(|(code, name)| [*code, *name]).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 2 * LANGUAGES.len());
        let aliases: Vec<_> = ALIASES.iter().chain(&THREE_LETTERS).collect();
        assert!(aliases.iter().all(|(alias, code)| !all.contains(alias) && all.contains(code)));
        all.extend(aliases.iter().map(|(alias, _)| *alias));
        all.sort_unstable();
        assert!(all.windows(2).all(|two| two[0] != two[1]), "{all:?}");
    }

    #[test]
    fn several_languages_are_named_once_each() {
        assert_eq!(codes(&["de", "en-US", "German", "yue"]), Ok(vec!["de".into(), "en".into(), "yue".into()]));
        assert_eq!(codes(&["de", "auto"]), Err("auto"));
        assert_eq!(codes::<&str>(&[]), Ok(Vec::new()));
    }

    #[test]
    fn events_carry_two_letters_or_nothing() {
        assert_eq!(iso_639_1("en"), Some("en"));
        assert_eq!(iso_639_1("jw"), Some("jv"));
        assert_eq!(iso_639_1("haw"), None);
        let letters = LANGUAGES.iter().filter_map(|(code, _)| iso_639_1(code));
        assert!(letters.into_iter().all(|two| two.len() == 2));
    }
}
