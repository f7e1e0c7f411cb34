//! How long to wait after the n-th failure.

use std::time::Duration;

/// Never less: a retry without a pause is a hot loop, and SQS counts visibility in whole seconds.
const SHORTEST: Duration = Duration::from_secs(1);

/// Exponential back-off with full jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest wait after the first failure; it doubles with each further one.
    pub base: Duration,
    /// The longest wait of all.
    pub cap: Duration,
}

impl Backoff {
    /// The longest wait after failure number `failures` (1 at first).
    pub fn ceiling(&self, failures: u32) -> Duration {
        let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.base.saturating_mul(factor).min(self.cap).max(SHORTEST)
    }

    /// A random wait between 1 s and the ceiling, so that workers that failed together do not return together.
    pub fn delay(&self, failures: u32) -> Duration {
        let span = self.ceiling(failures).saturating_sub(SHORTEST);
        SHORTEST + span.mul_f64(fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { base: Duration::from_secs(10), cap: Duration::from_secs(900) };

    #[test]
    fn the_ceiling_doubles_up_to_the_cap() {
        let secs: Vec<_> = [1, 2, 3, 7, 8, u32::MAX].map(|n| BACKOFF.ceiling(n).as_secs()).into();
        assert_eq!(secs, [10, 20, 40, 640, 900, 900]);
    }

    #[test]
    fn delays_are_spread_between_a_second_and_the_ceiling() {
        let delays: Vec<_> = (0..200).map(|_| BACKOFF.delay(3)).collect();
        assert!(delays.iter().all(|d| (SHORTEST..=Duration::from_secs(40)).contains(d)));
        assert!(delays.iter().any(|d| d.as_secs() < 15) && delays.iter().any(|d| d.as_secs() > 25));
    }
}
