//! Words that are not to be read.

use std::collections::HashMap;

use super::phrase::{self, Bare};
use super::spoken::Spoken;
use crate::job::wording::{Filter, FilterMethod};
use crate::transcript::{Mark, MarkKind};

/// What stands in the place of a masked word, as in Amazon Transcribe's output.
const MASK: &str = "***";

/// The list, by the first unit of each.
pub struct Words {
    by_first: HashMap<String, Vec<Vec<String>>>,
    method: FilterMethod,
}

impl Words {
    /// Of a filter.
    pub fn new(filter: &Filter) -> Self {
        let mut by_first: HashMap<String, Vec<Vec<String>>> = HashMap::new();
        for units in filter.words.iter().map(|word| phrase::units(word)) {
            if let Some(first) = units.first() {
                by_first.entry(first.clone()).or_default().push(units);
            }
        }
        by_first.values_mut().for_each(|list| list.sort_by_key(|units| std::cmp::Reverse(units.len())));
        Self { by_first, method: filter.method }
    }

    /// Does with the words of a segment what is to be done; where they were.
    pub fn apply(&self, spoken: &mut Spoken, channel: Option<u16>) -> Vec<Mark> {
        let mut marks = Vec::new();
        let mut at = 0;
        while at < spoken.words.len() {
            let Some(count) = self.found(spoken, at) else {
                at += 1;
                continue;
            };
            let times = spoken.words.get(at).zip(spoken.words.get(at + count - 1));
            if let Some(((first, _), (last, _))) = times {
                marks.push(Mark { start: first.start, end: last.end, kind: MarkKind::Filtered, channel });
            }
            at += self.treat(spoken, at, count);
        }
        marks
    }

    fn found(&self, spoken: &Spoken, at: usize) -> Option<usize> {
        let first = Bare::of(&spoken.words.get(at)?.0.word);
        let candidates = self.by_first.get(first.units.first()?)?;
        let longest = candidates.iter().map(Vec::len).max()?;
        let bare = phrase::bare(spoken.words.iter().skip(at).take(longest).map(|(word, _)| word));
        candidates.iter().find_map(|units| phrase::matches(&bare, units))
    }

    /// How many words then stand there.
    fn treat(&self, spoken: &mut Spoken, at: usize, count: usize) -> usize {
        let word = |at: usize| spoken.words.get(at).map(|(word, _)| Bare::of(&word.word));
        let (Some(first), Some(last)) = (word(at), word(at + count - 1)) else { return count };
        match self.method {
            FilterMethod::Tag => count,
            FilterMethod::Mask => {
                spoken.replace(at, at + count, vec![format!("{}{MASK}{}", first.before, last.after)]);
                1
            }
            FilterMethod::Remove => {
                spoken.replace(at, at + count, Vec::new());
                close(spoken, at, &last.after);
                0
            }
        }
    }
}

/// Where what was taken out before word `at` ended a sentence, the word before it does.
pub fn close(spoken: &mut Spoken, at: usize, after: &str) {
    let ends = |text: &str| text.ends_with(['.', '!', '?', '…', '。', '！', '？']);
    let Some((before, _)) = at.checked_sub(1).and_then(|before| spoken.words.get_mut(before)) else { return };
    if ends(after) && !ends(&before.word) {
        let word = before.word.trim_end_matches([',', ';', ':']);
        before.word = format!("{word}{}", after.trim_start_matches(|c: char| c.is_alphanumeric() || "'’,".contains(c)));
    }
}
