//! Why a public key is refused, and why a signature is.

use thiserror::Error;

use super::algorithm::{KeyType, SignatureAlgorithm};

/// A SubjectPublicKeyInfo that this service will not certify.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not the strict DER of a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) or of the key inside it.
    #[error("the public key is not valid DER: {detail}; a SubjectPublicKeyInfo as openssl writes it is expected")]
    Malformed {
        /// What the decoder met.
        detail: String,
    },
    /// An algorithm other than rsaEncryption, id-ecPublicKey and id-Ed25519.
    #[error(
        "public keys of algorithm {oid} are not supported; use RSA (2048, 3072, 4096), P-256, P-384, P-521 or Ed25519"
    )]
    UnsupportedAlgorithm {
        /// The dotted object identifier of the algorithm.
        oid: String,
    },
    /// A named curve other than P-256, P-384 and P-521.
    #[error("elliptic curve {oid} is not supported; use P-256, P-384 or P-521")]
    UnsupportedCurve {
        /// The dotted object identifier of the curve.
        oid: String,
    },
    /// AlgorithmIdentifier parameters that the algorithm forbids, or the lack of those it demands.
    #[error("the parameters of the public key's algorithm are wrong: {expected}")]
    WrongParameters {
        /// What the standard demands.
        expected: &'static str,
    },
    /// An RSA modulus of another length than 2048, 3072 or 4096 bits.
    #[error("an RSA key of {bits} bits is refused; use 2048, 3072 or 4096")]
    RsaModulusLength {
        /// The bit length of the modulus.
        bits: u64,
    },
    /// An RSA exponent that is even, below 65537 or not below 2^32.
    #[error("RSA exponent {exponent} is refused; use 65537")]
    RsaExponent {
        /// The exponent in decimal, or as `0x` and hexadecimal when longer than 8 octets.
        exponent: String,
    },
    /// An RSA modulus with a small prime factor (2 included).
    #[error("the RSA modulus is divisible by {factor}: it is no product of two large primes; make a new key")]
    RsaSmallFactor {
        /// The smallest prime factor found.
        factor: u16,
    },
    /// A modulus with the fingerprint of Infineon's RSALib (CVE-2017-15361, "ROCA").
    #[error(
        "the RSA key was made by a flawed generator and can be factored (ROCA, CVE-2017-15361); make a new key elsewhere"
    )]
    RsaRoca,
    /// A modulus whose primes are so close that Fermat's method finds them (CVE-2022-26320).
    #[error("the RSA primes are too close together and were found by Fermat's method; make a new key")]
    RsaCloseFactors,
    /// An elliptic curve point in compressed or hybrid form.
    #[error("the elliptic curve point is not in uncompressed form (RFC 5480 §2.2); encode it starting with octet 04")]
    PointNotUncompressed,
    /// An elliptic curve point of a wrong length, with coordinates out of range or not on its curve.
    #[error("the elliptic curve point is not a point of {curve}; make a new key")]
    PointNotOnCurve {
        /// The curve.
        curve: KeyType,
    },
    /// An Ed25519 key that is not 32 octets, not canonically encoded, or of small order.
    #[error("the Ed25519 key is refused: {why}; make a new key")]
    Ed25519 {
        /// What is wrong with it.
        why: &'static str,
    },
}

impl KeyError {
    /// A stable word for logs, metrics and problem documents.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "key-malformed",
            Self::UnsupportedAlgorithm { .. } => "key-algorithm-unsupported",
            Self::UnsupportedCurve { .. } => "key-curve-unsupported",
            Self::WrongParameters { .. } => "key-parameters-wrong",
            Self::RsaModulusLength { .. } => "key-rsa-modulus-length",
            Self::RsaExponent { .. } => "key-rsa-exponent",
            Self::RsaSmallFactor { .. } => "key-rsa-small-factor",
            Self::RsaRoca => "key-rsa-roca",
            Self::RsaCloseFactors => "key-rsa-close-factors",
            Self::PointNotUncompressed => "key-point-not-uncompressed",
            Self::PointNotOnCurve { .. } => "key-point-not-on-curve",
            Self::Ed25519 { .. } => "key-ed25519",
        }
    }
}

/// A signature that does not stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignatureInvalid {
    /// The algorithm belongs to another kind of key.
    #[error("{algorithm} is no algorithm of a {key_type} key")]
    AlgorithmDoesNotFit {
        /// The algorithm that was named.
        algorithm: SignatureAlgorithm,
        /// The kind of the key.
        key_type: KeyType,
    },
    /// The key did not sign this message.
    #[error("the {algorithm} signature does not verify with the {key_type} key")]
    DoesNotVerify {
        /// The algorithm that was named.
        algorithm: SignatureAlgorithm,
        /// The kind of the key.
        key_type: KeyType,
    },
}
