//! Which decoder reads a file: the built-in ones, or `ffmpeg` where they cannot and it may be used.

use std::path::Path;

use super::failure::Failure;
use super::streams::{Sink, Streams};
use super::{AudioOptions, AudioReport, builtin, ffmpeg};
use crate::fault::{Code, Fault};

#[cfg(test)]
mod tests;

/// See [`super::read_windows`] and [`super::read_samples`].
pub fn read<'a>(path: &Path, name: &'a str, options: &'a AudioOptions, sink: Sink<'a>) -> Result<AudioReport, Fault> {
    let mut streams = Streams::new(name, options, sink);
    let problem = match builtin::decode(path, &mut streams) {
        Ok(report) => return within(report, name, options),
        Err(Failure::Fault(fault)) => return Err(fault),
        Err(Failure::Unreadable(problem)) => problem,
    };
    match &options.ffmpeg {
        // windows that are out cannot be taken back: a second decoder would send them twice
        Some(program) if streams.restart() => {
            within(ffmpeg::decode(program, path, &mut streams, problem)?, name, options)
        }
        _ => Err(Fault::Permanent(problem)),
    }
}

/// The report, unless the file ends before the clip begins.
fn within(report: AudioReport, name: &str, options: &AudioOptions) -> Result<AudioReport, Fault> {
    let ends = report.audio.duration;
    match options.clip.filter(|clip| clip.start_secs >= ends) {
        Some(clip) => {
            let message =
                format!("`start_secs` {} is not within {name}, which ends after {ends:.1} s", clip.start_secs);
            Err(Fault::permanent(Code::BadMessage, message))
        }
        None => Ok(report),
    }
}
