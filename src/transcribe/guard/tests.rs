//! What is dropped and what stands, with second looks that agree and that do not.

use super::*;
use crate::audio::{Found, SAMPLE_RATE_HZ, Span, Window};
use crate::script::word;
use crate::transcribe::placement;
use crate::transcribe::wire::{Piece, WindowText};
use crate::transcript::DropReason;

fn window(secs: f64) -> Window {
    let len = (secs * f64::from(SAMPLE_RATE_HZ)) as usize;
    let spans = vec![Span { window_start: 0, source_start: 0, len }];
    Window { index: 0, channel: None, pcm: Vec::new(), spans, found: Found::Voice }
}

/// In pieces of three characters: tokens end anywhere.
fn heard(text: &str, no_speech_prob: f32, avg_logprob: f32) -> WindowText {
    let chars: Vec<char> = text.chars().collect();
    let pieces =
        chars.chunks(3).map(|piece| Piece { text: piece.iter().collect(), p: avg_logprob.exp(), said: None }).collect();
    WindowText { pieces, no_speech_prob, avg_logprob, language: "en".to_owned(), ..Default::default() }
}

/// What is left of a window when a second look hears this, or nothing.
fn left(first: WindowText, secs: f64, second: Option<WindowText>) -> (String, Vec<(DropReason, String)>) {
    let window = window(secs);
    let look = Look::at(&window, first);
    let heard = second.unwrap_or_default();
    let sound = if is_sound(&heard, secs, None) { heard.clone() } else { WindowText::default() };
    let look = match doubt(&look.text, secs, Some("Acme, Kubernetes, Zürich")) {
        Some(reason) => settle(&window, look, reason, SecondLook { heard, sound }, secs),
        None => look,
    };
    let dropped = look.dropped.into_iter().map(|dropped| (dropped.reason, dropped.text)).collect();
    (look.text.text(), dropped)
}

fn stands(text: &str, secs: f64) {
    let said = heard(text, 0.05, -0.2);
    for second in [None, Some(said.clone())] {
        assert_eq!(left(said.clone(), secs, second), (text.to_owned(), Vec::new()));
    }
}

#[test]
fn what_people_really_repeat_stands() {
    stands(" no, no, no, no, it is very very very cold and cold and cold", 5.0);
    stands(&" No.".repeat(10), 20.0);
    stands(&" left right".repeat(6), 12.0);
    stands(&" let it go".repeat(4), 8.0);
    stands(&" He could wait no longer.".repeat(6), 22.0);
    stands(
        " The account is zero zero zero zero zero zero zero zero one two. Lord have mercy. Lord have mercy. Lord have \
            mercy. Lord have mercy. Amen.",
        11.0,
    );
    stands(&"哈哈哈哈哈哈哈哈哈".repeat(2), 6.0);
    stands(" Please call (800) 555-1234 or +1 (212) 555-0199 before noon, that is option (b).", 8.0);
}

#[test]
fn forty_rounds_in_twelve_seconds_are_two_and_told_of() {
    for round in [" so I said,", "谢谢大家，", "ขอบคุณครับ"] {
        let looped = heard(&round.repeat(40), 0.0, -0.1);
        // the second look is lost as well
        let (text, dropped) = left(looped.clone(), 12.0, Some(looped));
        let [(DropReason::Repetition, surplus)] = dropped.as_slice() else { unreachable!("{dropped:?}") };
        assert_eq!(word::plain(&text), word::plain(&round.repeat(2)));
        assert_eq!(word::plain(surplus), word::plain(&round.repeat(38)));
    }
}

#[test]
fn what_is_said_once_in_each_of_many_alike_runs_of_voice_is_heard_so_often() {
    let run = |n: usize| Span { window_start: n * 20_000, source_start: n as u64 * 64_000, len: 8_000 };
    let window = Window { spans: (0..8).map(run).collect(), ..window(0.0) };
    let first = Look::at(&window, heard(&" no,".repeat(100), 0.2, -0.3));
    let look = settle(&window, first, DropReason::Repetition, SecondLook::default(), 4.0);
    assert_eq!(look.text.text().trim(), "no, no, no, no, no, no, no, no,");
    let starts: Vec<f64> = placement::place(&window, &look.text).iter().map(|segment| segment.start).collect();
    assert_eq!(starts, [0.0, 4.0, 8.0, 12.0, 16.0, 20.0, 24.0, 28.0]);
}

#[test]
fn a_loop_on_a_tone_is_dropped_whole() {
    assert_eq!(left(heard(&" O".repeat(100), 0.9, -0.3), 0.6, None).0, "");
    let mut guessed = heard(&" Be".repeat(100), 0.2, -0.1);
    guessed.pieces.iter_mut().take(2).for_each(|piece| piece.p = 0.1);
    assert_eq!(left(guessed, 2.0, None).0, "");
}

#[test]
fn a_loop_that_begins_as_a_guess_is_nobodys_though_it_could_be_said_and_is_heard_again() {
    for (no_speech_prob, first, is_kept) in
        [(0.9, -1.9, false), (0.55, -1.9, false), (0.9, -0.4, true), (0.55, -0.8, true), (0.05, -1.2, true)]
    {
        let mut looped = heard(&" so".repeat(100), no_speech_prob, -0.2);
        looped.pieces.iter_mut().take(2).for_each(|piece| piece.p = f32::exp(first));
        let (text, _) = left(looped.clone(), 30.0, Some(looped));
        assert_eq!(!text.is_empty(), is_kept, "{no_speech_prob} {first}");
    }
}

#[test]
fn a_loop_gives_way_to_what_a_second_look_hears() {
    let looped = heard(&" so I said".repeat(9), 0.0, -0.1);
    let (text, dropped) =
        left(looped, 10.0, Some(heard(" so I said to him that he should go home and sleep", 0.0, -0.3)));
    assert_eq!(text, " so I said to him that he should go home and sleep");
    assert!(matches!(dropped.as_slice(), [(DropReason::Repetition, surplus)] if surplus.len() > 60), "{dropped:?}");
}

#[test]
fn an_invented_phrase_goes_where_a_second_look_does_not_hear_it() {
    let invented = heard(" Thanks for watching!", 0.5, -0.4);
    assert_eq!(left(invented.clone(), 1.0, None).0, "");
    assert_eq!(left(invented.clone(), 1.0, Some(invented.clone())).1.len(), 1, "twice doubtful");
    assert_eq!(left(invented, 1.0, Some(heard(" Thanks for watching!", 0.1, -0.2))).0, " Thanks for watching!");
    assert_eq!(left(heard(" Thanks for watching!", 0.01, -0.1), 1.0, None).1, []);
}

#[test]
fn a_word_people_say_goes_only_where_the_engine_hears_no_speech_or_something_else() {
    let okay = heard(" Okay.", 0.2, -0.65);
    assert_eq!(left(okay.clone(), 1.0, Some(okay.clone())).0, " Okay.");
    assert_eq!(left(okay.clone(), 1.0, Some(heard(" Oh.", 0.2, -0.65))).0, "");
    assert_eq!(left(heard(" Okay.", 0.65, -0.65), 1.0, Some(okay)).0, "");
}

#[test]
fn an_invented_phrase_at_the_end_goes_alone() {
    let mut said = heard(" And so it ends.", 0.1, -0.2);
    said.pieces.push(Piece { text: " Thanks for watching!".to_owned(), p: 0.2, said: None });
    let (text, dropped) = left(said, 5.0, Some(heard(" And so it ends.", 0.1, -0.2)));
    assert_eq!(text, " And so it ends.");
    assert_eq!(dropped, [(DropReason::Invented, "Thanks for watching!".to_owned())]);
}

#[test]
fn the_prompt_on_noise_goes_and_said_aloud_it_stands() {
    let echo = heard(" Kubernetes, Zürich.", 0.5, -0.3);
    assert_eq!(left(echo.clone(), 2.0, None).1, [(DropReason::Prompt, "Kubernetes, Zürich.".to_owned())]);
    assert_eq!(left(echo, 2.0, Some(heard(" Cooper Netties, Zurich.", 0.2, -0.5))).0, " Kubernetes, Zürich.");
}

#[test]
fn a_window_that_seems_no_speech_is_dropped_only_where_the_second_look_agrees() {
    let noisy = heard(" I will be there at nine.", 0.7, -0.8);
    assert_eq!(left(noisy.clone(), 4.0, Some(noisy.clone())).1.len(), 1);
    let second = heard(" I'll be there at nine.", 0.4, -0.5);
    assert_eq!(left(noisy, 4.0, Some(second)).0, " I'll be there at nine.");
}

#[test]
fn a_hum_written_as_brackets_goes() {
    assert_eq!(left(heard("( ( ( ( M ( ( L ( (", 0.1, -0.3), 4.0, None).0, "");
}

#[test]
fn an_annotation_is_told_of_and_a_note_is_not() {
    let (text, dropped) = left(heard(" (upbeat music) Hello ♪ there", 0.0, -0.1), 4.0, None);
    assert_eq!(text, " Hello there");
    assert_eq!(dropped, [(DropReason::Annotation, "(upbeat music)".to_owned())]);
}

#[test]
fn more_than_anyone_can_say_gives_way_to_a_second_look() {
    let fast = heard(" the quick brown fox jumps over the lazy dog and runs away from here", 0.0, -0.2);
    assert_eq!(left(fast, 1.0, Some(heard(" the quick brown fox", 0.0, -0.2))).0, " the quick brown fox");
}

#[test]
fn what_was_dropped_has_the_time_it_was_heard_at() {
    let window = window(10.0);
    let look = Look::at(&window, heard(" Here we go now. [applause] And here we are.", 0.0, -0.1));
    let [dropped] = look.dropped.as_slice() else { unreachable!("{look:?}") };
    assert!(dropped.start > 2.0 && dropped.end < 8.0 && dropped.start < dropped.end, "{dropped:?}");
}
