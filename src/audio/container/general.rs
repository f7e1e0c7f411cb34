//! Files that are packets in a row: symphonia's readers for WAV, FLAC, Ogg, MP3, AIFF, CAF and the like.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioCodecParameters, well_known as known};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, Track as Described};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet as Coded;
use symphonia::core::units::{Duration, TimeBase};

use super::format::Format;
use super::{Demuxer, Opened, Packet, Part, Step, Track, Unreadable};
use crate::audio::codec::{self, guarded};
use crate::fault::Code;

/// A data chunk from this size on is what programs write that stream to a pipe and never learn the length.
const UNKNOWN_WAV_BYTES: f64 = 0x7FFF_0000_u32 as f64;

/// Packets after the stated end of an MP3 that are its encoder's padding; more are a second file behind the first.
const PADDING_PACKETS: usize = 3;

/// An opened file.
pub struct General {
    reader: Box<dyn FormatReader>,
    file_bytes: u64,
}

impl General {
    /// Finds out what `path` is.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn open(path: &Path, name: &str) -> Result<Self, Unreadable> {
        let file = File::open(path)?;
        let file_bytes = file.metadata()?.len();
        let stream = MediaSourceStream::new(Box::new(file), Default::default());
        let mut hint = Hint::new();
        if let Some((_, extension)) = name.rsplit_once('.') {
            hint.with_extension(extension);
        }
        let probe = symphonia::default::get_probe();
        let probed = guarded(|| probe.probe(&hint, stream, FormatOptions::default(), MetadataOptions::default()));
        let reader = probed.map_err(|e| match e {
            // the format was recognised by then
            Error::DecodeError(reason) | Error::Unsupported(reason) if !reason.starts_with("core") => {
                Unreadable::corrupt(reason)
            }
            e => Unreadable::Reason(Code::UnsupportedFormat, format!("is in no audio format that can be read ({e})")),
        })?;
        Ok(Self { reader, file_bytes })
    }

    /// The audio tracks, in order.
    pub fn tracks(&self) -> Vec<Track> {
        let container = self.reader.format_info().short_name;
        let unknown = self.reader.tracks().iter().filter(|track| track.codec_params.is_none());
        let known = audio(self.reader.as_ref()).map(|(_, params)| Track {
            codec: codec::name(params),
            channels: params.channels.as_ref().map_or(0, |channels| channels.count() as u16),
            ..Track::default()
        });
        // a track of a codec that symphonia has no name for may be audio
        let unknown = unknown.map(|_| Track { codec: format!("an unknown codec in {container}"), ..Track::default() });
        known.chain(unknown).collect()
    }

    /// Opens a track.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn opened(self, index: usize) -> Result<Opened, Unreadable> {
        let tracks = self.tracks();
        let container = self.reader.format_info().short_name;
        let Some((track, params)) = audio(self.reader.as_ref()).nth(index) else {
            let codec = tracks.get(index).map_or("a codec", |track| &track.codec);
            return Err(Unreadable::Reason(Code::NoAudioTrack, format!("has no audio track but for {codec}")));
        };
        let is_mpeg = [known::CODEC_ID_MP1, known::CODEC_ID_MP2, known::CODEC_ID_MP3].contains(&params.codec);
        let is_opus = params.codec == known::CODEC_ID_OPUS;
        let expected_secs = expected_secs(self.reader.as_ref(), track, params, container, is_mpeg, self.file_bytes);
        let mut format = Format { params: params.clone(), delay: 0 };
        if is_opus {
            format.delay = track.delay.unwrap_or(0);
            // with its header the decoder would leave the delay out too, but of the first packet at most
            format.params.extra_data = None;
        }
        let packets = GeneralPackets {
            track_id: track.id,
            index,
            time_base: track.time_base,
            container,
            is_mpeg,
            is_opus,
            delay_secs: f64::from(format.delay) / 48_000.0,
            zero_secs: None,
            restarts: false,
            changed: None,
            ahead: VecDeque::new(),
            beyond: VecDeque::new(),
            end_is_known: true,
            header: None,
            is_over: false,
            failure: None,
            reader: self.reader,
        };
        Ok(Opened { demuxer: Box::new(packets), container, format, expected_secs })
    }
}

fn audio(reader: &dyn FormatReader) -> impl Iterator<Item = (&Described, &AudioCodecParameters)> {
    reader.tracks().iter().filter_map(|track| match &track.codec_params {
        Some(CodecParameters::Audio(params)) => Some((track, params)),
        _ => None,
    })
}

/// The duration that the container states; `None` where it does not know or only estimates.
fn expected_secs(
    reader: &dyn FormatReader,
    track: &Described,
    params: &AudioCodecParameters,
    container: &str,
    is_mpeg: bool,
    file_bytes: u64,
) -> Option<f64> {
    if container == "aac" || (is_mpeg && track.delay.is_none() && track.padding.is_none()) {
        return None;
    }
    let media = reader.media_info();
    let of_track = track.time_base.zip(track.duration);
    let (base, duration) = of_track.or(media.time_base.zip(media.duration))?;
    let secs = base.calc_duration(duration)?.as_secs_f64();
    let bytes_per_sec = f64::from(params.sample_rate.unwrap_or(1))
        * f64::from(params.bits_per_sample.unwrap_or(8).div_ceil(8))
        * params.channels.as_ref().map_or(1, |c| c.count()) as f64;
    let endless =
        container == "wave" && secs * bytes_per_sec >= UNKNOWN_WAV_BYTES && secs * bytes_per_sec > file_bytes as f64;
    (!endless).then_some(secs)
}

/// The packets of a track.
struct GeneralPackets {
    reader: Box<dyn FormatReader>,
    track_id: u32,
    index: usize,
    time_base: Option<TimeBase>,
    container: &'static str,
    is_mpeg: bool,
    is_opus: bool,
    /// What is left out at the start, behind which the first packet's time is meant.
    delay_secs: f64,
    /// Time of the first packet.
    zero_secs: Option<f64>,
    restarts: bool,
    changed: Option<AudioCodecParameters>,
    /// Read to see what follows.
    ahead: VecDeque<Coded>,
    /// MPEG frames after the stated end.
    beyond: VecDeque<Packet>,
    /// Packets after the stated end are padding.
    end_is_known: bool,
    /// What the header of the MPEG frame before said of rate and channels.
    header: Option<u32>,
    is_over: bool,
    failure: Option<String>,
}

impl GeneralPackets {
    /// The next packet of the track as the reader has it; `None` at the end.
    fn read(&mut self) -> io::Result<Option<Coded>> {
        while !self.is_over {
            match guarded(|| self.reader.next_packet()) {
                Ok(Some(packet)) if packet.track_id == self.track_id => return Ok(Some(packet)),
                Ok(Some(_)) => {}
                Ok(None) => self.is_over = true,
                // the next stream of a chained file
                Err(Error::ResetRequired) => match audio(self.reader.as_ref()).nth(self.index) {
                    Some((track, params)) => {
                        (self.track_id, self.time_base) = (track.id, track.time_base);
                        let mut params = params.clone();
                        if self.is_opus {
                            params.extra_data = None;
                        }
                        (self.changed, self.restarts, self.zero_secs) = (Some(params), true, None);
                    }
                    None => {
                        self.is_over = true;
                        self.failure = Some("the audio track ends".to_owned());
                    }
                },
                Err(Error::IoError(e)) if e.kind() == ErrorKind::UnexpectedEof => self.is_over = true,
                Err(Error::IoError(e)) if e.raw_os_error().is_some() => return Err(e),
                // the container cannot be followed further
                Err(e) => {
                    self.is_over = true;
                    self.failure = Some(e.to_string());
                }
            }
        }
        Ok(None)
    }

    /// An MPEG frame, without what its encoder put in front and behind; `None` for one that is held back.
    fn mpeg(&mut self, coded: Coded) -> io::Result<Option<Packet>> {
        let header = mpeg_header(&coded.data);
        if self.header.is_some() && header != self.header {
            if self.ahead.is_empty()
                && let Some(next) = self.read()?
            {
                self.ahead.push_back(next);
            }
            // a change that lasts, and no bits that look like a header
            if self.ahead.front().is_none_or(|next| mpeg_header(&next.data) == header) {
                self.changed = audio(self.reader.as_ref()).nth(self.index).map(|(_, params)| params.clone());
            }
        }
        if self.header.is_none() || self.changed.is_some() {
            self.header = header;
        }
        let secs_of = |duration: Duration| secs(self.time_base, duration);
        // of MPEG frames the duration is that of the whole frame, and what is cut off may be more
        let (start, end, all) = (secs_of(coded.trim_start), secs_of(coded.trim_end), secs_of(coded.dur));
        let mut packet = self.packet(coded, None);
        if !self.end_is_known {
            return Ok(Some(packet));
        }
        if end >= all {
            self.beyond.push_back(packet);
            self.end_is_known = self.beyond.len() <= PADDING_PACKETS;
            return Ok(if self.end_is_known { None } else { self.beyond.pop_front() });
        }
        packet.parts = vec![Part { skip_secs: start, len_secs: f64::INFINITY, at_secs: None }];
        packet.cut_secs = end;
        Ok(Some(packet))
    }

    fn packet(&mut self, mut coded: Coded, at_secs: Option<f64>) -> Packet {
        let packet_secs = secs(self.time_base, if self.is_mpeg { coded.dur } else { coded.block_dur() });
        let mut cut_secs = 0.0;
        if self.is_opus {
            // the delay is counted by whoever decodes, over as many packets as it takes
            cut_secs = secs(self.time_base, coded.trim_end);
            coded = Coded::new(coded.track_id, coded.pts, coded.dur, coded.data);
        }
        let (changed, restarts) = (self.changed.take(), std::mem::take(&mut self.restarts));
        Packet { coded, secs: packet_secs, parts: vec![Part::whole(at_secs)], cut_secs, changed, restarts }
    }
}

impl Demuxer for GeneralPackets {
    fn next(&mut self) -> io::Result<Step> {
        loop {
            if !self.end_is_known
                && let Some(packet) = self.beyond.pop_front()
            {
                return Ok(Step::Packet(packet));
            }
            let next = match self.ahead.pop_front() {
                Some(next) => Some(next),
                None => self.read()?,
            };
            let Some(coded) = next else {
                return Ok(self.failure.take().map_or(Step::End { cut_off: false }, Step::Damaged));
            };
            if self.is_mpeg {
                match self.mpeg(coded)? {
                    Some(packet) => return Ok(Step::Packet(packet)),
                    None => continue,
                }
            }
            // the reader skips pages and frames with a wrong checksum without a word: only times show it
            let has_clock = matches!(self.container, "ogg" | "flac");
            let at_secs = self.time_base.filter(|_| has_clock).map(|base| {
                let at = base.calc_time_saturating(coded.pts).as_secs_f64();
                let trimmed = if self.is_opus { 0.0 } else { secs(self.time_base, coded.trim_start) };
                // what is played begins at 0, behind what the decoder leaves out
                let zero = *self.zero_secs.get_or_insert(at + trimmed);
                at + trimmed - zero - self.delay_secs
            });
            return Ok(Step::Packet(self.packet(coded, at_secs)));
        }
    }
}

/// Version, layer, rate and whether it is mono, of the header of an MPEG frame.
fn mpeg_header(frame: &[u8]) -> Option<u32> {
    let [_, b, c, d] = *frame.first_chunk::<4>()?;
    Some(u32::from(b & 0x1E) << 16 | u32::from(c & 0x0C) << 8 | u32::from(d >> 6 == 3))
}

fn secs(base: Option<TimeBase>, duration: Duration) -> f64 {
    base.map_or(0.0, |base| base.calc_duration_saturating(duration).as_secs_f64())
}
