//! What becomes of single words on their way from the engine to the transcript: replaced, redacted, filtered, in this order.

use sha2::{Digest, Sha256};

use crate::job::wording::Wording;
use crate::transcript::{Dropped, Mark, Segment};
use spoken::Spoken;

mod filter;
mod phrase;
pub mod redaction;
mod replacement;
mod spoken;

/// Does to the segments, each with its words, what the job wants; the passages that were filtered, in order of start.
/// Redaction is apart ([`redact`]), for it may leave two transcripts.
pub fn replace_and_filter(segments: &mut Vec<Segment>, wording: &Wording) -> Vec<Mark> {
    let mut marks = Vec::new();
    if wording.replacements.is_empty() && wording.filter.is_none() {
        return marks;
    }
    let replacements = replacement::Replacements::new(&wording.replacements);
    let filter = wording.filter.as_ref().map(filter::Words::new);
    for segment in segments.iter_mut() {
        let mut spoken = Spoken::of(segment);
        replacements.apply(&mut spoken);
        if let Some(filter) = &filter {
            marks.extend(filter.apply(&mut spoken, segment.channel));
        }
        spoken.put(segment);
    }
    segments.retain(|segment| !segment.text.is_empty());
    marks
}

/// Takes out of segments and of what was dropped all that the job calls private; the passages, in order of start.
pub fn redact(segments: &mut Vec<Segment>, dropped: &mut [Dropped], wording: &Wording) -> Vec<Mark> {
    if wording.redact.is_empty() {
        return Vec::new();
    }
    dropped.iter_mut().for_each(|dropped| dropped.text = redaction::blacken(&dropped.text, &wording.redact));
    redaction::redact(segments, &wording.redact)
}

/// Stands for lists that a transcript must not hold: it tells one from another and says nothing of either.
pub fn fingerprint(wording: &Wording) -> Option<String> {
    let words = wording.filter.as_ref().map(|filter| &filter.words);
    if wording.replacements.is_empty() && words.is_none() {
        return None;
    }
    // strings in lists are always JSON
    let lists = serde_json::to_vec(&(&wording.replacements, words)).unwrap_or_default();
    Some(Sha256::digest(lists).iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests;
