//! A little-endian binary file from outside, read without trusting a word of it.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::ModelError;

/// Reads that fail with the file's name and the offset, and allocate no more than the file is long.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    input: BufReader<File>,
    len: u64,
    /// Counted here: asking the system costs more than reading a token does.
    offset: u64,
}

impl Reader {
    /// # Errors
    /// `Io`.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let file = File::open(path).map_err(|e| ModelError::io("open", path, e))?;
        let len = file.metadata().map_err(|e| ModelError::io("read", path, e))?.len();
        Ok(Self { path: path.to_owned(), input: BufReader::new(file), len, offset: 0 })
    }

    /// The file's length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Where the next read begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next byte.
    pub fn u8(&mut self) -> Result<u8, ModelError> {
        self.bytes(1).map(|bytes| bytes.first().copied().unwrap_or_default())
    }

    /// The next two bytes as a number.
    pub fn u16(&mut self) -> Result<u16, ModelError> {
        self.array().map(u16::from_le_bytes)
    }

    /// The next four bytes as a number.
    pub fn u32(&mut self) -> Result<u32, ModelError> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Result<Vec<u8>, ModelError> {
        self.claim(count as u64)?;
        let mut bytes = vec![0; count];
        self.input.read_exact(&mut bytes).map_err(|e| self.io(e))?;
        Ok(bytes)
    }

    /// `count` bytes from `offset` on.
    pub fn bytes_at(&mut self, offset: u64, count: usize) -> Result<Vec<u8>, ModelError> {
        self.offset = self.input.seek(SeekFrom::Start(offset)).map_err(|e| self.io(e))?;
        self.bytes(count)
    }

    /// Leaves out the next `count` bytes, which must be there.
    pub fn skip(&mut self, count: u64) -> Result<(), ModelError> {
        self.claim(count)?;
        self.input.seek_relative(count.cast_signed()).map_err(|e| self.io(e))
    }

    /// The error for what was found at `offset`.
    pub fn bad(&self, offset: u64, what: impl Into<String>) -> ModelError {
        ModelError::BadFile { path: self.path.clone(), offset, what: what.into() }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ModelError> {
        self.claim(N as u64)?;
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(|e| self.io(e))?;
        Ok(bytes)
    }

    /// A file may announce any length for what follows; no more than the rest of it is ever allocated.
    fn claim(&mut self, count: u64) -> Result<(), ModelError> {
        if count > self.len.saturating_sub(self.offset) {
            let what = format!("{count} bytes should follow but the file ends at {}", self.len);
            return Err(self.bad(self.offset, what));
        }
        self.offset += count;
        Ok(())
    }

    fn io(&self, error: std::io::Error) -> ModelError {
        ModelError::io("read", &self.path, error)
    }
}
