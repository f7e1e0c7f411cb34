//! Containers: what is in a file, and the packets of one of its audio tracks on the time line that a player shows.
//!
//! Which reader a file gets is decided by its first bytes. MP4 and Matroska, which have clocks, edit lists and several tracks,
//! are read here; what is little more than packets in a row by symphonia; what neither reads is named, for ffmpeg.

use std::fs::File;
use std::io;
use std::path::Path;

use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::packet::Packet as Coded;

use self::bytes::Bytes;
use self::format::Format;
use self::matroska::Matroska;
use self::matroska::ebml::FileSource;
use crate::fault::Code;

mod adts;
mod bytes;
mod foreign;
pub mod format;
mod general;
pub mod matroska;
mod mp4;

/// How much of a file is looked at before it is opened.
const HEAD_BYTES: usize = 4_096;

/// An audio track as its container describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Track {
    /// Name of the codec.
    pub codec: String,
    /// Channels; 0 where that is not said.
    pub channels: u16,
    /// Language tag.
    pub language: Option<String>,
    /// What it is called.
    pub title: Option<String>,
    /// Marked as the one to play.
    pub is_default: bool,
    /// Nobody without a key can read it.
    pub is_encrypted: bool,
}

/// A packet, and what is to be done with what it decodes to.
pub struct Packet {
    /// The coded bytes.
    pub coded: Coded,
    /// Its stated length, seconds; 0 where none is.
    pub secs: f64,
    /// The stretches of it that are played; none for what only readies the decoder.
    pub parts: Vec<Part>,
    /// Padding at its end, seconds.
    pub cut_secs: f64,
    /// How it is coded, where that is another way than the packet before it.
    pub changed: Option<AudioCodecParameters>,
    /// Times begin anew with it: it follows what came before, whatever it says.
    pub restarts: bool,
}

/// A stretch of a decoded packet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// Where it begins in the packet, seconds.
    pub skip_secs: f64,
    /// Its length; infinite for all that is left.
    pub len_secs: f64,
    /// When it is played, seconds from the start of the file; `None` for at once.
    pub at_secs: Option<f64>,
}

impl Part {
    /// All of a packet.
    pub fn whole(at_secs: Option<f64>) -> Self {
        Self { skip_secs: 0.0, len_secs: f64::INFINITY, at_secs }
    }
}

/// What a demuxer comes upon.
#[expect(clippy::large_enum_variant, reason = "nearly every step is a packet, and steps are not kept")]
pub enum Step {
    /// A packet of the track.
    Packet(Packet),
    /// Something that could not be read, and was left out.
    Damaged(String),
    /// The end.
    End {
        /// The file ends before its own structure does.
        cut_off: bool,
    },
}

/// The packets of one track, in order.
pub trait Demuxer {
    /// The next step; behind the end there is nothing but the end.
    ///
    /// # Errors
    /// The system's: the copy on this machine cannot be read.
    fn next(&mut self) -> io::Result<Step>;
}

/// Why a file, or a track of it, is not read here.
#[derive(Debug)]
pub enum Unreadable {
    /// Another program may; else this is what to report, behind the file's name.
    Reason(Code, String),
    /// The copy on this machine cannot be read.
    Io(io::Error),
}

impl Unreadable {
    fn unsupported(reason: &str) -> Self {
        Self::Reason(Code::UnsupportedFormat, format!("cannot be read: {reason}"))
    }

    fn corrupt(reason: &str) -> Self {
        Self::Reason(Code::CorruptAudio, format!("cannot be opened: {reason}"))
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // what is not there was claimed by the file
            io::ErrorKind::UnexpectedEof => Self::corrupt("it ends in the middle of its description"),
            _ => Self::Io(error),
        }
    }
}

/// An audio track of an opened file.
pub struct Opened {
    /// Its packets.
    pub demuxer: Box<dyn Demuxer>,
    /// Name of the container.
    pub container: &'static str,
    /// How the first packets are coded.
    pub format: Format,
    /// Seconds of audio that the track is said to have; `None` where that is not said, or only estimated.
    pub expected_secs: Option<f64>,
}

/// The audio tracks of `path`. `name` is a hint for what has no signature.
///
/// # Errors
/// Why it cannot be read.
pub fn tracks(path: &Path, name: &str) -> Result<Vec<Track>, Unreadable> {
    Ok(match Container::open(path, name)? {
        Container::Mp4(file) => file.tracks(),
        Container::Matroska(file) => file.tracks(),
        Container::Adts(file) => vec![file.track()],
        Container::General(file) => file.tracks(),
    })
}

/// Opens an audio track of `path`, by its place among those.
///
/// # Errors
/// Why it cannot be read.
pub fn open(path: &Path, name: &str, index: usize) -> Result<Opened, Unreadable> {
    let container = Container::open(path, name)?;
    Ok(match container {
        Container::Mp4(file) => {
            let packets = file.packets(index)?;
            let format = packets.format().ok_or_else(|| Unreadable::corrupt("its track has no description"))?;
            let expected_secs = packets.expected_secs;
            Opened { demuxer: Box::new(packets), container: "isomp4", format, expected_secs }
        }
        Container::Matroska(file) => {
            let expected_secs = file.expected_secs;
            let (packets, format) = file.packets(index)?;
            Opened { demuxer: Box::new(packets), container: "matroska", format, expected_secs }
        }
        Container::Adts(file) => {
            let format = file.format();
            Opened { demuxer: Box::new(*file), container: "aac", format, expected_secs: None }
        }
        Container::General(file) => file.opened(index)?,
    })
}

enum Container {
    Mp4(Box<mp4::Mp4>),
    Matroska(Box<Matroska<FileSource>>),
    Adts(Box<adts::Adts>),
    General(Box<general::General>),
}

impl Container {
    fn open(path: &Path, name: &str) -> Result<Self, Unreadable> {
        let bytes = Bytes::open(path)?;
        let head = bytes.read(0, HEAD_BYTES)?;
        if matroska::is_matroska(&head) {
            return Ok(Self::Matroska(Box::new(Matroska::open(FileSource::new(File::open(path)?)?)?)));
        }
        if mp4::is_mp4(&head) {
            return Ok(Self::Mp4(Box::new(mp4::Mp4::open(bytes)?)));
        }
        if let Some(kind) = foreign::named(&head) {
            let reason = format!("is {kind}, which no built-in decoder reads");
            return Err(Unreadable::Reason(Code::UnsupportedFormat, reason));
        }
        if let Some(stream) = adts::Adts::find(&bytes)? {
            return Ok(Self::Adts(Box::new(stream)));
        }
        Ok(Self::General(Box::new(general::General::open(path, name)?)))
    }
}
