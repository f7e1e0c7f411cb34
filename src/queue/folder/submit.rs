//! Handing a file to a folder's worker.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Copies a file into a folder's inbox, visible at once and whole; returns where it is.
///
/// # Errors
/// The file cannot be read or the folder not be written.
pub fn submit(folder: &Path, file: &Path) -> io::Result<PathBuf> {
    let inbox = folder.join("inbox");
    fs::create_dir_all(&inbox)?;
    let name = file.file_name().ok_or_else(|| io::Error::other("it has no file name"))?;
    let mut copy = tempfile::Builder::new().prefix(".submit-").tempfile_in(&inbox)?;
    io::copy(&mut File::open(file)?, &mut copy)?;
    copy.as_file().sync_all()?;
    let placed = inbox.join(name);
    copy.persist_noclobber(&placed).map_err(|e| e.error)?;
    Ok(placed)
}
