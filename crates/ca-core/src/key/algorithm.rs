//! Names of key types and signature algorithms, and which goes with which.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::pss::{self, PssDigest, PssRefused};
use crate::hash::MessageHasher;
use crate::tlv::{Reader, tag};

/// A kind of key, as configuration and profiles name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyType {
    /// `rsa2048`
    Rsa2048,
    /// `rsa3072`
    Rsa3072,
    /// `rsa4096`
    Rsa4096,
    /// `p256`
    P256,
    /// `p384`
    P384,
    /// `p521`
    P521,
    /// `ed25519`
    Ed25519,
}

impl KeyType {
    /// Every kind, in the order of this enum.
    pub const ALL: [Self; 7] =
        [Self::Rsa2048, Self::Rsa3072, Self::Rsa4096, Self::P256, Self::P384, Self::P521, Self::Ed25519];

    /// The name as configuration writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rsa2048 => "rsa2048",
            Self::Rsa3072 => "rsa3072",
            Self::Rsa4096 => "rsa4096",
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::P521 => "p521",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The algorithm that a key of this kind signs with unless it is told another: the digest as strong as the curve (RFC 5758
    /// §3.2), PKCS #1 v1.5 with SHA-256 for RSA of every size, which everybody verifies.
    pub const fn signature_algorithm(self) -> SignatureAlgorithm {
        match self {
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => SignatureAlgorithm::RsaSha256,
            Self::P256 => SignatureAlgorithm::EcdsaSha256,
            Self::P384 => SignatureAlgorithm::EcdsaSha384,
            Self::P521 => SignatureAlgorithm::EcdsaSha512,
            Self::Ed25519 => SignatureAlgorithm::Ed25519,
        }
    }

    /// Whether it is RSA of any size.
    pub const fn is_rsa(self) -> bool {
        matches!(self, Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096)
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyType {
    type Err = UnknownKeyType;

    fn from_str(text: &str) -> Result<Self, UnknownKeyType> {
        Self::ALL
            .into_iter()
            .find(|key_type| key_type.as_str() == text)
            .ok_or_else(|| UnknownKeyType { text: text.chars().take(100).collect() })
    }
}

/// A word that names no key type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is not a key type; use one of rsa2048, rsa3072, rsa4096, p256, p384, p521, ed25519")]
pub struct UnknownKeyType {
    /// The first characters of what was given, at most 100.
    pub text: String,
}

/// A signature algorithm, as an AlgorithmIdentifier names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignatureAlgorithm {
    /// sha256WithRSAEncryption
    RsaSha256,
    /// sha384WithRSAEncryption
    RsaSha384,
    /// sha512WithRSAEncryption
    RsaSha512,
    /// id-RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 octets
    RsaPssSha256,
    /// id-RSASSA-PSS with SHA-384, MGF1 with SHA-384 and a salt of 48 octets
    RsaPssSha384,
    /// id-RSASSA-PSS with SHA-512, MGF1 with SHA-512 and a salt of 64 octets
    RsaPssSha512,
    /// ecdsa-with-SHA256
    EcdsaSha256,
    /// ecdsa-with-SHA384
    EcdsaSha384,
    /// ecdsa-with-SHA512
    EcdsaSha512,
    /// id-Ed25519 (RFC 8410)
    Ed25519,
}

impl SignatureAlgorithm {
    /// Every algorithm, in the order of this enum.
    pub const ALL: [Self; 10] = [
        Self::RsaSha256,
        Self::RsaSha384,
        Self::RsaSha512,
        Self::RsaPssSha256,
        Self::RsaPssSha384,
        Self::RsaPssSha512,
        Self::EcdsaSha256,
        Self::EcdsaSha384,
        Self::EcdsaSha512,
        Self::Ed25519,
    ];

    /// Those among which an RSA key may be told to choose, by the names that configuration writes.
    pub const OF_RSA: [(&'static str, Self); 6] = [
        (Self::RsaSha256.name(), Self::RsaSha256),
        (Self::RsaSha384.name(), Self::RsaSha384),
        (Self::RsaSha512.name(), Self::RsaSha512),
        (Self::RsaPssSha256.name(), Self::RsaPssSha256),
        (Self::RsaPssSha384.name(), Self::RsaPssSha384),
        (Self::RsaPssSha512.name(), Self::RsaPssSha512),
    ];

    /// The name as configuration and API write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RsaSha256 => "rsa-sha256",
            Self::RsaSha384 => "rsa-sha384",
            Self::RsaSha512 => "rsa-sha512",
            Self::RsaPssSha256 => "rsa-pss-sha256",
            Self::RsaPssSha384 => "rsa-pss-sha384",
            Self::RsaPssSha512 => "rsa-pss-sha512",
            Self::EcdsaSha256 => "ecdsa-sha256",
            Self::EcdsaSha384 => "ecdsa-sha384",
            Self::EcdsaSha512 => "ecdsa-sha512",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The algorithm of RSA that configuration calls so. A key of another type has one algorithm, and nothing to choose.
    pub fn of_rsa(name: &str) -> Result<Self, NoSignatureName> {
        let found = Self::OF_RSA.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, algorithm)| algorithm).ok_or_else(|| NoSignatureName { text: name.chars().take(100).collect() })
    }

    /// The DER of the whole AlgorithmIdentifier. RSA carries a NULL (RFC 4055 §5), or its parameters (§3.1); ECDSA and Ed25519
    /// carry none (RFC 5758 §3.2, RFC 8410 §3).
    pub const fn identifier_der(self) -> &'static [u8] {
        match self {
            Self::RsaSha256 => b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00",
            Self::RsaSha384 => b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c\x05\x00",
            Self::RsaSha512 => b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d\x05\x00",
            Self::RsaPssSha256 => &pss::SHA256_IDENTIFIER,
            Self::RsaPssSha384 => &pss::SHA384_IDENTIFIER,
            Self::RsaPssSha512 => &pss::SHA512_IDENTIFIER,
            Self::EcdsaSha256 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02",
            Self::EcdsaSha384 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03",
            Self::EcdsaSha512 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04",
            Self::Ed25519 => b"\x30\x05\x06\x03\x2b\x65\x70",
        }
    }

    /// Reads the DER of a whole AlgorithmIdentifier. For PKCS #1 v1.5 the NULL may be absent (RFC 4055 §5: "MUST accept the
    /// parameters being absent"), as it may for the digests of RSASSA-PSS (§2.1).
    pub fn from_identifier_der(der: &[u8]) -> Result<Self, UnsupportedSignature> {
        if let Some(read) = pss::read(der) {
            return read.map(Self::of_pss).map_err(UnsupportedSignature::Pss);
        }
        let is_named = |algorithm: &Self| {
            let identifier = algorithm.identifier_der();
            let without_null = algorithm.is_rsa_pkcs1()
                && der.first() == Some(&0x30)
                && der.get(1) == Some(&0x0b)
                && der.get(2..) == identifier.get(2..identifier.len() - 2);
            der == identifier || without_null
        };
        Self::ALL.into_iter().find(is_named).ok_or_else(|| UnsupportedSignature::of(der))
    }

    const fn of_pss(digest: PssDigest) -> Self {
        match digest {
            PssDigest::Sha256 => Self::RsaPssSha256,
            PssDigest::Sha384 => Self::RsaPssSha384,
            PssDigest::Sha512 => Self::RsaPssSha512,
        }
    }

    /// The name in the standard that defines it; for RSASSA-PSS with the digest, which is a parameter there.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RsaSha256 => "sha256WithRSAEncryption",
            Self::RsaSha384 => "sha384WithRSAEncryption",
            Self::RsaSha512 => "sha512WithRSAEncryption",
            Self::RsaPssSha256 => "RSASSA-PSS with SHA-256",
            Self::RsaPssSha384 => "RSASSA-PSS with SHA-384",
            Self::RsaPssSha512 => "RSASSA-PSS with SHA-512",
            Self::EcdsaSha256 => "ecdsa-with-SHA256",
            Self::EcdsaSha384 => "ecdsa-with-SHA384",
            Self::EcdsaSha512 => "ecdsa-with-SHA512",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// Begins the digest that is signed in the place of a message; `None` for Ed25519, which signs the message itself
    /// (RFC 8032 §5.1.6 reads it twice).
    pub fn hasher(self) -> Option<MessageHasher> {
        match self {
            Self::RsaSha256 | Self::RsaPssSha256 | Self::EcdsaSha256 => Some(MessageHasher::sha256()),
            Self::RsaSha384 | Self::RsaPssSha384 | Self::EcdsaSha384 => Some(MessageHasher::sha384()),
            Self::RsaSha512 | Self::RsaPssSha512 | Self::EcdsaSha512 => Some(MessageHasher::sha512()),
            Self::Ed25519 => None,
        }
    }

    /// Whether a key of this kind can make and verify such a signature.
    pub const fn fits(self, key_type: KeyType) -> bool {
        match self {
            Self::RsaSha256 | Self::RsaSha384 | Self::RsaSha512 => key_type.is_rsa(),
            Self::RsaPssSha256 | Self::RsaPssSha384 | Self::RsaPssSha512 => key_type.is_rsa(),
            Self::EcdsaSha256 | Self::EcdsaSha384 | Self::EcdsaSha512 => {
                matches!(key_type, KeyType::P256 | KeyType::P384 | KeyType::P521)
            }
            Self::Ed25519 => matches!(key_type, KeyType::Ed25519),
        }
    }

    /// Whether it is RSASSA-PKCS1-v1_5 with any digest.
    pub const fn is_rsa_pkcs1(self) -> bool {
        matches!(self, Self::RsaSha256 | Self::RsaSha384 | Self::RsaSha512)
    }

    /// Whether it is RSASSA-PSS with any digest.
    pub const fn is_rsa_pss(self) -> bool {
        matches!(self, Self::RsaPssSha256 | Self::RsaPssSha384 | Self::RsaPssSha512)
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no algorithm of RSA keys.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{text}` is no signature that can be chosen; use one of rsa-sha256, rsa-sha384, rsa-sha512, rsa-pss-sha256, rsa-pss-sha384, \
     rsa-pss-sha512, which are for RSA keys: a key of another type has one algorithm only"
)]
pub struct NoSignatureName {
    /// The first characters of what was given, at most 100.
    pub text: String,
}

/// An AlgorithmIdentifier by which nothing is verified here.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UnsupportedSignature {
    /// Another algorithm, such as one with SHA-1, or one whose parameters are not its own.
    #[error(
        "algorithm {identifier} is not supported; SHA-256, SHA-384 and SHA-512 with RSA (PKCS #1 v1.5 or PSS) or ECDSA are, and \
         Ed25519"
    )]
    Algorithm {
        /// The dotted object identifier, or the hexadecimal of what stands in its place, 40 octets at most.
        identifier: String,
    },
    /// RSASSA-PSS, not as it is taken here.
    #[error("RSASSA-PSS is refused: {0}")]
    Pss(PssRefused),
}

impl UnsupportedSignature {
    fn of(der: &[u8]) -> Self {
        let oid =
            Reader::only(der, tag::SEQUENCE).and_then(|identifier| identifier.reader().take(tag::OBJECT_IDENTIFIER));
        let dotted = oid.ok().and_then(|oid| const_oid::ObjectIdentifier::from_bytes(oid.content).ok());
        let identifier = dotted.map_or_else(|| hex::encode(&der[..der.len().min(40)]), |oid| oid.to_string());
        Self::Algorithm { identifier }
    }
}
