//! Word error rate: texts are normalised as is usual for English, then aligned by edit distance.

/// Errors of a hypothesis against a reference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Errors {
    /// Words in the reference.
    pub words: u64,
    /// Words said differently.
    pub substituted: u64,
    /// Words missing.
    pub deleted: u64,
    /// Words added.
    pub inserted: u64,
}

impl Errors {
    /// Errors per reference word; `None` without any.
    pub fn rate(&self) -> Option<f64> {
        let errors = self.substituted + self.deleted + self.inserted;
        (self.words > 0).then(|| errors as f64 / self.words as f64)
    }

    /// Adds another text's errors.
    pub fn add(&mut self, other: Self) {
        self.words += other.words;
        self.substituted += other.substituted;
        self.deleted += other.deleted;
        self.inserted += other.inserted;
    }
}

/// Aligns two texts word by word.
pub fn compare(reference: &str, hypothesis: &str) -> Errors {
    let (reference, hypothesis) = (normalise(reference), normalise(hypothesis));
    // one row of the edit distance table, each cell with its counts
    let mut row: Vec<(u64, Errors)> =
        (0..=hypothesis.len() as u64).map(|n| (n, Errors { inserted: n, ..Errors::default() })).collect();
    for word in &reference {
        let mut diagonal = row[0];
        row[0].0 += 1;
        row[0].1.deleted += 1;
        for (j, heard) in hypothesis.iter().enumerate() {
            let (above, left) = (row[j + 1], row[j]);
            let wrong = u64::from(word != heard);
            let mut best = (diagonal.0 + wrong, diagonal.1);
            best.1.substituted += wrong;
            if above.0 + 1 < best.0 {
                best = (above.0 + 1, Errors { deleted: above.1.deleted + 1, ..above.1 });
            }
            if left.0 + 1 < best.0 {
                best = (left.0 + 1, Errors { inserted: left.1.inserted + 1, ..left.1 });
            }
            diagonal = above;
            row[j + 1] = best;
        }
    }
    let errors = row.last().map_or_else(Errors::default, |cell| cell.1);
    Errors { words: reference.len() as u64, ..errors }
}

/// Lower case words without punctuation, contractions written out, numbers as digits.
fn normalise(text: &str) -> Vec<String> {
    let lower = text.to_lowercase().replace(['’', '‘'], "'");
    let mut words = Vec::new();
    for raw in lower.split(|c: char| c.is_whitespace() || matches!(c, '-' | '–' | '—' | '/')) {
        let word: String = raw.chars().filter(|c| c.is_alphanumeric() || *c == '\'').collect();
        words.extend(expand(word.trim_matches('\'')).split(' ').filter(|w| !w.is_empty()).map(str::to_owned));
    }
    numbers(words)
}

fn expand(word: &str) -> String {
    match word {
        "won't" => return "will not".into(),
        "can't" | "cannot" => return "can not".into(),
        "let's" => return "let us".into(),
        "mr" => return "mister".into(),
        "mrs" => return "missus".into(),
        "dr" => return "doctor".into(),
        "st" => return "saint".into(),
        "uh" | "um" | "hmm" | "mm" | "mhm" => return String::new(),
        _ => {}
    }
    let endings =
        [("n't", " not"), ("'re", " are"), ("'d", " would"), ("'ll", " will"), ("'ve", " have"), ("'m", " am")];
    for (ending, full) in endings {
        if let Some(stem) = word.strip_suffix(ending) {
            return format!("{stem}{full}");
        }
    }
    match word.strip_suffix("'s") {
        Some(stem @ ("it" | "he" | "she" | "that" | "there" | "what" | "who" | "where" | "here")) => {
            format!("{stem} is")
        }
        _ => american(word),
    }
}

fn american(word: &str) -> String {
    const SPELLINGS: [(&str, &str); 8] = [
        ("colour", "color"),
        ("honour", "honor"),
        ("favour", "favor"),
        ("labour", "labor"),
        ("neighbour", "neighbor"),
        ("behaviour", "behavior"),
        ("harbour", "harbor"),
        ("grey", "gray"),
    ];
    let found = SPELLINGS.iter().find(|(british, _)| word.starts_with(british));
    found.map_or_else(|| word.to_owned(), |(british, american)| word.replacen(british, american, 1))
}

fn unit(word: &str) -> Option<u64> {
    const UNITS: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    UNITS.iter().position(|unit| *unit == word).map(|n| n as u64)
}

fn ten(word: &str) -> Option<u64> {
    const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    TENS.iter().position(|ten| *ten == word).map(|n| (n as u64 + 2) * 10)
}

fn power(word: &str) -> Option<u64> {
    match word {
        "hundred" => Some(100),
        "thousand" => Some(1_000),
        "million" => Some(1_000_000),
        _ => None,
    }
}

/// Number words as digits: "twenty five" is 25, "three hundred" is 300.
fn numbers(words: Vec<String>) -> Vec<String> {
    let mut out = Vec::with_capacity(words.len());
    let mut rest = words.into_iter().peekable();
    while let Some(word) = rest.next() {
        let Some(mut value) = unit(&word).or_else(|| ten(&word)) else {
            out.push(word);
            continue;
        };
        if ten(&word).is_some()
            && let Some(ones) = rest.next_if(|next| unit(next).is_some_and(|n| (1..10).contains(&n)))
        {
            value += unit(&ones).unwrap_or_default();
        }
        while let Some(next) = rest.next_if(|next| power(next).is_some()) {
            value = value.saturating_mul(power(&next).unwrap_or(1));
        }
        out.push(value.to_string());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_that_is_not_heard_is_no_error() {
        let errors = compare("It's Mr. Brown's colour -- twenty-five, don't!", "it is mister browns color 25 do not");
        assert_eq!(errors.rate(), Some(1.0 / 8.0), "only the possessive differs: {errors:?}");
    }

    #[test]
    fn each_kind_of_error_is_counted() {
        let errors = compare("a b c d", "a x c d e");
        assert_eq!(errors, Errors { words: 4, substituted: 1, deleted: 0, inserted: 1 });
        assert_eq!(compare("a b", "").deleted, 2);
        assert_eq!(compare("", "a").rate(), None);
    }
}
