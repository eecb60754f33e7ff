//! The proof by which the holder of a certificate that has ended asks for its successor: a JWS (RFC 7515) by the old key, in the compact
//! serialization, over what is asked for.
//!
//! ```text
//! protected header  { alg, x5c: [certificate, …], nonce, url, typ? }     nothing else: what is not known is refused, `crit` too
//! payload           { csr_sha256, iat }
//! ```
//!
//! Reading one is pure and judges what the text says of itself. Whose certificate that is, whether the nonce was used, and whether anybody may
//! be renewed so, is not known here.

mod nonce;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use der::asn1::UintRef;
use der::{Encode as _, Sequence};
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use nonce::{NONCE_LIFETIME, NonceFault, SoundNonce, check_nonce, make_nonce};

use crate::hash::sha256;
use crate::key::{KeyType, PublicKey, SignatureAlgorithm};
use crate::time::{Lifetime, Timestamp};

/// The longest proof that is read, in octets: a chain of RSA certificates with many names, and their signature.
pub const MAX_PROOF_OCTETS: usize = 64 * 1024;

/// How old a proof may be.
pub const PROOF_LIFETIME: Lifetime = Lifetime::from_seconds(300);

/// How far ahead the clock of whoever made it may be.
const CLOCK_SKEW: Lifetime = Lifetime::from_seconds(60);

/// The most certificates in `x5c`.
const MAX_CHAIN: usize = 10;

/// The signature algorithms that are taken (RFC 7518 §3.1, RFC 8037 §3.1). Neither `none` nor a MAC is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProofAlgorithm {
    /// ECDSA, P-256 and SHA-256
    Es256,
    /// ECDSA, P-384 and SHA-384
    Es384,
    /// ECDSA, P-521 and SHA-512
    Es512,
    /// RSASSA-PSS and SHA-256
    Ps256,
    /// RSASSA-PKCS1-v1_5 and SHA-256
    Rs256,
    /// Ed25519
    EdDsa,
}

impl ProofAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 6] = [Self::Es256, Self::Es384, Self::Es512, Self::Ps256, Self::Rs256, Self::EdDsa];

    /// The value of `alg`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Ps256 => "PS256",
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// What a key of this type proves itself by.
    pub const fn of_key(key_type: KeyType) -> Self {
        match key_type {
            KeyType::P256 => Self::Es256,
            KeyType::P384 => Self::Es384,
            KeyType::P521 => Self::Es512,
            KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => Self::Ps256,
            KeyType::Ed25519 => Self::EdDsa,
        }
    }

    /// The same algorithm as certificates name it.
    const fn signature_algorithm(self) -> SignatureAlgorithm {
        match self {
            Self::Es256 => SignatureAlgorithm::EcdsaSha256,
            Self::Es384 => SignatureAlgorithm::EcdsaSha384,
            Self::Es512 => SignatureAlgorithm::EcdsaSha512,
            Self::Ps256 => SignatureAlgorithm::RsaPssSha256,
            Self::Rs256 => SignatureAlgorithm::RsaSha256,
            Self::EdDsa => SignatureAlgorithm::Ed25519,
        }
    }

    /// Whether a key of this type signs by it: a curve belongs to its digest (RFC 7518 §3.4).
    const fn fits(self, key_type: KeyType) -> bool {
        match self {
            Self::Rs256 | Self::Ps256 => matches!(key_type, KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096),
            Self::Es256 => matches!(key_type, KeyType::P256),
            Self::Es384 => matches!(key_type, KeyType::P384),
            Self::Es512 => matches!(key_type, KeyType::P521),
            Self::EdDsa => matches!(key_type, KeyType::Ed25519),
        }
    }

    /// How many octets each of the two numbers of a signature has (RFC 7518 §3.4); `None` where a signature is not two numbers.
    const fn number_octets(self) -> Option<usize> {
        match self {
            Self::Es256 => Some(32),
            Self::Es384 => Some(48),
            Self::Es512 => Some(66),
            Self::Ps256 | Self::Rs256 | Self::EdDsa => None,
        }
    }
}

/// A proof as it was read. Nothing in it is believed before [`Self::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalProof {
    algorithm: ProofAlgorithm,
    certificate: Vec<u8>,
    nonce: String,
    url: String,
    csr_sha256: [u8; 32],
    issued_at: Timestamp,
    signing_input: String,
    signature: Vec<u8>,
}

impl RenewalProof {
    /// Reads the compact serialization (RFC 7515 §7.1) of a proof.
    pub fn parse(text: &str) -> Result<Self, ProofFault> {
        if text.len() > MAX_PROOF_OCTETS {
            return Err(ProofFault::TooLong { octets: text.len() });
        }
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(ProofFault::NotCompact);
        };
        let signing_input = format!("{header}.{payload}");
        let header: Header = read("header", header)?;
        let payload: Payload = read("payload", payload)?;
        let algorithm = ProofAlgorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == header.alg)
            .ok_or(ProofFault::UnknownAlgorithm)?;
        if header.x5c.len() > MAX_CHAIN {
            return Err(ProofFault::ChainTooLong { certificates: header.x5c.len() });
        }
        // RFC 7515 §4.1.6: base64, not base64url; the first is that of the key that signed.
        let first = header.x5c.first().ok_or(ProofFault::NoCertificate)?;
        let certificate = STANDARD.decode(first).map_err(|_| ProofFault::NotBase64 { part: "x5c" })?;
        let csr_sha256 = octets("csr_sha256", &payload.csr_sha256)?;
        let csr_sha256 = csr_sha256.try_into().map_err(|_| ProofFault::NotADigest)?;
        let issued_at = i64::try_from(payload.iat).ok().filter(|seconds| *seconds < LAST_SECOND);
        Ok(Self {
            algorithm,
            certificate,
            nonce: header.nonce,
            url: header.url,
            csr_sha256,
            issued_at: Timestamp::from_unix_seconds(issued_at.ok_or(ProofFault::NotATime)?),
            signing_input,
            signature: octets("signature", signature)?,
        })
    }

    /// The DER of the certificate whose key is said to have signed.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The nonce.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Where it was meant to be sent.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it was made for a request of this DER.
    pub fn is_over(&self, csr: &[u8]) -> bool {
        sha256(csr) == self.csr_sha256
    }

    /// Verifies the signature by the key of the certificate, over the octets that were sent.
    pub fn verify(&self, key: &PublicKey) -> Result<(), ProofFault> {
        let (algorithm, key_type) = (self.algorithm, key.key_type());
        if !algorithm.fits(key_type) {
            return Err(ProofFault::AlgorithmDoesNotFit { algorithm: algorithm.as_str(), key_type });
        }
        let invalid = ProofFault::SignatureInvalid { key_type };
        let signature = match algorithm.number_octets() {
            Some(octets) => ecdsa_signature_der(&self.signature, octets).ok_or_else(|| invalid.clone())?,
            None => self.signature.clone(),
        };
        let verified = key.verify(algorithm.signature_algorithm(), self.signing_input.as_bytes(), &signature);
        verified.map_err(|_| invalid)
    }

    /// Whether it was made within [`PROOF_LIFETIME`].
    pub fn check_age(&self, now: Timestamp) -> Result<(), ProofFault> {
        if self.issued_at.plus(PROOF_LIFETIME) < now {
            return Err(ProofFault::TooOld { issued_at: self.issued_at, now });
        }
        if now.plus(CLOCK_SKEW) < self.issued_at {
            return Err(ProofFault::NotYet { issued_at: self.issued_at, now });
        }
        Ok(())
    }
}

/// What a proof is to say.
#[derive(Clone, Copy, Debug)]
pub struct ProofClaims<'a> {
    /// By what the key signs.
    pub algorithm: ProofAlgorithm,
    /// The DER of the certificate that has ended.
    pub certificate: &'a [u8],
    /// The service's nonce.
    pub nonce: &'a str,
    /// Where the request goes.
    pub url: &'a str,
    /// The DER of the signing request.
    pub csr: &'a [u8],
    /// The present instant.
    pub issued_at: Timestamp,
}

impl ProofClaims<'_> {
    /// The JWS Signing Input (RFC 7515 §5.1): what the key signs, as it is sent.
    pub fn signing_input(&self) -> Result<String, ProofFault> {
        let header = Header {
            alg: self.algorithm.as_str().to_owned(),
            x5c: vec![STANDARD.encode(self.certificate)],
            nonce: self.nonce.to_owned(),
            url: self.url.to_owned(),
            typ: None,
        };
        let iat = u64::try_from(self.issued_at.unix_seconds()).map_err(|_| ProofFault::NotATime)?;
        let payload = Payload { csr_sha256: URL_SAFE_NO_PAD.encode(sha256(self.csr)), iat };
        Ok(format!("{}.{}", write("header", &header)?, write("payload", &payload)?))
    }
}

/// The proof: its signing input and the signature over that, which for ECDSA is two numbers of fixed length (RFC 7518 §3.4).
pub fn signed_proof(signing_input: &str, signature: &[u8]) -> String {
    format!("{signing_input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The JOSE header. Unknown members are refused, `crit`, `jwk` and `b64` with them: whoever sends one relies on it. A member that comes
/// twice is refused by serde (RFC 7515 §4).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    x5c: Vec<String>,
    nonce: String,
    url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    csr_sha256: String,
    iat: u64,
}

/// The beginning of the year 10000, past which instants have no text.
const LAST_SECOND: i64 = 253_402_300_800;

fn octets(part: &'static str, text: &str) -> Result<Vec<u8>, ProofFault> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| ProofFault::NotBase64 { part })
}

fn read<T: serde::de::DeserializeOwned>(part: &'static str, text: &str) -> Result<T, ProofFault> {
    serde_json::from_slice(&octets(part, text)?).map_err(|error| ProofFault::Json { part, detail: error.to_string() })
}

fn write(part: &'static str, value: &impl Serialize) -> Result<String, ProofFault> {
    let json = serde_json::to_vec(value).map_err(|error| ProofFault::Json { part, detail: error.to_string() })?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

/// ECDSA-Sig-Value (RFC 3279 §2.2.3).
#[derive(Sequence)]
struct EcdsaSigValue<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

/// The two numbers of a signature in DER; `None` when it is not twice so many octets.
fn ecdsa_signature_der(fixed: &[u8], number_octets: usize) -> Option<Vec<u8>> {
    if fixed.len() != 2 * number_octets {
        return None;
    }
    let (r, s) = fixed.split_at(number_octets);
    let value = EcdsaSigValue { r: UintRef::new(r).ok()?, s: UintRef::new(s).ok()? };
    value.to_der().ok()
}

/// Why a proof proves nothing. Says what would be right.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProofFault {
    /// It is too long.
    #[error("a proof has at most {MAX_PROOF_OCTETS} octets; this one has {octets}")]
    TooLong {
        /// Its length.
        octets: usize,
    },
    /// It is not three parts.
    #[error("a proof is a JWS in the compact serialization: HEADER.PAYLOAD.SIGNATURE, each in base64url")]
    NotCompact,
    /// A part that is no base64.
    #[error("`{part}` is not the base64 that belongs there: base64url without `=`, in x5c base64 with it")]
    NotBase64 {
        /// Which.
        part: &'static str,
    },
    /// A part that is not the JSON that belongs there.
    #[error("the {part} of the proof is not as it should be: {detail}")]
    Json {
        /// Which.
        part: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// An algorithm that is not taken.
    #[error("`alg` must be ES256, ES384, ES512, PS256, RS256 or EdDSA")]
    UnknownAlgorithm,
    /// `x5c` is empty.
    #[error("`x5c` must begin with the certificate that has ended")]
    NoCertificate,
    /// `x5c` is longer than any chain.
    #[error("`x5c` has {certificates} certificates; it may have {MAX_CHAIN}")]
    ChainTooLong {
        /// How many there are.
        certificates: usize,
    },
    /// Not the length of a digest.
    #[error("`csr_sha256` is not a SHA-256: 32 octets in base64url")]
    NotADigest,
    /// Not an instant.
    #[error("`iat` is no time in seconds since 1970")]
    NotATime,
    /// An algorithm of another kind of key.
    #[error("{algorithm} is no algorithm of a {key_type} key")]
    AlgorithmDoesNotFit {
        /// The value of `alg`.
        algorithm: &'static str,
        /// The kind of the certificate's key.
        key_type: KeyType,
    },
    /// The key did not sign this.
    #[error("the proof was not signed by the {key_type} key of the certificate in it")]
    SignatureInvalid {
        /// The kind of the certificate's key.
        key_type: KeyType,
    },
    /// It was made too long ago.
    #[error(
        "the proof was made at {issued_at}, more than five minutes before now ({now}); make another one, and set the clock"
    )]
    TooOld {
        /// When it was made.
        issued_at: Timestamp,
        /// When it was judged.
        now: Timestamp,
    },
    /// It comes from the future.
    #[error("the proof was made at {issued_at}, which is after now ({now}); set the clock")]
    NotYet {
        /// When it says it was made.
        issued_at: Timestamp,
        /// When it was judged.
        now: Timestamp,
    },
}

#[cfg(test)]
mod tests;
