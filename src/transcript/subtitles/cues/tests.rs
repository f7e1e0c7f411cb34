//! The promises of cues, also for segments as bad as they come.

use super::*;
use crate::script::word;
use crate::transcript::samples::{segment, transcript};
use crate::transcript::tidy::{tests::wild_segments, tidy};

const LINE_COLUMNS: usize = 42;
const MAX_MS: u64 = 7_000;

fn assert_readable(cues: &[Cue], audio_ms: u64, what: &str) {
    let mut from = 0;
    for cue in cues {
        assert!(from <= cue.start_ms && cue.start_ms < cue.end_ms && cue.end_ms <= audio_ms, "{what}: {cue:?}");
        assert!(cue.end_ms - cue.start_ms <= MAX_MS, "{what}: {cue:?}");
        assert!((1..=2).contains(&cue.lines.len()), "{what}: {cue:?}");
        assert!(cue.lines.iter().all(|line| !line.is_empty() && line::width(line) <= LINE_COLUMNS), "{what}: {cue:?}");
        from = cue.end_ms;
    }
}

fn shown(cues: &[Cue]) -> String {
    line::join(cues.iter().flat_map(|cue| cue.lines.iter().map(String::as_str)))
}

#[test]
fn whatever_was_said_the_cues_can_be_read() {
    for seed in 0..1_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let duration = random.choice([0.0, 0.002, 1.0, 12.3456, 600.0]).unwrap_or_default();
        let mut segments = wild_segments(&mut random, duration);
        tidy(&mut segments, duration);
        let audio_ms = (duration * 1000.0) as u64;
        assert_readable(
            &cues(&transcript(duration, 2, "en", segments), Naming::InText),
            audio_ms,
            &format!("seed {seed}"),
        );
    }
}

#[test]
fn ordinary_segments_lose_no_text_and_keep_their_second() {
    let vocabulary = ["I", "was", "here,", "today.", "Nevertheless", "it", "counterrevolutionary", "we", "saw?", "the"];
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut at, mut segments) = (0.0, Vec::new());
        for _ in 0..20 {
            let said: Vec<&str> = (0..random.usize(1..60)).filter_map(|_| random.choice(vocabulary)).collect();
            let end = at + 1.0 + said.len() as f64 * 0.4;
            segments.push(segment(at, end, &said.join(" "), None));
            at = end + random.f64();
        }
        let transcript = transcript(at, 1, "en", segments);
        let cues = cues(&transcript, Naming::InText);
        assert_readable(&cues, ms(at), &format!("seed {seed}"));
        assert_eq!(shown(&cues), transcript.text, "seed {seed}");
        let short = cues.iter().filter(|cue| cue.end_ms - cue.start_ms < 500).count();
        assert_eq!(short, 0, "seed {seed}: {cues:?}");
    }
}

#[test]
fn a_long_segment_is_broken_at_its_punctuation() {
    let said = "We shall go on to the end, we shall fight in France, we shall fight on the seas and oceans, \
                we shall fight with growing confidence and growing strength in the air.";
    let cues = cues(&transcript(14.0, 1, "en", vec![segment(0.0, 14.0, said, None)]), Naming::InText);
    let lines: Vec<_> = cues.iter().map(|cue| cue.lines.join(" | ")).collect();
    assert_eq!(
        lines,
        [
            "We shall go on to the end, | we shall fight in France,",
            "we shall fight on the seas and oceans,",
            "we shall fight with growing confidence | and growing strength in the air.",
        ]
    );
}

#[test]
fn text_without_spaces_is_broken_between_characters() {
    let said = "你好世界".repeat(30);
    let cues = cues(&transcript(30.0, 1, "zh", vec![segment(0.0, 30.0, &said, None)]), Naming::InText);
    assert_readable(&cues, 30_000, "chinese");
    assert_eq!(shown(&cues), said);
}

#[test]
fn thai_and_khmer_are_broken_between_words_and_keep_their_spaces() {
    let khmer = "សួស្តីអ្នកទាំងអស់គ្នាថ្ងៃនេះយើងនឹងនិយាយអំពីការរៀនភាសាខ្មែរដែលជារឿងសំខាន់សម្រាប់មនុស្សគ្រប់គ្នាក្នុងប្រទេសកម្ពុជា";
    let thai = "ที่นี่ขอบคุณครับ สวัสดีชาวโลกวันนี้อากาศดีมากและเราจะไปเที่ยวทะเลกันกับเพื่อนทุกคน";
    for said in [khmer, thai] {
        let cues = cues(&transcript(14.0, 1, "th", vec![segment(0.0, 14.0, said, None)]), Naming::InText);
        assert_readable(&cues, 14_000, said);
        let lines: Vec<&str> = cues.iter().flat_map(|cue| cue.lines.iter().map(String::as_str)).collect();
        let without_spaces = |text: &str| text.replace(' ', "");
        assert_eq!(without_spaces(&lines.concat()), without_spaces(said));
        assert!(lines.len() > 1, "{lines:?}");
        let mut rest = said;
        for line in lines {
            let words = word::split(said);
            assert!(words.iter().any(|word| line.starts_with(word)) && rest.starts_with(line), "{line:?} of {words:?}");
            rest = rest.trim_start_matches(line).trim_start();
        }
    }
}

#[test]
fn a_word_longer_than_a_line_is_cut() {
    let said = "x".repeat(200);
    let cues = cues(&transcript(5.0, 1, "en", vec![segment(0.0, 5.0, &said, None)]), Naming::InText);
    assert_readable(&cues, 5_000, "long word");
    assert_eq!(cues.iter().flat_map(|cue| cue.lines.concat().chars().collect::<Vec<_>>()).count(), 200);
}

#[test]
fn a_short_word_at_the_very_end_is_seen_for_a_second() {
    let cues = cues(&transcript(10.0, 1, "en", vec![segment(9.9, 10.0, "Bye.", None)]), Naming::InText);
    assert_eq!(cues, [Cue { start_ms: 9_000, end_ms: 10_000, lines: vec!["Bye.".to_owned()], voice: None }]);
}

#[test]
fn two_channels_at_once_are_seen_one_after_the_other() {
    let both = vec![segment(0.0, 6.0, "No.", Some(0)), segment(0.0, 6.0, "Yes.", Some(1))];
    let cues = cues(&transcript(6.0, 2, "en", both), Naming::InText);
    let seen: Vec<_> = cues.iter().map(|cue| (cue.start_ms, cue.end_ms, cue.lines.concat())).collect();
    assert_eq!(seen, [(0, 1_000, "Channel 0: No.".to_owned()), (1_000, 6_000, "Channel 1: Yes.".to_owned())]);
}

#[test]
fn cues_are_laid_out_as_the_job_wants_them() {
    let said = "We shall go on to the end, we shall fight in France, we shall fight on the seas and oceans, \
                we shall fight with growing confidence and growing strength in the air.";
    for (line_chars, lines) in [(20, 1), (32, 2), (42, 2), (30, 3), (20, 4)] {
        let options = Subtitles { line_chars, lines, max_secs: 9.0, ..Subtitles::default() };
        let mut transcript = transcript(16.0, 1, "en", vec![segment(0.0, 14.0, said, None)]);
        transcript.request.iter_mut().for_each(|request| request.subtitles = Some(options));
        let cues = cues(&transcript, Naming::InText);
        assert_eq!(shown(&cues), said);
        for cue in &cues {
            assert!(cue.lines.len() <= lines && cue.end_ms - cue.start_ms <= 9_000, "{cue:?}");
            assert!(cue.lines.iter().all(|line| line::width(line) <= line_chars), "{cue:?}");
        }
        assert!(cues.iter().any(|cue| cue.lines.len() == lines), "{cues:?}");
    }
}

#[test]
fn what_was_said_fast_stays_until_it_can_be_read_where_nothing_follows() {
    let fast = "This is a sentence of forty-two characters";
    let cues = cues(
        &transcript(20.0, 1, "en", vec![segment(0.0, 1.0, fast, None), segment(10.0, 11.0, fast, None)]),
        Naming::InText,
    );
    assert!(cues.iter().all(|cue| cue.end_ms - cue.start_ms == 2_471), "{cues:?}");
}
