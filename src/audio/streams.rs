//! Decoded frames of any rate and channel count on their way to windows: cleaned, mixed or kept apart, resampled,
//! segmented, emitted.

use std::ops::Range;

use super::mix::{Headroom, Mixer, Offset, Place, finite};
use super::resample::Resampler;
use super::speech::{Segmenter, Speech};
use super::{AudioOptions, Found, Listener, SAMPLE_RATE_HZ, Sounds, Window};
use crate::fault::{Code, Fault};
use crate::job::Channels;

/// More channels than any recording of speech has; a header that claims more is broken.
pub const MAX_CHANNELS: usize = 32;

/// Where streams end.
pub enum Sink<'a> {
    /// Each window as soon as it is complete.
    Windows(&'a mut dyn Listener),
    /// 16 kHz samples as they come, all of them, and no search for speech. Several channels come in turns.
    Samples(&'a mut dyn FnMut(&[f32])),
}

/// What a decoder pushes into.
pub struct Streams<'a> {
    name: &'a str,
    options: &'a AudioOptions,
    sink: Sink<'a>,
    /// One, or one per channel.
    lanes: Vec<Lane>,
    mixer: Mixer,
    /// Scratch: the mix of the frames at hand.
    mixed: Vec<f32>,
    /// Scratch: what the resampler made of it.
    resampled: Vec<f32>,
    windows: u32,
    speech_samples: u64,
    secs: f64,
    /// Seconds at which lanes begin: 0, or where the clip does.
    begun_secs: f64,
    rate_hz: u32,
    channels: u16,
}

/// One stream to 16 kHz and to windows.
struct Lane {
    headroom: Headroom,
    resampler: Resampler,
    offset: Offset,
    segmenter: Segmenter,
    /// Samples at 16 kHz that the segmenter has been given.
    position: u64,
}

impl Lane {
    fn new(resampler: Resampler, position: u64) -> Self {
        let segmenter = Segmenter::new(position);
        Self { headroom: Headroom::default(), resampler, offset: Offset::default(), segmenter, position }
    }
}

impl<'a> Streams<'a> {
    /// Streams that end in `sink`. `name` is what errors call the file.
    pub fn new(name: &'a str, options: &'a AudioOptions, sink: Sink<'a>) -> Self {
        Self {
            name,
            options,
            sink,
            lanes: Vec::new(),
            mixer: Mixer::default(),
            mixed: Vec::new(),
            resampled: Vec::new(),
            windows: 0,
            speech_samples: 0,
            secs: 0.0,
            begun_secs: 0.0,
            rate_hz: 0,
            channels: 0,
        }
    }

    /// What errors call the file.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// How the file is to be read.
    pub fn options(&self) -> &'a AudioOptions {
        self.options
    }

    /// Seconds pushed so far, those outside the clip too.
    pub fn secs(&self) -> f64 {
        self.secs
    }

    /// Where the part that is wanted ends, or the file where that is earlier: seconds.
    pub fn end_secs(&self) -> f64 {
        self.wanted(self.secs)
    }

    /// The part of a file of so many seconds that is decoded: to the clip's end.
    pub fn wanted(&self, secs: f64) -> f64 {
        self.options.clip.map_or(secs, |clip| secs.min(clip.end()))
    }

    /// Whether all that is wanted was pushed.
    pub fn is_over(&self) -> bool {
        self.options.clip.is_some_and(|clip| self.secs >= clip.end())
    }

    /// Seconds in which speech was found, over all channels.
    pub fn speech_secs(&self) -> f64 {
        self.speech_samples as f64 / f64::from(SAMPLE_RATE_HZ)
    }

    /// What sounded besides, over all channels, once all was pushed.
    pub fn sounds(&self) -> Sounds {
        let secs = |samples: u64| samples as f64 / f64::from(SAMPLE_RATE_HZ);
        let of_lanes = self.lanes.iter().map(|lane| lane.segmenter.sound());
        of_lanes.fold(Sounds::default(), |sum, sound| Sounds {
            audible_secs: sum.audible_secs + secs(sound.audible),
            heard_secs: sum.heard_secs + secs(sound.heard),
            unheard_secs: sum.unheard_secs + secs(sound.unheard),
        })
    }

    /// Tells where the loudspeakers of the channels stand, where the decoder knows.
    pub fn place(&mut self, places: Vec<Place>) {
        self.mixer.place(places);
    }

    /// The first rate that was pushed, 0 before.
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// The largest number of channels that was pushed.
    pub fn channels(&self) -> u16 {
        self.channels
    }

    /// Forgets all that was pushed, for another decoder to begin anew: `false` when windows are out already.
    pub fn restart(&mut self) -> bool {
        if self.windows > 0 {
            return false;
        }
        self.lanes.clear();
        (self.secs, self.rate_hz, self.channels) = (0.0, 0, 0);
        if let Sink::Windows(listener) = &mut self.sink {
            listener.restart();
        }
        true
    }

    /// `AudioTooLong` when `secs` is over the limit.
    pub fn check_duration(&self, secs: f64) -> Result<(), Fault> {
        let limit = self.options.max_duration_secs;
        if secs <= limit {
            return Ok(());
        }
        let message = format!("{} is longer than the limit of {limit:.0} s: at least {secs:.0} s", self.name);
        Err(Fault::permanent(Code::AudioTooLong, message))
    }

    /// Takes decoded frames, one slice per channel, all of one length. Samples of any value are made finite; what goes
    /// beyond [-1, 1] is turned down. Rate and number of channels may differ from the last call's.
    pub fn push(&mut self, rate_hz: u32, planes: &[impl AsRef<[f32]>]) -> Result<(), Fault> {
        let frames = planes.iter().map(|plane| plane.as_ref().len()).min().unwrap_or_default();
        if frames == 0 {
            return Ok(());
        }
        if planes.len() > MAX_CHANNELS {
            let message = format!("{} has {} channels, more than {MAX_CHANNELS}", self.name, planes.len());
            return Err(Fault::permanent(Code::UnsupportedFormat, message));
        }
        let begun_secs = self.secs;
        self.secs += frames as f64 / f64::from(rate_hz);
        self.check_duration(self.wanted(self.secs))?;
        if let Sink::Windows(listener) = &mut self.sink
            && listener.step().is_break()
        {
            return Err(Fault::Interrupted);
        }
        let heard = self.heard(begun_secs, frames, rate_hz);
        if heard.is_empty() {
            return Ok(());
        }
        if self.lanes.is_empty() {
            self.begun_secs = begun_secs + heard.start as f64 / f64::from(rate_hz);
        }
        self.make_lanes(rate_hz, planes.len())?;
        let planes: Vec<&[f32]> =
            planes.iter().map(|plane| plane.as_ref().get(heard.clone()).unwrap_or_default()).collect();
        let (planes, frames) = (planes.as_slice(), heard.len());
        for index in 0..self.lanes.len() {
            let mut mixed = std::mem::take(&mut self.mixed);
            mixed.clear();
            match (self.options.channels, planes.get(index)) {
                (Channels::Mix, _) => self.mixer.mix(rate_hz, planes, frames, &mut mixed),
                (Channels::Separate, Some(plane)) => mixed.extend(plane.iter().copied().map(finite)),
                // a channel that is no longer there
                (Channels::Separate, None) => mixed.resize(frames, 0.0),
            }
            self.feed(index, Some(&mut mixed))?;
            self.mixed = mixed;
        }
        Ok(())
    }

    /// Which of so many frames, of which the first is played at `begun_secs`, are in the clip.
    fn heard(&self, begun_secs: f64, frames: usize, rate_hz: u32) -> Range<usize> {
        let Some(clip) = self.options.clip else { return 0..frames };
        // a cast saturates: what is negative is 0
        let frame = |secs: f64| (((secs - begun_secs) * f64::from(rate_hz)).round() as usize).min(frames);
        frame(clip.start_secs)..frame(clip.end())
    }

    /// Ends all streams; the last windows are emitted.
    pub fn finish(&mut self) -> Result<(), Fault> {
        for index in 0..self.lanes.len() {
            self.feed(index, None)?;
            let mut found = Vec::new();
            if let Some(lane) = self.lanes.get_mut(index) {
                lane.segmenter.finish(&mut found);
            }
            self.emit_all(index, found)?;
        }
        Ok(())
    }

    /// Lanes for `channels` at `rate_hz`. A changed rate ends the resamplers' last stretch first; a channel that
    /// appears later begins where the others are.
    fn make_lanes(&mut self, rate_hz: u32, channels: usize) -> Result<(), Fault> {
        let name = self.name;
        let new =
            || Resampler::new(rate_hz).map_err(|e| Fault::permanent(Code::UnsupportedFormat, format!("{name}: {e}")));
        for index in 0..self.lanes.len() {
            if self.lanes.get(index).is_some_and(|lane| lane.resampler.rate_hz() != rate_hz) {
                self.feed(index, None)?;
                if let Some(lane) = self.lanes.get_mut(index) {
                    lane.resampler = new()?;
                }
            }
        }
        let wanted = if self.options.channels == Channels::Mix { 1 } else { channels };
        let begun = (self.begun_secs * f64::from(SAMPLE_RATE_HZ)).round() as u64;
        let position = self.lanes.first().map_or(begun, |lane| lane.position);
        while self.lanes.len() < wanted {
            self.lanes.push(Lane::new(new()?, position));
        }
        if self.rate_hz == 0 {
            self.rate_hz = rate_hz;
        }
        self.channels = self.channels.max(u16::try_from(channels).unwrap_or(u16::MAX));
        Ok(())
    }

    /// Brings samples through one lane; `None` ends its resampler.
    fn feed(&mut self, index: usize, samples: Option<&mut [f32]>) -> Result<(), Fault> {
        let Some(lane) = self.lanes.get_mut(index) else { return Ok(()) };
        let resampled = &mut self.resampled;
        resampled.clear();
        match samples {
            Some(samples) => {
                lane.headroom.keep(lane.resampler.rate_hz(), samples);
                lane.resampler.push(samples, resampled)
            }
            None => lane.resampler.finish(resampled),
        }
        .map_err(|e| Fault::permanent(Code::Internal, format!("failed to resample {}: {e}", self.name)))?;
        // the filter rings above full scale on clipped recordings
        resampled.iter_mut().for_each(|sample| *sample = sample.clamp(-1.0, 1.0));
        lane.position += resampled.len() as u64;
        let mut found = Vec::new();
        match &mut self.sink {
            Sink::Windows(listener) => {
                lane.offset.remove(resampled);
                resampled.iter_mut().for_each(|sample| *sample = sample.clamp(-1.0, 1.0));
                listener.hear(index, lane.position - resampled.len() as u64, resampled);
                lane.segmenter.push(resampled, &mut found);
            }
            Sink::Samples(take) => take(resampled),
        }
        self.emit_all(index, found)
    }

    fn emit_all(&mut self, index: usize, found: Vec<Speech>) -> Result<(), Fault> {
        let separate = self.options.channels == Channels::Separate;
        for Speech { pcm, spans, found } in found {
            if found == Found::Voice {
                self.speech_samples += spans.iter().map(|span| span.len as u64).sum::<u64>();
            }
            let channel = if separate { u16::try_from(index).ok() } else { None };
            let window = Window { index: self.windows, channel, pcm, spans, found };
            self.windows += 1;
            if let Sink::Windows(listener) = &mut self.sink
                && listener.window(window).is_break()
            {
                return Err(Fault::Interrupted);
            }
        }
        Ok(())
    }
}
