//! The part of a recording that a job is about.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A stretch of a recording, in seconds from its start. Times of the transcript stay the recording's own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Clip {
    /// Where it begins, seconds.
    pub start_secs: f64,
    /// Where it ends, seconds; absent where it runs to the end of the recording.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub end_secs: Option<f64>,
}

impl Clip {
    /// The part from `start_secs` to `end_secs`, to the millisecond; `None` where that is the whole recording.
    ///
    /// # Errors
    /// What is wrong with the numbers, as a sentence that names the field.
    pub fn new(start_secs: Option<f64>, end_secs: Option<f64>) -> Result<Option<Self>, String> {
        let checked = |field: &str, secs: Option<f64>| match secs {
            Some(secs) if !secs.is_finite() || secs < 0.0 => {
                Err(format!("`{field}` is no time of a recording: {secs}"))
            }
            secs => Ok(secs.map(|secs| (secs * 1000.0).round() / 1000.0)),
        };
        let (start, end) = (checked("start_secs", start_secs)?.unwrap_or(0.0), checked("end_secs", end_secs)?);
        if let Some(end) = end.filter(|end| *end <= start) {
            return Err(format!("`end_secs` {end} is not after `start_secs` {start}"));
        }
        Ok((start > 0.0 || end.is_some()).then_some(Self { start_secs: start, end_secs: end }))
    }

    /// Where it ends; infinity where it runs to the end of the recording.
    pub fn end(&self) -> f64 {
        self.end_secs.unwrap_or(f64::INFINITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_lies_in_time_and_the_whole_is_none() {
        assert_eq!(Clip::new(None, None), Ok(None));
        assert_eq!(Clip::new(Some(0.0), None), Ok(None));
        assert_eq!(Clip::new(Some(1.5), None), Ok(Some(Clip { start_secs: 1.5, end_secs: None })));
        assert_eq!(Clip::new(None, Some(2.0004)), Ok(Some(Clip { start_secs: 0.0, end_secs: Some(2.0) })));
        for (start, end) in [(Some(-1.0), None), (Some(f64::NAN), None), (Some(2.0), Some(2.0)), (None, Some(0.0))] {
            assert!(Clip::new(start, end).is_err(), "{start:?} {end:?}");
        }
    }
}
