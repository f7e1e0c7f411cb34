//! What `ffmpeg` says is in a file. It says it for people: what is not understood is not known, and nothing depends on it but
//! names, and which of several tracks is taken.

use super::super::container::Track;
use super::child::complaint;

/// A file as ffmpeg sees it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Its name for the container, the first of several.
    pub container: Option<String>,
    /// The first moving picture: its place among all tracks.
    pub picture: Option<u32>,
    /// The audio tracks, in order.
    pub tracks: Vec<Track>,
    /// The end of what it said.
    pub complaint: String,
}

impl Listing {
    /// Reads what the program told of its input.
    pub fn read(told: &str) -> Self {
        let mut listing = Self { complaint: complaint(told), ..Self::default() };
        let mut in_audio = false;
        for line in told.lines().map(str::trim) {
            if let Some(input) = line.strip_prefix("Input #0, ") {
                listing.container = input.split([',', ' ']).next().map(str::to_owned);
            } else if line.starts_with("Stream #0:") {
                let track = audio(line);
                in_audio = track.is_some();
                listing.tracks.extend(track);
                listing.picture = listing.picture.or_else(|| picture(line));
            } else if let (true, Some(track)) = (in_audio, listing.tracks.last_mut())
                && let Some((key, value)) = line.split_once(':')
                && key.trim() == "title"
            {
                track.title = Some(value.trim().chars().take(200).collect());
            }
        }
        listing
    }
}

/// The number of a stream that is a picture, and no cover of an album.
fn picture(line: &str) -> Option<u32> {
    let (stream, described) = line.strip_prefix("Stream #0:")?.split_once(": Video: ")?;
    let number = stream.split(['[', '(']).next()?;
    number.parse().ok().filter(|_| !described.contains("(attached pic)"))
}

/// `Stream #0:1[0x101](eng): Audio: ac3 (AC-3 / 0x332D4341), 48000 Hz, 5.1(side), fltp, 448 kb/s (default)`
fn audio(line: &str) -> Option<Track> {
    let (stream, described) = line.split_once(": Audio: ")?;
    let language = stream.rsplit_once('(').and_then(|(_, code)| code.strip_suffix(')'));
    let mut fields = described.split(", ");
    let codec = fields.next()?.split([' ', ',']).next()?.to_owned();
    let layout = fields.find(|field| !field.ends_with(" Hz")).unwrap_or_default();
    let layout = layout.split(['(', ' ']).next().unwrap_or_default();
    let channels = match layout {
        "mono" => 1,
        "stereo" | "downmix" => 2,
        "quad" => 4,
        "hexagonal" => 6,
        "octagonal" => 8,
        // "5.1" is six, "6 channels" too
        other => other.split('.').filter_map(|part| part.parse::<u16>().ok()).sum(),
    };
    Some(Track {
        codec,
        channels,
        language: language.filter(|code| *code != "und").map(str::to_owned),
        title: None,
        is_default: line.contains("(default)"),
        is_encrypted: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_are_read_from_what_it_says() {
        let listing = Listing::read(
            "Input #0, matroska,webm, from 'file:/tmp/x':\n  Duration: 00:00:20.06, start: 0.000000, bitrate: 31 kb/s\n  \
             Stream #0:0(eng): Video: mpeg4 (Simple Profile), yuv420p, 64x64, 5 fps\n    Metadata:\n      title : Film\n  \
             Stream #0:1[0x101](deu): Audio: ac3 (AC-3 / 0x332D4341), 48000 Hz, 5.1(side), fltp, 448 kb/s (default)\n    \
             Metadata:\n      title           : Saal\n  Stream #0:2: Audio: aac (LC), 16000 Hz, mono, fltp\n\
             At least one output file must be specified\n",
        );
        assert_eq!((listing.container.as_deref(), listing.picture), (Some("matroska"), Some(0)));
        let track = |codec: &str, channels| Track { codec: codec.to_owned(), channels, ..Track::default() };
        let first = Track {
            language: Some("deu".to_owned()),
            title: Some("Saal".to_owned()),
            is_default: true,
            ..track("ac3", 6)
        };
        assert_eq!(listing.tracks, [first, track("aac", 1)]);
        assert_eq!(Listing::read("").tracks, []);
    }
}
