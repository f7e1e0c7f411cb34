//! What is doubtful about a text.

use super::text::logprob_of;
use super::{echo, invented, repetition};
use crate::script::word;
use crate::transcribe::wire::WindowText;
use crate::transcript::DropReason;

/// Share of letters and digits among the characters that are no spaces, below which a text is no language.
const MIN_LETTERS: f64 = 0.5;
/// Whisper's own threshold for "no speech".
pub const NO_SPEECH_PROB: f32 = 0.6;
/// Below it, text in a window that is probably no speech is doubted.
pub const DOUBTFUL_LOGPROB: f32 = -0.7;
/// Beyond one of these a window may hold an invented phrase.
const UNEASY_NO_SPEECH_PROB: f32 = 0.3;
const UNEASY_LOGPROB: f32 = -0.6;
/// Below it the engine did not understand the window (Whisper's own threshold for a fallback).
pub const LOST_LOGPROB: f32 = -1.0;
/// Below it nothing was understood: what the engine makes of a fan, where no second look bears it out.
pub const HOPELESS_LOGPROB: f32 = -1.5;
/// What is asked of text where no voice was found.
const SURE_NO_SPEECH_PROB: f32 = 0.3;
const SURE_LOGPROB: f32 = -0.6;
const SURE_WORDS: usize = 3;
const SLOWEST_LETTERS_PER_SEC: f64 = 3.0;
/// Nobody speaks more letters in a second of voice (auctioneers reach 35).
const MAX_LETTERS_PER_SEC: f64 = 40.0;

/// Why a text with `speech_secs` of voice is doubtful, if it is. `prompt` is what the engine was told to expect.
pub fn doubt(text: &WindowText, speech_secs: f64, prompt: Option<&str>) -> Option<DropReason> {
    let said = text.text();
    if said.trim().is_empty() {
        return None;
    }
    if share_of_letters(&said) < MIN_LETTERS {
        // a hum comes out as brackets and dashes
        return Some(DropReason::NoWords);
    }
    if text.no_speech_prob > NO_SPEECH_PROB && text.avg_logprob < DOUBTFUL_LOGPROB {
        return Some(DropReason::NoSpeech);
    }
    let uneasy = text.no_speech_prob > UNEASY_NO_SPEECH_PROB || text.avg_logprob < UNEASY_LOGPROB;
    if invented::find(&said, &text.language).is_some_and(|phrases| match phrases.is_all {
        true => uneasy,
        false => text.no_speech_prob > NO_SPEECH_PROB || logprob_of(text, &phrases.at) < UNEASY_LOGPROB,
    }) {
        return Some(DropReason::Invented);
    }
    if uneasy && prompt.is_some_and(|prompt| echo::is_echo(&said, prompt)) {
        return Some(DropReason::Prompt);
    }
    if repetition::find(&said).is_some() {
        return Some(DropReason::Repetition);
    }
    if text.avg_logprob < LOST_LOGPROB {
        return Some(DropReason::Unsure);
    }
    (word::letters(&said) > MAX_LETTERS_PER_SEC * speech_secs.max(0.5)).then_some(DropReason::TooFast)
}

/// Whether a part of a window may stand for the window: nothing about it is doubtful, though people repeat themselves.
pub fn is_sound(text: &WindowText, speech_secs: f64, prompt: Option<&str>) -> bool {
    match doubt(text, speech_secs, prompt) {
        None => true,
        Some(DropReason::Repetition) => !repetition::is_impossible(&text.text(), speech_secs) && !is_guess(text),
        Some(_) => false,
    }
}

/// Whether the engine is sure that somebody spoke and what was said: asked of text where it heard none before.
pub fn is_sure(text: &WindowText) -> bool {
    text.no_speech_prob <= NO_SPEECH_PROB && text.avg_logprob >= DOUBTFUL_LOGPROB
}

/// Whether the engine may be believed where no voice was found: it is sure of itself, nothing about the text is doubtful, and
/// there is as much of it as people say in so many seconds of sound.
pub fn is_speech_after_all(text: &WindowText, sound_secs: f64, prompt: Option<&str>) -> bool {
    let said = text.text();
    text.no_speech_prob <= SURE_NO_SPEECH_PROB
        && text.avg_logprob >= SURE_LOGPROB
        && doubt(text, sound_secs, prompt).is_none()
        && word::count(&said) >= SURE_WORDS
        && word::letters(&said) >= SLOWEST_LETTERS_PER_SEC * sound_secs
}

/// Why what was heard after the end of a text is not what somebody said there, in so many seconds of voice, if it is not: the
/// engine had heard an end, so that a phrase known to be invented is invented, and too little for the time is nobody's.
pub fn doubt_of_rest(text: &WindowText, speech_secs: f64) -> Option<DropReason> {
    let said = text.text();
    if invented::find(&said, &text.language).is_some_and(|phrases| phrases.is_all) {
        return Some(DropReason::Invented);
    }
    (word::letters(&said) < SLOWEST_LETTERS_PER_SEC * speech_secs).then_some(DropReason::NoSpeech)
}

/// Whether a loop that somebody might have said in the time began as a guess, which the engine then repeats with ever more
/// certainty: the less likely it is speech at all, the surer its first rounds must be.
pub fn is_guess(text: &WindowText) -> bool {
    let least = match text.no_speech_prob {
        prob if prob > NO_SPEECH_PROB => DOUBTFUL_LOGPROB,
        prob if prob > UNEASY_NO_SPEECH_PROB => LOST_LOGPROB,
        _ => HOPELESS_LOGPROB,
    };
    repetition::surplus(&text.text()).first().is_some_and(|surplus| logprob_of(text, &(0..surplus.start)) < least)
}

fn share_of_letters(text: &str) -> f64 {
    let visible = text.chars().filter(|c| !c.is_whitespace()).count();
    let letters = text.chars().filter(|c| c.is_alphanumeric()).count();
    letters as f64 / visible.max(1) as f64
}
