//! Any sample rate to 16 kHz, streaming and in place: what sounds at t seconds still does.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

use super::SAMPLE_RATE_HZ;

#[cfg(test)]
mod tests;

/// Sample rates that are believed. Below lies no speech, above only broken headers.
pub const RATES_HZ: std::ops::RangeInclusive<u32> = 1_000..=768_000;

/// Input frames per transform, rounded up to what the rate divides into: long enough for a steep filter, short enough for
/// the cache. 2^7 x 3^2, because at 48 kHz it must be a multiple of 3: 1024 became 1026, which has a factor of 19, for
/// which there is no fast transform.
const CHUNK_FRAMES: usize = 1152;

/// The smallest transform is rate / gcd(rate, 16000) frames: more than this (a prime rate of hundreds of kHz) would
/// need memory and time out of all proportion.
const LONGEST_CHUNK_FRAMES: u32 = 200_000;

/// One channel's way to 16 kHz. Output length is the input's, converted and rounded; the filter's delay is removed.
pub struct Resampler {
    rate_hz: u32,
    /// `None` where the input is at 16 kHz already.
    fft: Option<Fft<f32>>,
    /// Input that does not fill a chunk yet.
    pending: Vec<f32>,
    /// One chunk of output.
    chunk: Vec<f32>,
    /// Output samples of the filter's start that are still to be dropped.
    delay: usize,
    taken: u64,
    given: u64,
}

impl Resampler {
    /// A resampler from `rate_hz`.
    ///
    /// # Errors
    /// A sentence, when the rate is not a plausible one.
    pub fn new(rate_hz: u32) -> Result<Self, String> {
        let block = rate_hz / gcd(rate_hz, SAMPLE_RATE_HZ).max(1);
        if !RATES_HZ.contains(&rate_hz) || block > LONGEST_CHUNK_FRAMES {
            return Err(format!("a sample rate of {rate_hz} Hz is not plausible"));
        }
        let fft = if rate_hz == SAMPLE_RATE_HZ { None } else { Some(new_fft(rate_hz)?) };
        let delay = fft.as_ref().map_or(0, rubato::Resampler::output_delay);
        let chunk = vec![0.0; fft.as_ref().map_or(0, rubato::Resampler::output_frames_max)];
        Ok(Self { rate_hz, fft, pending: Vec::new(), chunk, delay, taken: 0, given: 0 })
    }

    /// The rate it converts from.
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Takes `samples` and appends what is ready to `out`.
    ///
    /// # Errors
    /// A sentence; only a bug can cause one.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<(), String> {
        self.taken += samples.len() as u64;
        if self.fft.is_none() {
            self.given += samples.len() as u64;
            out.extend_from_slice(samples);
            return Ok(());
        }
        self.pending.extend_from_slice(samples);
        self.convert(out)
    }

    /// Appends what the filter still holds.
    ///
    /// # Errors
    /// As [`Resampler::push`].
    pub fn finish(&mut self, out: &mut Vec<f32>) -> Result<(), String> {
        let Some(fft) = &self.fft else { return Ok(()) };
        let chunk_frames = fft.input_frames_next();
        let rate = u128::from(self.rate_hz);
        let whole = ((u128::from(self.taken) * u128::from(SAMPLE_RATE_HZ) + rate / 2) / rate) as u64;
        while self.given < whole {
            let missing = usize::try_from(whole - self.given).unwrap_or(usize::MAX);
            let before = out.len();
            self.pending.resize(self.pending.len().next_multiple_of(chunk_frames).max(chunk_frames), 0.0);
            self.convert(out)?;
            out.truncate(before.saturating_add(missing));
        }
        Ok(())
    }

    /// Converts all whole chunks of `pending`.
    fn convert(&mut self, out: &mut Vec<f32>) -> Result<(), String> {
        let Some(fft) = &mut self.fft else { return Ok(()) };
        let chunk_frames = fft.input_frames_next();
        let mut used = 0;
        for input in self.pending.chunks_exact(chunk_frames) {
            let source = SequentialSlice::new(input, 1, chunk_frames).map_err(|e| e.to_string())?;
            let room = self.chunk.len();
            let mut target = SequentialSlice::new_mut(&mut self.chunk, 1, room).map_err(|e| e.to_string())?;
            let (_, frames) = fft.process_into_buffer(&source, &mut target, None).map_err(|e| e.to_string())?;
            let dropped = self.delay.min(frames);
            self.delay -= dropped;
            self.given += (frames - dropped) as u64;
            out.extend_from_slice(self.chunk.get(dropped..frames).unwrap_or_default());
            used += chunk_frames;
        }
        self.pending.drain(..used);
        Ok(())
    }
}

fn new_fft(rate_hz: u32) -> Result<Fft<f32>, String> {
    let (from, to) = (rate_hz as usize, SAMPLE_RATE_HZ as usize);
    Fft::new_custom(from, to, CHUNK_FRAMES, 1, 1, WindowFunction::BlackmanHarris2, FixedSync::Both)
        .map_err(|e| format!("no resampler from {rate_hz} Hz: {e}"))
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
