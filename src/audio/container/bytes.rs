//! Positioned reading of a file whose every length is a claim: what is asked for is bounded by what is there.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// How much is read at a time, bytes.
const WINDOW_BYTES: usize = 64 * 1024;

/// A file of which parts are read by position. Clones share the file.
#[derive(Debug, Clone)]
pub struct Bytes {
    file: Arc<File>,
    len: u64,
}

impl Bytes {
    /// Opens `path`.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { file: Arc::new(file), len })
    }

    /// Length of the file, bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// What lies at `at`, at most `most` bytes of it: less at the end of the file.
    ///
    /// # Errors
    /// The system's.
    pub fn read(&self, at: u64, most: usize) -> io::Result<Vec<u8>> {
        let there = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; most.min(there)];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }
}

/// Reads on from a position; small reads cost a copy and no call of the system.
#[derive(Debug)]
pub struct Window {
    bytes: Bytes,
    held: Vec<u8>,
    held_at: u64,
}

impl Window {
    /// A window over `bytes`, empty as yet.
    pub fn new(bytes: &Bytes) -> Self {
        Self { bytes: bytes.clone(), held: Vec::new(), held_at: 0 }
    }

    /// Exactly `count` bytes at `at`; `None` where the file has not so many.
    ///
    /// # Errors
    /// The system's.
    pub fn get(&mut self, at: u64, count: usize) -> io::Result<Option<&[u8]>> {
        let end = at.saturating_add(count as u64);
        if end > self.bytes.len() {
            return Ok(None);
        }
        if at < self.held_at || end > self.held_at + self.held.len() as u64 {
            self.held = self.bytes.read(at, count.max(WINDOW_BYTES))?;
            self.held_at = at;
        }
        let from = usize::try_from(at - self.held_at).unwrap_or(usize::MAX);
        Ok(self.held.get(from..from.saturating_add(count)))
    }
}

/// A big-endian number of up to eight bytes, at the start of `bytes`; missing bytes are no number.
pub fn big_endian(bytes: &[u8], count: usize) -> Option<u64> {
    Some(bytes.get(..count)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Two bytes at `at`, big-endian.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    big_endian(bytes.get(at..)?, 2).and_then(|n| u16::try_from(n).ok())
}

/// Four bytes at `at`, big-endian.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    big_endian(bytes.get(at..)?, 4).and_then(|n| u32::try_from(n).ok())
}

/// Eight bytes at `at`, big-endian.
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    big_endian(bytes.get(at..)?, 8)
}
