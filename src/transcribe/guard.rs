//! Doubts about a window's text: Whisper invents phrases where there is no speech and repeats itself when it is lost. What
//! is doubtful is listened to again, in another way; it is only dropped where that bears the doubt out, and never unseen.

use std::ops::Range;

use super::placement;
use super::wire::{Piece, WindowText};
use crate::audio::Window;
use crate::script::word;
use crate::transcript::{DropReason, Dropped};

mod annotation;
mod echo;
mod invented;
mod repetition;
#[cfg(test)]
mod tests;

/// Share of letters and digits among the characters that are no spaces, below which a text is no language.
const MIN_LETTERS: f64 = 0.5;
/// Whisper's own threshold for "no speech".
const NO_SPEECH_PROB: f32 = 0.6;
/// Below it, text in a window that is probably no speech is doubted.
const DOUBTFUL_LOGPROB: f32 = -0.7;
/// Beyond one of these a window may hold an invented phrase.
const UNEASY_NO_SPEECH_PROB: f32 = 0.3;
const UNEASY_LOGPROB: f32 = -0.6;
/// Below it the engine did not understand the window (Whisper's own threshold for a fallback).
const LOST_LOGPROB: f32 = -1.0;
/// Below it nothing was understood: what the engine makes of a fan, where no second look bears it out.
const HOPELESS_LOGPROB: f32 = -1.5;
/// What is asked of text where no voice was found.
const SURE_NO_SPEECH_PROB: f32 = 0.3;
const SURE_LOGPROB: f32 = -0.6;
const SURE_WORDS: usize = 3;
const SLOWEST_LETTERS_PER_SEC: f64 = 3.0;
/// Nobody speaks more letters in a second of voice (auctioneers reach 35).
const MAX_LETTERS_PER_SEC: f64 = 40.0;

/// What a window was heard to say, annotations aside.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// The text that is left.
    pub text: WindowText,
    /// The annotations that were in it.
    pub dropped: Vec<Dropped>,
}

impl Look {
    /// Takes the annotations out of what the engine heard.
    pub fn at(window: &Window, heard: WindowText) -> Self {
        let annotations = annotation::find(&heard.text());
        let dropped = annotations.iter().map(|part| dropped(window, &heard, part, DropReason::Annotation));
        let dropped = dropped.filter(|dropped| dropped.text.contains(char::is_alphanumeric)).collect();
        Self { text: without(&heard, &annotations), dropped }
    }
}

/// The same window heard in another way.
#[derive(Debug, Clone, Default)]
pub struct SecondLook {
    /// All that was heard.
    pub heard: WindowText,
    /// The part of it that is not doubtful itself.
    pub sound: WindowText,
}

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

/// Whether what was heard after the end of a text may be what was said there, in so many seconds of voice: it is no phrase that is
/// known to be invented, since the engine had heard an end, and there is enough of it.
pub fn is_more(text: &WindowText, speech_secs: f64) -> bool {
    let said = text.text();
    word::letters(&said) >= SLOWEST_LETTERS_PER_SEC * speech_secs
        && !invented::find(&said, &text.language).is_some_and(|phrases| phrases.is_all)
}

/// A look that is dropped whole.
pub fn drop_all(window: &Window, look: Look, reason: DropReason) -> Look {
    let parts = all(&look.text);
    let text = parts.iter().map(|part| dropped(window, &look.text, part, reason));
    let dropped = look.dropped.into_iter().chain(text.filter(|dropped| !dropped.text.is_empty())).collect();
    Look { text: without(&look.text, &parts), dropped }
}

/// What becomes of a doubtful window: the look that stands, in whole or in part, and all that does not.
pub fn settle(window: &Window, first: Look, reason: DropReason, second: SecondLook, speech_secs: f64) -> Look {
    let too_often = || {
        let times = repetition::times_said(&placement::run_secs(&window.spans))?;
        let surplus = repetition::beyond(&first.text.text(), times)?;
        (reason == DropReason::Repetition && !is_noise(&first.text, surplus.start)).then_some(surplus)
    };
    let sound = Look::at(window, second.sound);
    let choice = match too_often() {
        Some(surplus) => Choice::Rounds(Vec::from([surplus])),
        None => choose(&first.text, reason, &second.heard, &sound.text, speech_secs),
    };
    let (parts, look) = match choice {
        Choice::First => return first,
        Choice::Second if word::plain(&sound.text.text()) == word::plain(&first.text.text()) => return first,
        Choice::Second => (all(&first.text), sound),
        Choice::FirstWithout(parts) => {
            let text = without(&first.text, &parts);
            (parts, Look { text, dropped: first.dropped })
        }
        Choice::Rounds(parts) => {
            let text = unmeasured(without(&first.text, &parts));
            (parts, Look { text, dropped: first.dropped })
        }
    };
    let before = parts.iter().map(|part| dropped(window, &first.text, part, reason));
    Look { dropped: before.chain(look.dropped).collect(), text: look.text }
}

/// Which look stands.
enum Choice {
    First,
    FirstWithout(Vec<Range<usize>>),
    /// The first without this: as many rounds of the same as there are runs of voice.
    Rounds(Vec<Range<usize>>),
    Second,
}

fn choose(first: &WindowText, reason: DropReason, heard: &WindowText, sound: &WindowText, speech_secs: f64) -> Choice {
    let said = first.text();
    let (before, now) = (word::letters(&said), word::letters(&sound.text()));
    let nothing_sound = now < 1.0;
    let drop_all = || Choice::FirstWithout(all(first));
    match reason {
        DropReason::Repetition => {
            let rounds = |text: &str| repetition::find(text).map_or(0, |found| found.rounds);
            let is_borne_out = 2 * rounds(&heard.text()) >= rounds(&said);
            let is_refuted = !is_borne_out && 2.0 * now >= before && sound.avg_logprob >= DOUBTFUL_LOGPROB;
            let is_possible =
                !repetition::is_impossible(&said, speech_secs) && first.avg_logprob >= LOST_LOGPROB && !is_guess(first);
            match (is_possible, nothing_sound) {
                (true, _) if !is_refuted => Choice::First,
                (false, true) => {
                    let surplus = surplus(&said);
                    let kept = surplus.first().map_or(said.len(), |first| first.start);
                    if is_noise(first, kept) { drop_all() } else { Choice::FirstWithout(surplus) }
                }
                _ => Choice::Second,
            }
        }
        DropReason::Invented => {
            let Some(phrases) = invented::find(&said, &first.language) else { return Choice::First };
            let phrase = word::plain(&said[phrases.at.clone()]);
            let again = |text: &WindowText| word::plain(&text.text()).ends_with(&phrase);
            let in_earnest = phrases.in_earnest && first.no_speech_prob <= NO_SPEECH_PROB && again(heard);
            match phrases.is_all {
                _ if in_earnest || again(sound) => Choice::First,
                true if !nothing_sound => Choice::Second,
                _ => Choice::FirstWithout(vec![phrases.at]),
            }
        }
        // heard without the prompt there are as many words, spelled otherwise
        DropReason::Prompt if 2.0 * now >= before => Choice::First,
        DropReason::Unsure if nothing_sound && first.avg_logprob < HOPELESS_LOGPROB => drop_all(),
        DropReason::Unsure if nothing_sound || sound.avg_logprob <= first.avg_logprob => Choice::First,
        DropReason::TooFast if nothing_sound && first.avg_logprob >= DOUBTFUL_LOGPROB => Choice::First,
        _ if nothing_sound => drop_all(),
        _ => Choice::Second,
    }
}

/// Whether a loop is what the engine makes of a tone or a hum: nobody spoke, or its first words are a guess already. The
/// mean says nothing here: a loop is the surer the longer it lasts.
fn is_noise(text: &WindowText, first_words: usize) -> bool {
    text.no_speech_prob > NO_SPEECH_PROB || logprob_of(text, &(0..first_words)) < LOST_LOGPROB
}

/// Whether a loop that somebody might have said in the time began as a guess, which the engine then repeats with ever more
/// certainty: the less likely it is speech at all, the surer its first rounds must be.
fn is_guess(text: &WindowText) -> bool {
    let least = match text.no_speech_prob {
        prob if prob > NO_SPEECH_PROB => DOUBTFUL_LOGPROB,
        prob if prob > UNEASY_NO_SPEECH_PROB => LOST_LOGPROB,
        _ => HOPELESS_LOGPROB,
    };
    surplus(&text.text()).first().is_some_and(|surplus| logprob_of(text, &(0..surplus.start)) < least)
}

/// When a text's last word was over, in milliseconds of its window; `None` where that was not measured.
pub fn end_ms(text: &WindowText) -> Option<u32> {
    let last = text.pieces.iter().rfind(|piece| piece.text.contains(char::is_alphanumeric))?;
    last.said.map(|(_, end)| end)
}

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

/// All rounds of all repetitions but the first two.
fn surplus(text: &str) -> Vec<Range<usize>> {
    repetition::find_all(text).into_iter().map(|found| found.surplus).collect()
}

fn all(text: &WindowText) -> Vec<Range<usize>> {
    let whole = 0..text.pieces.iter().map(|piece| piece.text.len()).sum();
    Vec::from([whole])
}

fn dropped(window: &Window, look: &WindowText, part: &Range<usize>, reason: DropReason) -> Dropped {
    let (start, end) = placement::time_of(window, look, part);
    let text = look.text().get(part.clone()).unwrap_or_default().trim().to_owned();
    Dropped { start, end, reason, text, channel: window.channel }
}

/// The text without some parts of it, in bytes.
fn without(text: &WindowText, parts: &[Range<usize>]) -> WindowText {
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
fn unmeasured(text: WindowText) -> WindowText {
    let pieces = text.pieces.into_iter().map(|piece| Piece { said: None, ..piece }).collect();
    WindowText { pieces, ..text }
}

/// Mean log probability of the pieces in a part of the text.
fn logprob_of(text: &WindowText, part: &Range<usize>) -> f32 {
    let mut at = 0;
    let inside = text.pieces.iter().filter(|piece| {
        let start = at;
        at += piece.text.len();
        at > part.start && start < part.end
    });
    let logprobs: Vec<f32> = inside.map(|piece| piece.p.max(1e-6).ln()).collect();
    logprobs.iter().sum::<f32>() / logprobs.len().max(1) as f32
}

fn share_of_letters(text: &str) -> f64 {
    let visible = text.chars().filter(|c| !c.is_whitespace()).count();
    let letters = text.chars().filter(|c| c.is_alphanumeric()).count();
    letters as f64 / visible.max(1) as f64
}
