//! The options of commands about subtitles.

use serde_json::{Map, Value, json};

use crate::job::subtitles::Subtitles;

/// How subtitles are laid out.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = "Subtitles")]
pub struct SubtitleArgs {
    /// Columns of a line
    #[arg(long, value_name = "N", default_value_t = Subtitles::default().line_chars)]
    line_chars: usize,

    /// Lines of a cue
    #[arg(long, value_name = "N", default_value_t = Subtitles::default().lines)]
    cue_lines: usize,

    /// Number of the first cue of `srt`
    #[arg(long, value_name = "N", default_value_t = Subtitles::default().start_index)]
    cue_start_index: u32,

    /// A cue is seen for so long where its neighbours leave room
    #[arg(long, value_name = "SECS", default_value_t = Subtitles::default().min_secs)]
    cue_min_secs: f64,

    /// A cue is never seen for longer
    #[arg(long, value_name = "SECS", default_value_t = Subtitles::default().max_secs)]
    cue_max_secs: f64,

    /// A cue stays until so many characters a second were read, where its neighbours leave room
    #[arg(long, value_name = "N", default_value_t = Subtitles::default().chars_per_sec)]
    chars_per_sec: f64,
}

impl SubtitleArgs {
    /// As a job has it.
    ///
    /// # Errors
    /// A sentence that names what is out of range.
    pub fn subtitles(self) -> Result<Subtitles, String> {
        self.layout().checked()
    }

    /// As a field of a message, where it is not as ever.
    pub fn fields(&self) -> Map<String, Value> {
        let layout = Some(self.layout()).filter(|layout| *layout != Subtitles::default());
        layout.map(|layout| ("subtitles".to_owned(), json!(layout))).into_iter().collect()
    }

    fn layout(&self) -> Subtitles {
        let Self { line_chars, cue_lines, cue_start_index, cue_min_secs, cue_max_secs, chars_per_sec } = *self;
        let (lines, start_index) = (cue_lines, cue_start_index);
        let (min_secs, max_secs) = (cue_min_secs, cue_max_secs);
        Subtitles { line_chars, lines, start_index, min_secs, max_secs, chars_per_sec }
    }
}
