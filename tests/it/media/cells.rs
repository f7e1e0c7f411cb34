//! The cells of the media matrix: how each file is made, and what is to come of it.

/// How a file is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As ffmpeg decodes it by the times in it.
    Sound,
    /// As ffmpeg decodes it, packet after packet: what its times say is not meant.
    Packets,
    /// As encrypted.
    Encrypted,
}

/// A file of the matrix.
#[derive(Debug, Clone)]
pub struct Cell {
    pub container: &'static str,
    pub codec: &'static str,
    pub kind: &'static str,
    /// Commands, in the folder in which `speech.wav`, `silence.wav` and `video.mkv` lie.
    pub commands: Vec<String>,
    /// The file that they make.
    pub file: String,
    /// The audio track that is to be transcribed.
    pub track: usize,
    pub end: End,
    /// In the short form too.
    pub is_sample: bool,
}

/// A container with a codec: extension, what ffmpeg is told for each, the video codec that may stand beside it, and what
/// can be done with them.
struct Pair(&'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

const CLOCKED: &[&str] = &["late", "gap", "longer", "two-default", "two-silent"];
const EDITED: &[&str] =
    &["late", "gap", "head", "tail", "longer", "two-default", "two-silent", "fragmented", "fragmented-gap", "uneven"];
const PACKED: &[&str] = &["late", "gap", "longer", "two-default", "two-silent", "laced", "zlib", "lace-late", "burst"];
const STREAM: &[&str] = &["late", "gap", "longer", "rate-change", "channel-change"];
const ROW: &[&str] = &["rate-change", "channel-change"];

const MPEG4: &str = "-c:v mpeg4";

const PAIRS: &[Pair] = &[
    Pair("mp4", "aac", "-c:a aac", MPEG4, EDITED),
    Pair("mp4", "mp3", "-c:a libmp3lame -ar 44100", MPEG4, EDITED),
    Pair("mp4", "opus", "-c:a libopus -strict -2", MPEG4, EDITED),
    Pair("mp4", "flac", "-c:a flac -strict -2", MPEG4, EDITED),
    Pair("mp4", "ac3", "-c:a ac3 -ar 48000", MPEG4, EDITED),
    Pair(
        "m4a",
        "aac",
        "-c:a aac -ar 44100 -ac 2",
        "",
        &["head", "tail", "gap", "no-edits", "fragmented", "moov-first", "encrypted"],
    ),
    Pair("m4a", "alac", "-c:a alac", "", &["head", "tail", "gap", "fragmented"]),
    Pair("3gp", "aac", "-c:a aac", MPEG4, &["late", "gap"]),
    Pair("mov", "aac", "-c:a aac", MPEG4, EDITED),
    Pair("mov", "alac", "-c:a alac", MPEG4, &["late", "head", "tail"]),
    Pair("mov", "pcm_s16le", "-c:a pcm_s16le", MPEG4, &["late", "gap", "head", "tail", "two-default"]),
    Pair("mov", "pcm_s16be", "-c:a pcm_s16be", MPEG4, &["late", "head"]),
    Pair("mov", "pcm_s24le", "-c:a pcm_s24le", "", &["head"]),
    Pair("mov", "pcm_s24be", "-c:a pcm_s24be", "", &["head"]),
    Pair("mov", "pcm_s32be", "-c:a pcm_s32be", "", &[]),
    Pair("mov", "pcm_f32be", "-c:a pcm_f32be", "", &[]),
    Pair("mov", "pcm_f64le", "-c:a pcm_f64le", "", &[]),
    Pair("mov", "pcm_u8", "-c:a pcm_u8", "", &[]),
    Pair("mov", "pcm_mulaw", "-c:a pcm_mulaw -ar 8000", "", &["head"]),
    Pair("mov", "pcm_alaw", "-c:a pcm_alaw -ar 8000", "", &[]),
    Pair("mov", "adpcm_ima_qt", "-c:a adpcm_ima_qt", "", &[]),
    Pair("mkv", "aac", "-c:a aac", MPEG4, PACKED),
    Pair("mkv", "opus", "-c:a libopus", MPEG4, PACKED),
    Pair("mkv", "vorbis", "-c:a libvorbis", MPEG4, PACKED),
    Pair("mkv", "flac", "-c:a flac", MPEG4, PACKED),
    Pair("mkv", "mp3", "-c:a libmp3lame -ar 44100", MPEG4, PACKED),
    Pair("mkv", "ac3", "-c:a ac3 -ar 48000", MPEG4, PACKED),
    Pair("mkv", "pcm_s16le", "-c:a pcm_s16le", MPEG4, CLOCKED),
    Pair("mkv", "pcm_s24le", "-c:a pcm_s24le", "", &["gap"]),
    Pair("mkv", "pcm_f32le", "-c:a pcm_f32le", "", &[]),
    Pair("mkv", "pcm_u8", "-c:a pcm_u8", "", &[]),
    Pair("mkv", "pcm_mulaw", "-c:a pcm_mulaw -ar 8000", "", &[]),
    Pair("mkv", "alac", "-c:a alac", "", &["gap"]),
    Pair("webm", "opus", "-c:a libopus", "-c:v libvpx", &["late", "gap", "longer", "burst", "two-silent"]),
    Pair("webm", "vorbis", "-c:a libvorbis", "-c:v libvpx", &["late", "gap", "longer"]),
    Pair("ts", "aac", "-c:a aac", "-c:v mpeg2video -r 25", STREAM),
    Pair("ts", "mp2", "-c:a mp2 -ar 48000", "-c:v mpeg2video -r 25", STREAM),
    Pair("ts", "ac3", "-c:a ac3 -ar 48000", "-c:v mpeg2video -r 25", &["late", "gap", "longer", "channel-change"]),
    Pair("mpg", "mp2", "-c:a mp2 -ar 48000", "-c:v mpeg2video -r 25", &["late", "longer"]),
    Pair("flv", "aac", "-c:a aac -ar 44100", "-c:v flv", &["late", "gap", "longer"]),
    Pair("flv", "mp3", "-c:a libmp3lame -ar 44100", "-c:v flv", &["late", "longer"]),
    Pair("avi", "mp3", "-c:a libmp3lame -ar 44100", MPEG4, &["longer"]),
    Pair("avi", "pcm_s16le", "-c:a pcm_s16le", MPEG4, &["longer"]),
    Pair("asf", "wmav2", "-c:a wmav2 -ar 44100", "-c:v wmv2", &["late", "longer"]),
    Pair("mxf", "pcm_s16le", "-c:a pcm_s16le -ar 48000", "-c:v mpeg2video -r 25", &["longer"]),
    Pair("nut", "flac", "-c:a flac", MPEG4, &["late", "gap", "longer"]),
    Pair("nut", "opus", "-c:a libopus", MPEG4, &["late", "gap"]),
    Pair("ogg", "opus", "-c:a libopus", "", &["two-silent", "rate-change", "channel-change"]),
    Pair("ogg", "vorbis", "-c:a libvorbis", "", &["two-silent", "rate-change", "channel-change"]),
    Pair("ogg", "flac", "-c:a flac", "", &["two-silent"]),
    Pair("opus", "opus", "-c:a libopus -ar 48000 -ac 2", "", ROW),
    Pair("mp3", "mp3", "-c:a libmp3lame -ar 44100", "", ROW),
    Pair("mp3", "mp3-no-header", "-c:a libmp3lame -ar 44100 -write_xing 0", "", ROW),
    Pair("mp2", "mp2", "-c:a mp2 -ar 44100 -b:a 128k", "", ROW),
    Pair("aac", "aac", "-c:a aac", "", ROW),
    Pair("latm", "aac", "-c:a aac -f latm", "", &[]),
    Pair("ac3", "ac3", "-c:a ac3 -ar 48000", "", &["channel-change"]),
    Pair("eac3", "eac3", "-c:a eac3 -ar 48000", "", &[]),
    Pair("dts", "dts", "-c:a dca -strict -2 -ar 48000", "", &[]),
    Pair("flac", "flac", "-c:a flac", "", &[]),
    Pair("wav", "pcm_s16le", "-c:a pcm_s16le", "", &[]),
    Pair("wav", "pcm_u8", "-c:a pcm_u8", "", &[]),
    Pair("wav", "pcm_s24le", "-c:a pcm_s24le", "", &[]),
    Pair("wav", "pcm_f32le", "-c:a pcm_f32le", "", &[]),
    Pair("wav", "pcm_alaw", "-c:a pcm_alaw -ar 8000", "", &[]),
    Pair("wav", "adpcm_ms", "-c:a adpcm_ms", "", &[]),
    Pair("wav", "adpcm_ima_wav", "-c:a adpcm_ima_wav", "", &[]),
    Pair("wav", "rf64", "-c:a pcm_s16le -rf64 always", "", &[]),
    Pair("w64", "pcm_s16le", "-c:a pcm_s16le", "", &[]),
    Pair("au", "pcm_s16be", "-c:a pcm_s16be", "", &[]),
    Pair("aiff", "pcm_s16be", "-c:a pcm_s16be", "", &[]),
    Pair("caf", "pcm_s16be", "-c:a pcm_s16be", "", &[]),
    Pair("caf", "alac", "-c:a alac", "", &[]),
    Pair("voc", "pcm_s16le", "-c:a pcm_s16le", "", &[]),
    Pair("wv", "wavpack", "-c:a wavpack", "", &[]),
    Pair("tta", "tta", "-c:a tta", "", &[]),
];

/// All of them.
pub fn all() -> Vec<Cell> {
    let mut cells = Vec::new();
    for Pair(container, codec, audio, video, kinds) in PAIRS {
        for kind in std::iter::once("plain").chain(kinds.iter().copied()) {
            let mut cell = cell(container, codec, kind, audio, video);
            // each container and each kind once
            let seen = |of: fn(&Cell) -> &'static str, is: &'static str| cells.iter().any(|c: &Cell| of(c) == is);
            cell.is_sample = !seen(|c| c.container, container) || !seen(|c| c.kind, kind);
            cells.push(cell);
        }
    }
    cells
}

fn cell(container: &'static str, codec: &'static str, kind: &'static str, audio: &str, video: &str) -> Cell {
    let stem = format!("{container}-{codec}-{kind}");
    let file = format!("{stem}.{container}");
    let (base, second) = (format!("{stem}.base.{container}"), format!("{stem}.second.{container}"));
    let muxer = match container {
        "mp4" => "-strict -2",
        "m4a" => "-f ipod",
        "opus" => "-f opus",
        "mpg" => "-f vob",
        _ => "",
    };
    // the picture is 16 s long, the speech 11 s
    let with_video = |input: &str| match video {
        "" => format!("{input} -map 0:a {audio} {muxer}"),
        video => format!("-i video.mkv {input} -map 0:v -map 1:a {video} {audio} {muxer}"),
    };
    let plain = format!("-i speech.wav {audio} {muxer} {file}");
    let (mut track, mut end) = (0, End::Sound);
    let ffmpeg = |arguments: &str| format!("ffmpeg -nostdin -v error -y {arguments}");
    let gap = "-af asetpts=if(gte(T\\,4)\\,PTS+3/TB\\,PTS)";
    let fragments = if codec == "ac3" {
        "-movflags frag_keyframe+delay_moov"
    } else {
        "-movflags frag_keyframe+empty_moov+default_base_moof"
    };
    let fragments = format!("{fragments} -frag_duration 1000000");
    let commands = match kind {
        "late" => vec![ffmpeg(&format!("{} {file}", with_video("-itsoffset 2 -i speech.wav")))],
        "longer" => vec![ffmpeg(&format!("{} {file}", with_video("-i speech.wav")))],
        "gap" => vec![ffmpeg(&format!("-i speech.wav {gap} {audio} {muxer} {file}"))],
        "fragmented" => vec![ffmpeg(&format!("-i speech.wav {audio} {fragments} {muxer} {file}"))],
        "fragmented-gap" => vec![ffmpeg(&format!("-i speech.wav {gap} {audio} {fragments} {muxer} {file}"))],
        "no-edits" => vec![ffmpeg(&format!("-i speech.wav {audio} -use_editlist 0 {muxer} {file}"))],
        "moov-first" => vec![ffmpeg(&format!("-i speech.wav {audio} -movflags faststart {muxer} {file}"))],
        "encrypted" => {
            end = End::Encrypted;
            let key = "00112233445566778899aabbccddeeff";
            let how = format!("-encryption_scheme cenc-aes-ctr -encryption_key {key} -encryption_kid {key}");
            vec![ffmpeg(&format!("-i speech.wav {audio} {how} -f mp4 {file}"))]
        }
        "head" => vec![
            ffmpeg(&format!("-i speech.wav {audio} {muxer} {base}")),
            ffmpeg(&format!("-ss 2.53 -i {base} -c copy {muxer} {file}")),
        ],
        "tail" => vec![
            ffmpeg(&format!("-i speech.wav {audio} {muxer} {base}")),
            ffmpeg(&format!("-t 7.31 -i {base} -c copy {muxer} {file}")),
        ],
        "uneven" => {
            end = End::Packets;
            let uneven = "-bsf:a setts=ts=PTS+if(mod(N\\,2)\\,floor(DURATION/5)\\,0)";
            vec![
                ffmpeg(&format!("-i speech.wav {audio} {muxer} {base}")),
                ffmpeg(&format!("-i {base} -c copy {uneven} {muxer} {file}")),
            ]
        }
        // bursts of eight packets at one time, of which the first is on time only at its end
        "burst" => {
            end = End::Packets;
            let burst = "-bsf:a setts=ts=PTS+if(lt(mod(N\\,50)\\,8)\\,(7-mod(N\\,50))*20\\,0)";
            vec![
                ffmpeg(&format!("-i speech.wav {audio} {muxer} {base}")),
                ffmpeg(&format!("-i {base} -c copy {burst} {muxer} {file}")),
            ]
        }
        "two-default" | "two-silent" => {
            track = 1;
            let marks = if kind == "two-default" { "-disposition:a:0 0 -disposition:a:1 default" } else { "" };
            vec![ffmpeg(&format!("-i silence.wav -i speech.wav -map 0:a -map 1:a {audio} {marks} {muxer} {file}"))]
        }
        "laced" | "zlib" | "lace-late" => {
            let how = match kind {
                "zlib" => "--compression 0:zlib",
                "lace-late" => "--sync 0:2000",
                _ => "--compression 0:none",
            };
            let inputs =
                if kind == "lace-late" { format!("{how} {base} -A video.mkv") } else { format!("{how} {base}") };
            vec![ffmpeg(&format!("-i speech.wav {audio} {muxer} {base}")), format!("mkvmerge -q -o {file} {inputs}")]
        }
        "rate-change" | "channel-change" => {
            end = End::Packets;
            let other = match (kind, codec) {
                ("channel-change", _) => "-ac 2",
                (_, "opus") => "-ar 24000 -ac 1",
                _ => "-ar 32000 -ac 1",
            };
            vec![
                ffmpeg(&format!("-i speech.wav {audio} -ac 1 {muxer} {base}")),
                ffmpeg(&format!("-i speech.wav {audio} {other} {muxer} {second}")),
                format!("cat {base} {second} > {file}"),
            ]
        }
        // which is nothing without a picture
        _ if container == "mxf" => vec![ffmpeg(&format!("{} -shortest {file}", with_video("-i speech.wav")))],
        _ => vec![ffmpeg(&plain)],
    };
    Cell { container, codec, kind, commands, file, track, end, is_sample: false }
}
