//! A segment's words while they are edited.

use crate::script::line;
use crate::transcript::{Segment, Word, words};

/// The words of a segment, each with whether a space stands before it.
pub struct Spoken {
    /// In order.
    pub words: Vec<(Word, bool)>,
    is_edited: bool,
}

impl Spoken {
    /// Those of the segment.
    pub fn of(segment: &Segment) -> Self {
        let words = words::timed(segment);
        let spaces = line::spaces(&segment.text, words.iter().map(|word| word.word.as_str()));
        Self { words: words.into_iter().zip(spaces).collect(), is_edited: false }
    }

    /// Puts `texts` in the place of the words from `from` to `to`, over the same time.
    pub fn replace(&mut self, from: usize, to: usize, texts: Vec<String>) {
        let Some(((first, space), (last, _))) = self.words.get(from).zip(self.words.get(to.saturating_sub(1))) else {
            return;
        };
        let (first, space, end) = (first.clone(), *space, last.end);
        let probability = first.probability;
        let spread = words::spread(texts, first.start, end, probability, first.speaker).into_iter().enumerate();
        let words = spread.map(|(at, new)| {
            let word = Word { start: new.start, end: new.end, word: new.word, ..first.clone() };
            (word, at > 0 || space)
        });
        let words: Vec<_> = words.collect();
        self.words.splice(from..to, words);
        self.is_edited = true;
    }

    /// Puts the words back, and the text that they make.
    pub fn put(self, segment: &mut Segment) {
        if !self.is_edited {
            return;
        }
        let mut text = String::new();
        for (word, space) in &self.words {
            if *space && !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&word.word);
        }
        segment.text = text;
        segment.words = self.words.into_iter().map(|(word, _)| word).collect();
    }
}
