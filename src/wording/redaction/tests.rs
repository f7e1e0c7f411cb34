//! What is private and what is not, as it is written and as it is said. The numbers are made, or published as examples.

use super::*;
use crate::script::word;

/// What is left of a text when all is taken out.
fn left(text: &str) -> String {
    redact_text(text, &Private::ALL)
}

#[test]
fn cards_are_known_by_issuer_and_checksum_however_they_are_written_or_said() {
    for said in [
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111111111111111",
        "4,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1",
        "four one one one one one one one one one one one one one one one",
        "four triple one double one double one double one double one double one double one",
        "5555 5555 5555 4444",
        "3782 822463 10005",
        "3714 4963 5398 431",
        "30569309025904",
        "6011 1111 1111 1117",
        "3530111333300000",
        "２２２３ ００３１ ２２００ ３２２２",
    ] {
        assert_eq!(left(&format!("My card is {said}, thanks.")), "My card is [CARD_NUMBER], thanks.", "{said}");
    }
    // no checksum, no issuer
    for said in ["4111 1111 1111 1112 abc", "9111 1111 1111 1110"] {
        assert_eq!(redact_text(said, &[Private::CardNumber]), said);
    }
    // what follows it stays what it is
    let text = redact_text("Card 4111 1111 1111 1111 expires in 12 months.", &[Private::CardNumber]);
    assert_eq!(text, "Card [CARD_NUMBER] expires in 12 months.");
}

#[test]
fn digits_in_one_breath_with_a_number_go_with_it() {
    for (said, left) in [
        // heard once too often
        ("It is 41111111111 1 1 1 1 1 1 1 1 1 It expires", "It is [CARD_NUMBER] It expires"),
        ("It is 5, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4, and so", "It is [CARD_NUMBER], and so"),
        // its last month and its code
        ("It is 4111 1111 1111 1111, 12/27, 123.", "It is [CARD_NUMBER]."),
        ("In 2019. 4111 1111 1111 1111. 12 of us paid $5.", "In 2019. [CARD_NUMBER]. 12 of us paid $5."),
        ("4111 1111 1111 1111 one moment please, $30", "[CARD_NUMBER] one moment please, $30"),
    ] {
        assert_eq!(redact_text(said, &[Private::CardNumber]), left);
    }
}

#[test]
fn addresses_are_found_written_and_spelled_in_several_languages() {
    for said in [
        "ann.lee@example.com",
        "ann.lee @ example.com",
        "ann dot lee at example dot com",
        "Ann.Lee at example.com",
        "a n n at example dot co dot uk",
        "ann underscore lee 42 at g mail dot com",
        "ann punkt lee at beispiel punkt de",
        "ann punto lee arroba ejemplo punto es",
        "ann point lee arobase exemple point fr",
    ] {
        let text = left(&format!("Write to {said}, please."));
        assert!(text.contains("[EMAIL]"), "{said}: {text}");
        for part in ["lee", "Lee", "example", "exemple", "mail", "com", "42"] {
            assert!(!text.contains(part), "{said}: {text}");
        }
        assert!(text.starts_with("Write"), "{text}");
    }
    for said in [
        "We meet at noon. Dot your i's.",
        "Look at the point of it.",
        "It is at home.",
        "She looked at me. Dot com is old.",
    ] {
        assert_eq!(left(said), said);
    }
}

#[test]
fn telephone_numbers_have_many_shapes_and_amounts_dates_and_years_have_others() {
    for said in [
        "+49 30 901820",
        "(800) 555-1234",
        "212-555-0199",
        "212.555.0199",
        "+1 (212) 555-0199",
        "020 7946 0958",
        "030/901820",
        "five five five oh one two three",
        "eight hundred five five five one two one two",
        "2125550199",
        "06 12 34 56 78",
        "twenty-one thirty-four fifty-six seventy eight",
    ] {
        let text = redact_text(&format!("Please ring {said}."), &[Private::CardNumber, Private::Phone]);
        assert_eq!(text, "Please ring [PHONE].", "{said}");
    }
    assert_eq!(left("My number is 5551234."), "My number is [PHONE].");
    assert_eq!(
        redact_text("Call 212-555-0199 or 4111 1111 1111 1111 212-555-0198.", &[Private::CardNumber, Private::Phone]),
        "Call [PHONE] or [CARD_NUMBER] [PHONE]."
    );
    for said in [
        "It cost $1,250,000.00 in 2019 and 3,000,000 later.",
        "On 2024-05-12, or 12/05/2024, or 12.05.2024.",
        "From 2019 2020 on.",
        "Room 101, floor 12.",
        "Order 12345678 is late.",
        "One, two, three.",
        "Ninety-nine percent of 1,000,000 people.",
    ] {
        assert_eq!(left(said), said);
    }
}

#[test]
fn accounts_and_people_are_known_by_their_checksums() {
    for said in [
        "DE89 3704 0044 0532 0130 00",
        "GB29NWBK60161331926819",
        "GB29 NWBK 6016 1331 9268 19",
        "D E 8 9 3 7 0 4 0 0 4 4 0 5 3 2 0 1 3 0 0 0",
        "FR14 2004 1010 0505 0001 3M02 606",
        "NO93 8601 1117 947",
        "D E eight nine three seven zero four zero zero four four zero five three two zero one three zero zero zero",
    ] {
        assert_eq!(left(&format!("Send it to {said}.")), "Send it to [IBAN].", "{said}");
    }
    assert!(!left("DE88 3704 0044 0532 0130 00").contains("[IBAN]"));
    for (country, number) in [
        ("ES", "12345678Z"),
        ("ES", "X1234567L"),
        ("FR", "2 55 08 14 168 025 38"),
        ("IT", "RSSMRA85M01H501Q"),
        ("DE", "86095742719"),
        ("NL", "111222333"),
        ("PL", "44051401359"),
        ("GB", "943 476 5919"),
        ("BR", "529.982.247-25"),
        ("IN", "2341 2341 2346"),
        ("CN", "11010519491231002X"),
        ("CA", "046 454 286"),
        ("TR", "10000000146"),
        ("NO", "29029600013"),
        ("BE", "93.05.18-223.61"),
        ("SE", "811218-9876"),
        ("FI", "131052-308T"),
        ("US", "219-09-9999"),
        ("US", "219 09 9999"),
    ] {
        let text = redact_text(&format!("It is {number}."), &[Private::NationalId]);
        assert_eq!(text, "It is [NATIONAL_ID].", "{country} {number}");
    }
}

#[test]
fn a_number_that_goes_on_in_the_next_segment_is_taken_out_of_both_and_marked_once() {
    let segment =
        |start: f64, text: &str| Segment { start, end: start + 4.0, text: text.to_owned(), ..Segment::default() };
    let mut segments = vec![segment(0.0, "It is 4111 1111."), segment(5.0, "1111"), segment(9.5, "1111. Right?")];
    let marks = redact(&mut segments, &[Private::CardNumber]);
    let texts: Vec<_> = segments.iter().map(|segment| segment.text.as_str()).collect();
    assert_eq!(texts, ["It is [CARD_NUMBER].", "[CARD_NUMBER]", "[CARD_NUMBER]. Right?"]);
    assert_eq!(marks.len(), 1);
    assert!(marks.iter().all(|mark| mark.start > 0.5 && mark.end > 9.5), "{marks:?}");
    assert!(segments.iter().all(|segment| !segment.words.iter().any(|word| word.word.contains("1111"))));
}

#[test]
fn text_that_is_kept_to_be_looked_at_has_no_digit_left_and_a_border_amid_a_number_is_not_clean() {
    assert_eq!(
        blacken("so 4111 1111 and 12 at a@", &[Private::Iban]),
        "so [REDACTED] [REDACTED] and [REDACTED] at [REDACTED]"
    );
    // more digits than any number has, as a loop makes them
    for loop_of_digits in ["8".repeat(40), "0-".repeat(40)] {
        assert_eq!(blacken(&format!("so {loop_of_digits} there"), &Private::ALL), "so [REDACTED] there");
        assert!(!is_clean(&format!("it was {loop_of_digits}"), &[Private::Iban]), "{loop_of_digits}");
    }
    assert_eq!(blacken("so 4111", &[]), "so 4111");
    for (text, clean) in [
        ("We saw 12 of them there yesterday.", true),
        ("My card is 4111 1111", false),
        ("1111 1111. That was it, thanks.", false),
        ("Write to ann dot lee at", false),
        ("In the middle 4111 1111 1111 1111 it was.", false),
    ] {
        assert_eq!(is_clean(text, &Private::ALL), clean, "{text}");
    }
}

#[test]
fn nothing_of_a_text_without_anything_private_changes() {
    let said = "Mr. Smith, 42, met Dr. Jones at 5 p.m. in the U.S. Senate. It cost $3.50, i.e. 3,000.00 EUR.";
    assert_eq!(left(said), said);
    assert_eq!(word::split(&left(said)).len(), word::split(said).len());
}
