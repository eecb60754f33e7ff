//! A key that signs: software, KMS or HSM.

use async_trait::async_trait;
use ca_core::key::{PublicKey, SignatureAlgorithm};
use ca_core::signing::{Signable, Signature};
use ca_core::time::Lifetime;
use thiserror::Error;

/// A private key behind its public face. The flow verifies every signature it gets; a signer need not.
#[async_trait]
pub trait Signer: Send + Sync {
    /// The public key.
    fn public_key(&self) -> &PublicKey;

    /// The algorithm of every signature it makes.
    fn algorithm(&self) -> SignatureAlgorithm;

    /// Signs the DER of `message`; hashing is the signer's part. Cancelling the future may or may not have made a signature.
    async fn sign(&self, message: &dyn Signable) -> Result<Signature, SignerError>;

    /// Whether it would sign now, found out without a signature. A key in memory always would.
    async fn check(&self) -> Result<(), SignerError> {
        Ok(())
    }
}

/// Why there is no signature.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignerError {
    /// Throttled or overloaded; the same call may succeed later.
    #[error("the signing key is busy: {detail}")]
    Busy {
        /// What it said.
        detail: String,
        /// When to try again, if it said so.
        retry_after: Option<Lifetime>,
    },
    /// Not reachable now.
    #[error("the signing key cannot be reached: {detail}")]
    Unavailable {
        /// What went wrong.
        detail: String,
    },
    /// The key exists and will not sign this.
    #[error("the signing key refused: {detail}")]
    Refused {
        /// Why.
        detail: String,
    },
}
