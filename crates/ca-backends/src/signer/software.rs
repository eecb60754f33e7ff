//! A key in the memory of this process, used through aws-lc-rs.
//!
//! Here keys are made, loaded from PKCS#8 and used. How their PKCS#8 is sealed at rest and unsealed is the keyring's business
//! (`ca-runtime`). aws-lc-rs wipes its copy of a key when the signer is dropped, [`PrivateKeyInfo`] its own.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    self as aws_lc, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaEncoding,
};
use ca_core::key::{KeyError, KeyType, PublicKey, SignatureAlgorithm};
use ca_core::signing::{Message, Signable, Signature};
use ca_engine::port::signer::{Signer, SignerError, check_fits};
use thiserror::Error;
use zeroize::Zeroizing;

/// A private key as unencrypted PKCS#8 (PrivateKeyInfo, RFC 5208 §5: version 1, which openssl 3.0 and every other tool
/// reads). Wiped when dropped, never printed.
pub struct PrivateKeyInfo(Zeroizing<Vec<u8>>);

impl PrivateKeyInfo {
    /// The DER.
    pub fn as_der(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for PrivateKeyInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKeyInfo(…)")
    }
}

/// A private key in memory. It signs with its type's own algorithm ([`KeyType::signature_algorithm`]) unless it is told another of
/// RSA's.
pub struct SoftwareSigner {
    key: Arc<PrivateKey>,
    public_key: PublicKey,
    algorithm: SignatureAlgorithm,
}

enum PrivateKey {
    Rsa(rsa::KeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SoftwareSigner {
    /// Loads unencrypted PKCS#8 DER of any of the seven key types. A key whose public part would be refused in a CSR is
    /// refused here too.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, SoftwareKeyError> {
        // The library tells apart what it is given by the algorithm inside, so at most one of these succeeds.
        let key = CURVES
            .into_iter()
            .find_map(|(_, algorithm)| EcdsaKeyPair::from_pkcs8(algorithm, der).ok())
            .map(PrivateKey::Ecdsa)
            .or_else(|| Ed25519KeyPair::from_pkcs8(der).ok().map(PrivateKey::Ed25519))
            .or_else(|| rsa::KeyPair::from_pkcs8(der).ok().map(PrivateKey::Rsa))
            .ok_or(SoftwareKeyError::NotPkcs8)?;
        Self::new(key)
    }

    /// Makes a key: its PKCS#8, to be sealed by the caller, and the signer over it. RSA 4096 takes seconds of CPU; the caller
    /// keeps that off its async threads.
    pub fn generate(key_type: KeyType) -> Result<(PrivateKeyInfo, Self), SoftwareKeyError> {
        let key = PrivateKey::generate(key_type).map_err(|Unspecified| SoftwareKeyError::Generation { key_type })?;
        let pkcs8 = key.to_pkcs8().map_err(|Unspecified| SoftwareKeyError::Generation { key_type })?;
        Ok((PrivateKeyInfo(pkcs8), Self::new(key)?))
    }

    fn new(key: PrivateKey) -> Result<Self, SoftwareKeyError> {
        let spki = key.public_key_der().map_err(|Unspecified| SoftwareKeyError::NotPkcs8)?;
        let public_key = PublicKey::from_spki_der(spki.as_ref())?;
        let algorithm = public_key.key_type().signature_algorithm();
        Ok(Self { key: Arc::new(key), public_key, algorithm })
    }

    fn sign_message(&self, message: Message<'_>) -> Result<Signature, Unspecified> {
        Ok(Signature { algorithm: self.algorithm(), octets: self.key.sign(self.algorithm, message)? })
    }
}

impl fmt::Debug for SoftwareSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SoftwareSigner({:?})", self.public_key)
    }
}

#[async_trait]
impl Signer for SoftwareSigner {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn with_algorithm(&self, algorithm: SignatureAlgorithm) -> Result<Arc<dyn Signer>, SignerError> {
        check_fits(algorithm, &self.public_key)?;
        // A key on a curve is bound to its digest when it is loaded.
        if !self.public_key.key_type().is_rsa() && algorithm != self.algorithm {
            let detail = format!("a {} key signs by {} only", self.public_key.key_type(), self.algorithm);
            return Err(SignerError::Refused { detail });
        }
        Ok(Arc::new(Self { key: Arc::clone(&self.key), public_key: self.public_key.clone(), algorithm }))
    }

    /// Signs at once, on the calling task: from 13 µs (P-256) to some milliseconds (RSA 4096).
    async fn sign(&self, message: &dyn Signable) -> Result<Signature, SignerError> {
        self.sign_message(message.message())
            .map_err(|Unspecified| SignerError::Refused { detail: "aws-lc-rs could not sign".to_owned() })
    }
}

impl PrivateKey {
    fn generate(key_type: KeyType) -> Result<Self, Unspecified> {
        let size = match key_type {
            KeyType::Rsa2048 => rsa::KeySize::Rsa2048,
            KeyType::Rsa3072 => rsa::KeySize::Rsa3072,
            KeyType::Rsa4096 => rsa::KeySize::Rsa4096,
            KeyType::Ed25519 => return Ed25519KeyPair::generate().map(Self::Ed25519),
            KeyType::P256 | KeyType::P384 | KeyType::P521 => {
                let (_, algorithm) = CURVES.into_iter().find(|(curve, _)| *curve == key_type).ok_or(Unspecified)?;
                return EcdsaKeyPair::generate(algorithm).map(Self::Ecdsa);
            }
        };
        rsa::KeyPair::generate(size).map(Self::Rsa)
    }

    fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
        // `Document` and `Pkcs8V1Der` wipe themselves.
        let octets = match self {
            Self::Rsa(key) => AsDer::<Pkcs8V1Der<'_>>::as_der(key)?.as_ref().to_vec(),
            Self::Ecdsa(key) => key.to_pkcs8v1()?.as_ref().to_vec(),
            Self::Ed25519(key) => key.to_pkcs8v1()?.as_ref().to_vec(),
        };
        Ok(Zeroizing::new(octets))
    }

    fn public_key_der(&self) -> Result<PublicKeyX509Der<'static>, Unspecified> {
        match self {
            Self::Rsa(key) => key.public_key().as_der(),
            Self::Ecdsa(key) => key.public_key().as_der(),
            Self::Ed25519(key) => key.public_key().as_der(),
        }
    }

    fn sign(&self, algorithm: SignatureAlgorithm, message: Message<'_>) -> Result<Vec<u8>, Unspecified> {
        match (self, message) {
            (Self::Rsa(key), message) => {
                let padding = padding(algorithm).ok_or(Unspecified)?;
                let mut signature = vec![0; key.public_modulus_len()];
                match message {
                    Message::Whole(octets) => key.sign(padding, &random(), octets, &mut signature)?,
                    Message::Digest(digest) => key.sign_digest(padding, digest.as_digest(), &mut signature)?,
                }
                Ok(signature)
            }
            (Self::Ecdsa(key), Message::Whole(octets)) => Ok(key.sign(&random(), octets)?.as_ref().to_vec()),
            (Self::Ecdsa(key), Message::Digest(digest)) => Ok(key.sign_digest(digest.as_digest())?.as_ref().to_vec()),
            (Self::Ed25519(key), Message::Whole(octets)) => Ok(key.try_sign(octets)?.as_ref().to_vec()),
            // No digest stands for a message (RFC 8032 §5.1.6).
            (Self::Ed25519(_), Message::Digest(_)) => Err(Unspecified),
        }
    }
}

/// A private key that cannot be loaded or made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SoftwareKeyError {
    /// Not unencrypted PKCS#8 of a supported key.
    #[error(
        "not an unencrypted PKCS#8 private key of type rsa2048, rsa3072, rsa4096, p256, p384, p521 or ed25519; `openssl pkcs8 -topk8` converts other forms"
    )]
    NotPkcs8,
    /// The key is of a kind or a weakness that is not certified either.
    #[error("the private key is refused: {0}")]
    Refused(#[from] KeyError),
    /// aws-lc-rs could not make a key.
    #[error("a {key_type} key could not be generated")]
    Generation {
        /// The kind of key that was wanted.
        key_type: KeyType,
    },
}

#[expect(clippy::disallowed_methods, reason = "demanded by the signature of aws-lc-rs, which draws its own randomness")]
fn random() -> SystemRandom {
    SystemRandom::new()
}

/// How aws-lc-rs calls an algorithm of RSA; of PSS the salt is as long as the digest unless it is told otherwise.
fn padding(algorithm: SignatureAlgorithm) -> Option<&'static dyn RsaEncoding> {
    match algorithm {
        SignatureAlgorithm::RsaSha256 => Some(&aws_lc::RSA_PKCS1_SHA256),
        SignatureAlgorithm::RsaSha384 => Some(&aws_lc::RSA_PKCS1_SHA384),
        SignatureAlgorithm::RsaSha512 => Some(&aws_lc::RSA_PKCS1_SHA512),
        SignatureAlgorithm::RsaPssSha256 => Some(&aws_lc::RSA_PSS_SHA256),
        SignatureAlgorithm::RsaPssSha384 => Some(&aws_lc::RSA_PSS_SHA384),
        SignatureAlgorithm::RsaPssSha512 => Some(&aws_lc::RSA_PSS_SHA512),
        SignatureAlgorithm::EcdsaSha256
        | SignatureAlgorithm::EcdsaSha384
        | SignatureAlgorithm::EcdsaSha512
        | SignatureAlgorithm::Ed25519 => None,
    }
}

/// The curves and the algorithm that [`KeyType::signature_algorithm`] gives them.
const CURVES: [(KeyType, &EcdsaSigningAlgorithm); 3] = [
    (KeyType::P256, &aws_lc::ECDSA_P256_SHA256_ASN1_SIGNING),
    (KeyType::P384, &aws_lc::ECDSA_P384_SHA384_ASN1_SIGNING),
    (KeyType::P521, &aws_lc::ECDSA_P521_SHA512_ASN1_SIGNING),
];

#[cfg(test)]
mod tests;
