//! How the program ends: exit statuses, as in sysexits.h, and the troubles they stand for.

/// Done; for `run`: drained.
pub const OK: u8 = 0;
/// Some of the work failed; each failure was named.
pub const FAILED: u8 = 1;
/// Wrong flags.
pub const USAGE: u8 = 64;
/// AWS, the engine or a file that is needed is not there.
pub const UNAVAILABLE: u8 = 69;
/// A bug in this program.
pub const SOFTWARE: u8 = 70;
/// A setting is wrong: no such queue, no such model.
pub const CONFIG: u8 = 78;

/// Why the daemon could not run, or go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// A setting is wrong, and a restart does not help.
    Config(String),
    /// Something that is needed is not there.
    Unavailable(String),
}

impl Trouble {
    /// A sentence.
    pub fn message(&self) -> &str {
        match self {
            Self::Config(message) | Self::Unavailable(message) => message,
        }
    }

    /// The exit status.
    pub fn status(&self) -> u8 {
        match self {
            Self::Config(_) => CONFIG,
            Self::Unavailable(_) => UNAVAILABLE,
        }
    }
}
