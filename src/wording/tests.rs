//! What is replaced and filtered.

use super::*;
use crate::job::wording::{Filter, FilterMethod};
use crate::transcript::MarkKind;

fn segment(text: &str) -> Vec<Segment> {
    vec![Segment { start: 1.0, end: 5.0, text: text.to_owned(), ..Segment::default() }]
}

fn text_of(segments: &[Segment]) -> String {
    segments.iter().map(|segment| segment.text.as_str()).collect()
}

fn replaced(text: &str) -> String {
    let pairs =
        [("cooper netties", "Kubernetes"), ("colour", "color"), ("acme", "ACME Inc"), ("um", ""), ("东京", "北京")];
    let replacements = pairs.map(|(from, to)| (from.to_owned(), to.to_owned())).into();
    let mut segments = segment(text);
    replace_and_filter(&mut segments, &Wording { replacements, ..Wording::default() });
    text_of(&segments)
}

#[test]
fn whole_words_are_replaced_and_small_letters_keep_the_case_that_was_heard() {
    assert_eq!(replaced("Cooper Netties, or (cooper-netties)?"), "Kubernetes, or (Kubernetes)?");
    assert_eq!(replaced("Colour, colour, COLOUR; colours."), "Color, color, COLOR; colours.");
    assert_eq!(replaced("Acme's van"), "ACME Inc's van");
    assert_eq!(replaced("Well, um, it is so, um."), "Well, it is so.");
    assert_eq!(replaced("我去东京。"), "我去北京。");
    assert_eq!(replaced("Nothing here."), "Nothing here.");
}

#[test]
fn words_fill_the_time_of_what_they_replace() {
    let mut segments = segment("an acme van");
    let replacements = [("acme".to_owned(), "Acme Works".to_owned())].into();
    replace_and_filter(&mut segments, &Wording { replacements, ..Wording::default() });
    let words: Vec<_> = segments.iter().flat_map(|segment| &segment.words).collect();
    assert_eq!(words.iter().map(|word| word.word.as_str()).collect::<Vec<_>>(), ["an", "Acme", "Works", "van"]);
    assert!(words.windows(2).all(|pair| pair[0].end <= pair[1].start + 1e-9), "{words:?}");
}

#[test]
fn filtered_words_are_masked_removed_or_tagged_and_marked_with_their_times() {
    for (method, said) in [
        (FilterMethod::Mask, "*** it, the *** thing is ***-less. Damned!"),
        (FilterMethod::Remove, "it, the thing is damn-less. Damned!"),
        (FilterMethod::Tag, "Damn it, the God damn thing is damn-less. Damned!"),
    ] {
        let filter = Filter { words: vec!["damn".to_owned(), "god damn".to_owned()], method };
        let mut segments = segment("Damn it, the God damn thing is damn-less. Damned!");
        let marks = replace_and_filter(&mut segments, &Wording { filter: Some(filter), ..Wording::default() });
        // a part of a compound is no whole word
        let said = said.replace("***-less", "damn-less");
        assert_eq!(text_of(&segments), said, "{method:?}");
        assert_eq!(marks.len(), 2);
        assert!(marks.iter().all(|mark| mark.kind == MarkKind::Filtered && mark.end > mark.start));
    }
    let filter = Filter { words: vec!["damn".to_owned()], method: FilterMethod::Remove };
    let mut segments = segment("Damn!");
    replace_and_filter(&mut segments, &Wording { filter: Some(filter), ..Wording::default() });
    assert!(segments.is_empty(), "nothing is left of it");
}

#[test]
fn lists_are_told_apart_without_being_told() {
    let of = |word: &str| {
        let filter = Some(Filter { words: vec![word.to_owned()], method: FilterMethod::Mask });
        fingerprint(&Wording { filter, ..Wording::default() })
    };
    assert_eq!(of("damn"), of("damn"));
    assert_ne!(of("damn"), of("darn"));
    assert!(of("damn").is_some_and(|fingerprint| !fingerprint.contains("damn")));
    assert_eq!(fingerprint(&Wording::default()), None);
}
