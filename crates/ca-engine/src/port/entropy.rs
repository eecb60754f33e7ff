//! Randomness.

use thiserror::Error;

/// A cryptographically secure source of random octets.
pub trait Entropy: Send + Sync {
    /// Fills all of `octets`, or fails; a partly filled buffer is never used.
    fn fill(&self, octets: &mut [u8]) -> Result<(), EntropyUnavailable>;
}

/// The source of randomness failed: nothing may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the source of randomness failed")]
pub struct EntropyUnavailable;
