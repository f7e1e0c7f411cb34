//! The boxes of which MP4 and QuickTime files are made: a size, a name, and what is in it.

use std::io;

use super::super::bytes::{Bytes, Window, u32_at, u64_at};

/// More boxes than this inside another one are an attack.
const MOST_CHILDREN: usize = 4_096;

/// The largest box that is read into memory whole: a description of a track, not its tables.
const MOST_BYTES: u64 = 1 << 20;

/// Where a box lies, bytes from the start of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoxAt {
    /// Its name.
    pub kind: [u8; 4],
    /// Its header.
    pub start: u64,
    /// What is in it.
    pub body: u64,
    /// Its end, and that of whatever encloses it at the latest.
    pub end: u64,
}

impl BoxAt {
    /// The whole file, as if it were a box.
    pub fn file(bytes: &Bytes) -> Self {
        Self { kind: *b"file", start: 0, body: 0, end: bytes.len() }
    }

    /// The box whose header lies at `at`, inside one that ends at `end`. `None` at the end, and where no box can be.
    ///
    /// # Errors
    /// The system's.
    pub fn at(window: &mut Window, at: u64, end: u64) -> io::Result<Option<Self>> {
        let room = end.saturating_sub(at);
        let Some(header) = window.get(at, if room >= 16 { 16 } else { 8 })?.filter(|_| room >= 8) else {
            return Ok(None);
        };
        let (Some(size), Some(Ok(kind))) = (u32_at(header, 0), header.get(4..8).map(<[u8; 4]>::try_from)) else {
            return Ok(None);
        };
        let (header_bytes, size) = match size {
            // to the end of the file
            0 => (8, room),
            1 => (16, u64_at(header, 8).unwrap_or(0)),
            size => (8, u64::from(size)),
        };
        let whole = Self { kind, start: at, body: at + header_bytes, end: at.saturating_add(size).min(end) };
        Ok((size >= header_bytes && whole.body <= whole.end).then_some(whole))
    }

    /// The boxes that lie one after the other from `from` bytes into this one.
    ///
    /// # Errors
    /// The system's.
    pub fn children(&self, bytes: &Bytes, from: u64) -> io::Result<Vec<Self>> {
        let mut window = Window::new(bytes);
        let mut children = Vec::new();
        let mut at = self.body.saturating_add(from);
        while let Some(child) = Self::at(&mut window, at, self.end)? {
            at = child.end;
            children.push(child);
            if children.len() >= MOST_CHILDREN {
                break;
            }
        }
        Ok(children)
    }

    /// The first box of a path of names below this one.
    ///
    /// # Errors
    /// The system's.
    pub fn find(&self, bytes: &Bytes, path: &[&[u8; 4]]) -> io::Result<Option<Self>> {
        let mut found = *self;
        for kind in path {
            match found.children(bytes, 0)?.into_iter().find(|child| child.kind == **kind) {
                Some(child) => found = child,
                None => return Ok(None),
            }
        }
        Ok(Some(found))
    }

    /// The first bytes of what is in it.
    ///
    /// # Errors
    /// The system's.
    pub fn content_head(&self, bytes: &Bytes) -> io::Result<Vec<u8>> {
        bytes.read(self.body, (self.end - self.body).min(16) as usize)
    }

    /// What is in it, at most a mebibyte.
    ///
    /// # Errors
    /// The system's.
    pub fn content(&self, bytes: &Bytes) -> io::Result<Vec<u8>> {
        bytes.read(self.body, (self.end - self.body).min(MOST_BYTES) as usize)
    }
}

/// A table of entries of one width, read by a window as it is gone through. How many there are is what fits its box, not
/// what it claims.
#[derive(Debug)]
pub struct Table {
    window: Window,
    at: u64,
    width: u64,
    count: u64,
}

impl Table {
    /// The table whose number of entries stands `count_at` bytes into `within`, and which follows that number.
    ///
    /// # Errors
    /// The system's.
    pub fn new(bytes: &Bytes, within: BoxAt, count_at: u64, width: u64) -> io::Result<Self> {
        let mut window = Window::new(bytes);
        let at = within.body.saturating_add(count_at + 4);
        let claimed = window.get(at - 4, 4)?.and_then(|bytes| u32_at(bytes, 0)).unwrap_or(0);
        let room = within.end.saturating_sub(at);
        Ok(Self { window, at, width, count: u64::from(claimed).min(room / width.max(1)) })
    }

    /// How many entries there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The bytes of an entry.
    ///
    /// # Errors
    /// The system's.
    pub fn entry(&mut self, index: u64) -> io::Result<Option<&[u8]>> {
        if index >= self.count {
            return Ok(None);
        }
        self.window.get(self.at + index * self.width, self.width as usize)
    }
}
