//! What becomes of a doubtful window once it was heard again.

use std::ops::Range;

use super::doubts::{DOUBTFUL_LOGPROB, HOPELESS_LOGPROB, LOST_LOGPROB, NO_SPEECH_PROB, is_guess};
use super::look::{Look, SecondLook, dropped};
use super::text::{all, logprob_of, unmeasured, without};
use super::{invented, repetition};
use crate::audio::Window;
use crate::script::word;
use crate::transcribe::placement;
use crate::transcribe::wire::WindowText;
use crate::transcript::DropReason;

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
                    let surplus = repetition::surplus(&said);
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
