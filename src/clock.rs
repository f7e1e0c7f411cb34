//! The time of day. Everything that compares it with what a producer or AWS wrote asks here, so that a simulation can
//! tell another.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

/// A clock. Clones are the same.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that asks `now`.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }

    /// Seconds since `unix_ms`, milliseconds since the Unix epoch; `None` where that is unknown (0) or in the future.
    pub fn secs_since(&self, unix_ms: i64) -> Option<f64> {
        let passed_ms = self.now().as_millisecond().checked_sub(unix_ms)?;
        (unix_ms > 0 && passed_ms >= 0).then_some(passed_ms as f64 / 1000.0)
    }
}

/// This machine's clock.
impl Default for Clock {
    fn default() -> Self {
        Self::new(Timestamp::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
