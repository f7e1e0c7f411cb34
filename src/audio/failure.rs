//! How a decoder can fail.

use crate::fault::{Code, Fault, Problem};

/// How a decoder can fail.
#[derive(Debug)]
pub enum Failure {
    /// For good.
    Fault(Fault),
    /// This decoder cannot read the file; another one may. The problem is what to report when there is none.
    Unreadable(Problem),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Failure {
    /// An `Unreadable`.
    pub fn unreadable(code: Code, message: impl Into<String>) -> Self {
        Self::Unreadable(Problem { code, message: message.into() })
    }
}

/// The copy on this machine cannot be read.
pub fn unopenable(name: &str, error: &std::io::Error) -> Fault {
    Fault::transient(Code::Internal, format!("failed to read the downloaded copy of {name}: {error}"))
}
