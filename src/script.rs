//! How the scripts of the world are written: what a word is and how long it takes to say, where a sentence ends, how text
//! stands on a line. What Unicode's segmentation knows is taken from it; only what it leaves to the reader is here.

pub mod character;
pub mod line;
pub mod sentence;
pub mod word;
