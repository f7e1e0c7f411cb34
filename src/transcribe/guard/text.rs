//! Texts joined, and without parts of them.

use std::ops::Range;

use crate::transcribe::wire::{Piece, WindowText};

/// The texts of a window's parts as the window's, whose no-speech probability stands. Its language is that of the longest part.
pub fn join(whole: &WindowText, parts: impl Iterator<Item = WindowText>) -> WindowText {
    let mut joined = WindowText { pieces: Vec::new(), ..whole.clone() };
    let (mut log_probs, mut longest) = (0.0, 0);
    for part in parts {
        if part.pieces.len() > longest {
            longest = part.pieces.len();
            if !part.language.is_empty() && part.language != joined.language {
                (joined.language, joined.language_probability) = (part.language, part.language_probability);
            }
        }
        log_probs += part.avg_logprob * part.pieces.len() as f32;
        joined.pieces.extend(part.pieces);
        joined.busy_ms = joined.busy_ms.saturating_add(part.busy_ms);
    }
    joined.avg_logprob = log_probs / joined.pieces.len().max(1) as f32;
    joined
}

/// The range of all of a text, in bytes.
pub fn all(text: &WindowText) -> Vec<Range<usize>> {
    let whole = 0..text.pieces.iter().map(|piece| piece.text.len()).sum();
    Vec::from([whole])
}

/// The text without some parts of it, in bytes.
pub fn without(text: &WindowText, parts: &[Range<usize>]) -> WindowText {
    let mut at = 0;
    let mut left = |piece: &Piece| {
        let start = at;
        at += piece.text.len();
        let stays = |(i, _): &(usize, char)| !parts.iter().any(|part| part.contains(&(start + i)));
        Piece { text: piece.text.char_indices().filter(stays).map(|(_, c)| c).collect(), ..piece.clone() }
    };
    let pieces = text.pieces.iter().map(&mut left).filter(|piece| !piece.text.is_empty()).collect();
    WindowText { pieces, ..text.clone() }
}

/// The text to be laid over the voice: rounds that are alike attend to the same places, and a hundred that nobody said leave
/// those that were no room.
pub fn unmeasured(text: WindowText) -> WindowText {
    let pieces = text.pieces.into_iter().map(|piece| Piece { said: None, ..piece }).collect();
    WindowText { pieces, ..text }
}

/// Mean log probability of the pieces in a part of the text.
pub fn logprob_of(text: &WindowText, part: &Range<usize>) -> f32 {
    let mut at = 0;
    let inside = text.pieces.iter().filter(|piece| {
        let start = at;
        at += piece.text.len();
        at > part.start && start < part.end
    });
    let logprobs: Vec<f32> = inside.map(|piece| piece.p.max(1e-6).ln()).collect();
    logprobs.iter().sum::<f32>() / logprobs.len().max(1) as f32
}
