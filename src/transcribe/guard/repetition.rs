//! Words said again and again. People do that too: a loop is what nobody can say in the time, or what a second look does
//! not hear.

use std::ops::Range;

use crate::script::word::{self, Unit};

/// A run of words that stands so often in a row is a repetition; of single words twice as often: "no, no, no, no" is
/// nothing to wonder at.
const ROUNDS: usize = 4;
/// Longest run looked for: a long sentence, or a clause of a script that is compared by characters.
pub const LONGEST: usize = 40;
/// Of a loop so many rounds are kept.
const KEPT_ROUNDS: usize = 2;
/// Runs of voice between pauses that are alike tell how often the same was said, from so many on.
const LEAST_RUNS: usize = 3;
/// How many times as long as the shortest the longest of them may be.
const ALIKE: f64 = 1.5;
/// Letters in a second of voice, as [`word::letters`] counts them; fast talkers reach 22.
pub const FASTEST: f64 = 25.0;

/// A repetition in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repetition {
    /// How often it is said.
    pub rounds: usize,
    /// All rounds but the first two, in bytes of the text.
    pub surplus: Range<usize>,
}

/// The repetition in the text with the most rounds.
pub fn find(text: &str) -> Option<Repetition> {
    find_all(text).into_iter().max_by_key(|repetition| repetition.rounds)
}

/// All repetitions, one after the other.
pub fn find_all(text: &str) -> Vec<Repetition> {
    let units = word::units(text);
    let mut found = Vec::new();
    let mut from = 0;
    while let Some((run, len, rounds)) = first_run(&units, from) {
        let surplus = run + len * KEPT_ROUNDS;
        let end = units.get(run + len * rounds).map_or(text.len(), |unit| unit.at.start);
        found.push(Repetition { rounds, surplus: units[surplus].at.start..end });
        from = run + len * rounds;
    }
    found
}

/// All rounds of all repetitions but the first two.
pub fn surplus(text: &str) -> Vec<Range<usize>> {
    find_all(text).into_iter().map(|found| found.surplus).collect()
}

/// Where the text goes on after `times` rounds, when it is nothing but one round over and over (the last may be cut off).
/// `None` where it says it less often, or something else.
pub fn beyond(text: &str, times: usize) -> Option<Range<usize>> {
    let units = word::units(text);
    let (0, len, rounds) = first_run(&units, 0)? else { return None };
    let is_all = units.len() - len * rounds < len;
    let surplus = units.get(len * times)?.at.start;
    (is_all && rounds >= times).then_some(surplus..text.len())
}

/// How often something was said over and over: the runs of voice, of so many seconds each, when they are alike.
pub fn times_said(runs: &[f64]) -> Option<usize> {
    let (least, most) =
        runs.iter().fold((f64::INFINITY, 0.0f64), |(least, most), secs| (least.min(*secs), most.max(*secs)));
    (runs.len() >= LEAST_RUNS && most <= ALIKE * least).then_some(runs.len())
}

/// Whether the text, with a repetition in it, is more than anyone can say in so many seconds of voice.
pub fn is_impossible(text: &str, speech_secs: f64) -> bool {
    word::letters(text) > FASTEST * speech_secs.max(0.5)
}

/// The first run of units that follows itself: where it starts, its length, and how often it stands there.
fn first_run(units: &[Unit], from: usize) -> Option<(usize, usize, usize)> {
    for start in from..units.len() {
        for len in 1..=LONGEST.min((units.len() - start) / ROUNDS) {
            let same = |i: usize| units[i].plain == units[i + len].plain;
            let again = (start..units.len() - len).take_while(|i| same(*i)).count();
            let rounds = again / len + 1;
            if rounds >= if len == 1 { 2 * ROUNDS } else { ROUNDS } {
                return Some((start, len, rounds));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collapsed(text: &str) -> String {
        let mut kept = text.to_owned();
        find_all(text).into_iter().rev().for_each(|found| kept.replace_range(found.surplus, ""));
        kept
    }

    #[test]
    fn rounds_are_found_in_every_script() {
        let found = ["so I said, ", "谢谢大家，", "ขอบคุณครับ", "감사합니다. ", "na-"]
            .map(|round| find(&round.repeat(9)).map(|found| found.rounds));
        assert_eq!(found, [Some(9); 5]);
        assert_eq!(find("no, no, no, no, it is very very very cold and cold and cold"), None);
        assert_eq!(find("哈哈哈，真好"), None);
    }

    #[test]
    fn two_rounds_are_kept_and_what_stands_around_them() {
        assert_eq!(
            collapsed("Well, so I said, so I said, so I said, so I said, so I. Yes"),
            "Well, so I said, so I said, so I. Yes"
        );
        assert_eq!(collapsed(&"谢谢大家，".repeat(20)), "谢谢大家，谢谢大家，");
        assert_eq!(collapsed(&format!("สวัสดี {}", "ขอบคุณครับ".repeat(20))), "สวัสดี ขอบคุณครับขอบคุณครับ");
    }

    #[test]
    fn what_is_said_too_often_is_known_by_the_runs_of_voice() {
        assert_eq!(times_said(&[0.5, 0.53, 0.51, 0.5, 0.49]), Some(5));
        assert_eq!(times_said(&[0.5, 0.9, 1.7]), None);
        assert_eq!(beyond("No, no, no, no, no, no, no, no, no, n", 8), None);
        assert_eq!(beyond("No, no, no, no, no, no, no, no, no, no", 8), Some(32..38));
        assert_eq!(beyond(&"He left. ".repeat(5), 6), None);
        assert_eq!(beyond(&"He left. ".repeat(5), 5), None);
    }

    #[test]
    fn forty_rounds_in_twelve_seconds_are_impossible_and_what_people_say_is_not() {
        for round in ["so I said, ", "谢谢大家，", "ขอบคุณครับ "] {
            assert!(is_impossible(&round.repeat(40), 12.0), "{round}");
        }
        assert!(!is_impossible(&"left right ".repeat(6), 6.0));
        assert!(!is_impossible(&"No. ".repeat(10), 5.0));
    }
}
