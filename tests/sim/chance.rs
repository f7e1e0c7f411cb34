//! Where all chance comes from: one generator for each purpose, so that a draw more in one place moves nothing elsewhere.

use std::ops::Range;
use std::time::Duration;

/// A seeded generator.
pub struct Chance(fastrand::Rng);

impl Chance {
    /// The generator of `seed` for one purpose.
    pub fn of(seed: u64, purpose: &str) -> Self {
        Self(fastrand::Rng::with_seed(fnv(purpose.as_bytes(), seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))))
    }

    /// For those who draw by themselves.
    pub fn into_rng(self) -> fastrand::Rng {
        self.0
    }

    pub fn one_in(&mut self, n: u32) -> bool {
        self.0.u32(0..n) == 0
    }

    /// True in this share of cases.
    pub fn share(&mut self, share: f64) -> bool {
        self.0.f64() < share
    }

    pub fn number(&mut self, range: Range<u32>) -> u32 {
        self.0.u32(range)
    }

    pub fn secs(&mut self, range: Range<f64>) -> Duration {
        // whole milliseconds: tokio's timers know no less
        Duration::from_millis(self.0.u64((range.start * 1000.0) as u64..(range.end * 1000.0) as u64))
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.0.usize(0..from.len())]
    }
}

/// FNV-1a, from `hash` on.
pub fn fnv(bytes: &[u8], hash: u64) -> u64 {
    bytes
        .iter()
        .fold(hash ^ 0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
