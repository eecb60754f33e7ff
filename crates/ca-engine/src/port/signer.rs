//! A key that signs: software, KMS or HSM.

use std::sync::Arc;

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

    /// The same key, all of whose signatures are by another algorithm: RSA keys have several. Nothing is asked of where the key is.
    /// Refused where it has no such algorithm.
    fn with_algorithm(&self, algorithm: SignatureAlgorithm) -> Result<Arc<dyn Signer>, SignerError>;

    /// Signs the DER of `message`; hashing is the signer's part. Cancelling the future may or may not have made a signature.
    async fn sign(&self, message: &dyn Signable) -> Result<Signature, SignerError>;

    /// Whether it would sign now, found out without a signature. A key in memory always would.
    async fn check(&self) -> Result<(), SignerError> {
        Ok(())
    }
}

/// The key, signing by `algorithm`; as it is where it does so already.
pub fn signing_by(signer: Arc<dyn Signer>, algorithm: SignatureAlgorithm) -> Result<Arc<dyn Signer>, SignerError> {
    if signer.algorithm() == algorithm { Ok(signer) } else { signer.with_algorithm(algorithm) }
}

/// Refuses an algorithm that goes with no key of this type.
pub fn check_fits(algorithm: SignatureAlgorithm, public_key: &PublicKey) -> Result<(), SignerError> {
    match algorithm.fits(public_key.key_type()) {
        true => Ok(()),
        false => Err(SignerError::Refused {
            detail: format!("{algorithm} is no algorithm of a {} key", public_key.key_type()),
        }),
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
