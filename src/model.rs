//! Whisper models: which there are, where they lie, whether a file is what it should be.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempPath;
use thiserror::Error;

pub mod convert;
pub mod ctranslate2;
pub mod ggml;
mod mel;
mod reader;
mod vocabulary;

/// Why a model cannot be used or fetched.
#[derive(Debug, Error)]
pub enum ModelError {
    /// A file is there and not what it should be.
    #[error("{} is not usable: at byte {offset}: {what}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What was found there.
        what: String,
    },
    /// The file system refuses.
    #[error("failed to {verb} {}: {error}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        error: io::Error,
    },
    /// A whole sentence.
    #[error("{0}")]
    Invalid(String),
}

impl ModelError {
    fn io(verb: &'static str, path: &Path, error: io::Error) -> Self {
        Self::Io { verb, path: path.to_owned(), error }
    }
}

/// Gives a finished file, already synced, its name; after a crash there is the whole file or none.
fn place(temp: TempPath, out: &Path) -> Result<(), ModelError> {
    temp.persist(out).map_err(|e| ModelError::io("write", out, e.error))?;
    let dir = out.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|e| ModelError::io("write", out, e))
}
