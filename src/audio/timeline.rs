//! Decoded audio put where a player would play it. Silence fills what is missing between two times, what overlaps is left out,
//! and times that are only late for a while, as live encoders write them, move nothing.

use std::collections::VecDeque;

use super::streams::Streams;
use crate::fault::Fault;

/// Times that differ from where the audio before them ended by no more are rounded, seconds.
const SAME_SECS: f64 = 0.1;

/// A gap or an overlap is believed when all packets of so many seconds agree on it: a burst of late packets catches up.
const AGREEMENT_SECS: f64 = 2.0;

/// However many channels there are and at whatever rate, no more than this waits, samples.
const MOST_HELD_SAMPLES: usize = 4 << 20;

/// A longer overlap is another clock: two recordings in one file.
const LONGEST_OVERLAP_SECS: f64 = 10.0;

/// Two clocks drift apart by less before it is set right, seconds: more is the same audio twice.
const LONGEST_DRIFT_SECS: f64 = 0.5;

/// A silence that is filled in is pushed in pieces of so many seconds.
const PIECE_SECS: f64 = 1.0;

/// The range within which all samples of a silent track lie: -70 dBFS, an offset aside.
const SILENT_RANGE: f32 = 6e-4;

/// Decoded frames, one vector for each channel.
type Planes = Vec<Vec<f32>>;

/// What was pushed late or early and waits for others to agree.
struct Held {
    rate_hz: u32,
    planes: Planes,
}

/// Puts packets on the time line.
pub struct Timeline {
    /// Longer gaps are another clock, seconds.
    longest_gap_secs: f64,
    /// What is added to times: since a clock began anew.
    offset_secs: f64,
    held: VecDeque<Held>,
    held_secs: f64,
    /// The smallest lateness of all that is held, or the smallest earliness, which is negative.
    late_secs: f64,
    is_late: bool,
    /// Seconds filled in, without those before the first sample.
    filled_secs: f64,
    range: Option<(f32, f32)>,
}

impl Timeline {
    /// An empty one.
    pub fn new(longest_gap_secs: f64) -> Self {
        Self {
            longest_gap_secs,
            offset_secs: 0.0,
            held: VecDeque::new(),
            held_secs: 0.0,
            late_secs: 0.0,
            is_late: false,
            filled_secs: 0.0,
            range: None,
        }
    }

    /// Whether nothing but silence was pushed.
    pub fn is_silent(&self) -> bool {
        self.range.is_none_or(|(least, most)| most - least < SILENT_RANGE)
    }

    /// Gaps since this was last asked, seconds.
    pub fn take_filled_secs(&mut self) -> f64 {
        std::mem::take(&mut self.filled_secs)
    }

    /// Times begin anew: what comes next follows what was there.
    pub fn restart(&mut self, at_secs: f64, streams: &mut Streams<'_>) -> Result<(), Fault> {
        self.finish(streams)?;
        self.offset_secs = streams.secs() - at_secs;
        Ok(())
    }

    /// Puts frames at their time; `None` is behind what was there.
    pub fn push(
        &mut self,
        rate_hz: u32,
        planes: Planes,
        at_secs: Option<f64>,
        streams: &mut Streams<'_>,
    ) -> Result<(), Fault> {
        let secs = secs_of(&planes, rate_hz);
        if secs == 0.0 {
            return Ok(());
        }
        let late_secs = at_secs.map(|at| at + self.offset_secs - streams.secs() - self.held_secs);
        if self.held.is_empty() {
            match late_secs {
                Some(late) if late.abs() > SAME_SECS => (self.late_secs, self.is_late) = (late, late > 0.0),
                // a start is exact: there is nothing before it to be rounded
                Some(late) if late > 0.0 && streams.secs() == 0.0 => {
                    fill(late, rate_hz, planes.len(), streams)?;
                    return self.put(rate_hz, &planes, streams);
                }
                _ => return self.put(rate_hz, &planes, streams),
            }
        } else if let Some(late) = late_secs {
            self.late_secs = if self.is_late { self.late_secs.min(late) } else { self.late_secs.max(late) };
        }
        self.held_secs += secs;
        self.held.push_back(Held { rate_hz, planes });
        let has_caught_up = if self.is_late { self.late_secs <= SAME_SECS } else { self.late_secs >= -SAME_SECS };
        if has_caught_up {
            return self.release(streams);
        }
        let samples = self.held.iter().flat_map(|held| &held.planes).map(Vec::len).sum::<usize>();
        if self.held_secs >= AGREEMENT_SECS || samples > MOST_HELD_SAMPLES { self.settle(streams) } else { Ok(()) }
    }

    /// Puts what is held. At the end no more packets come that could agree, so nothing is left out.
    pub fn finish(&mut self, streams: &mut Streams<'_>) -> Result<(), Fault> {
        if self.held.is_empty() || self.late_secs < 0.0 { self.release(streams) } else { self.settle(streams) }
    }

    /// Believes the times of what is held.
    fn settle(&mut self, streams: &mut Streams<'_>) -> Result<(), Fault> {
        let late_secs = self.late_secs;
        // all that comes is early against the first packets: those were late
        let began_late = -late_secs <= LONGEST_DRIFT_SECS && streams.secs() < AGREEMENT_SECS;
        if late_secs > self.longest_gap_secs || late_secs < -LONGEST_OVERLAP_SECS || (late_secs < 0.0 && began_late) {
            self.offset_secs -= late_secs;
        } else if late_secs > 0.0 {
            let at_start = streams.secs() == 0.0;
            if let Some(Held { rate_hz, planes, .. }) = self.held.front() {
                fill(late_secs, *rate_hz, planes.len(), streams)?;
            }
            if !at_start {
                self.filled_secs += late_secs;
            }
        } else {
            self.leave_out(-late_secs);
        }
        self.release(streams)
    }

    /// Takes away so many seconds of what is held: the first, which were there already; where it is so little that only two
    /// clocks disagree, the quietest.
    fn leave_out(&mut self, mut secs: f64) {
        let mut at = if secs > LONGEST_DRIFT_SECS { 0 } else { self.quietest(secs) };
        while let Some(held) = self.held.get_mut(at).filter(|_| secs > 0.0) {
            let frames = (secs * f64::from(held.rate_hz)).round() as usize;
            let there = held.planes.first().map_or(0, Vec::len);
            held.planes.iter_mut().for_each(|plane| drop(plane.drain(..frames.min(plane.len()))));
            secs -= frames.min(there) as f64 / f64::from(held.rate_hz.max(1));
            if frames <= there {
                return;
            }
            at += 1;
        }
    }

    /// The first packet of the quietest run of so many seconds.
    fn quietest(&self, secs: f64) -> usize {
        let power = |held: &Held| held.planes.iter().flatten().map(|sample| f64::from(sample * sample)).sum::<f64>();
        let packets: Vec<_> = self.held.iter().map(|h| (power(h), secs_of(&h.planes, h.rate_hz))).collect();
        let run = |from: usize| {
            let (mut power, mut len) = (0.0, 0.0);
            for (more, more_secs) in packets.get(from..)? {
                (power, len) = (power + more, len + more_secs);
                if len >= secs {
                    return Some((from, power));
                }
            }
            None
        };
        (0..packets.len()).map_while(run).min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(from, _)| from)
    }

    fn release(&mut self, streams: &mut Streams<'_>) -> Result<(), Fault> {
        (self.held_secs, self.late_secs) = (0.0, 0.0);
        while let Some(Held { rate_hz, planes, .. }) = self.held.pop_front() {
            self.put(rate_hz, &planes, streams)?;
        }
        Ok(())
    }

    fn put(&mut self, rate_hz: u32, planes: &Planes, streams: &mut Streams<'_>) -> Result<(), Fault> {
        if self.is_silent() {
            for sample in planes.iter().flatten().filter(|sample| sample.is_finite()) {
                let (least, most) = self.range.get_or_insert((*sample, *sample));
                (*least, *most) = (least.min(*sample), most.max(*sample));
            }
        }
        streams.push(rate_hz, planes)
    }
}

/// Pushes silence.
fn fill(secs: f64, rate_hz: u32, channels: usize, streams: &mut Streams<'_>) -> Result<(), Fault> {
    // before hours of zeros are resampled
    streams.check_duration(streams.secs() + secs)?;
    let mut frames = (secs * f64::from(rate_hz)).round() as usize;
    let silence = vec![0.0_f32; frames.min((PIECE_SECS * f64::from(rate_hz)) as usize)];
    while frames > 0 && !silence.is_empty() {
        let piece = silence.get(..frames.min(silence.len())).unwrap_or_default();
        streams.push(rate_hz, &vec![piece; channels])?;
        frames -= piece.len();
    }
    Ok(())
}

fn secs_of(planes: &Planes, rate_hz: u32) -> f64 {
    planes.first().map_or(0, Vec::len) as f64 / f64::from(rate_hz.max(1))
}

#[cfg(test)]
mod tests;
