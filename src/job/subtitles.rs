//! How subtitles are laid out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The layout of `srt` and `vtt`. What is absent is as broadcasters have it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Subtitles {
    /// Columns of a line, 10 to 120; a character of East Asia takes two.
    #[schemars(range(min = 10, max = 120))]
    pub line_chars: usize,
    /// Lines of a cue, 1 to 4.
    #[schemars(range(min = 1, max = 4))]
    pub lines: usize,
    /// Number of the first cue of `srt`.
    pub start_index: u32,
    /// A cue is seen for so many seconds where its neighbours leave room, 0.2 to 10.
    #[schemars(range(min = 0.2, max = 10.0))]
    pub min_secs: f64,
    /// A cue is never seen for longer, seconds; from `min_secs` to 60.
    #[schemars(range(min = 0.2, max = 60.0))]
    pub max_secs: f64,
    /// A cue stays until so many characters a second were read, where its neighbours leave room; 5 to 50.
    #[schemars(range(min = 5.0, max = 50.0))]
    pub chars_per_sec: f64,
}

impl Default for Subtitles {
    fn default() -> Self {
        Self { line_chars: 42, lines: 2, start_index: 1, min_secs: 1.0, max_secs: 7.0, chars_per_sec: 17.0 }
    }
}

impl Subtitles {
    /// The same, if subtitles can be made so.
    ///
    /// # Errors
    /// A sentence that names the field that is out of range.
    pub fn checked(self) -> Result<Self, String> {
        let outside = [
            ("line_chars", !(10..=120).contains(&self.line_chars)),
            ("lines", !(1..=4).contains(&self.lines)),
            ("min_secs", !(0.2..=10.0).contains(&self.min_secs)),
            ("max_secs", !(self.min_secs..=60.0).contains(&self.max_secs)),
            ("chars_per_sec", !(5.0..=50.0).contains(&self.chars_per_sec)),
        ];
        match outside.into_iter().find(|(_, is_outside)| *is_outside) {
            Some((field, _)) => Err(format!("`subtitles.{field}` is out of range")),
            None => Ok(self),
        }
    }

    /// Columns aimed at for a whole cue: less than its lines have, for breaking at words leaves some unused.
    pub fn cue_chars(&self) -> usize {
        if self.lines == 1 { self.line_chars } else { self.line_chars * self.lines * 10 / 11 }
    }
}
