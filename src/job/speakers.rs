//! Whether a job wants to know who speaks, and how many there may be.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// More are told apart by nobody.
pub const MOST: u16 = 64;

/// How many speakers there are, as far as it is known. With separate channels, on each of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct SpeakerCount {
    /// At least.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub min: Option<u16>,
    /// At most.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max: Option<u16>,
}

/// What a job says about its speakers: `true`, `false`, or how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected true, false or an object of `min`, `max` or `exact`")]
pub enum Speakers {
    /// Whether they are told apart.
    Wanted(bool),
    /// They are, and so many there are.
    Counted(Bounds),
}

/// How many there are, as a job says it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// At least, from 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schemars(range(min = 1, max = 64))]
    pub min: Option<u16>,
    /// At most, up to 64.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schemars(range(min = 1, max = 64))]
    pub max: Option<u16>,
    /// Exactly; not beside `min` or `max`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schemars(range(min = 1, max = 64))]
    pub exact: Option<u16>,
}

impl Speakers {
    /// What it means: `None` where they are not told apart.
    ///
    /// # Errors
    /// Bounds that exclude each other, as the end of a sentence about them.
    pub fn count(self) -> Result<Option<SpeakerCount>, String> {
        match self {
            Self::Wanted(wanted) => Ok(wanted.then(SpeakerCount::default)),
            Self::Counted(Bounds { min, max, exact: None }) => SpeakerCount { min, max }.checked().map(Some),
            Self::Counted(Bounds { min: None, max: None, exact }) => {
                SpeakerCount { min: exact, max: exact }.checked().map(Some)
            }
            Self::Counted(_) => Err("`exact` excludes `min` and `max`".to_owned()),
        }
    }
}

impl SpeakerCount {
    fn checked(self) -> Result<Self, String> {
        let all = || self.min.iter().chain(&self.max);
        if all().any(|bound| !(1..=MOST).contains(bound)) {
            return Err(format!("a number of speakers is from 1 to {MOST}"));
        }
        if self.min.zip(self.max).is_some_and(|(min, max)| min > max) {
            return Err("`min` is more than `max`".to_owned());
        }
        Ok(self)
    }
}

impl From<SpeakerCount> for Speakers {
    fn from(SpeakerCount { min, max }: SpeakerCount) -> Self {
        Self::Counted(Bounds { min, max, exact: None })
    }
}

/// As a setting has it: `on`, `off`, a number, or two with a hyphen between.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpeakersSetting(pub Option<SpeakerCount>);

impl FromStr for SpeakersSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.trim().parse::<u16>().map_err(|_| "it must be on, off, N or MIN-MAX".to_owned());
        match text.trim() {
            "" | "off" | "false" | "no" | "0" => Ok(Self(None)),
            "on" | "true" | "yes" => Ok(Self(Some(SpeakerCount::default()))),
            text => {
                let (min, max) = text.split_once('-').unwrap_or((text, text));
                let count = SpeakerCount { min: Some(number(min)?), max: Some(number(max)?) };
                count.checked().map(|count| Self(Some(count)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_on_off_a_number_or_two() {
        let read = |text: &str| text.parse::<SpeakersSetting>().map(|setting| setting.0);
        let count = |min, max| Ok(Some(SpeakerCount { min: Some(min), max: Some(max) }));
        assert_eq!((read("off"), read(""), read("on")), (Ok(None), Ok(None), Ok(Some(SpeakerCount::default()))));
        assert_eq!((read("2"), read("2-4")), (count(2, 2), count(2, 4)));
        assert!([read("-1"), read("4-2"), read("65"), read("two"), read("1-")].iter().all(Result::is_err));
    }
}
