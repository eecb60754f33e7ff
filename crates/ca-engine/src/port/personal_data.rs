//! The keys under which personal data lies on record.
//!
//! A store that is given a vault keeps encrypted what it is told is personal data, and finds it again by digests under a key: a
//! plain digest of a CPF is guessed in seconds. Keys have versions, so that they can be replaced; their sealed octets are on
//! record, and only the vault opens them. A process without a vault (the status role) reads everything else.

use std::sync::Arc;

use thiserror::Error;

use super::entropy::EntropyUnavailable;

/// Makes the versions of the key, and opens them.
pub trait PersonalDataVault: Send + Sync {
    /// A new random key; the sealed octets are bound to `version`.
    fn generate(&self, version: u32) -> Result<Vec<u8>, PersonalDataError>;

    /// Opens what [`Self::generate`] made for the same version.
    fn open(&self, version: u32, sealed: &[u8]) -> Result<Arc<dyn PersonalDataKey>, PersonalDataError>;

    /// A keyed digest that stays the same whatever the version: for what is only ever compared, such as an idempotency key.
    fn digest(&self, octets: &[u8]) -> [u8; 32];
}

/// One version of the key.
pub trait PersonalDataKey: Send + Sync {
    /// Encrypts octets for a place (table, row and column), which must be named again to open them.
    fn seal(&self, place: &str, clear: &[u8]) -> Result<Vec<u8>, PersonalDataError>;

    /// Opens what [`Self::seal`] made for the same place; `None` when it was changed, or made for another place or by another key.
    fn open(&self, place: &str, sealed: &[u8]) -> Option<Vec<u8>>;

    /// The blind index of a name: equal for equal octets, and worth nothing without the key.
    fn blind(&self, octets: &[u8]) -> [u8; 32];
}

/// Why there is no key, or nothing was encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PersonalDataError {
    /// The sealed key does not open.
    #[error("version {version} does not open: it was sealed under another key, or its record was changed")]
    WrongSeal {
        /// Which version.
        version: u32,
    },
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyUnavailable),
    /// More than a cipher takes.
    #[error("too long to be encrypted")]
    TooLong,
}
