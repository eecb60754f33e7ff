//! What an authority's key may sign, and how signed structures are put together.

use crate::key::SignatureAlgorithm;

/// Octets that may be signed with the key of an authority or responder. Sealed: only linted certificates, linted CRLs and
/// OCSP responses of this crate are signable, so that a key cannot be made to sign anything else.
pub trait Signable: Send + Sync + sealed::Sealed {
    /// The exact DER to be signed.
    fn to_be_signed(&self) -> &[u8];
}

pub(crate) mod sealed {
    /// Closes [`super::Signable`] to this crate.
    pub trait Sealed {}
}

/// A signature and the algorithm that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The algorithm; must be the one named inside what was signed.
    pub algorithm: SignatureAlgorithm,
    /// The octets of the BIT STRING: DER `Ecdsa-Sig-Value` for ECDSA, raw for RSA and Ed25519.
    pub octets: Vec<u8>,
}
