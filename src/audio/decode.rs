//! Which decoder reads a file: the built-in ones, or `ffmpeg` where they cannot and it may be used.

use std::path::Path;

use super::streams::{Sink, Streams};
use super::{AudioOptions, AudioReport, codecs, ffmpeg};
use crate::fault::{Code, Fault, Problem};

#[cfg(test)]
mod tests;

/// How a decoder can fail.
#[derive(Debug)]
pub enum Failure {
    /// For good.
    Fault(Fault),
    /// This decoder cannot read the file; another one may. The problem is what to report when there is none.
    Unreadable(Problem),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Failure {
    /// An `Unreadable`.
    pub fn unreadable(code: Code, message: impl Into<String>) -> Self {
        Self::Unreadable(Problem { code, message: message.into() })
    }
}

/// See [`super::read_windows`] and [`super::read_samples`].
pub fn read<'a>(path: &Path, name: &'a str, options: &'a AudioOptions, sink: Sink<'a>) -> Result<AudioReport, Fault> {
    let mut streams = Streams::new(name, options, sink);
    let problem = match codecs::decode(path, &mut streams) {
        Ok(report) => return Ok(report),
        Err(Failure::Fault(fault)) => return Err(fault),
        Err(Failure::Unreadable(problem)) => problem,
    };
    match &options.ffmpeg {
        // windows that are out cannot be taken back: a second decoder would send them twice
        Some(program) if streams.restart() => ffmpeg::decode(program, path, &mut streams, problem),
        _ => Err(Fault::Permanent(problem)),
    }
}
