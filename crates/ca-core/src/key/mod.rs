//! Public keys, their weaknesses, and the algorithms that sign with them.
//!
//! A [`PublicKey`] exists only when its encoding is strict DER and its key passed every check here: what may be
//! certified at all. Which kinds a profile accepts is the profile's business; private keys live in the signers.

mod algorithm;
mod error;
mod parts;
mod pss;
mod rsa;

use std::fmt;
use std::hash::{Hash, Hasher};

use aws_lc_rs::signature as aws_lc;
use const_oid::ObjectIdentifier;
use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Encode, Sequence};

use crate::hash::{self, MessageDigest};

pub use algorithm::{KeyType, NoSignatureName, SignatureAlgorithm, UnknownKeyType, UnsupportedSignature};
pub use error::{KeyError, SignatureInvalid};
pub use pss::{PssDigest, PssRefused};

/// A SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) whose key was checked and found strong. Equality is of its octets.
#[derive(Clone)]
pub struct PublicKey {
    spki_der: Vec<u8>,
    /// Where in `spki_der` the content of the BIT STRING begins; it ends where `spki_der` does.
    key_offset: usize,
    key_type: KeyType,
    /// Parsed once, for the algorithm that keys of this type sign with by default.
    verifier: aws_lc::ParsedPublicKey,
}

impl PublicKey {
    /// Reads the strict DER of a SubjectPublicKeyInfo and checks the key:
    ///
    /// * RSA: 2048, 3072 or 4096 bits; an odd exponent from 65537 to below 2^32; no prime factor below 752, no ROCA
    ///   fingerprint, no primes that 100 rounds of Fermat's method find;
    /// * elliptic curves: P-256, P-384 or P-521 by name, an uncompressed point that is on the curve;
    /// * Ed25519: 32 octets, canonical, not of small order.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        let spki = SubjectPublicKeyInfo::from_der(der).map_err(malformed)?;
        // The decoder tolerates what DER does not (X.690 §10, §11) in a few corners; encoding again shows them.
        if spki.to_der().map_err(malformed)? != der {
            return Err(KeyError::Malformed { detail: "not the canonical encoding".to_owned() });
        }
        let key = spki.subject_public_key.as_bytes().ok_or_else(|| KeyError::Malformed {
            detail: "the BIT STRING of the key does not end on an octet".to_owned(),
        })?;
        let key_type = match spki.algorithm.oid {
            RSA_ENCRYPTION => rsa_key_type(&spki.algorithm, key)?,
            EC_PUBLIC_KEY => elliptic_curve_key_type(&spki.algorithm, key)?,
            ED25519 => ed25519_key_type(&spki.algorithm, key)?,
            other => return Err(KeyError::UnsupportedAlgorithm { oid: other.to_string() }),
        };
        let verifier =
            aws_lc::ParsedPublicKey::new(default_verification(key_type), key).map_err(|rejected| match key_type {
                KeyType::P256 | KeyType::P384 | KeyType::P521 => KeyError::PointNotOnCurve { curve: key_type },
                _ => KeyError::Malformed { detail: rejected.to_string() },
            })?;
        Ok(Self { spki_der: der.to_vec(), key_offset: der.len() - key.len(), key_type, verifier })
    }

    /// The DER of the SubjectPublicKeyInfo, byte for byte as given.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// What kind of key it is.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The content of the BIT STRING subjectPublicKey, without the octet that counts unused bits: what key
    /// identifiers and OCSP's issuerKeyHash (RFC 6960 §4.1.1) are digests of.
    pub fn subject_public_key(&self) -> &[u8] {
        &self.spki_der[self.key_offset..]
    }

    /// The subject key identifier: SHA-1 of [`Self::subject_public_key`] (RFC 5280 §4.2.1.2, method 1).
    pub fn key_identifier(&self) -> [u8; 20] {
        hash::sha1(self.subject_public_key())
    }

    /// SHA-256 of the whole SubjectPublicKeyInfo: how a key is named in lists of blocked keys.
    pub fn spki_sha256(&self) -> [u8; 32] {
        hash::sha256(&self.spki_der)
    }

    /// Whether this key's holder signed `message`. Any digest of SHA-256, SHA-384 and SHA-512 goes with any RSA key, by
    /// PKCS #1 v1.5 or PSS, and with any curve. `signature` is the content of the BIT STRING: DER `Ecdsa-Sig-Value` for ECDSA, raw otherwise.
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureInvalid> {
        let verified = if algorithm == self.key_type.signature_algorithm() {
            self.verifier.verify_sig(message, signature)
        } else {
            let verification = other_verification(self.key_type, algorithm)
                .ok_or(SignatureInvalid::AlgorithmDoesNotFit { algorithm, key_type: self.key_type })?;
            aws_lc::UnparsedPublicKey::new(verification, self.subject_public_key()).verify(message, signature)
        };
        verified.map_err(|_| SignatureInvalid::DoesNotVerify { algorithm, key_type: self.key_type })
    }
}

impl PublicKey {
    /// [`Self::verify`] of a message of which only the digest is at hand. No digest stands for a message under Ed25519.
    pub fn verify_digest(
        &self,
        algorithm: SignatureAlgorithm,
        digest: &MessageDigest,
        signature: &[u8],
    ) -> Result<(), SignatureInvalid> {
        let verification = if algorithm == self.key_type.signature_algorithm() {
            default_verification(self.key_type)
        } else {
            other_verification(self.key_type, algorithm)
                .ok_or(SignatureInvalid::AlgorithmDoesNotFit { algorithm, key_type: self.key_type })?
        };
        aws_lc::UnparsedPublicKey::new(verification, self.subject_public_key())
            .verify_digest(digest.as_digest(), signature)
            .map_err(|_| SignatureInvalid::DoesNotVerify { algorithm, key_type: self.key_type })
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki_der == other.spki_der
    }
}

impl Eq for PublicKey {}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.spki_der.hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, spki sha256 {})", self.key_type, hex::encode(self.spki_sha256()))
    }
}

/// SubjectPublicKeyInfo (RFC 5280 §4.1), borrowed.
#[derive(Sequence)]
struct SubjectPublicKeyInfo<'a> {
    algorithm: AlgorithmIdentifier<'a>,
    subject_public_key: BitStringRef<'a>,
}

/// AlgorithmIdentifier (RFC 5280 §4.1.1.2), borrowed.
#[derive(Sequence)]
pub(crate) struct AlgorithmIdentifier<'a> {
    pub(crate) oid: ObjectIdentifier,
    pub(crate) parameters: Option<AnyRef<'a>>,
}

fn rsa_key_type(algorithm: &AlgorithmIdentifier<'_>, key: &[u8]) -> Result<KeyType, KeyError> {
    // RFC 3279 §2.3.1: "The parameters field MUST have ASN.1 type NULL".
    if algorithm.parameters != Some(AnyRef::NULL) {
        return Err(KeyError::WrongParameters { expected: "rsaEncryption takes NULL (RFC 3279 §2.3.1)" });
    }
    rsa::check(key)
}

fn elliptic_curve_key_type(algorithm: &AlgorithmIdentifier<'_>, point: &[u8]) -> Result<KeyType, KeyError> {
    // RFC 5480 §2.1.1: "implicitCurve and specifiedCurve MUST NOT be used in PKIX".
    let curve = algorithm
        .parameters
        .and_then(|parameters| parameters.decode_as::<ObjectIdentifier>().ok())
        .ok_or(KeyError::WrongParameters { expected: "id-ecPublicKey takes the name of a curve (RFC 5480 §2.1.1)" })?;
    let (key_type, coordinate_octets) = match curve {
        SECP256R1 => (KeyType::P256, 32),
        SECP384R1 => (KeyType::P384, 48),
        SECP521R1 => (KeyType::P521, 66),
        other => return Err(KeyError::UnsupportedCurve { oid: other.to_string() }),
    };
    // RFC 5480 §2.2: compressed form is optional to support, hybrid form forbidden; clients trip over both.
    if point.first() != Some(&POINT_UNCOMPRESSED) {
        return Err(KeyError::PointNotUncompressed);
    }
    if point.len() != 1 + 2 * coordinate_octets {
        return Err(KeyError::PointNotOnCurve { curve: key_type });
    }
    Ok(key_type)
}

fn ed25519_key_type(algorithm: &AlgorithmIdentifier<'_>, key: &[u8]) -> Result<KeyType, KeyError> {
    // RFC 8410 §3: "the parameters MUST be absent".
    if algorithm.parameters.is_some() {
        return Err(KeyError::WrongParameters { expected: "Ed25519 takes none (RFC 8410 §3)" });
    }
    let mut y: [u8; 32] = key.try_into().map_err(|_| KeyError::Ed25519 { why: "it is not 32 octets" })?;
    // The top bit is the sign of x; what remains is y, little-endian (RFC 8032 §5.1.2), compared here big-endian.
    y[31] &= 0x7f;
    y.reverse();
    if y >= ED25519_PRIME {
        return Err(KeyError::Ed25519 { why: "its coordinate is not reduced modulo 2^255 - 19 (RFC 8032 §5.1.3)" });
    }
    if ED25519_SMALL_ORDER.contains(&y) {
        return Err(KeyError::Ed25519 { why: "it is a point of small order, under which anybody can sign" });
    }
    Ok(KeyType::Ed25519)
}

/// How aws-lc-rs calls a key type's own [`KeyType::signature_algorithm`].
fn default_verification(key_type: KeyType) -> &'static dyn aws_lc::VerificationAlgorithm {
    match key_type {
        KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => &aws_lc::RSA_PKCS1_2048_8192_SHA256,
        KeyType::P256 => &aws_lc::ECDSA_P256_SHA256_ASN1,
        KeyType::P384 => &aws_lc::ECDSA_P384_SHA384_ASN1,
        KeyType::P521 => &aws_lc::ECDSA_P521_SHA512_ASN1,
        KeyType::Ed25519 => &aws_lc::ED25519,
    }
}

/// How aws-lc-rs calls the other algorithms that fit a key type; `None` for those that do not fit.
fn other_verification(
    key_type: KeyType,
    algorithm: SignatureAlgorithm,
) -> Option<&'static dyn aws_lc::VerificationAlgorithm> {
    Some(match (key_type, algorithm) {
        (KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096, SignatureAlgorithm::RsaSha384) => {
            &aws_lc::RSA_PKCS1_2048_8192_SHA384
        }
        (KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096, SignatureAlgorithm::RsaSha512) => {
            &aws_lc::RSA_PKCS1_2048_8192_SHA512
        }
        // The library takes no salt but one as long as the digest, unless it is told to.
        (KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096, SignatureAlgorithm::RsaPssSha256) => {
            &aws_lc::RSA_PSS_2048_8192_SHA256
        }
        (KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096, SignatureAlgorithm::RsaPssSha384) => {
            &aws_lc::RSA_PSS_2048_8192_SHA384
        }
        (KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096, SignatureAlgorithm::RsaPssSha512) => {
            &aws_lc::RSA_PSS_2048_8192_SHA512
        }
        (KeyType::P256, SignatureAlgorithm::EcdsaSha384) => &aws_lc::ECDSA_P256_SHA384_ASN1,
        (KeyType::P256, SignatureAlgorithm::EcdsaSha512) => &aws_lc::ECDSA_P256_SHA512_ASN1,
        (KeyType::P384, SignatureAlgorithm::EcdsaSha256) => &aws_lc::ECDSA_P384_SHA256_ASN1,
        (KeyType::P384, SignatureAlgorithm::EcdsaSha512) => &aws_lc::ECDSA_P384_SHA512_ASN1,
        (KeyType::P521, SignatureAlgorithm::EcdsaSha256) => &aws_lc::ECDSA_P521_SHA256_ASN1,
        (KeyType::P521, SignatureAlgorithm::EcdsaSha384) => &aws_lc::ECDSA_P521_SHA384_ASN1,
        _ => return None,
    })
}

fn malformed(error: der::Error) -> KeyError {
    KeyError::Malformed { detail: error.to_string() }
}

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const SECP521R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

/// First octet of an uncompressed point (SEC 1 §2.3.3).
const POINT_UNCOMPRESSED: u8 = 0x04;

/// 2^255 - 19, big-endian.
const ED25519_PRIME: [u8; 32] = ed25519_near_prime(0xed);

/// The y coordinates, big-endian, of the eight points of small order on edwards25519: 0, 1, -1 and the two of order 8.
const ED25519_SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[31] = 1;
        one
    },
    ed25519_near_prime(0xec),
    [
        0x05, 0xfc, 0x53, 0x6d, 0x88, 0x02, 0x38, 0xb1, 0x39, 0x33, 0xc6, 0xd3, 0x05, 0xac, 0xdf, 0xd5, 0xf0, 0x98,
        0xef, 0xf2, 0x89, 0xf4, 0xc3, 0x45, 0xb0, 0x27, 0xb2, 0xc2, 0x8f, 0x95, 0xe8, 0x26,
    ],
    [
        0x7a, 0x03, 0xac, 0x92, 0x77, 0xfd, 0xc7, 0x4e, 0xc6, 0xcc, 0x39, 0x2c, 0xfa, 0x53, 0x20, 0x2a, 0x0f, 0x67,
        0x10, 0x0d, 0x76, 0x0b, 0x3c, 0xba, 0x4f, 0xd8, 0x4d, 0x3d, 0x70, 0x6a, 0x17, 0xc7,
    ],
];

/// `7fff…ff` with another last octet: a number just below 2^255.
const fn ed25519_near_prime(last: u8) -> [u8; 32] {
    let mut number = [0xff; 32];
    number[0] = 0x7f;
    number[31] = last;
    number
}

#[cfg(test)]
mod tests;
