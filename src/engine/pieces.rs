//! Tokens as text: the smallest groups of them that are whole characters.

use super::greedy::Choice;
use super::vocabulary::Vocabulary;
use crate::transcribe::wire::{Piece, WindowText};

/// The text of these tokens, and how sure the model was of it. `begins` says when each was said, in milliseconds, and when
/// the last ended; empty where that was not measured.
pub fn text(chosen: &[Choice], begins: &[u32], vocabulary: &Vocabulary) -> WindowText {
    let mut pieces = Pieces::default();
    let (mut log_probs, mut count) = (0.0f64, 0u32);
    for (index, choice) in chosen.iter().enumerate().filter(|(_, choice)| choice.token < vocabulary.end_of_text) {
        log_probs += f64::from(choice.logprob);
        count += 1;
        let said = begins.get(index).copied().zip(begins.get(index + 1).copied());
        pieces.push(vocabulary.bytes(choice.token), choice.logprob.exp(), said);
    }
    let avg_logprob = if count == 0 { 0.0 } else { (log_probs / f64::from(count)) as f32 };
    WindowText { avg_logprob, pieces: pieces.finish(), ..WindowText::default() }
}

/// Groups tokens until their bytes are valid UTF-8: a token may end inside a character.
#[derive(Default)]
struct Pieces {
    done: Vec<Piece>,
    bytes: Vec<u8>,
    p_sum: f32,
    tokens: f32,
    said: Option<(u32, u32)>,
}

impl Pieces {
    /// No character is longer; what is still invalid then will not become valid.
    const MAX_PENDING_BYTES: usize = 4;

    fn push(&mut self, bytes: &[u8], p: f32, said: Option<(u32, u32)>) {
        let begin = self.said.map(|(begin, _)| begin);
        self.said = said.map(|(own, end)| (begin.unwrap_or(own), end));
        self.bytes.extend_from_slice(bytes);
        self.p_sum += p;
        self.tokens += 1.0;
        let broken = std::str::from_utf8(&self.bytes)
            .err()
            .is_some_and(|e| e.error_len().is_some() || self.bytes.len() - e.valid_up_to() > Self::MAX_PENDING_BYTES);
        if broken || std::str::from_utf8(&self.bytes).is_ok() {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if !self.bytes.is_empty() {
            let text = String::from_utf8_lossy(&self.bytes).into_owned();
            self.done.push(Piece { text, p: self.p_sum / self.tokens.max(1.0), said: self.said });
        }
        *self = Self { done: std::mem::take(&mut self.done), ..Self::default() };
    }

    fn finish(mut self) -> Vec<Piece> {
        self.flush();
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_split_over_tokens_comes_out_whole() {
        let mut pieces = Pieces::default();
        let [a, b] = "é".as_bytes() else { unreachable!() };
        pieces.push(b" caf", 0.5, Some((0, 200)));
        pieces.push(&[*a], 0.4, Some((200, 300)));
        pieces.push(&[*b], 0.8, Some((300, 420)));
        pieces.push(&[0xff], 0.1, None);
        pieces.flush();
        assert_eq!(pieces.done[1].said, Some((200, 420)));
        let texts: Vec<_> = pieces.finish().into_iter().map(|piece| (piece.text, piece.p)).collect();
        assert_eq!(texts[0], (" caf".to_owned(), 0.5));
        assert_eq!(texts[1].0, "é");
        assert!((texts[1].1 - 0.6).abs() < 1e-6);
        assert_eq!(texts[2].0, "\u{fffd}");
    }
}
