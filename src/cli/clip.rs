//! The options of commands about a part of a recording.

use serde_json::{Map, Value, json};

use crate::job::clip::Clip;

/// Which part is heard.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ClipArgs {
    /// Hear only what comes after so many seconds; times stay the file's own
    #[arg(long, value_name = "SECS")]
    start_secs: Option<f64>,

    /// Hear only what comes before so many seconds
    #[arg(long, value_name = "SECS")]
    end_secs: Option<f64>,
}

impl ClipArgs {
    /// The part; `None` for all.
    ///
    /// # Errors
    /// As [`Clip::new`].
    pub fn clip(&self) -> Result<Option<Clip>, String> {
        Clip::new(self.start_secs, self.end_secs)
    }

    /// As fields of a message.
    pub fn fields(&self) -> Map<String, Value> {
        let fields = [("start_secs", self.start_secs), ("end_secs", self.end_secs)];
        fields.into_iter().filter_map(|(name, secs)| Some((name.to_owned(), json!(secs?)))).collect()
    }
}
