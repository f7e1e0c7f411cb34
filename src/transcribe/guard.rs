//! Doubts about a window's text: Whisper invents phrases where there is no speech and repeats itself when it is lost. What
//! is doubtful is listened to again, in another way; it is only dropped where that bears the doubt out, and never unseen.
//! Sounds described and a text's end once more in no time are dropped at once, and told of too.

mod afterword;
mod annotation;
mod doubts;
mod echo;
mod invented;
mod look;
mod repetition;
mod settlement;
#[cfg(test)]
mod tests;
mod text;

pub use doubts::{doubt, doubt_of_rest, is_sound, is_speech_after_all, is_sure};
pub use look::{Look, SecondLook, drop_all};
pub use settlement::settle;
pub use text::join;
