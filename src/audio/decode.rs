//! (to be written)
use super::{AudioOptions, AudioReport, Window};
use crate::fault::Fault;
use std::ops::ControlFlow;
use std::path::Path;
/// See [`super::read_windows`].
pub fn read_windows(
    _path: &Path,
    _name: &str,
    _options: &AudioOptions,
    _emit: &mut dyn FnMut(Window) -> ControlFlow<()>,
) -> Result<AudioReport, Fault> {
    Ok(AudioReport::default())
}
