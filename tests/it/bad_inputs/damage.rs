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
        add(format!("{extension}-empty.{extension}"), Vec::new());
    }
    files.extend(wav_liars());
    files.extend(flac_liars());
    files.extend(mp3_liars());
    files.extend(m4a_liars());
    files.extend(ogg_liars());
    files.extend(webm_liars());
    files.extend(strangers());
    files
}

/// Headers that lie about what follows.
fn wav_liars() -> Vec<(String, Vec<u8>)> {
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

    let (head, fmt, data) = (&wav[..12], &wav[12..36], &wav[find(&wav, b"data")..]);
    let chunk = |tag: &[u8; 4], size: u32, body: &[u8]| [tag.as_slice(), &size.to_le_bytes(), body].concat();
    let extensible = chunk(b"fmt ", 40, &[&[0xFE, 0xFF], &fmt[10..], &22u16.to_le_bytes(), &[0xFF; 22]].concat());
    let adpcm = chunk(b"fmt ", 20, &[&[2, 0], &fmt[10..20], &[0, 0, 4, 0, 2, 0, 0xFF, 0xFF]].concat());
    let structures: [(&str, Vec<u8>); 8] = [
        ("no-fmt", [head, data].concat()),
        ("fmt-last", [head, data, fmt].concat()),
        ("fmt-twice", [head, fmt, &patched(fmt, 10, &[0xFF; 2]), data].concat()),
        ("list-huge", [head, fmt, &chunk(b"LIST", u32::MAX, b"INFO"), data].concat()),
        ("list-nested", [head, fmt, &chunk(b"LIST", 8, b"LIST").repeat(50_000), data].concat()),
        ("junk", [head, &chunk(b"JUNK", 0, &[]).repeat(100_000), fmt, data].concat()),
        ("extensible", [head, &extensible, data].concat()),
        ("adpcm", [head, &adpcm, data].concat()),
    ];
    files.extend(structures.map(|(name, bytes)| (format!("wav-made-{name}.wav"), bytes)));
    files
}

fn flac_liars() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
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
    files.push(("flac-made-bomb.flac".to_owned(), flac_bomb()));
    files
}

/// A quarter of a megabyte that is twelve days of silence at 1 kHz: each frame says "65,535 times the same sample".
fn flac_bomb() -> Vec<u8> {
    // STREAMINFO, the last block: 65,535 samples in each frame, 1 kHz, mono, 16 bits, of unknown length
    let mut bomb = b"fLaC\x80\0\0\x22\xFF\xFF\xFF\xFF\0\0\0\0\0\0".to_vec();
    bomb.extend((1_000u64 << 44 | 15 << 36).to_be_bytes());
    bomb.extend([0; 16]);
    for n in 0..16_000u32 {
        // fixed block size, in the 16 bits that follow the number; rate and the rest as above
        let number = if n < 0x80 { vec![n as u8] } else { char::from_u32(n).unwrap().to_string().into_bytes() };
        let mut frame = [b"\xFF\xF8\x70\x08".as_slice(), &number, &0xFFFEu16.to_be_bytes()].concat();
        frame.push(crc(&frame, 8, 0x07) as u8);
        // a constant subframe of the sample 0
        frame.extend([0; 3]);
        let sum = crc(&frame, 16, 0x8005) as u16;
        frame.extend(sum.to_be_bytes());
        bomb.extend(frame);
    }
    bomb
}

fn mp3_liars() -> Vec<(String, Vec<u8>)> {
    let mp3 = speech("mp3");
    let first = mp3.windows(2).position(|pair| pair[0] == 0xFF && pair[1] & 0xE0 == 0xE0).unwrap();
    let audio = &mp3[first..];
    let xing = [&audio[..36.min(audio.len())], b"Xing", &[0, 0, 0, 0x0F], &[0xFF; 108], &audio[36..]].concat();
    let tag = |size: &[u8; 4], body: &[u8]| [b"ID3\x04\0\0", size.as_slice(), body].concat();
    let frame_huge = tag(&[0, 0, 1, 0], &[b"APIC\x7F\x7F\x7F\x7F\0\0".as_slice(), &[0; 118]].concat());
    [
        ("xing-huge", xing),
        ("free-format", patched(&mp3, first + 2, &[audio[2] & 0x0F])),
        ("rate-reserved", patched(&mp3, first + 2, &[audio[2] | 0x0C])),
        ("layer-reserved", patched(&mp3, first + 1, &[audio[1] & !0x06])),
        ("tag-frame-huge", [&frame_huge, audio].concat()),
        ("tags", [&tag(&[0; 4], &[]).repeat(50_000), audio].concat()),
        ("headers", audio[..4].repeat(50_000)),
    ]
    .map(|(name, bytes)| (format!("mp3-lie-{name}.mp3"), bytes))
    .to_vec()
}

fn m4a_liars() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
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
    // what stands behind an atom's name: offsets of its version 0
    let lies: [(&str, &[u8; 4], usize, &[u8]); 11] = [
        ("timescale-zero", b"mdhd", 16, &[0; 4]),
        ("timescale-huge", b"mdhd", 16, &[0xFF; 4]),
        ("duration-huge", b"mdhd", 20, &[0xFF; 4]),
        ("version-unknown", b"mdhd", 4, &[0xFF]),
        ("channels-none", b"mp4a", 20, &[0; 2]),
        ("channels-all", b"mp4a", 20, &[0xFF; 2]),
        ("rate-zero", b"mp4a", 28, &[0; 4]),
        ("esds-huge", b"esds", 8, &[0x03, 0xFF, 0xFF, 0xFF, 0x7F]),
        ("delta-huge", b"stts", 16, &[0xFF; 4]),
        // four thousand million samples of a byte each, without a table that would have to be there
        ("bomb", b"stsz", 8, &[0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF]),
        ("chunk-elsewhere", b"stco", 12, &[0xFF; 4]),
    ];
    for (name, atom, at, lie) in lies {
        files.push((format!("m4a-lie-{name}.m4a"), patched(&m4a, find(&m4a, atom) + at, lie)));
    }
    let head = &m4a[..find(&m4a, b"ftyp") - 4 + u32::from_be_bytes(m4a[..4].try_into().unwrap()) as usize];
    let nested = |tag: &[u8; 4], depth: u32| -> Vec<u8> {
        (0..depth).flat_map(|n| [(8 * (depth - n)).to_be_bytes(), *tag].concat()).collect()
    };
    let endless = [&1u32.to_be_bytes(), b"moov".as_slice(), &u64::MAX.to_be_bytes()].concat();
    let structures: [(&str, Vec<u8>); 5] = [
        ("nested-moov", [head, &nested(b"moov", 50_000)].concat()),
        ("nested-udta", [head, &nested(b"udta", 50_000)].concat()),
        ("free", [head, &b"\0\0\0\x08free".repeat(100_000), &m4a[head.len()..]].concat()),
        ("endless", [head, &endless, &m4a[head.len()..]].concat()),
        ("moov-twice", [&m4a[..], &m4a[head.len()..]].concat()),
    ];
    files.extend(structures.map(|(name, bytes)| (format!("m4a-made-{name}.m4a"), bytes)));
    files
}

fn ogg_liars() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
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
            files.push((format!("{extension}-sealed-{name}.{extension}"), sealed(patched(&ogg, second + at, lie))));
        }
        let first = &ogg[..second];
        let streams: Vec<u8> = (0..20_000u32).flat_map(|n| sealed(patched(first, 14, &n.to_le_bytes()))).collect();
        files.push((format!("{extension}-made-streams.{extension}"), [&streams, &ogg[second..]].concat()));
        files.push((format!("{extension}-made-unbegun.{extension}"), ogg[second..].to_vec()));
    }
    // what stands behind the codecs' own names, the pages' checksums made right again
    let lies: [(&str, &[u8; 4], usize, &[u8]); 13] = [
        ("ogg-lie-version", b"vorb", 6, &[0xFF; 4]),
        ("ogg-lie-channels-none", b"vorb", 10, &[0]),
        ("ogg-lie-channels-all", b"vorb", 10, &[0xFF]),
        ("ogg-lie-rate-none", b"vorb", 11, &[0; 4]),
        ("ogg-lie-rate-huge", b"vorb", 11, &[0xFF; 4]),
        ("ogg-lie-blocks-none", b"vorb", 27, &[0]),
        ("ogg-lie-blocks-huge", b"vorb", 27, &[0xFF]),
        ("opus-lie-version", b"Opus", 8, &[0xFF]),
        ("opus-lie-channels-none", b"Opus", 9, &[0]),
        ("opus-lie-channels-all", b"Opus", 9, &[0xFF]),
        ("opus-lie-skip-all", b"Opus", 10, &[0xFF; 2]),
        ("opus-lie-gain-huge", b"Opus", 16, &[0xFF, 0x7F]),
        ("opus-lie-mapping-unknown", b"Opus", 18, &[0xFF]),
    ];
    for (name, tag, at, lie) in lies {
        let extension = name.split('-').next().unwrap();
        let ogg = speech(extension);
        files.push((format!("{name}.{extension}"), sealed(patched(&ogg, find(&ogg, tag) + at, lie))));
    }
    files
}

fn webm_liars() -> Vec<(String, Vec<u8>)> {
    let webm = speech("webm");
    // elements by their ids; their size begins behind
    let (segment, cluster, tracks) = (b"\x18\x53\x80\x67", b"\x1F\x43\xB6\x75", b"\x16\x54\xAE\x6B");
    let mut files = Vec::new();
    for (name, id) in [("segment", segment), ("cluster", cluster), ("tracks", tracks)] {
        let at = find(&webm, id) + 4;
        for (lie, size) in [("none", [0x80]), ("unknown", [0xFF]), ("cut", [0x84]), ("invalid", [0])] {
            files.push((format!("webm-{name}-{lie}.webm"), patched(&webm, at, &size)));
        }
        files.push((format!("webm-{name}-huge.webm"), patched(&webm, at, b"\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFE")));
        let nested = id.iter().copied().chain([0xFF]).collect::<Vec<u8>>().repeat(50_000);
        files.push((format!("webm-made-nested-{name}.webm"), [&webm[..find(&webm, id)], &nested].concat()));
    }
    let codec = find(&webm, b"Opus");
    files.push(("webm-lie-codec.webm".to_owned(), patched(&webm, codec - 2, b"A_EVIL")));
    let rate = webm.windows(2).position(|pair| pair == [0xB5, 0x88]).unwrap() + 2;
    for (name, hz) in
        [("none", 0.0), ("negative", -1.0), ("huge", f64::MAX), ("infinite", f64::INFINITY), ("nan", f64::NAN)]
    {
        files.push((format!("webm-lie-rate-{name}.webm"), patched(&webm, rate, &hz.to_be_bytes())));
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
        ("nameless", speech("flac")),
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

/// The checksums of Ogg pages made right again, so that the lies in them are believed; pages that cannot be told apart
/// any more stay as they are.
fn sealed(mut ogg: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while ogg[at..].starts_with(b"OggS") && at + 27 + usize::from(ogg[at + 26]) <= ogg.len() {
        let lengths = at + 27..at + 27 + usize::from(ogg[at + 26]);
        let end = lengths.end + ogg[lengths].iter().map(|n| usize::from(*n)).sum::<usize>();
        if end > ogg.len() {
            break;
        }
        ogg[at + 22..at + 26].fill(0);
        let sum = crc(&ogg[at..end], 32, 0x04C1_1DB7);
        ogg[at + 22..at + 26].copy_from_slice(&sum.to_le_bytes());
        at = end;
    }
    ogg
}

/// A checksum of so many bits, most significant first, from 0 on: FLAC's and Ogg's.
fn crc(bytes: &[u8], bits: u32, polynomial: u32) -> u32 {
    // at the upper end of the word, so that the bit to look at is always the same
    let top = 32 - bits;
    let step = |sum: u32| (sum << 1) ^ if sum >> 31 == 1 { polynomial << top } else { 0 };
    bytes.iter().fold(0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte) << 24, |sum, _| step(sum))) >> top
}

fn patched(bytes: &[u8], at: usize, lie: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + lie.len()].copy_from_slice(lie);
    bytes
}

fn find(bytes: &[u8], tag: &[u8; 4]) -> usize {
    bytes.windows(4).position(|window| window == tag).unwrap()
}
