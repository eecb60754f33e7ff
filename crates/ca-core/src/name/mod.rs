//! Names of subjects and issuers: parsed, so that an invalid one cannot exist.
//!
//! What is *allowed* is the profile's business, not decided here.

pub mod constraint;
pub mod distinguished;
pub mod dns;
pub mod email;
pub mod general;
pub mod uri;

pub use constraint::{ConstraintViolation, NameConstraints, Subtree};
pub use distinguished::DistinguishedName;
pub use dns::DnsName;
pub use email::EmailAddress;
pub use general::GeneralName;
pub use uri::Uri;

use thiserror::Error;

/// Text or octets that are no name of their kind.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is not a valid {kind}: {why}")]
pub struct NameError {
    /// Which kind of name was expected: `DNS name`, `IP address`, `e-mail address`, `URI`, `distinguished name`, `otherName` …
    pub kind: &'static str,
    /// The first characters of what was given (or its hexadecimal), at most 100.
    pub text: String,
    /// What is wrong and what would be right.
    pub why: String,
}

impl NameError {
    pub(crate) fn new(kind: &'static str, text: &str, why: impl Into<String>) -> Self {
        Self { kind, text: text.chars().take(100).collect(), why: why.into() }
    }
}
