//! What an authority's key may sign, and how signed structures are put together.
//!
//! The signing itself is a port of the engine; here is only what it may be given and what becomes of the answer.

use crate::hash::MessageDigest;
use crate::key::{PublicKey, SignatureAlgorithm, SignatureInvalid};
use crate::tlv::{self, tag};

pub mod token;

/// Octets that may be signed with the key of an authority or responder. Sealed: only linted certificates, linted CRLs and
/// OCSP responses of this crate are signable, so that a key cannot be made to sign anything else.
pub trait Signable: Send + Sync + sealed::Sealed {
    /// What is to be signed.
    fn message(&self) -> Message<'_>;
}

/// What a key is given.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// The exact DER; hashing is the signer's part.
    Whole(&'a [u8]),
    /// The digest of the exact DER by the algorithm of the signature, where the DER is too long to be held at once.
    Digest(&'a MessageDigest),
}

impl Message<'_> {
    /// Whether `signature` is one of this message by the holder of `key`.
    pub fn verify(&self, key: &PublicKey, signature: &Signature) -> Result<(), SignatureInvalid> {
        match self {
            Self::Whole(octets) => key.verify(signature.algorithm, octets, &signature.octets),
            Self::Digest(digest) => key.verify_digest(signature.algorithm, digest, &signature.octets),
        }
    }
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

/// `SEQUENCE { to_be_signed, AlgorithmIdentifier, BIT STRING }`: the shape of Certificate (RFC 5280 §4.1) and
/// CertificateList (§5.1). `to_be_signed` is taken as it is; one allocation of the exact length.
pub fn assemble(to_be_signed: &[u8], signature: &Signature) -> Vec<u8> {
    let Envelope { before, after } = Envelope::of(to_be_signed.len(), signature);
    let mut der = Vec::with_capacity(before.len() + to_be_signed.len() + after.len());
    der.extend_from_slice(&before);
    der.extend_from_slice(to_be_signed);
    der.extend_from_slice(&after);
    der
}

/// What [`assemble`] puts around octets that are to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// What comes before them.
    pub before: Vec<u8>,
    /// What comes after them.
    pub after: Vec<u8>,
}

impl Envelope {
    /// Around so many octets.
    pub(crate) fn of(length: usize, signature: &Signature) -> Self {
        let mut after = signature.algorithm.identifier_der().to_vec();
        // The first content octet of a BIT STRING counts its unused bits: none.
        tlv::append_header(&mut after, tag::BIT_STRING, 1 + signature.octets.len());
        after.push(0);
        after.extend_from_slice(&signature.octets);
        let mut before = Vec::with_capacity(tlv::LONGEST_HEADER);
        tlv::append_header(&mut before, tag::SEQUENCE, length + after.len());
        Self { before, after }
    }
}

#[cfg(test)]
mod tests {
    use der::asn1::{AnyRef, BitStringRef};
    use der::{Decode, Sequence};

    use super::*;

    #[derive(Sequence)]
    struct Signed<'a> {
        to_be_signed: AnyRef<'a>,
        algorithm: AnyRef<'a>,
        signature: BitStringRef<'a>,
    }

    #[test]
    fn assembles_der_of_exact_length_at_every_length_form() {
        for size in [0, 1, 100, 127, 128, 200, 255, 256, 300, 65_535, 65_536, 70_000] {
            let mut to_be_signed = Vec::new();
            tlv::append(&mut to_be_signed, tag::OCTET_STRING, &vec![0xa5; size]);
            for algorithm in [SignatureAlgorithm::RsaSha256, SignatureAlgorithm::Ed25519] {
                let signature = Signature { algorithm, octets: vec![7; size] };
                let der = assemble(&to_be_signed, &signature);
                assert_eq!(der.len(), der.capacity(), "one allocation");
                let read = Signed::from_der(&der).expect("an independent decoder reads it");
                assert_eq!(read.to_be_signed.value().len(), size);
                assert_eq!(read.signature.as_bytes(), Some(&signature.octets[..]));
                assert!(der.windows(algorithm.identifier_der().len()).any(|part| part == algorithm.identifier_der()));
                assert!(!read.algorithm.value().is_empty());
            }
        }
    }
}
