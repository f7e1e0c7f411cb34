//! systemd's journal: whether it reads what we write, and how it is told a line's priority.

use std::os::fd::AsFd;

use rustix::fs::fstat;
use tracing::Level;

/// Names the stream that goes to the journal by device and inode.
const STREAM: &str = "JOURNAL_STREAM";

/// Whether what is written here goes to the journal. The variable alone does not tell: it is inherited, also where the
/// output was sent elsewhere since.
pub fn reads(output: impl AsFd) -> bool {
    let Ok(stat) = fstat(output) else { return false };
    std::env::var(STREAM).is_ok_and(|stream| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// What the journal takes off the beginning of a line as its priority (`journalctl -p err`).
pub fn prefix(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

/// A line on stderr about a failure, marked as one where the journal reads it.
pub fn marked(line: &str) -> String {
    if reads(std::io::stderr()) { format!("{}{line}", prefix(Level::ERROR)) } else { line.to_owned() }
}
