//! Numbers of people, by the checksums of the countries that give them.

use super::card::luhn;

/// Whether letters and digits are a person's number in one of the countries below.
pub fn is_national(code: &str) -> bool {
    let digits: Option<Vec<u32>> = code.chars().map(|c| c.to_digit(10)).collect();
    match digits {
        Some(digits) => is_number(&digits, code),
        None => is_spanish(code) || is_italian(code) || is_finnish(code) || is_chinese(code) || is_corsican(code),
    }
}

/// Whether groups of digits with hyphens between them are a Social Security number of the United States, which has no checksum:
/// three, two and four digits, none all noughts, the first group not 666 and below 900.
pub fn is_social_security(code: &str) -> bool {
    let groups: Vec<&str> = code.split('-').collect();
    let [area, group, serial] = groups.as_slice() else { return false };
    let are_digits = groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_digit()));
    let is_shaped = (area.len(), group.len(), serial.len()) == (3, 2, 4);
    are_digits
        && is_shaped
        && !["000", "666"].contains(area)
        && !area.starts_with('9')
        && *group != "00"
        && *serial != "0000"
}

fn is_number(digits: &[u32], code: &str) -> bool {
    if digits.iter().all(|digit| Some(digit) == digits.first()) {
        return false;
    }
    match digits.len() {
        9 => luhn(code) || is_dutch(digits) || is_portuguese(digits),
        10 => is_british(digits) || is_swedish(code),
        11 => {
            is_brazilian(digits)
                || is_polish(digits)
                || is_norwegian(digits)
                || is_belgian(code)
                || is_turkish(digits)
                || is_german(digits)
        }
        12 => is_indian(digits) || is_swedish(code.get(2..).unwrap_or_default()),
        15 => is_french(code),
        18 => is_chinese(code),
        _ => false,
    }
}

/// The sum of the digits, each times its weight.
fn weighted(digits: &[u32], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

fn last(digits: &[u32]) -> u32 {
    digits.last().copied().unwrap_or_default()
}

/// Burgerservicenummer: the elfproef, its last digit counted negatively.
fn is_dutch(digits: &[u32]) -> bool {
    (weighted(digits, &[9, 8, 7, 6, 5, 4, 3, 2]) + 10 * last(digits)).is_multiple_of(11)
}

/// Número de identificação fiscal of a person.
fn is_portuguese(digits: &[u32]) -> bool {
    let check = match weighted(digits, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    };
    matches!(digits.first(), Some(1..=3)) && check == last(digits)
}

/// NHS number.
fn is_british(digits: &[u32]) -> bool {
    (weighted(digits, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) + last(digits)).is_multiple_of(11)
}

/// Personnummer without its century: a date, and Luhn's checksum.
fn is_swedish(code: &str) -> bool {
    let number = |from: usize| code.get(from..from + 2).and_then(|part| part.parse::<u32>().ok()).unwrap_or_default();
    // 60 is added to the day of those who only stay
    code.len() == 10 && (1..=12).contains(&number(2)) && matches!(number(4), 1..=31 | 61..=91) && luhn(code)
}

/// CPF.
fn is_brazilian(digits: &[u32]) -> bool {
    let check = |weights: &[u32], sum_of: &[u32]| weighted(sum_of, weights) * 10 % 11 % 10;
    let (Some(nine), Some(ten)) = (digits.get(..9), digits.get(..10)) else { return false };
    let (first, second) = (check(&[10, 9, 8, 7, 6, 5, 4, 3, 2], nine), check(&[11, 10, 9, 8, 7, 6, 5, 4, 3, 2], ten));
    digits.get(9) == Some(&first) && last(digits) == second
}

/// PESEL.
fn is_polish(digits: &[u32]) -> bool {
    (weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) + last(digits)).is_multiple_of(10)
}

/// Fødselsnummer: two checksums modulo 11.
fn is_norwegian(digits: &[u32]) -> bool {
    weighted(digits, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]).is_multiple_of(11)
        && weighted(digits, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
}

/// Rijksregisternummer: 97 less the rest modulo 97, with a 2 before the number of those born since 2000.
fn is_belgian(code: &str) -> bool {
    let (Some(number), Some(check)) = (code.get(..9), code.get(9..)) else { return false };
    let rest = |number: &str| number.parse::<u64>().map_or(0, |number| 97 - number % 97);
    check.parse().is_ok_and(|check: u64| check == rest(number) || check == rest(&format!("2{number}")))
}

/// T.C. kimlik numarası.
fn is_turkish(digits: &[u32]) -> bool {
    let [a, b, c, d, e, f, g, h, i, tenth, eleventh] = *digits else { return false };
    let sum = a + b + c + d + e + f + g + h + i;
    a != 0 && ((a + c + e + g + i) * 7 + 100 - (b + d + f + h)) % 10 == tenth && (sum + tenth) % 10 == eleventh
}

/// Steueridentifikationsnummer: ISO 7064, MOD 11,10, and one digit among the first ten that is there twice or three times.
fn is_german(digits: &[u32]) -> bool {
    let Some(ten) = digits.get(..10) else { return false };
    let product = ten.iter().fold(10, |product, digit| match (digit + product) % 10 {
        0 => 20 % 11,
        sum => sum * 2 % 11,
    });
    let counts = (0..10).map(|value| ten.iter().filter(|digit| **digit == value).count());
    digits.first() != Some(&0) && (11 - product) % 10 == last(digits) && counts.filter(|count| *count > 1).count() == 1
}

/// Aadhaar: Verhoeff's checksum, by multiplication in the dihedral group of order ten.
fn is_indian(digits: &[u32]) -> bool {
    const PERMUTED: [u32; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let times = |a: u32, b: u32| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b - 5) % 5 + 5,
        (false, true) => (a - b + 5) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    };
    let permuted = |digit: u32, rounds: usize| {
        (0..rounds).fold(digit, |digit, _| PERMUTED.get(digit as usize).copied().unwrap_or_default())
    };
    let check = digits.iter().rev().enumerate().fold(0, |check, (at, digit)| times(check, permuted(*digit, at % 8)));
    digits.first() > Some(&1) && check == 0
}

/// Numéro de sécurité sociale with its key: 97 less the rest modulo 97.
fn is_french(code: &str) -> bool {
    let (Some(number), Some(key)) = (code.get(..13), code.get(13..)) else { return false };
    let number = number.parse::<u64>().unwrap_or_default();
    matches!(code.as_bytes().first(), Some(b'1' | b'2')) && key.parse().is_ok_and(|key: u64| key == 97 - number % 97)
}

/// The same of those born in Corsica: 2A is 19, 2B is 18.
fn is_corsican(code: &str) -> bool {
    code.len() == 15 && (is_french(&code.replacen("2A", "19", 1)) || is_french(&code.replacen("2B", "18", 1)))
}

/// Resident identity card: ISO 7064, MOD 11-2, whose tenth digit is X.
fn is_chinese(code: &str) -> bool {
    let (Some(number), true) = (code.get(..17), code.len() == 18) else { return false };
    let sum = number.chars().try_fold(0, |sum, c| Some((sum + c.to_digit(10)?) * 2 % 11));
    let check = code.chars().last().and_then(|c| if c == 'X' { Some(10) } else { c.to_digit(10) });
    sum.zip(check).is_some_and(|(sum, check)| (sum + check) % 11 == 1)
}

/// DNI and NIE: a letter by the rest modulo 23.
fn is_spanish(code: &str) -> bool {
    let (Some(number), true) = (code.get(..8), code.len() == 9 && code.is_ascii()) else { return false };
    let number = match number.as_bytes().first() {
        Some(b'X') => number.replacen('X', "0", 1),
        Some(b'Y') => number.replacen('Y', "1", 1),
        Some(b'Z') => number.replacen('Z', "2", 1),
        _ => number.to_owned(),
    };
    let letter = number.parse::<usize>().ok().and_then(|number| "TRWAGMYFPDXBNJZSQVHLCKE".chars().nth(number % 23));
    letter.is_some() && code.chars().last() == letter
}

/// Codice fiscale: values by place, modulo 26.
fn is_italian(code: &str) -> bool {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    if code.len() != 16 || !code.bytes().take(6).all(|byte| byte.is_ascii_uppercase()) {
        return false;
    }
    let value = |c: char| c.to_digit(10).or_else(|| c.to_digit(36).map(|letter| letter - 10));
    let sum = code.chars().take(15).enumerate().try_fold(0, |sum, (at, c)| {
        let value = value(c)?;
        Some(sum + if at % 2 == 0 { *ODD.get(value as usize)? } else { value })
    });
    let check = code.chars().last().filter(char::is_ascii_uppercase).map(|c| u32::from(c) - u32::from('A'));
    sum.zip(check).is_some_and(|(sum, check)| sum % 26 == check)
}

/// Henkilötunnus without its century sign: a letter by the rest modulo 31.
fn is_finnish(code: &str) -> bool {
    let (Some(birth), Some(serial), true) =
        (code.get(..6), code.get(code.len().saturating_sub(4)..), matches!(code.len(), 10 | 11))
    else {
        return false;
    };
    let number = format!("{birth}{}", serial.get(..3).unwrap_or_default()).parse::<usize>().ok();
    let check = number.and_then(|number| "0123456789ABCDEFHJKLMNPRSTUVWXY".chars().nth(number % 31));
    check.is_some() && serial.chars().last() == check
}
