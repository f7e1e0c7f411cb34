//! Beam search: of a window several texts at a time, each a row of the batch, of which the most probable go on.

use super::forward::Copying;
use super::greedy::{self, Choice};
use super::rules::{MAX_TOKENS, Rules};
use super::vocabulary::{Token, Vocabulary};

/// The texts of one window that are followed.
#[derive(Debug)]
pub struct Beam {
    width: usize,
    /// First of its `width` slots.
    slot: usize,
    texts: Vec<Text>,
    ended: Vec<Text>,
    offers: Vec<Offer>,
}

/// One text so far, and the slot that it is decoded in.
#[derive(Debug, Clone, Default)]
struct Text {
    slot: usize,
    chosen: Vec<Choice>,
    /// Logarithm of its probability.
    logprob: f32,
}

/// How a text may go on.
#[derive(Debug)]
struct Offer {
    text: usize,
    next: Choice,
    logprob: f32,
}

impl Beam {
    /// A search that begins with one text, which is empty and was decoded in the first of its slots.
    pub fn new(slot: usize, width: usize) -> Self {
        let texts = vec![Text { slot, ..Text::default() }];
        Self { width, slot, texts, ended: Vec::new(), offers: Vec::new() }
    }

    /// Slot and last token of each text, in ascending slots.
    pub fn next(&self) -> impl Iterator<Item = (usize, Token)> {
        self.texts.iter().filter_map(|text| Some((text.slot, text.chosen.last()?.token)))
    }

    /// Takes the logits of what follows text `index`.
    pub fn take(&mut self, index: usize, logits: &[f32], vocabulary: &Vocabulary, rules: &Rules) {
        let Some(text) = self.texts.get(index) else { return };
        let forbidden = if text.chosen.is_empty() { &rules.no_beginning } else { &rules.unspoken };
        // one more than are kept: one of them may be the end
        for next in greedy::best(logits, vocabulary.end_of_text, forbidden, self.width + 1) {
            self.offers.push(Offer { text: index, next, logprob: text.logprob + next.logprob });
        }
    }

    /// Goes on with the best of what was offered; returns what must be copied from slot to slot before the next token.
    pub fn go_on(&mut self, end_of_text: Token) -> Vec<Copying> {
        let mut offers = std::mem::take(&mut self.offers);
        // the sort keeps the order of equal ones: the same texts come out each time
        offers.sort_by(|a, b| b.logprob.total_cmp(&a.logprob));
        let mut kept: Vec<Offer> = Vec::new();
        for offer in offers {
            if kept.len() == self.width {
                break;
            }
            match self.texts.get(offer.text) {
                Some(text) if offer.next.token == end_of_text => {
                    self.ended.push(Text { logprob: offer.logprob, ..text.clone() });
                }
                _ => kept.push(offer),
            }
        }
        self.seat(&kept)
    }

    /// Gives each kept offer a slot: the first of a text keeps the text's, the others take those of texts that end here.
    fn seat(&mut self, kept: &[Offer]) -> Vec<Copying> {
        let slot_of = |offer: &Offer| self.texts.get(offer.text).map_or(self.slot, |text| text.slot);
        let mut free: Vec<usize> = (self.slot..self.slot + self.width)
            .filter(|slot| kept.iter().all(|offer| slot_of(offer) != *slot))
            .collect();
        let (mut copies, mut texts, mut taken) = (Vec::new(), Vec::new(), Vec::new());
        for offer in kept {
            let Some(parent) = self.texts.get(offer.text) else { continue };
            let slot = match taken.contains(&parent.slot) {
                false => parent.slot,
                true => match free.pop() {
                    Some(slot) => {
                        copies.push(Copying { from: parent.slot, to: slot });
                        slot
                    }
                    None => continue,
                },
            };
            taken.push(slot);
            let chosen = parent.chosen.iter().copied().chain([offer.next]).collect();
            texts.push(Text { slot, chosen, logprob: offer.logprob });
        }
        texts.sort_by_key(|text| text.slot);
        self.texts = texts;
        copies
    }

    /// Whether as many texts have ended as are followed, or the others have got too long.
    pub fn is_over(&self) -> bool {
        let longest = self.texts.iter().map(|text| text.chosen.len()).max();
        self.ended.len() >= self.width || longest.is_none_or(|longest| longest >= MAX_TOKENS)
    }

    /// The text whose tokens are the most probable, each for itself.
    pub fn best(&self) -> &[Choice] {
        let among = if self.ended.is_empty() { &self.texts } else { &self.ended };
        // the end counts as a token too
        let mean = |text: &Text| text.logprob / (text.chosen.len() + 1) as f32;
        let best = among.iter().reduce(|best, text| if mean(text) > mean(best) { text } else { best });
        best.map_or(&[], |text| &text.chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(token: Token, p: f32) -> Choice {
        Choice { token, logprob: p.ln() }
    }

    fn offer(beam: &mut Beam, text: usize, next: &[(Token, f32)]) {
        let before = beam.texts[text].logprob;
        for (token, p) in next {
            beam.offers.push(Offer { text, next: choice(*token, *p), logprob: before + p.ln() });
        }
    }

    #[test]
    fn a_text_that_begins_less_well_and_goes_on_better_wins() {
        let mut beam = Beam::new(4, 2);
        offer(&mut beam, 0, &[(1, 0.6), (2, 0.4)]);
        assert_eq!(beam.go_on(9), [Copying { from: 4, to: 5 }]);
        assert_eq!(beam.next().collect::<Vec<_>>(), [(4, 1), (5, 2)]);
        offer(&mut beam, 0, &[(3, 0.3), (9, 0.3)]);
        offer(&mut beam, 1, &[(9, 0.9)]);
        assert_eq!(beam.go_on(9), []);
        assert!(beam.is_over());
        assert_eq!(beam.best(), [choice(2, 0.4)]);
    }

    #[test]
    fn two_that_go_on_from_one_text_take_the_place_of_another() {
        let mut beam = Beam::new(0, 2);
        offer(&mut beam, 0, &[(1, 0.6), (2, 0.4)]);
        beam.go_on(9);
        offer(&mut beam, 0, &[(3, 0.1), (4, 0.1)]);
        offer(&mut beam, 1, &[(5, 0.5), (6, 0.5)]);
        assert_eq!(beam.go_on(9), [Copying { from: 1, to: 0 }]);
        assert_eq!(beam.next().collect::<Vec<_>>(), [(0, 6), (1, 5)]);
        assert!(!beam.is_over());
    }
}
