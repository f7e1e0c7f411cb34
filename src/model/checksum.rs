//! The SHA-256 of a model file, computed once: hashing 1.6 GB takes seconds that no start should take twice.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use super::ModelError;

/// Read at once: enough for full speed, little enough for the cache.
const BLOCK_BYTES: usize = 1 << 18;

/// The SHA-256 of what `path` holds now, lower case hex.
///
/// # Errors
/// `Io`.
pub fn compute(path: &Path) -> Result<String, ModelError> {
    let hash = |path: &Path| -> io::Result<String> {
        let mut file = File::open(path)?;
        let (mut hasher, mut block) = (Sha256::new(), vec![0; BLOCK_BYTES]);
        loop {
            let read = file.read(&mut block)?;
            let Some(bytes) = block.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            hasher.update(bytes);
        }
        Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    };
    hash(path).map_err(|e| ModelError::io("read", path, e))
}

/// The SHA-256 of `path`, from the file `{path}.sha256` beside it where that was written for a file of this length
/// and modification time; else computed and, if the folder may be written, noted there.
///
/// # Errors
/// `Io`.
pub fn remembered(path: &Path) -> Result<String, ModelError> {
    if let Some(sha256) = noted(path) {
        return Ok(sha256);
    }
    let sha256 = compute(path)?;
    remember(path, &sha256);
    Ok(sha256)
}

/// The SHA-256 that was noted for `path` as it is now; `None` without one, or when the file was changed since.
pub fn noted(path: &Path) -> Option<String> {
    let stamp = stamp(&fs::metadata(path).ok()?);
    let note = fs::read_to_string(note_path(path)).ok()?;
    note.trim_end().split_once(' ').filter(|(_, of)| *of == stamp).map(|(sha256, _)| sha256.to_owned())
}

/// Notes a checksum just computed. A folder that cannot be written only costs the next start a new computation.
pub fn remember(path: &Path, sha256: &str) {
    let noted = fs::metadata(path).and_then(|m| fs::write(note_path(path), format!("{sha256} {}\n", stamp(&m))));
    if let Err(error) = noted {
        tracing::debug!(%error, "the checksum of {} could not be noted", path.display());
    }
}

fn stamp(metadata: &Metadata) -> String {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{} {}", metadata.len(), modified.unwrap_or_default().as_nanos())
}

fn note_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sha256");
    name.into()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn the_checksum_is_that_of_sha256sum() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(compute(file.path()).unwrap(), expected);
    }

    #[test]
    fn a_checksum_is_computed_once_and_again_when_the_file_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model");
        fs::write(&path, "abc").unwrap();
        let first = remembered(&path).unwrap();
        // a note of the same file is believed: nothing is read again
        let note = fs::read_to_string(note_path(&path)).unwrap().replace(&first, "noted");
        fs::write(note_path(&path), note).unwrap();
        assert_eq!(remembered(&path).unwrap(), "noted");
        fs::write(&path, "abcd").unwrap();
        assert_eq!(remembered(&path).unwrap(), compute(&path).unwrap());
    }
}
