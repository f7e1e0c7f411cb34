//! Numbers of credit and debit cards: ISO/IEC 7812.

/// First digits, from and to, of as many digits as they have, and the lengths of such numbers.
const ISSUERS: [(u32, u32, &[usize]); 13] = [
    (4, 4, &[13, 16, 19]),
    (51, 55, &[16]),
    (2221, 2720, &[16]),
    (34, 34, &[15]),
    (37, 37, &[15]),
    (300, 305, &[14]),
    (36, 36, &[14]),
    (38, 39, &[14, 16]),
    (6011, 6011, &[16, 19]),
    (644, 659, &[16, 19]),
    (3528, 3589, &[16, 17, 18, 19]),
    (62, 62, &[16, 17, 18, 19]),
    (50, 69, &[12, 13, 14, 15, 16, 17, 18, 19]),
];

/// Whether digits are a card's number.
pub fn is_card(digits: &str) -> bool {
    let is_issued = ISSUERS.iter().any(|(from, to, lengths)| {
        let prefix = digits.get(..from.to_string().len()).and_then(|prefix| prefix.parse::<u32>().ok());
        lengths.contains(&digits.len()) && prefix.is_some_and(|prefix| (*from..=*to).contains(&prefix))
    });
    is_issued && luhn(digits)
}

/// Luhn's checksum (ISO/IEC 7812-1, annex B): every second digit from the right doubled, the sum of all digits a multiple of ten.
pub fn luhn(digits: &str) -> bool {
    let values: Option<Vec<u32>> = digits.chars().rev().map(|c| c.to_digit(10)).collect();
    let Some(values) = values else { return false };
    let sum = values.iter().enumerate().map(|(at, digit)| match (at % 2, digit * 2) {
        (0, _) => *digit,
        (_, double) => double / 10 + double % 10,
    });
    sum.sum::<u32>() % 10 == 0 && !values.iter().all(|digit| *digit == 0)
}
