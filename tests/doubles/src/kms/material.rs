//! What is inside a key: a key pair that signs, or octets that encrypt, made and used by aws-lc-rs.

use std::collections::BTreeMap;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _, RsaEncoding};

use crate::json_protocol::AwsError;

/// The kinds of key that the double makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySpec {
    /// RSA, 2048 bits.
    Rsa2048,
    /// RSA, 3072 bits.
    Rsa3072,
    /// RSA, 4096 bits.
    Rsa4096,
    /// NIST P-256.
    EccNistP256,
    /// NIST P-384.
    EccNistP384,
    /// NIST P-521.
    EccNistP521,
    /// AES-256-GCM that never leaves KMS.
    SymmetricDefault,
}

impl KeySpec {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::EccNistP256,
        Self::EccNistP384,
        Self::EccNistP521,
        Self::SymmetricDefault,
    ];

    /// As AWS writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rsa2048 => "RSA_2048",
            Self::Rsa3072 => "RSA_3072",
            Self::Rsa4096 => "RSA_4096",
            Self::EccNistP256 => "ECC_NIST_P256",
            Self::EccNistP384 => "ECC_NIST_P384",
            Self::EccNistP521 => "ECC_NIST_P521",
            Self::SymmetricDefault => "SYMMETRIC_DEFAULT",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|spec| spec.as_str() == text)
    }

    pub(super) const fn is_symmetric(self) -> bool {
        matches!(self, Self::SymmetricDefault)
    }

    /// The algorithms that a key of this kind signs with.
    pub(super) fn signing_algorithms(self) -> &'static [&'static str] {
        match self {
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => &[
                "RSASSA_PKCS1_V1_5_SHA_256",
                "RSASSA_PKCS1_V1_5_SHA_384",
                "RSASSA_PKCS1_V1_5_SHA_512",
                "RSASSA_PSS_SHA_256",
                "RSASSA_PSS_SHA_384",
                "RSASSA_PSS_SHA_512",
            ],
            Self::EccNistP256 => &["ECDSA_SHA_256"],
            Self::EccNistP384 => &["ECDSA_SHA_384"],
            Self::EccNistP521 => &["ECDSA_SHA_512"],
            Self::SymmetricDefault => &[],
        }
    }
}

/// Every algorithm that AWS knows for `Sign`; the double signs with those of its kinds.
pub(super) const SIGNING_ALGORITHMS: [&str; 13] = [
    "RSASSA_PSS_SHA_256",
    "RSASSA_PSS_SHA_384",
    "RSASSA_PSS_SHA_512",
    "RSASSA_PKCS1_V1_5_SHA_256",
    "RSASSA_PKCS1_V1_5_SHA_384",
    "RSASSA_PKCS1_V1_5_SHA_512",
    "ECDSA_SHA_256",
    "ECDSA_SHA_384",
    "ECDSA_SHA_512",
    "SM2DSA",
    "ML_DSA_SHAKE_256",
    "ED25519_SHA_512",
    "ED25519_PH_SHA_512",
];

/// The digest of an algorithm.
pub(super) fn digest_of(algorithm: &str) -> Option<&'static digest::Algorithm> {
    Some(match algorithm.rsplit_once("SHA_")?.1 {
        "256" => &digest::SHA256,
        "384" => &digest::SHA384,
        "512" => &digest::SHA512,
        _ => return None,
    })
}

/// A key's inside.
pub(super) enum Material {
    Rsa(Box<rsa::KeyPair>),
    Ecdsa(EcdsaKeyPair),
    /// The newest encrypts, the older ones still decrypt.
    Symmetric(Vec<RandomizedNonceKey>),
}

impl Material {
    pub(super) fn generate(spec: KeySpec) -> Result<Self, AwsError> {
        let made = match spec {
            KeySpec::Rsa2048 => rsa::KeyPair::generate(KeySize::Rsa2048).map(Box::new).map(Self::Rsa),
            KeySpec::Rsa3072 => rsa::KeyPair::generate(KeySize::Rsa3072).map(Box::new).map(Self::Rsa),
            KeySpec::Rsa4096 => rsa::KeyPair::generate(KeySize::Rsa4096).map(Box::new).map(Self::Rsa),
            KeySpec::SymmetricDefault => octets_of_a_key().map(|key| Self::Symmetric(vec![key])),
            spec => curve(spec).and_then(EcdsaKeyPair::generate).map(Self::Ecdsa),
        };
        made.map_err(|Unspecified| failed())
    }

    /// A key pair that somebody else made, as PKCS#8.
    pub(super) fn from_pkcs8(spec: KeySpec, der: &[u8]) -> Result<Self, AwsError> {
        let refused = || AwsError::validation(format!("not the PKCS#8 of a key of the kind {}", spec.as_str()));
        match spec {
            KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => {
                let key = rsa::KeyPair::from_pkcs8(der).map_err(|_| refused())?;
                let bits = match spec {
                    KeySpec::Rsa2048 => 2_048,
                    KeySpec::Rsa3072 => 3_072,
                    _ => 4_096,
                };
                if key.public_modulus_len() * 8 != bits {
                    return Err(refused());
                }
                Ok(Self::Rsa(Box::new(key)))
            }
            KeySpec::SymmetricDefault => Err(refused()),
            spec => {
                let algorithm = curve(spec).map_err(|Unspecified| refused())?;
                EcdsaKeyPair::from_pkcs8(algorithm, der).map(Self::Ecdsa).map_err(|_| refused())
            }
        }
    }

    /// SubjectPublicKeyInfo, DER.
    pub(super) fn public_key(&self) -> Result<Vec<u8>, AwsError> {
        let der = match self {
            Self::Rsa(key) => key.public_key().as_der(),
            Self::Ecdsa(key) => key.public_key().as_der(),
            Self::Symmetric(_) => return Err(failed()),
        };
        der.map(|der| der.as_ref().to_vec()).map_err(|Unspecified| failed())
    }

    /// A signature: PKCS#1 or PSS (salt as long as the digest) for RSA, DER of `r` and `s` for ECDSA.
    pub(super) fn sign(&self, algorithm: &str, digest: &Digest) -> Result<Vec<u8>, AwsError> {
        let signed = match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                encoding(algorithm)
                    .ok_or(Unspecified)
                    .and_then(|encoding| key.sign_digest(encoding, digest, &mut signature))
                    .map(|()| signature)
            }
            Self::Ecdsa(key) => key.sign_digest(digest).map(|signature| signature.as_ref().to_vec()),
            Self::Symmetric(_) => Err(Unspecified),
        };
        signed.map_err(|Unspecified| failed())
    }

    /// New octets that encrypt from now on.
    pub(super) fn rotate(&mut self) -> Result<(), AwsError> {
        match self {
            Self::Symmetric(keys) => keys.push(octets_of_a_key().map_err(|Unspecified| failed())?),
            _ => return Err(failed()),
        }
        Ok(())
    }

    /// Which octets encrypted, a nonce, and the sealed text.
    pub(super) fn encrypt(&self, plaintext: &[u8], context: &[u8]) -> Result<Vec<u8>, AwsError> {
        let Self::Symmetric(keys) = self else { return Err(failed()) };
        let (key, generation) = keys.last().zip(u8::try_from(keys.len() - 1).ok()).ok_or_else(failed)?;
        let mut sealed = plaintext.to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(context), &mut sealed).map_err(|Unspecified| failed())?;
        let mut blob = vec![generation];
        blob.extend_from_slice(nonce.as_ref());
        blob.append(&mut sealed);
        Ok(blob)
    }

    /// What was encrypted; `None` when it was not by this key and under this context.
    pub(super) fn decrypt(&self, blob: &[u8], context: &[u8]) -> Option<Vec<u8>> {
        let Self::Symmetric(keys) = self else { return None };
        let (generation, rest) = blob.split_first()?;
        let (nonce, sealed) = rest.split_at_checked(NONCE)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut opened = sealed.to_vec();
        let key = keys.get(usize::from(*generation))?;
        key.open_in_place(nonce, Aad::from(context), &mut opened).ok().map(|plaintext| plaintext.to_vec())
    }
}

/// The encryption context as it is authenticated: every name and value with its length, by name.
pub(super) fn context_octets(context: &BTreeMap<String, String>) -> Vec<u8> {
    let mut octets = Vec::new();
    for text in context.iter().flat_map(|(name, value)| [name, value]) {
        octets.extend_from_slice(&(text.len() as u64).to_be_bytes());
        octets.extend_from_slice(text.as_bytes());
    }
    octets
}

#[expect(clippy::disallowed_methods, reason = "a double of a service that makes keys")]
fn octets_of_a_key() -> Result<RandomizedNonceKey, Unspecified> {
    let mut octets = [0; 32];
    aws_lc_rs::rand::fill(&mut octets)?;
    RandomizedNonceKey::new(&AES_256_GCM, &octets)
}

fn curve(spec: KeySpec) -> Result<&'static EcdsaSigningAlgorithm, Unspecified> {
    match spec {
        KeySpec::EccNistP256 => Ok(&signature::ECDSA_P256_SHA256_ASN1_SIGNING),
        KeySpec::EccNistP384 => Ok(&signature::ECDSA_P384_SHA384_ASN1_SIGNING),
        KeySpec::EccNistP521 => Ok(&signature::ECDSA_P521_SHA512_ASN1_SIGNING),
        _ => Err(Unspecified),
    }
}

fn encoding(algorithm: &str) -> Option<&'static dyn RsaEncoding> {
    Some(match algorithm {
        "RSASSA_PKCS1_V1_5_SHA_256" => &signature::RSA_PKCS1_SHA256,
        "RSASSA_PKCS1_V1_5_SHA_384" => &signature::RSA_PKCS1_SHA384,
        "RSASSA_PKCS1_V1_5_SHA_512" => &signature::RSA_PKCS1_SHA512,
        "RSASSA_PSS_SHA_256" => &signature::RSA_PSS_SHA256,
        "RSASSA_PSS_SHA_384" => &signature::RSA_PSS_SHA384,
        "RSASSA_PSS_SHA_512" => &signature::RSA_PSS_SHA512,
        _ => return None,
    })
}

fn failed() -> AwsError {
    AwsError { status: 500, code: "KMSInternalException", message: "the double could not do it".to_owned() }
}

/// How long the nonce of AES-GCM is.
const NONCE: usize = 12;
