//! Passages of a transcript that are not written as they were said.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::wording::Private;

/// A passage that was redacted or filtered: enough to silence it in the audio too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Mark {
    /// Seconds.
    pub start: f64,
    /// Seconds, not before `start`.
    pub end: f64,
    /// Why.
    pub kind: MarkKind,
    /// Channel, when channels are transcribed separately.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub channel: Option<u16>,
}

/// What was said there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MarkKind {
    /// The number of a credit or debit card.
    CardNumber,
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// An international bank account number.
    Iban,
    /// The number of a person.
    NationalId,
    /// A word of the job's filter.
    Filtered,
}

impl MarkKind {
    /// Of what is redacted.
    pub fn of(private: Private) -> Self {
        match private {
            Private::CardNumber => Self::CardNumber,
            Private::Email => Self::Email,
            Private::Phone => Self::Phone,
            Private::Iban => Self::Iban,
            Private::NationalId => Self::NationalId,
        }
    }
}
