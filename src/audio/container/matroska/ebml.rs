//! EBML, of which Matroska and WebM are made: identifiers, sizes and values, read as they come from a file or a pipe.

use std::fs::File;
use std::io::{self, BufReader, Read};

/// What elements are read from.
pub trait Source: Read + Send {
    /// Leaves out `count` bytes; `false` where it ends before.
    ///
    /// # Errors
    /// The system's.
    fn skip(&mut self, count: u64) -> io::Result<bool>;
}

/// A file, of which what is left out is not read.
pub struct FileSource {
    reader: BufReader<File>,
    at: u64,
    len: u64,
}

impl FileSource {
    /// The whole of `file`.
    ///
    /// # Errors
    /// The system's.
    pub fn new(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { reader: BufReader::with_capacity(64 * 1024, file), at: 0, len })
    }
}

impl Read for FileSource {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(into)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Source for FileSource {
    fn skip(&mut self, count: u64) -> io::Result<bool> {
        let left = self.len.saturating_sub(self.at);
        let skipped = count.min(left);
        self.reader.seek_relative(skipped.cast_signed())?;
        self.at += skipped;
        Ok(skipped == count)
    }
}

/// A pipe.
pub struct PipeSource<R>(pub R);

impl<R: Read> Read for PipeSource<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl<R: Read + Send> Source for PipeSource<R> {
    fn skip(&mut self, count: u64) -> io::Result<bool> {
        Ok(io::copy(&mut self.0.by_ref().take(count), &mut io::sink())? == count)
    }
}

/// Reads elements and counts bytes.
pub struct Reader<S> {
    source: S,
    /// Bytes read and left out so far.
    pub at: u64,
}

/// The start of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its identifier, marker bits included.
    pub id: u32,
    /// Bytes in it; `None` where that is not known yet.
    pub size: Option<u64>,
}

impl<S: Source> Reader<S> {
    /// A reader at the start of `source`.
    pub fn new(source: S) -> Self {
        Self { source, at: 0 }
    }

    /// The next byte; `None` at the end.
    fn byte(&mut self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        match self.source.read(&mut byte)? {
            0 => Ok(None),
            _ => {
                self.at += 1;
                Ok(Some(byte[0]))
            }
        }
    }

    /// The next element's start. `Ok(None)` at the end of the source; an error of kind `InvalidData` where none can be.
    ///
    /// # Errors
    /// The system's.
    pub fn header(&mut self) -> io::Result<Option<Header>> {
        let Some(first) = self.byte()? else { return Ok(None) };
        if first < 0x10 {
            return Err(invalid());
        }
        let mut id = u32::from(first);
        for _ in 0..first.leading_zeros() {
            let Some(byte) = self.byte()? else { return Err(io::ErrorKind::UnexpectedEof.into()) };
            id = id << 8 | u32::from(byte);
        }
        Ok(Some(Header { id, size: self.size()? }))
    }

    /// A size.
    ///
    /// # Errors
    /// The system's.
    pub fn size(&mut self) -> io::Result<Option<u64>> {
        let Some(first) = self.byte()? else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        let more = first.leading_zeros();
        if more > 7 {
            return Err(invalid());
        }
        let mut size = u64::from(first) & (0x7F >> more);
        for _ in 0..more {
            let Some(byte) = self.byte()? else { return Err(io::ErrorKind::UnexpectedEof.into()) };
            size = size << 8 | u64::from(byte);
        }
        let all_ones = (1_u64 << (7 * (more + 1))) - 1;
        Ok((size != all_ones).then_some(size))
    }

    /// The next `count` bytes, all of them. Memory is taken as they come, not as they are claimed.
    ///
    /// # Errors
    /// The system's; `UnexpectedEof` where the source ends before.
    pub fn content(&mut self, count: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.source.by_ref().take(count).read_to_end(&mut content)?;
        self.at += content.len() as u64;
        if content.len() as u64 == count { Ok(content) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Leaves out `count` bytes; `false` where the source ends before.
    ///
    /// # Errors
    /// The system's.
    pub fn skip(&mut self, count: u64) -> io::Result<bool> {
        self.at = self.at.saturating_add(count);
        self.source.skip(count)
    }

    /// Goes on behind the next occurrence of an identifier; `false` where there is none.
    ///
    /// # Errors
    /// The system's.
    pub fn seek_id(&mut self, id: u32) -> io::Result<bool> {
        let mut last = 0_u32;
        while let Some(byte) = self.byte()? {
            last = last << 8 | u32::from(byte);
            if last == id {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn invalid() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// The elements inside one that is in memory: identifier and content, as far as they are whole.
pub fn children(mut content: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let mut reader = Reader::new(PipeSource(content));
        let header = reader.header().ok()??;
        let rest = content.get(usize::try_from(reader.at).ok()?..)?;
        let size = header.size.and_then(|size| usize::try_from(size).ok())?;
        let child = rest.get(..size)?;
        content = rest.get(size..)?;
        Some((header.id, child))
    })
}

/// An unsigned number.
pub fn unsigned(content: &[u8]) -> u64 {
    content.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A signed number.
pub fn signed(content: &[u8]) -> i64 {
    let bits = content.len().min(8) * 8;
    if bits == 0 { 0 } else { (unsigned(content) << (64 - bits)).cast_signed() >> (64 - bits) }
}

/// A floating point number of 4 or 8 bytes.
pub fn float(content: &[u8]) -> f64 {
    match content.len() {
        4 => f64::from(f32::from_bits(unsigned(content) as u32)),
        8 => f64::from_bits(unsigned(content)),
        _ => 0.0,
    }
}

/// Text, without the zeros that may fill it up.
pub fn text(content: &[u8]) -> String {
    String::from_utf8_lossy(content).trim_end_matches('\0').chars().take(200).collect()
}
