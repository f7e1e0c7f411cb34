//! Amazon Transcribe's language codes: it names a country where Whisper names a language.

/// Whisper's code and theirs. Of several countries, the one a caller means who names none; a language they do not
/// support is missing.
#[rustfmt::skip]
const LOCALES: [(&str, &str); 74] = [
    ("af", "af-ZA"), ("ar", "ar-SA"), ("az", "az-AZ"), ("ba", "ba-RU"), ("be", "be-BY"), ("bg", "bg-BG"),
    ("bn", "bn-IN"), ("bs", "bs-BA"), ("ca", "ca-ES"), ("cs", "cs-CZ"), ("cy", "cy-WL"), ("da", "da-DK"),
    ("de", "de-DE"), ("el", "el-GR"), ("en", "en-US"), ("es", "es-US"), ("et", "et-EE"), ("eu", "eu-ES"),
    ("fa", "fa-IR"), ("fi", "fi-FI"), ("fr", "fr-FR"), ("gl", "gl-ES"), ("gu", "gu-IN"), ("ha", "ha-NG"),
    ("he", "he-IL"), ("hi", "hi-IN"), ("hr", "hr-HR"), ("hu", "hu-HU"), ("hy", "hy-AM"), ("id", "id-ID"),
    ("is", "is-IS"), ("it", "it-IT"), ("ja", "ja-JP"), ("ka", "ka-GE"), ("kk", "kk-KZ"), ("kn", "kn-IN"),
    ("ko", "ko-KR"), ("lt", "lt-LT"), ("lv", "lv-LV"), ("mi", "mi-NZ"), ("mk", "mk-MK"), ("ml", "ml-IN"),
    ("mn", "mn-MN"), ("mr", "mr-IN"), ("ms", "ms-MY"), ("mt", "mt-MT"), ("nl", "nl-NL"), ("no", "no-NO"),
    ("pa", "pa-IN"), ("pl", "pl-PL"), ("ps", "ps-AF"), ("pt", "pt-BR"), ("ro", "ro-RO"), ("ru", "ru-RU"),
    ("si", "si-LK"), ("sk", "sk-SK"), ("sl", "sl-SI"), ("so", "so-SO"), ("sr", "sr-RS"), ("su", "su-ID"),
    ("sv", "sv-SE"), ("sw", "sw-KE"), ("ta", "ta-IN"), ("te", "te-IN"), ("th", "th-TH"), ("tl", "tl-PH"),
    ("tr", "tr-TR"), ("tt", "tt-RU"), ("uk", "uk-UA"), ("uz", "uz-UZ"), ("vi", "vi-VN"), ("yue", "zh-HK"),
    ("zh", "zh-CN"), ("nn", "no-NO"),
];

/// Their code for one of Whisper's; `None` for a language they do not have.
pub fn of(code: &str) -> Option<&'static str> {
    LOCALES.iter().find(|(whisper, _)| *whisper == code).map(|(_, theirs)| *theirs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::language::LANGUAGES;

    #[test]
    fn every_locale_belongs_to_a_language_of_whispers() {
        for (code, theirs) in LOCALES {
            assert!(LANGUAGES.iter().any(|(known, _)| *known == code), "{code}");
            assert_eq!(theirs.len(), 5, "{theirs}");
        }
        assert_eq!(of("en"), Some("en-US"));
        assert_eq!(of("yo"), None);
    }
}
