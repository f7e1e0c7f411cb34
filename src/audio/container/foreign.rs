//! Formats that are known by their first bytes and read by no decoder of ours. Symphonia looks for anything it knows in any
//! file, and finds a fraction of a second of MPEG audio in many of these.

/// Signatures: offset, bytes, what it is.
const SIGNATURES: [(usize, &[u8], &str); 33] = [
    (0, b"\x30\x26\xB2\x75\x8E\x66\xCF\x11", "an ASF file (WMA, WMV)"),
    (0, b"FLV\x01", "a Flash video"),
    (8, b"AVI ", "an AVI file"),
    (0, b"\x06\x0E\x2B\x34\x02\x05\x01\x01", "an MXF file"),
    (0, b"nut/multimedia container", "a NUT file"),
    (0, b"NIST_1A", "a NIST SPHERE file"),
    (0, b".snd", "a Sun audio file (AU)"),
    (0, b"#!AMR", "an AMR file"),
    (0, b"#!SILK_V3", "a SILK file"),
    (0, b"riff\x2E\x91\xCF\x11", "a Wave64 file"),
    (0, b"RF64", "an RF64 file"),
    (0, b"BW64", "a BW64 file"),
    (0, b"\x02dss", "a DSS dictation"),
    (0, b"\x03dss", "a DSS dictation"),
    (0, b"\x03ds2", "a DS2 dictation"),
    (0, b"\0\0\x01\xBA", "an MPEG program stream"),
    (0, b"\x0B\x77", "an AC-3 stream"),
    (0, b"\x7F\xFE\x80\x01", "a DTS stream"),
    (0, b"wvpk", "a WavPack file"),
    (0, b"MAC ", "a Monkey's Audio file"),
    (0, b"TTA1", "a True Audio file"),
    (0, b"MPCK", "a Musepack file"),
    (0, b"MP+", "a Musepack file"),
    (0, b"tBaK", "a TAK file"),
    (0, b"DSD ", "a DSD file"),
    (0, b"Creative Voice File", "a Creative voice file"),
    (0, b".RMF", "a RealMedia file"),
    (0, b".ra\xFD", "a RealAudio file"),
    (8, b"QLCMfmt ", "a QCP file"),
    (0, b"ADIF", "an ADIF file"),
    (0, b"2BIT", "an AVR file"),
    (0, b"\x64\xA3\x01\x00", "an IRCAM file"),
    (0, b"ZYXEL\x02", "a ZyXEL voice file"),
];

/// Length of a packet of an MPEG transport stream, and of one with a time in front of it (Blu-ray, camcorders).
const TS_PACKETS: [(usize, usize); 2] = [(188, 0), (192, 4)];

/// What a file that begins so is, if it is one of those.
pub fn named(head: &[u8]) -> Option<&'static str> {
    let signed = |at: usize, bytes: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(bytes));
    if let Some((_, _, kind)) = SIGNATURES.iter().find(|(at, bytes, _)| signed(*at, bytes)) {
        return Some(kind);
    }
    if TS_PACKETS.iter().any(|(len, at)| repeats(head, *len, *at, &[0x47])) {
        return Some("an MPEG transport stream");
    }
    // eleven bits of sync, then the length of the frame
    let latm = |bytes: &[u8]| match bytes {
        [0x56, b, c, ..] if b & 0xE0 == 0xE0 => Some(3 + (usize::from(b & 0x1F) << 8 | usize::from(*c))),
        _ => None,
    };
    let frames = std::iter::successors(Some(0), |at| Some(at + latm(head.get(*at..)?)?));
    if frames.take(4).count() == 4 {
        return Some("an AAC stream in LATM");
    }
    // Theora, Dirac, Speex and what else Ogg holds that symphonia has not
    let ogg = head.starts_with(b"OggS");
    (ogg && [&b"\x80theora"[..], b"Speex   ", b"BBCD\0", b"fishead\0"].iter().any(|codec| contains(head, codec)))
        .then_some("an Ogg file with a codec that is not built in")
}

/// Whether packets of that length all have `bytes` at that place; three at least.
fn repeats(head: &[u8], len: usize, at: usize, bytes: &[u8]) -> bool {
    let packets = head.chunks(len).take(5).filter_map(|packet| packet.get(at..at + bytes.len()));
    head.len() > 2 * len + at && packets.clone().count() >= 3 && packets.clone().all(|found| found == bytes)
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
