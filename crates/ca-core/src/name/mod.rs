//! Names of subjects and issuers: parsed, so that an invalid one cannot exist.
//!
//! What is *allowed* is the profile's business, not decided here.

pub mod constraint;
pub mod distinguished;
pub mod dns;
pub mod email;
pub mod general;
mod string;
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
    /// Which kind of name was expected: `DNS name`, `IP address`, `e-mail address`, `URI`, `distinguished name`,
    /// `otherName` …
    pub kind: &'static str,
    /// What is at fault, at most 100 characters: the text given, or where that may be personal data, its attribute
    /// type, type-id or length. Characters that a reader would not see are replaced.
    pub text: String,
    /// What is wrong and what would be right.
    pub why: String,
}

impl NameError {
    pub(crate) fn new(kind: &'static str, text: &str, why: impl Into<String>) -> Self {
        let text = text
            .chars()
            .take(100)
            .map(|character| if string::is_deceptive(character) { char::REPLACEMENT_CHARACTER } else { character });
        Self { kind, text: text.collect(), why: why.into() }
    }

    /// A fault of octets, which are not quoted: they may be personal data.
    pub(crate) fn of_octets(kind: &'static str, octets: &[u8], why: impl Into<String>) -> Self {
        Self::new(kind, &format!("{} octets", octets.len()), why)
    }
}
