//! Packet by packet through a file: damage is skipped and counted, its time kept as silence, padding removed.

use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::errors::Result as CodecResult;

use super::codec::{self, guarded};
use super::container::{Opened, Packet, Part, Step};
use super::failure::{Failure, unopenable};
use super::streams::{MAX_CHANNELS, Streams};
use super::timeline::Timeline;
use crate::fault::{Code, Fault};

/// A lost packet is replaced by silence of its length, but no longer than any codec's packet, seconds: the length is
/// the file's word only.
const MAX_PACKET_SECS: f64 = 1.0;

/// Longer jumps of the time stamps than this are another clock, seconds. The tables of an MP4 file are believed: one wrong
/// bit does not make them.
const LONGEST_GAP_SECS: f64 = 600.0;

/// An opened track, and what decodes it.
pub struct Source {
    /// The track.
    pub opened: Opened,
    decoder: Box<dyn AudioDecoder>,
    /// Name of the codec.
    pub codec: &'static str,
}

impl Source {
    /// A decoder for an opened track.
    ///
    /// # Errors
    /// There is none, or the decoder cannot do this.
    pub fn new(opened: Opened) -> CodecResult<Self> {
        let decoder = guarded(|| codec::decoder(&opened.format.params))?;
        let codec = decoder.codec_info().short_name;
        Ok(Self { opened, decoder, codec })
    }
}

/// What was met on the way.
#[derive(Default)]
pub struct Tally {
    /// Packets that decoded.
    pub good_packets: u64,
    /// Bytes of all packets of the track.
    pub packet_bytes: u64,
    /// Packets that did not decode, and gaps where the demuxer skipped damaged ones.
    pub damaged: u64,
    /// What the last damage was.
    pub last_error: String,
    /// The file ends before its structure does.
    pub is_cut_off: bool,
    /// There was nothing but silence.
    pub is_silent: bool,
}

impl Tally {
    fn damage(&mut self, error: impl ToString) {
        self.damaged += 1;
        self.last_error = error.to_string();
    }
}

/// What is at work on a track.
struct Pump<'a> {
    source: &'a mut Source,
    timeline: Timeline,
    tally: Tally,
    planes: Vec<Vec<f32>>,
    /// Frames that the encoder put in front and that are still to be left out.
    delay: usize,
    /// Rate and channels of the packet before.
    shape: Option<(u32, usize)>,
}

/// Decodes packet by packet until the file ends, or the part of it that is wanted.
pub fn pump(source: &mut Source, streams: &mut Streams<'_>) -> Result<Tally, Failure> {
    let mut pump = Pump::new(source);
    while !streams.is_over() && pump.step(streams)? {}
    pump.timeline.finish(streams)?;
    pump.count_gaps(streams);
    pump.tally.is_silent = pump.timeline.is_silent();
    Ok(pump.tally)
}

/// Decodes until there is sound: `false` where there is none, or it cannot be decoded.
pub fn finds_sound(source: &mut Source, streams: &mut Streams<'_>) -> bool {
    let mut pump = Pump::new(source);
    while pump.step(streams).unwrap_or(false) {
        if !pump.timeline.is_silent() {
            return true;
        }
    }
    pump.timeline.finish(streams).is_ok() && !pump.timeline.is_silent()
}

impl<'a> Pump<'a> {
    fn new(source: &'a mut Source) -> Self {
        let longest_gap_secs = if source.opened.container == "isomp4" { f64::INFINITY } else { LONGEST_GAP_SECS };
        let delay = source.opened.format.delay as usize;
        let timeline = Timeline::new(longest_gap_secs);
        Self { source, timeline, tally: Tally::default(), planes: Vec::new(), delay, shape: None }
    }

    /// Takes the next packet; `false` at the end.
    fn step(&mut self, streams: &mut Streams<'_>) -> Result<bool, Failure> {
        let packet = match self.source.opened.demuxer.next().map_err(|e| unopenable(streams.name(), &e))? {
            Step::Packet(packet) => packet,
            Step::Damaged(reason) => {
                self.tally.damage(reason);
                return Ok(true);
            }
            Step::End { cut_off } => {
                self.tally.is_cut_off = cut_off;
                return Ok(false);
            }
        };
        self.tally.packet_bytes += packet.coded.data.len() as u64;
        if let Some(params) = &packet.changed {
            match guarded(|| codec::decoder(params)) {
                Ok(decoder) => self.source.decoder = decoder,
                Err(e) => self.tally.damage(e),
            }
        }
        let decoded = guarded(|| {
            let decoded = self.source.decoder.decode(&packet.coded)?;
            let spec = (decoded.spec().rate(), decoded.num_planes());
            if spec.1 <= MAX_CHANNELS {
                decoded.copy_to_vecs_planar::<f32>(&mut self.planes);
            }
            Ok(spec)
        });
        match decoded {
            Ok((_, channels)) if channels > MAX_CHANNELS => {
                let message = format!("{} has {channels} channels, more than {MAX_CHANNELS}", streams.name());
                return Err(Fault::permanent(Code::UnsupportedFormat, message).into());
            }
            Ok((rate_hz, channels)) => {
                self.tally.good_packets += 1;
                self.shape = Some((rate_hz, channels));
                self.place(&packet, rate_hz, streams)?;
                self.count_gaps(streams);
            }
            Err(e) => {
                self.tally.damage(e);
                // what a decoder is readied with has no time
                if let Some((rate_hz, channels)) = self.shape.filter(|_| !packet.parts.is_empty()) {
                    let frames = (packet.secs.min(MAX_PACKET_SECS) * f64::from(rate_hz)).round() as usize;
                    let at_secs = packet.parts.first().and_then(|part| part.at_secs);
                    self.timeline.push(rate_hz, vec![vec![0.0; frames]; channels], at_secs, streams)?;
                }
            }
        }
        Ok(true)
    }

    /// Puts what a packet decoded to on the time line, without what its encoder added.
    fn place(&mut self, packet: &Packet, rate_hz: u32, streams: &mut Streams<'_>) -> Result<(), Fault> {
        let rate = f64::from(rate_hz.max(1));
        let frames_of = |secs: f64| (secs * rate).round() as usize;
        let all = self.planes.first().map_or(0, Vec::len);
        let end = all - frames_of(packet.cut_secs).min(all);
        let delay = self.delay.min(end);
        self.delay -= delay;
        for (index, Part { skip_secs, len_secs, at_secs }) in packet.parts.iter().enumerate() {
            let wanted = frames_of(*skip_secs).min(end);
            let from = wanted.max(delay);
            let len = if len_secs.is_finite() { frames_of(*len_secs) } else { end };
            let to = wanted.saturating_add(len).min(end);
            if from >= to {
                continue;
            }
            let at_secs = at_secs.map(|at| at + (from - wanted) as f64 / rate);
            if let (true, Some(at_secs)) = (packet.restarts && index == 0, at_secs) {
                self.timeline.restart(at_secs, streams)?;
            }
            let is_whole = from == 0 && to == all && packet.parts.len() == 1;
            let planes = if is_whole {
                std::mem::take(&mut self.planes)
            } else {
                self.planes.iter().map(|plane| plane.get(from..to).unwrap_or_default().to_vec()).collect()
            };
            self.timeline.push(rate_hz, planes, at_secs, streams)?;
        }
        Ok(())
    }

    /// In Ogg and FLAC a gap is what the reader skipped because of a wrong checksum; elsewhere it may be silence that was
    /// never sent.
    fn count_gaps(&mut self, streams: &Streams<'_>) {
        let gap_secs = self.timeline.take_filled_secs();
        if gap_secs > 0.0 && matches!(self.source.opened.container, "ogg" | "flac") {
            self.tally.damage(format!("{gap_secs:.1} s are missing before {:.1} s", streams.secs()));
        }
    }
}
