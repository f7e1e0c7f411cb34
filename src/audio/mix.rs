//! Many channels to one: as ITU-R BS.775 mixes them, without the bass effects, and without losing what two channels say in
//! opposite phase.

use std::f64::consts::FRAC_1_SQRT_2;

/// Where a channel's loudspeaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In front, to a side.
    Front,
    /// In front, in the middle: where films put what is said.
    Centre,
    /// At the sides, behind, above.
    Around,
    /// Low-frequency effects, which are in the other channels too where they matter.
    Bass,
    /// Not known.
    Anywhere,
}

use Place::{Anywhere, Around, Bass, Centre, Front};

/// What phase is judged by: energies of about the last half second.
const MEMORY_SECS: f64 = 0.5;
/// At most so much is mixed in one way, 50 ms; the way there from the last takes a tenth of it.
const PIECES_PER_SEC: u32 = 20;

/// Correlations below which two channels are taken for inverted, and above which they no longer are.
const INVERTED: f64 = -0.9;
const UPRIGHT: f64 = -0.5;
/// Of two inverted channels the louder is heard; the other must have so many times its energy to take its place.
const LOUDER: f64 = 2.0;

/// Where the loudspeakers of so many channels stand, as all programs order them that say no more.
pub fn places_of(channels: usize) -> Vec<Place> {
    match channels {
        1 => vec![Centre],
        2 => vec![Front, Front],
        3 => vec![Front, Front, Centre],
        4 => vec![Front, Front, Around, Around],
        5 => vec![Front, Front, Centre, Around, Around],
        6 => vec![Front, Front, Centre, Bass, Around, Around],
        7 => vec![Front, Front, Centre, Bass, Around, Around, Around],
        8 => vec![Front, Front, Centre, Bass, Around, Around, Around, Around],
        _ => vec![Anywhere; channels],
    }
}

/// The share of each channel in the mix; together they are 1, so that no mix is louder than its loudest channel can be.
fn shares(places: &[Place]) -> Vec<f32> {
    let weight = |place: &Place| match place {
        Front => FRAC_1_SQRT_2,
        Centre | Anywhere => 1.0,
        Around => 0.5,
        Bass => 0.0,
    };
    let whole: f64 = places.iter().map(weight).sum();
    if whole == 0.0 || places.contains(&Anywhere) {
        return vec![1.0 / places.len().max(1) as f32; places.len()];
    }
    places.iter().map(|place| (weight(place) / whole) as f32).collect()
}

/// Mixes the frames of one stream.
#[derive(Debug, Default)]
pub struct Mixer {
    /// As the decoder told.
    places: Vec<Place>,
    pair: Pair,
}

impl Mixer {
    /// Tells where the channels' loudspeakers stand; for another number of channels it says nothing.
    pub fn place(&mut self, places: Vec<Place>) {
        self.places = places;
    }

    /// Appends the mix of `frames` frames to `mixed`. Samples that are no numbers count as silence.
    pub fn mix(&mut self, rate_hz: u32, planes: &[impl AsRef<[f32]>], frames: usize, mixed: &mut Vec<f32>) {
        if let [left, right] = planes {
            let (left, right) = (left.as_ref(), right.as_ref());
            let step = (rate_hz / PIECES_PER_SEC).max(1) as usize;
            for from in (0..frames).step_by(step) {
                let piece = from..(from + step).min(frames);
                let both = left.get(piece.clone()).zip(right.get(piece));
                both.into_iter().for_each(|(left, right)| self.pair.mix(rate_hz, left, right, mixed));
            }
            return;
        }
        let shares =
            if self.places.len() == planes.len() { shares(&self.places) } else { shares(&places_of(planes.len())) };
        let start = mixed.len();
        mixed.resize(start + frames, 0.0);
        for (plane, share) in planes.iter().zip(shares) {
            let sums = mixed.iter_mut().skip(start);
            sums.zip(plane.as_ref()).for_each(|(sum, sample)| *sum += share * finite(*sample));
        }
    }
}

/// Two channels, which may be the same with one of them inverted: their mean would be silence.
#[derive(Debug)]
struct Pair {
    /// Energy of each channel's changes from sample to sample (an offset has none), and what they have in common.
    left: f64,
    right: f64,
    common: f64,
    last: [f32; 2],
    /// Shares that the last piece ended with.
    shares: [f32; 2],
}

impl Default for Pair {
    fn default() -> Self {
        Self { left: 0.0, right: 0.0, common: 0.0, last: [0.0; 2], shares: [0.5; 2] }
    }
}

impl Pair {
    fn mix(&mut self, rate_hz: u32, left: &[f32], right: &[f32], mixed: &mut Vec<f32>) {
        let len = left.len().min(right.len());
        let kept = (-(len as f64) / (MEMORY_SECS * f64::from(rate_hz))).exp();
        (self.left, self.right, self.common) = (self.left * kept, self.right * kept, self.common * kept);
        for (left, right) in left.iter().zip(right) {
            let now = [finite(*left), finite(*right)];
            let change = [f64::from(now[0] - self.last[0]), f64::from(now[1] - self.last[1])];
            self.left += change[0] * change[0];
            self.right += change[1] * change[1];
            self.common += change[0] * change[1];
            self.last = now;
        }
        let before = self.shares;
        self.shares = self.wanted();
        let ramp = (len / 10).max(1) as f32;
        for (n, (left, right)) in left.iter().zip(right).enumerate() {
            let way = (n as f32 / ramp).min(1.0);
            let share = |side: usize| before[side] + (self.shares[side] - before[side]) * way;
            mixed.push(share(0) * finite(*left) + share(1) * finite(*right));
        }
    }

    fn wanted(&self) -> [f32; 2] {
        let whole = (self.left * self.right).sqrt();
        let is_one_sided = self.shares != [0.5; 2];
        let inverted = if whole > 0.0 {
            self.common / whole < if is_one_sided { UPRIGHT } else { INVERTED }
        } else {
            is_one_sided
        };
        let (is_left, is_right) = (self.shares[0] == 1.0, self.shares[1] == 1.0);
        match inverted {
            false => [0.5; 2],
            true if is_left && self.right < LOUDER * self.left => [1.0, 0.0],
            true if is_right && self.left < LOUDER * self.right => [0.0, 1.0],
            true if self.left >= self.right => [1.0, 0.0],
            true => [0.0, 1.0],
        }
    }
}

/// No decoder means more than this (16 bits that were not scaled): it is damage.
const LARGEST: f32 = 65_536.0;

/// A sample that can be reckoned with.
pub fn finite(sample: f32) -> f32 {
    if sample.abs() <= LARGEST { sample } else { 0.0 }
}

/// Brings one stream into [-1, 1]: what goes beyond is turned down, not clipped, and for a while what follows too.
#[derive(Debug, Default)]
pub struct Headroom {
    peak: f32,
}

/// The level at which a peak is remembered halves in so many seconds.
const HALVED_SECS: f32 = 5.0;
/// Samples that are turned down alike.
const PIECE_SAMPLES: usize = 512;

impl Headroom {
    /// Turns down what is too loud; all finite.
    pub fn keep(&mut self, rate_hz: u32, samples: &mut [f32]) {
        for piece in samples.chunks_mut(PIECE_SAMPLES) {
            let peak = piece.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
            self.peak *= 0.5_f32.powf(piece.len() as f32 / rate_hz.max(1) as f32 / HALVED_SECS);
            self.peak = self.peak.max(peak);
            if self.peak > 1.0 {
                piece.iter_mut().for_each(|sample| *sample /= self.peak);
            }
        }
    }
}

/// Takes an offset out of a stream at 16 kHz: it is no sound, and Whisper hears everything relative to what is strongest.
#[derive(Debug, Default)]
pub struct Offset {
    mean: Option<f32>,
    /// Of the last half second, and whether it ever was an offset: what has none is left as it is, sample for sample.
    slow: f32,
    is_there: bool,
}

/// Share of a sample in the running mean: a corner at 10 Hz, far below any voice.
const MEAN_SHARE: f32 = 0.004;
const SLOW_SHARE: f32 = 1.0 / 8_000.0;

/// A mean beyond this is an offset (-34 dBFS).
const LEAST: f32 = 0.02;

impl Offset {
    /// Removes it in place.
    pub fn remove(&mut self, samples: &mut [f32]) {
        // as if the stream had always been where it begins
        let Some(first) = samples.first().copied() else { return };
        let mut mean = self.mean.unwrap_or(first);
        for sample in samples {
            self.slow += SLOW_SHARE * (*sample - self.slow);
            self.is_there |= self.slow.abs() > LEAST;
            let rest = *sample - mean;
            mean += MEAN_SHARE * rest;
            if self.is_there {
                *sample = rest;
            }
        }
        self.mean = Some(mean);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE_HZ: u32 = 48_000;

    fn voice(n: usize) -> f32 {
        let t = n as f32 / RATE_HZ as f32;
        0.3 * (t * 1_400.0).sin() * (t * 20.0).sin() + 0.1 * (t * 5_300.0).sin()
    }

    fn mix(planes: &[Vec<f32>]) -> Vec<f32> {
        let mut mixer = Mixer::default();
        let mut mixed = Vec::new();
        for from in (0..planes[0].len()).step_by(1_152) {
            let frames = 1_152.min(planes[0].len() - from);
            let piece: Vec<&[f32]> = planes.iter().map(|plane| &plane[from..from + frames]).collect();
            mixer.mix(RATE_HZ, &piece, frames, &mut mixed);
        }
        mixed
    }

    fn rms(samples: &[f32]) -> f32 {
        (samples.iter().map(|s| s * s).sum::<f32>() / samples.len() as f32).sqrt()
    }

    #[test]
    fn an_inverted_channel_does_not_silence_the_other() {
        let left: Vec<f32> = (0..96_000).map(voice).collect();
        for (gain, offset) in [(-1.0, 0.0), (-0.5, 0.2), (-2.0, -0.1)] {
            let right: Vec<f32> = left.iter().map(|sample| gain * sample + offset).collect();
            let mixed = mix(&[left.clone(), right]);
            assert!(rms(&mixed[2_400..]) > 0.9 * rms(&left), "{gain}: {}", rms(&mixed));
        }
    }

    #[test]
    fn two_voices_on_two_channels_are_mixed_evenly_and_without_jumps() {
        let left: Vec<f32> = (0..96_000).map(voice).collect();
        let right: Vec<f32> = (0..96_000).map(|n| 0.5 * voice(n * 3 / 2 + 777)).collect();
        let mean: Vec<f32> = left.iter().zip(&right).map(|(left, right)| (left + right) / 2.0).collect();
        assert_eq!(mix(&[left, right]), mean);
    }

    #[test]
    fn films_are_mixed_by_the_book_and_without_their_bass() {
        let alone = |channel: usize, channels: usize| {
            let mut planes = vec![vec![0.0; 100]; channels];
            planes[channel] = vec![1.0; 100];
            mix(&planes)[50]
        };
        let whole = 2.0_f32.sqrt() + 1.0 + 1.0;
        let five_one: Vec<f32> = (0..6).map(|channel| alone(channel, 6) * whole).collect();
        for (found, right) in five_one.iter().zip([FRAC_1_SQRT_2, FRAC_1_SQRT_2, 1.0, 0.0, 0.5, 0.5]) {
            assert!((f64::from(*found) - right).abs() < 0.001, "{five_one:?}");
        }
        assert_eq!((alone(3, 8), alone(2, 8) > alone(7, 8)), (0.0, true));
        assert!((alone(4, 12) - 1.0 / 12.0).abs() < 1e-6);
    }

    #[test]
    fn what_the_decoder_says_of_the_channels_counts() {
        let mut mixer = Mixer::default();
        mixer.place(vec![Front, Front, Bass]);
        let mut mixed = Vec::new();
        mixer.mix(RATE_HZ, &[[0.4; 10], [0.2; 10], [1.0; 10]], 10, &mut mixed);
        assert!(mixed.iter().all(|sample| (sample - 0.3).abs() < 1e-6), "{mixed:?}");
    }

    #[test]
    fn what_is_too_loud_is_turned_down_and_keeps_its_shape() {
        for loudest in [3.0, 30_000.0] {
            let mut headroom = Headroom::default();
            let source: Vec<f32> = (0..96_000).map(|n| loudest * (n as f32 / 70.0).sin()).collect();
            let mut kept = source.clone();
            kept.chunks_mut(1_024).for_each(|piece| headroom.keep(RATE_HZ, piece));
            assert!(kept.iter().all(|sample| sample.abs() <= 1.0));
            let clipped = kept.iter().filter(|sample| sample.abs() > 0.99).count();
            assert!(clipped < kept.len() / 8, "a sine spends 9 % of its time so near its peak: {clipped}");
            assert!(rms(&kept[48_000..]) > 0.6);
        }
        let mut quiet = vec![0.5, -1.0, 1.0];
        Headroom::default().keep(RATE_HZ, &mut quiet);
        assert_eq!(quiet, [0.5, -1.0, 1.0]);
        assert_eq!([f32::NAN, f32::INFINITY, 1e30, -1.5].map(finite), [0.0, 0.0, 0.0, -1.5]);
    }

    #[test]
    fn an_offset_goes_and_the_voice_stays() {
        let source: Vec<f32> = (0..48_000).map(voice).collect();
        let mut without = source.clone();
        Offset::default().remove(&mut without);
        assert_eq!(without, source);
        let mut shifted: Vec<f32> = source.iter().map(|sample| sample + 0.5).collect();
        let mut offset = Offset::default();
        shifted.chunks_mut(100).for_each(|piece| offset.remove(piece));
        let (rest, voice) = (&shifted[4_000..], &source[4_000..]);
        let mean = rest.iter().sum::<f32>() / rest.len() as f32;
        assert!(mean.abs() < 0.001 && (rms(rest) / rms(voice) - 1.0).abs() < 0.02, "{mean}, {}", rms(rest));
    }
}
