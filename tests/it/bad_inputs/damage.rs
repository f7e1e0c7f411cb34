//! Ways to damage a file or a message, the same in every run.

use crate::rig::speech;

const SOURCES: [&str; 7] = ["wav", "flac", "mp3", "m4a", "ogg", "opus", "webm"];

/// A seeded xorshift.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Below `limit`; 0 when that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 16) as usize % limit.max(1)
    }
}

/// Every damaged file: name and content. No two share a stem.
pub fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut add = |name: String, bytes: Vec<u8>| files.push((name, bytes));
    for extension in SOURCES {
        let whole = speech(extension);
        let len = whole.len();
        for at in [1, 12, 100, 1_000, len / 2, len - 1] {
            add(format!("{extension}-cut-{at}.{extension}"), whole[..at].to_vec());
        }
        for (name, flips, reach) in [("few", 4, len), ("many", 400, len), ("header", 4, 256), ("tables", 60, 4_096)] {
            let mut random = Random::new((flips * reach) as u64);
            let mut bytes = whole.clone();
            for _ in 0..flips {
                let at = random.below(reach.min(len));
                bytes[at] ^= 1 << random.below(8);
            }
            add(format!("{extension}-flip-{name}.{extension}"), bytes);
        }
        let mut hole = whole.clone();
        hole[len / 3..len / 2].fill(0);
        add(format!("{extension}-hole.{extension}"), hole);
        add(format!("{extension}-headless.{extension}"), whole[len / 4..].to_vec());
        add(format!("{extension}-twice.{extension}"), [whole.clone(), whole.clone()].concat());
        add(format!("{extension}-misnamed.mp4"), whole);
    }
    files.extend(liars());
    files.extend(strangers());
    files
}

/// Headers that lie about what follows.
fn liars() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let wav = speech("wav");
    // offsets in the canonical header: RIFF size, fmt size, tag, channels, rate, byte rate, block align, bits
    let lies: [(&str, usize, &[u8]); 13] = [
        ("riff-zero", 4, &[0; 4]),
        ("fmt-huge", 16, &[0xFF; 4]),
        ("fmt-zero", 16, &[0; 4]),
        ("tag-unknown", 20, &[0xFF; 2]),
        ("no-channels", 22, &[0; 2]),
        ("all-channels", 22, &[0xFF; 2]),
        ("no-rate", 24, &[0; 4]),
        ("rate-1", 24, &[1, 0, 0, 0]),
        ("rate-huge", 24, &[0xFF; 4]),
        ("no-align", 32, &[0; 2]),
        ("no-bits", 34, &[0; 2]),
        ("bits-1", 34, &[1, 0]),
        ("bits-huge", 34, &[0xFF; 2]),
    ];
    for (name, at, lie) in lies {
        files.push((format!("wav-lie-{name}.wav"), patched(&wav, at, lie)));
    }
    for (name, size) in [("none", 0), ("huge", u32::MAX)] {
        let at = find(&wav, b"data") + 4;
        files.push((format!("wav-data-{name}.wav"), patched(&wav, at, &u32::to_le_bytes(size))));
    }
    // 2^40 samples, as RF64 says it
    let mut rf64 = patched(&patched(&wav, 0, b"RF64"), 4, &[0xFF; 4]);
    let sizes = [1u64 << 41, 1 << 41, 1 << 40].map(u64::to_le_bytes).concat();
    rf64.splice(12..12, [b"ds64".as_slice(), &28u32.to_le_bytes(), &sizes, &[0; 4]].concat());
    files.push(("wav-bomb.wav".to_owned(), rf64));

    let flac = speech("flac");
    // STREAMINFO begins at 8: block sizes, frame sizes, then rate, channels, bits and 36 bits of samples
    let lies: [(&str, usize, &[u8]); 5] = [
        ("bomb", 21, &[0xFF; 5]),
        ("no-rate", 18, &[0; 3]),
        ("blocks-zero", 8, &[0; 4]),
        ("blocks-huge", 8, &[0xFF; 4]),
        ("metadata-huge", 5, &[0xFF; 3]),
    ];
    for (name, at, lie) in lies {
        files.push((format!("flac-lie-{name}.flac"), patched(&flac, at, lie)));
    }

    let m4a = speech("m4a");
    for atom in [b"moov", b"mdat", b"stbl", b"stsd", b"stts", b"stsc", b"stsz", b"stco"] {
        let at = find(&m4a, atom);
        let name = String::from_utf8_lossy(atom);
        for size in [0, 1, 7, u32::MAX] {
            files.push((format!("m4a-{name}-size-{size}.m4a"), patched(&m4a, at - 4, &size.to_be_bytes())));
        }
        // the number of entries, or what stands there
        files.push((format!("m4a-{name}-entries.m4a"), patched(&m4a, at + 8, &[0xFF; 8])));
    }

    for extension in ["ogg", "opus"] {
        let ogg = speech(extension);
        let second = 4 + find(&ogg[4..], b"OggS");
        // within a page: flags, granule position, serial, sequence, checksum, segments and their lengths
        let lies: [(&str, usize, &[u8]); 5] = [
            ("flags", 5, &[0xFF]),
            ("granule", 6, &[0x7F; 8]),
            ("serial", 14, &[0xFF; 4]),
            ("checksum", 22, &[0; 4]),
            ("segments", 26, &[0xFF; 2]),
        ];
        for (name, at, lie) in lies {
            files.push((format!("{extension}-page-{name}.{extension}"), patched(&ogg, second + at, lie)));
        }
    }
    files
}

/// What is no audio at all.
fn strangers() -> Vec<(String, Vec<u8>)> {
    let mut random = Random::new(3);
    let noise: Vec<u8> = (0..200_000).map(|_| random.below(256) as u8).collect();
    let huge_ebml = [&[0x1A, 0x45, 0xDF, 0xA3, 0x01], [0xFF; 7].as_slice(), &[0; 64]].concat();
    let frames = [0xFF, 0xFB, 0x90, 0x64].repeat(20_000);
    [
        ("empty.mp3", Vec::new()),
        ("zeros.wav", vec![0; 1 << 20]),
        ("noise.ogg", noise),
        ("text.txt", b"These are the minutes of the meeting.\n".repeat(500)),
        ("page.html", b"<!doctype html><title>404</title>".repeat(50)),
        ("json.m4a", br#"{"not": "audio"}"#.to_vec()),
        ("ebml.webm", huge_ebml),
        ("frames.mp3", frames),
        ("id3.mp3", [b"ID3\x04\0\0".as_slice(), &[0x7F; 4], &[0; 32]].concat()),
        ("program.flac", b"\x7FELF\x02\x01\x01".repeat(300)),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .to_vec()
}

/// A message after one to four damages.
pub fn message(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let tokens: [&[u8]; 16] = [
        b"null",
        b"-1",
        b"1e999",
        b"{}",
        b"[]",
        b"\"\"",
        b"\"..\"",
        b"\"s3://\"",
        b"\"s3://../..\"",
        b"\\u0000",
        b"\\ud800",
        b"%00%2e%2e/",
        b"\xFF\xFE",
        b"\"Records\":[{}],",
        b"\"Type\":\"Notification\",\"Message\":\"{}\",",
        &[b'['; 300],
    ];
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        let from = random.below(bytes.len());
        let to = (from + random.below(40)).min(bytes.len());
        match random.below(6) {
            0 if from < bytes.len() => bytes[from] ^= 1 << random.below(8),
            1 => drop(bytes.drain(from..to)),
            2 => {
                let piece = bytes[from..to].to_vec();
                bytes.splice(from..from, piece);
            }
            3 => drop(bytes.splice(from..to, tokens[random.below(tokens.len())].iter().copied())),
            4 => swap_value(&mut bytes, tokens[random.below(tokens.len())], random),
            _ => bytes.truncate(bytes.len() - random.below(bytes.len() / 8)),
        }
    }
    bytes
}

/// Puts the token where a value of the JSON is, so that the damage goes deeper than its syntax.
fn swap_value(bytes: &mut Vec<u8>, token: &[u8], random: &mut Random) {
    let colons: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"\": ")).collect();
    if let Some(at) = colons.get(random.below(colons.len())) {
        let from = at + 3;
        let end = bytes[from..].iter().position(|b| matches!(b, b',' | b'}' | b'\n')).map_or(bytes.len(), |n| from + n);
        bytes.splice(from..end, token.iter().copied());
    }
}

fn patched(bytes: &[u8], at: usize, lie: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + lie.len()].copy_from_slice(lie);
    bytes
}

fn find(bytes: &[u8], tag: &[u8; 4]) -> usize {
    bytes.windows(4).position(|window| window == tag).unwrap()
}
