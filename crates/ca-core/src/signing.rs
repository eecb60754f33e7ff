//! What an authority's key may sign, and how signed structures are put together.
//!
//! The signing itself is a port of the engine; here is only what it may be given and what becomes of the answer.

use crate::key::SignatureAlgorithm;
use crate::tlv::{self, tag};

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

/// `SEQUENCE { to_be_signed, AlgorithmIdentifier, BIT STRING }`: the shape of Certificate (RFC 5280 §4.1) and
/// CertificateList (§5.1). `to_be_signed` is taken as it is; one allocation of the exact length, since a CRL may be large.
pub fn assemble(to_be_signed: &[u8], signature: &Signature) -> Vec<u8> {
    let algorithm = signature.algorithm.identifier_der();
    // The first content octet of a BIT STRING counts its unused bits: none.
    let bit_string_length = 1 + signature.octets.len();
    let (_, bit_string_header) = tlv::header(tag::BIT_STRING, bit_string_length);
    let length = to_be_signed.len() + algorithm.len() + bit_string_header + bit_string_length;
    let (_, sequence_header) = tlv::header(tag::SEQUENCE, length);
    let mut der = Vec::with_capacity(sequence_header + length);
    tlv::append_header(&mut der, tag::SEQUENCE, length);
    der.extend_from_slice(to_be_signed);
    der.extend_from_slice(algorithm);
    tlv::append_header(&mut der, tag::BIT_STRING, bit_string_length);
    der.push(0);
    der.extend_from_slice(&signature.octets);
    der
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
