//! International bank account numbers: ISO 13616.

/// Countries of the register, by the length of their numbers.
const LENGTHS: [(usize, &str); 19] = [
    (15, "NO"),
    (16, "BE"),
    (18, "DK FI FO GL NL SD FK"),
    (19, "MK SI"),
    (20, "AT BA EE KZ LT LU XK MN"),
    (21, "CH CR HR LI LV"),
    (22, "BG BH DE GB GE IE ME RS VA"),
    (23, "AE GI IL IQ OM SO TL"),
    (24, "AD CZ ES MD PK RO SA SE SK TN VG"),
    (25, "LY PT ST"),
    (26, "IS TR"),
    (27, "BI DJ FR GR IT MC MR SM"),
    (28, "AL AZ BY CY DO GT HN HU LB NI PL SV"),
    (29, "BR EG PS QA UA"),
    (30, "JO KW MU YE"),
    (31, "MT SC"),
    (32, "LC"),
    (33, "RU"),
    (34, ""),
];

/// Whether letters and digits are such a number: of a country's length, and 1 modulo 97 with its first four signs at the end and
/// letters as 10 to 35 (ISO 7064, MOD 97-10).
pub fn is_iban(code: &str) -> bool {
    let Some((country, rest)) = code.split_at_checked(2) else { return false };
    let is_known =
        LENGTHS.iter().any(|(length, countries)| *length == code.len() && countries.split(' ').any(|it| it == country));
    if !is_known || !rest.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let Some((head, account)) = code.split_at_checked(4) else { return false };
    let mut values = account.chars().chain(head.chars()).map(|c| c.to_digit(36));
    let remainder = values.try_fold(0, |sum, value| Some((sum * if value? > 9 { 100 } else { 10 } + value?) % 97));
    remainder == Some(1)
}
