//! A real key whose behaviour a test writes down in advance.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use ca_core::hash::MessageDigest;
use ca_core::key::{KeyType, PublicKey, SignatureAlgorithm};
use ca_core::signing::{Message, Signable, Signature};
use ca_core::time::Lifetime;

use super::yield_once;
use crate::port::signer::{Signer, SignerError, check_fits};

/// What one call of [`Signer::sign`] does instead of signing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningStep {
    /// Fails with [`SignerError::Busy`].
    Busy {
        /// What it says about trying again.
        retry_after: Option<Lifetime>,
    },
    /// Fails with [`SignerError::Unavailable`].
    Unavailable,
    /// Fails with [`SignerError::Refused`].
    Refused,
    /// Returns octets that are no signature of the message, as a broken module would.
    Garbage,
    /// Signs something else, as a module does that mixes up two callers.
    AnotherMessage,
}

/// A test key that signs for real, except where its script says otherwise. Clones share key, script and record.
#[derive(Clone)]
pub struct ScriptedSigner {
    inner: Arc<Inner>,
    algorithm: SignatureAlgorithm,
}

struct Inner {
    key: PrivateKey,
    public: PublicKey,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    script: VecDeque<Option<SigningStep>>,
    always: Option<SigningStep>,
    messages: Vec<Vec<u8>>,
}

enum PrivateKey {
    EllipticCurve(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl ScriptedSigner {
    /// Makes a new key. RSA of 4096 bits takes about a second.
    pub fn generate(key_type: KeyType) -> Self {
        Self::of(PrivateKey::generate(key_type))
    }

    /// The key that [`Self::to_pkcs8`] wrote. Panics on anything else: a test's own mistake.
    pub fn from_pkcs8(key_type: KeyType, pkcs8: &[u8]) -> Self {
        Self::of(PrivateKey::from_pkcs8(key_type, pkcs8))
    }

    /// The private key as PKCS#8, unencrypted.
    pub fn to_pkcs8(&self) -> Vec<u8> {
        self.inner.key.to_pkcs8()
    }

    /// What the next calls do, in order; after them it signs.
    pub fn script(&self, steps: impl IntoIterator<Item = SigningStep>) {
        self.script_each(steps.into_iter().map(Some));
    }

    /// As [`Self::script`], with calls in between that sign: `None`.
    pub fn script_each(&self, steps: impl IntoIterator<Item = Option<SigningStep>>) {
        self.state().script.extend(steps);
    }

    /// What every call does that the script does not cover; `None` signs.
    pub fn always(&self, step: Option<SigningStep>) {
        self.state().always = step;
    }

    /// Every message it was asked to sign, in order, whether it signed or not; of lists the digest, where the key signs that.
    pub fn messages(&self) -> Vec<Vec<u8>> {
        self.state().messages.clone()
    }

    /// A signature over any octets, past script and record: for an issuer elsewhere that has this key.
    pub(super) fn sign_octets(&self, octets: &[u8]) -> Vec<u8> {
        self.inner.key.sign(self.algorithm, &OwnedMessage::Whole(octets.to_vec()))
    }

    fn of(key: PrivateKey) -> Self {
        let public = PublicKey::from_spki_der(&key.spki()).expect("a key just made is strong");
        let algorithm = public.key_type().signature_algorithm();
        Self { inner: Arc::new(Inner { key, public, state: Mutex::default() }), algorithm }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Signer for ScriptedSigner {
    fn public_key(&self) -> &PublicKey {
        &self.inner.public
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn with_algorithm(&self, algorithm: SignatureAlgorithm) -> Result<Arc<dyn Signer>, SignerError> {
        check_fits(algorithm, &self.inner.public)?;
        if !self.inner.public.key_type().is_rsa() && algorithm != self.algorithm {
            return Err(SignerError::Refused { detail: format!("this key signs by {} only", self.algorithm) });
        }
        Ok(Arc::new(Self { inner: Arc::clone(&self.inner), algorithm }))
    }

    async fn sign(&self, message: &dyn Signable) -> Result<Signature, SignerError> {
        let message = OwnedMessage::of(message.message());
        yield_once().await;
        let step = {
            let mut state = self.state();
            state.messages.push(message.octets().to_vec());
            state.script.pop_front().unwrap_or(state.always)
        };
        let octets = match step {
            None => self.inner.key.sign(self.algorithm, &message),
            Some(SigningStep::AnotherMessage) => {
                self.inner.key.sign(self.algorithm, &OwnedMessage::Whole(b"another message".to_vec()))
            }
            Some(SigningStep::Garbage) => vec![0x5a; 64],
            Some(SigningStep::Busy { retry_after }) => {
                return Err(SignerError::Busy { detail: "throttled by the test".to_owned(), retry_after });
            }
            Some(SigningStep::Unavailable) => {
                return Err(SignerError::Unavailable { detail: "cut off by the test".to_owned() });
            }
            Some(SigningStep::Refused) => {
                return Err(SignerError::Refused { detail: "refused by the test".to_owned() });
            }
        };
        Ok(Signature { algorithm: self.algorithm(), octets })
    }
}

impl fmt::Debug for ScriptedSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedSigner").field("public", &self.inner.public).finish_non_exhaustive()
    }
}

impl PrivateKey {
    fn generate(key_type: KeyType) -> Self {
        let rsa = |size| Self::Rsa(RsaKeyPair::generate(size).expect("RSA key generation"));
        match key_type {
            KeyType::Rsa2048 => rsa(KeySize::Rsa2048),
            KeyType::Rsa3072 => rsa(KeySize::Rsa3072),
            KeyType::Rsa4096 => rsa(KeySize::Rsa4096),
            KeyType::Ed25519 => Self::Ed25519(Ed25519KeyPair::generate().expect("Ed25519 key generation")),
            KeyType::P256 | KeyType::P384 | KeyType::P521 => {
                Self::EllipticCurve(EcdsaKeyPair::generate(curve(key_type)).expect("ECDSA key generation"))
            }
        }
    }

    fn from_pkcs8(key_type: KeyType, pkcs8: &[u8]) -> Self {
        match key_type {
            KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => {
                Self::Rsa(RsaKeyPair::from_pkcs8(pkcs8).expect("PKCS#8 of an RSA key"))
            }
            KeyType::Ed25519 => {
                Self::Ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).expect("PKCS#8 of an Ed25519 key"))
            }
            KeyType::P256 | KeyType::P384 | KeyType::P521 => Self::EllipticCurve(
                EcdsaKeyPair::from_pkcs8(curve(key_type), pkcs8).expect("PKCS#8 of a key on that curve"),
            ),
        }
    }

    fn to_pkcs8(&self) -> Vec<u8> {
        match self {
            Self::EllipticCurve(key) => key.to_pkcs8v1().expect("PKCS#8 of a valid key").as_ref().to_vec(),
            Self::Ed25519(key) => key.to_pkcs8v1().expect("PKCS#8 of a valid key").as_ref().to_vec(),
            Self::Rsa(key) => AsDer::<Pkcs8V1Der<'_>>::as_der(key).expect("PKCS#8 of a valid key").as_ref().to_vec(),
        }
    }

    fn spki(&self) -> Vec<u8> {
        use aws_lc_rs::signature::KeyPair;
        let der = match self {
            Self::EllipticCurve(key) => AsDer::<PublicKeyX509Der<'_>>::as_der(key.public_key()),
            Self::Ed25519(key) => AsDer::<PublicKeyX509Der<'_>>::as_der(key.public_key()),
            Self::Rsa(key) => AsDer::<PublicKeyX509Der<'_>>::as_der(key.public_key()),
        };
        der.expect("SubjectPublicKeyInfo of a valid key").as_ref().to_vec()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a test key; aws-lc-rs takes its randomness from itself and ignores this argument"
    )]
    fn sign(&self, algorithm: SignatureAlgorithm, message: &OwnedMessage) -> Vec<u8> {
        let random = SystemRandom::new();
        match (self, message) {
            (Self::EllipticCurve(key), OwnedMessage::Whole(message)) => {
                key.sign(&random, message).expect("a valid key signs").as_ref().to_vec()
            }
            (Self::EllipticCurve(key), OwnedMessage::Digest(digest)) => {
                key.sign_digest(digest.as_digest()).expect("a valid key signs").as_ref().to_vec()
            }
            (Self::Ed25519(key), message) => key.sign(message.octets()).as_ref().to_vec(),
            (Self::Rsa(key), message) => {
                let mut octets = vec![0; key.public_modulus_len()];
                match message {
                    OwnedMessage::Whole(message) => key.sign(padding(algorithm), &random, message, &mut octets),
                    OwnedMessage::Digest(digest) => {
                        key.sign_digest(padding(algorithm), digest.as_digest(), &mut octets)
                    }
                }
                .expect("a valid key signs");
                octets
            }
        }
    }
}

/// A message that is kept across a wait.
enum OwnedMessage {
    Whole(Vec<u8>),
    Digest(MessageDigest),
}

impl OwnedMessage {
    fn of(message: Message<'_>) -> Self {
        match message {
            Message::Whole(octets) => Self::Whole(octets.to_vec()),
            Message::Digest(digest) => Self::Digest(digest.clone()),
        }
    }

    fn octets(&self) -> &[u8] {
        match self {
            Self::Whole(octets) => octets,
            Self::Digest(digest) => digest.octets(),
        }
    }
}

fn padding(algorithm: SignatureAlgorithm) -> &'static dyn RsaEncoding {
    match algorithm {
        SignatureAlgorithm::RsaSha384 => &RSA_PKCS1_SHA384,
        SignatureAlgorithm::RsaSha512 => &RSA_PKCS1_SHA512,
        SignatureAlgorithm::RsaPssSha256 => &RSA_PSS_SHA256,
        SignatureAlgorithm::RsaPssSha384 => &RSA_PSS_SHA384,
        SignatureAlgorithm::RsaPssSha512 => &RSA_PSS_SHA512,
        _ => &RSA_PKCS1_SHA256,
    }
}

fn curve(key_type: KeyType) -> &'static EcdsaSigningAlgorithm {
    match key_type {
        KeyType::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
        KeyType::P521 => &ECDSA_P521_SHA512_ASN1_SIGNING,
        _ => &ECDSA_P256_SHA256_ASN1_SIGNING,
    }
}
