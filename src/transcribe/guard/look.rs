//! What a window was heard to say.

use std::ops::Range;

use super::text::{all, without};
use super::{afterword, annotation};
use crate::audio::Window;
use crate::transcribe::placement;
use crate::transcribe::wire::WindowText;
use crate::transcript::{DropReason, Dropped};

/// What a window was heard to say, annotations and what is said once more in no time aside.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// The text that is left.
    pub text: WindowText,
    /// What else was in it.
    pub dropped: Vec<Dropped>,
}

impl Look {
    /// Takes what nobody says out of what the engine heard.
    pub fn at(window: &Window, heard: WindowText) -> Self {
        let annotations = annotation::find(&heard.text());
        let dropped = annotations.iter().map(|part| dropped(window, &heard, part, DropReason::Annotation));
        let mut dropped: Vec<Dropped> =
            dropped.filter(|dropped| dropped.text.contains(char::is_alphanumeric)).collect();
        let mut text = without(&heard, &annotations);
        while let Some(part) = afterword::find(window, &text) {
            dropped.push(self::dropped(window, &text, &part, DropReason::Repetition));
            text = without(&text, &[part]);
        }
        Self { text, dropped }
    }
}

/// The same window heard in another way.
#[derive(Debug, Clone, Default)]
pub struct SecondLook {
    /// All that was heard.
    pub heard: WindowText,
    /// The part of it that is not doubtful itself.
    pub sound: WindowText,
}

/// A look that is dropped whole.
pub fn drop_all(window: &Window, look: Look, reason: DropReason) -> Look {
    let parts = all(&look.text);
    let text = parts.iter().map(|part| dropped(window, &look.text, part, reason));
    let dropped = look.dropped.into_iter().chain(text.filter(|dropped| !dropped.text.is_empty())).collect();
    Look { text: without(&look.text, &parts), dropped }
}

/// A part of a look, in bytes, that is dropped.
pub fn dropped(window: &Window, look: &WindowText, part: &Range<usize>, reason: DropReason) -> Dropped {
    let (start, end) = placement::time_of(window, look, part);
    let text = look.text().get(part.clone()).unwrap_or_default().trim().to_owned();
    Dropped { start, end, reason, text, channel: window.channel }
}
