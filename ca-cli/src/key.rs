//! Subscribers' keys, made where this program runs, and the signing requests that prove their possession.
//!
//! Keys are PKCS#8 version 1, which openssl 3.0 and every other tool reads, and wiped when dropped. rcgen writes the request;
//! it is handed signatures, never a key.

use std::fmt;
use std::path::Path;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{self as aws_lc, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _};
use ca_core::csr::{CsrError, ParsedCsr};
use ca_core::key::KeyType;
use ca_core::pem;
use ca_core::renewal_proof::ProofAlgorithm;
use ca_runtime::file::{self, Links};
use thiserror::Error;
use zeroize::Zeroizing;

/// A private key in memory.
pub(crate) struct PrivateKey {
    pair: Pair,
    public: Vec<u8>,
    key_type: KeyType,
}

enum Pair {
    Rsa(rsa::KeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl PrivateKey {
    /// Makes a key. RSA 4096 takes seconds of CPU: keep it off the async threads.
    pub(crate) fn generate(key_type: KeyType) -> Result<Self, KeyFailure> {
        let failed = |Unspecified| KeyFailure::Generation { key_type };
        let pair = match key_type {
            KeyType::Rsa2048 => rsa::KeyPair::generate(rsa::KeySize::Rsa2048).map(Pair::Rsa),
            KeyType::Rsa3072 => rsa::KeyPair::generate(rsa::KeySize::Rsa3072).map(Pair::Rsa),
            KeyType::Rsa4096 => rsa::KeyPair::generate(rsa::KeySize::Rsa4096).map(Pair::Rsa),
            KeyType::P256 => EcdsaKeyPair::generate(P256).map(Pair::Ecdsa),
            KeyType::P384 => EcdsaKeyPair::generate(P384).map(Pair::Ecdsa),
            KeyType::P521 => EcdsaKeyPair::generate(P521).map(Pair::Ecdsa),
            KeyType::Ed25519 => Ed25519KeyPair::generate().map(Pair::Ed25519),
        };
        Ok(Self::of(pair.map_err(failed)?, key_type))
    }

    /// Reads unencrypted PKCS#8 PEM.
    pub(crate) fn from_pem(text: &str) -> Result<Self, KeyFailure> {
        if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
            return Err(KeyFailure::Encrypted);
        }
        let blocks = pem::decode_all(PEM_LABEL, text).map_err(|_| KeyFailure::NotPkcs8)?;
        let der = Zeroizing::new(blocks.into_iter().next().ok_or(KeyFailure::NotPkcs8)?);
        Self::from_pkcs8(&der)
    }

    /// Reads a file of unencrypted PKCS#8 PEM.
    pub(crate) fn from_file(path: &Path) -> Result<Self, KeyFailure> {
        let unreadable = |detail: String| KeyFailure::File { path: path.display().to_string(), detail };
        let octets = file::read_private(path, Links::Follow)
            .map_err(|error| unreadable(error.to_string()))?
            .ok_or_else(|| unreadable("there is no such file".to_owned()))?;
        let text = std::str::from_utf8(&octets).map_err(|_| KeyFailure::NotPkcs8);
        text.and_then(Self::from_pem).map_err(|error| unreadable(error.to_string()))
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyFailure> {
        // The library tells apart what it is given by the algorithm inside, so at most one of these succeeds.
        for (key_type, curve) in [(KeyType::P256, P256), (KeyType::P384, P384), (KeyType::P521, P521)] {
            if let Ok(pair) = EcdsaKeyPair::from_pkcs8(curve, der) {
                return Ok(Self::of(Pair::Ecdsa(pair), key_type));
            }
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
            return Ok(Self::of(Pair::Ed25519(pair), KeyType::Ed25519));
        }
        let pair = rsa::KeyPair::from_pkcs8(der).map_err(|_| KeyFailure::NotPkcs8)?;
        let key_type = match pair.public_modulus_len() {
            256 => KeyType::Rsa2048,
            384 => KeyType::Rsa3072,
            512 => KeyType::Rsa4096,
            _ => return Err(KeyFailure::NotPkcs8),
        };
        Ok(Self::of(Pair::Rsa(pair), key_type))
    }

    fn of(pair: Pair, key_type: KeyType) -> Self {
        let public = match &pair {
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ecdsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        };
        Self { pair, public, key_type }
    }

    /// The content of the BIT STRING subjectPublicKey.
    pub(crate) fn subject_public_key(&self) -> &[u8] {
        &self.public
    }

    /// Unencrypted PKCS#8 DER.
    pub(crate) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyFailure> {
        let failed = |Unspecified| KeyFailure::Encoding;
        // `Document` and `Pkcs8V1Der` wipe themselves.
        let octets = match &self.pair {
            Pair::Rsa(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(pair).map_err(failed)?.as_ref().to_vec(),
            Pair::Ecdsa(pair) => pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
        };
        Ok(Zeroizing::new(octets))
    }

    /// Unencrypted PKCS#8 PEM.
    pub(crate) fn to_pem(&self) -> Result<Zeroizing<String>, KeyFailure> {
        Ok(Zeroizing::new(pem::encode(PEM_LABEL, &self.to_pkcs8()?)))
    }

    /// By what the key signs a proof of renewal.
    pub(crate) fn proof_algorithm(&self) -> ProofAlgorithm {
        ProofAlgorithm::of_key(self.key_type)
    }

    /// The signature of a JWS by [`Self::proof_algorithm`]: for ECDSA two numbers of fixed length (RFC 7518 §3.4).
    pub(crate) fn sign_proof(&self, message: &[u8]) -> Result<Vec<u8>, KeyFailure> {
        let failed = |Unspecified| KeyFailure::Signature;
        let ecdsa = |algorithm: &'static EcdsaSigningAlgorithm| {
            let pkcs8 = self.to_pkcs8()?;
            let pair = EcdsaKeyPair::from_pkcs8(algorithm, &pkcs8).map_err(|_| KeyFailure::Signature)?;
            Ok(pair.sign(&random(), message).map_err(failed)?.as_ref().to_vec())
        };
        match (&self.pair, self.proof_algorithm()) {
            (Pair::Ecdsa(_), ProofAlgorithm::Es256) => ecdsa(&aws_lc::ECDSA_P256_SHA256_FIXED_SIGNING),
            (Pair::Ecdsa(_), ProofAlgorithm::Es384) => ecdsa(&aws_lc::ECDSA_P384_SHA384_FIXED_SIGNING),
            (Pair::Ecdsa(_), _) => ecdsa(&aws_lc::ECDSA_P521_SHA512_FIXED_SIGNING),
            (Pair::Rsa(pair), _) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&aws_lc::RSA_PSS_SHA256, &random(), message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            (Pair::Ed25519(pair), _) => Ok(pair.try_sign(message).map_err(failed)?.as_ref().to_vec()),
        }
    }

    /// A signing request that proves possession of the key and asks for nothing: what the certificate is to contain is said in
    /// the request that carries it.
    pub(crate) fn signing_request(&self) -> Result<ParsedCsr, KeyFailure> {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        let request = parameters.serialize_request(self).map_err(|_| KeyFailure::Encoding)?;
        ParsedCsr::from_der(request.der()).map_err(KeyFailure::Request)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.key_type)
    }
}

impl rcgen::PublicKeyData for PrivateKey {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.key_type {
            KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => &rcgen::PKCS_RSA_SHA256,
            KeyType::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyType::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            KeyType::P521 => &rcgen::PKCS_ECDSA_P521_SHA512,
            KeyType::Ed25519 => &rcgen::PKCS_ED25519,
        }
    }
}

impl rcgen::SigningKey for PrivateKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signed = match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&aws_lc::RSA_PKCS1_SHA256, &random(), message, &mut signature).map(|()| signature)
            }
            Pair::Ecdsa(pair) => pair.sign(&random(), message).map(|signature| signature.as_ref().to_vec()),
            Pair::Ed25519(pair) => pair.try_sign(message).map(|signature| signature.as_ref().to_vec()),
        };
        signed.map_err(|Unspecified| rcgen::Error::RingUnspecified)
    }
}

#[expect(clippy::disallowed_methods, reason = "demanded by the signature of aws-lc-rs, which draws its own randomness")]
fn random() -> SystemRandom {
    SystemRandom::new()
}

/// The PEM label of unencrypted PKCS#8 (RFC 7468 §10).
const PEM_LABEL: &str = "PRIVATE KEY";

// The curves with the digests that a certificate's own signature has (RFC 5758 §3.2).
const P256: &EcdsaSigningAlgorithm = &aws_lc::ECDSA_P256_SHA256_ASN1_SIGNING;
const P384: &EcdsaSigningAlgorithm = &aws_lc::ECDSA_P384_SHA384_ASN1_SIGNING;
const P521: &EcdsaSigningAlgorithm = &aws_lc::ECDSA_P521_SHA512_ASN1_SIGNING;

/// Why a key cannot be made, read or used. Never holds a part of a key.
#[derive(Debug, Error)]
pub(crate) enum KeyFailure {
    /// No key could be made.
    #[error("a {key_type} key could not be made")]
    Generation {
        /// The kind that was wanted.
        key_type: KeyType,
    },
    /// It could not be written.
    #[error("the key could not be encoded")]
    Encoding,
    /// It could not sign.
    #[error("the key could not sign")]
    Signature,
    /// Not a key that is supported.
    #[error("not a PKCS#8 private key in PEM of type {types}; `openssl pkcs8 -topk8 -nodes` converts other forms", types = KEY_TYPES)]
    NotPkcs8,
    /// It is encrypted.
    #[error("the private key is encrypted; decrypt it first, as with `openssl pkcs8`")]
    Encrypted,
    /// A file.
    #[error("the private key {path}: {detail}")]
    File {
        /// Which.
        path: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A request of ours that is refused, such as for a weak key that was read.
    #[error("the signing request over this key is refused: {0}")]
    Request(CsrError),
}

const KEY_TYPES: &str = "rsa2048, rsa3072, rsa4096, p256, p384, p521 or ed25519";

#[cfg(test)]
mod tests {
    use super::*;

    // RSA of 3072 and 4096 bits differ in a number only, and would take seconds.
    const QUICK: [KeyType; 5] = [KeyType::P256, KeyType::P384, KeyType::P521, KeyType::Ed25519, KeyType::Rsa2048];

    #[test]
    fn every_kind_of_key_is_written_read_back_and_proves_its_possession() {
        for key_type in QUICK {
            let key = PrivateKey::generate(key_type).expect("made");
            let read = PrivateKey::from_pem(&key.to_pem().expect("encoded")).expect("read back");
            assert_eq!(read.key_type, key_type);
            assert_eq!(read.subject_public_key(), key.subject_public_key());
            // `ParsedCsr` exists only when the signature verifies.
            let request = read.signing_request().expect("accepted");
            assert_eq!(request.public_key().key_type(), key_type);
            assert_eq!(request.public_key().subject_public_key(), key.subject_public_key());
            assert!(request.subject().is_empty() && request.requested_extensions().is_empty());
        }
    }

    #[test]
    fn every_kind_of_key_signs_proofs_of_renewal() {
        use ca_core::renewal_proof::{ProofClaims, RenewalProof, signed_proof};
        for key_type in QUICK {
            let key = PrivateKey::generate(key_type).expect("made");
            let claims = ProofClaims {
                algorithm: key.proof_algorithm(),
                certificate: b"a certificate",
                nonce: "a nonce",
                url: "https://ca.test/v1",
                csr: b"a request",
                issued_at: ca_core::time::Timestamp::from_unix_seconds(1_795_176_000),
            };
            let input = claims.signing_input().expect("written");
            let proof = signed_proof(&input, &key.sign_proof(input.as_bytes()).expect("signed"));
            let public_key = key.signing_request().expect("accepted").public_key().clone();
            let proof = RenewalProof::parse(&proof).expect("read");
            assert_eq!(proof.verify(&public_key), Ok(()), "{key_type}");
        }
    }

    #[test]
    fn keys_are_pkcs8_version_1_which_openssl_3_0_reads() {
        for key_type in QUICK {
            let der = PrivateKey::generate(key_type).expect("made").to_pkcs8().expect("encoded");
            // SEQUENCE, a length of one or more octets, then INTEGER 0.
            let start = if der[1] < 0x80 { 2 } else { 2 + usize::from(der[1] & 0x7f) };
            assert_eq!(&der[start..start + 3], [2, 1, 0], "{key_type}");
        }
    }

    #[test]
    fn what_is_no_key_of_ours_is_refused_with_what_to_do() {
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert!(matches!(PrivateKey::from_pem(encrypted), Err(KeyFailure::Encrypted)));
        for text in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            let error = PrivateKey::from_pem(text).expect_err("no key").to_string();
            assert!(error.contains("openssl pkcs8"), "{error}");
        }
    }

    #[test]
    fn debug_does_not_show_the_key() {
        let key = PrivateKey::generate(KeyType::Ed25519).expect("made");
        assert_eq!(format!("{key:?}"), "PrivateKey(ed25519)");
    }
}
