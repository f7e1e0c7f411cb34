//! Locks, renames that replace nothing, and the counts of deliveries.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How browsers and copying programs name what is not whole yet.
const PARTIAL: [&str; 5] = [".part", ".partial", ".tmp", ".crdownload", "~"];

/// Bytes of a name to which the longest ending, `.amazon.json`, can be put.
const MAX_STEM_BYTES: usize = 240;

/// How often a file was delivered; of another file of the same name when `job_id` differs.
#[derive(Serialize, Deserialize)]
struct Deliveries {
    job_id: String,
    receive_count: u32,
}

/// Whether a file of this name is a message.
fn is_message(name: &str) -> bool {
    !name.starts_with('.') && !PARTIAL.iter().any(|ending| name.to_ascii_lowercase().ends_with(ending))
}

/// What lies in a folder.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Names of the messages, sorted: plain files with a UTF-8 name.
    pub(super) names: Vec<String>,
    /// What somebody may take for a message and is none. Hidden and unfinished files are not.
    pub(super) skipped: HashSet<String>,
}

pub(super) fn list(dir: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // a file may leave between the listing and the question
        let Ok(kind) = entry.file_type() else { continue };
        match entry.file_name().into_string() {
            Ok(name) if !is_message(&name) => {}
            Ok(name) if kind.is_file() => listing.names.push(name),
            Ok(name) if kind.is_dir() => drop(listing.skipped.insert(format!("the folder {name}"))),
            Ok(name) if kind.is_symlink() => drop(listing.skipped.insert(format!("the link {name}"))),
            Ok(name) => drop(listing.skipped.insert(format!("{name}, which is no plain file,"))),
            Err(name) => drop(listing.skipped.insert(format!("{}, whose name is not UTF-8,", name.display()))),
        }
    }
    listing.names.sort();
    Ok(listing)
}

/// What the names of things made of a file begin with: its own name, or the beginning of it and a digest where their
/// endings would not fit into the 255 bytes of a name.
pub(super) fn stem(name: &str) -> String {
    if name.len() <= MAX_STEM_BYTES {
        return name.to_owned();
    }
    let digest = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).simple().to_string();
    format!("{}-{digest}", cut(name, MAX_STEM_BYTES - 1 - digest.len()))
}

fn cut(text: &str, max_bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(max_bytes)).unwrap_or(text)
}

/// The open file with its lock, unless somebody else holds it or the file has left this path.
pub(super) fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(named(&e, path)),
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(None),
        Err(e) => return Err(named(&e.into(), path)),
    }
    // between open and lock its last owner may have moved it, and another file may have come
    let (ours, there) = (file.metadata()?, fs::symlink_metadata(path));
    let same = there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()));
    Ok(same.then_some(file))
}

/// Renames unless the new name is taken; `false` when it is.
pub(super) fn move_new(from: &Path, to: &Path) -> io::Result<bool> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        // some network file systems cannot; the lock on the file still keeps two workers apart
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) if !to.exists() => fs::rename(from, to).map(|()| true),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => Ok(false),
        Err(e) => Err(named(&e.into(), from)),
    }
}

/// Moves a file into a folder under its name, or `name-2.ext` and so on where that is taken; answers with the name.
pub(super) fn move_into(from: &Path, dir: &Path, name: &str) -> io::Result<String> {
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if extension.len() < MAX_STEM_BYTES / 2 => (stem, format!(".{extension}")),
        _ => (name, String::new()),
    };
    let stem = cut(stem, MAX_STEM_BYTES - extension.len());
    let mut free = name.to_owned();
    for number in 2_u64.. {
        if move_new(from, &dir.join(&free))? {
            break;
        }
        free = format!("{stem}-{number}{extension}");
    }
    Ok(free)
}

/// Counts one more delivery of a job, on disk before it returns, and answers how many there were.
pub(super) fn count(path: &Path, job_id: &str) -> io::Result<u32> {
    // a count that cannot be read starts again: it only limits retries
    let before = fs::read(path).ok().and_then(|json| serde_json::from_slice::<Deliveries>(&json).ok());
    let before = before.filter(|deliveries| deliveries.job_id == job_id).map_or(0, |d| d.receive_count);
    let receive_count = before.saturating_add(1);
    let deliveries = Deliveries { job_id: job_id.to_owned(), receive_count };
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(&serde_json::to_vec(&deliveries)?)?;
    file.persist(path)?;
    Ok(receive_count)
}

/// A file that is gone already needs nothing more.
pub(super) fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The error with the path it is about, of the same kind.
fn named(error: &io::Error, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
