//! A key in AWS KMS. It is hashed here and the digest is signed there, so that a list may be of any length; what comes back is
//! verified with the public key on record before anybody sees it.
//!
//! RSA of 2,048 to 4,096 bits by PKCS#1 v1.5 with SHA-256, P-256, P-384 and P-521, each with the algorithm that a software key of
//! its type signs with.

mod create;
mod keys;
mod refusal;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use aws_sdk_kms::Client;
use aws_sdk_kms::operation::sign::SignOutput;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use ca_core::hash::MessageDigest;
use ca_core::key::{KeyType, PublicKey, SignatureAlgorithm};
use ca_core::signing::{Message, Signable, Signature};
use ca_core::time::Lifetime;
use ca_engine::port::signer::{Signer, SignerError};

pub use self::keys::{KmsKeys, LARGEST_QUOTA, USUAL_QUOTA};
use crate::aws::{Call, CallError, Caller, Failure, KmsKeyArn};

/// A key in KMS, used through the SDK.
pub struct KmsSigner {
    client: Client,
    caller: Arc<Caller>,
    key: KmsKeyArn,
    public_key: PublicKey,
    algorithm: SigningAlgorithmSpec,
    /// Whether KMS was seen to hold the key of `public_key`; a key of KMS never becomes another.
    confirmed: Arc<AtomicBool>,
}

impl fmt::Debug for KmsSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsSigner").field("key", &self.key).finish_non_exhaustive()
    }
}

#[async_trait]
impl Signer for KmsSigner {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.public_key.key_type().signature_algorithm()
    }

    /// From some milliseconds to some seconds, as KMS and the way to it are. A future that is dropped may leave a signature that
    /// nobody saw.
    async fn sign(&self, message: &dyn Signable) -> Result<Signature, SignerError> {
        let digest = self.digest_of(message.message())?;
        let answer = self.ask(&digest, false).await.map_err(|error| self.in_words("Sign", error))?;
        let octets = answer.signature.map(Blob::into_inner).unwrap_or_default();
        let signature = Signature { algorithm: self.algorithm(), octets };
        match message.message().verify(&self.public_key, &signature) {
            Ok(()) => {
                self.confirmed.store(true, Ordering::Relaxed);
                Ok(signature)
            }
            Err(_) => {
                Err(self.is_another_key("what it signs is not verified by the key of the authority's certificate"))
            }
        }
    }

    /// Tries a signature without making one (`DryRun`), which tells of the key's state, its kind, and whether this caller may;
    /// and once compares the public key.
    async fn check(&self) -> Result<(), SignerError> {
        if !self.confirmed.load(Ordering::Relaxed) {
            let found = keys::public_key(&self.client, &self.caller, &self.key).await?;
            if found != self.public_key {
                return Err(self.is_another_key("its public key is not that of the authority's certificate"));
            }
            self.confirmed.store(true, Ordering::Relaxed);
        }
        let digest = self.digest_of(Message::Whole(b"would this be signed?"))?;
        match self.ask(&digest, true).await {
            // KMS answers a dry run that would have succeeded with this refusal.
            Err(CallError::Refused(refusal)) if refusal.code == "DryRunOperationException" => Ok(()),
            Ok(_) => Ok(()),
            Err(error) => Err(self.in_words("Sign", error)),
        }
    }
}

impl KmsSigner {
    fn digest_of(&self, message: Message<'_>) -> Result<MessageDigest, SignerError> {
        match message {
            Message::Digest(digest) => Ok(digest.clone()),
            Message::Whole(octets) => {
                let no_digest = || SignerError::Refused { detail: format!("{} signs no digest", self.algorithm()) };
                let mut hasher = self.algorithm().hasher().ok_or_else(no_digest)?;
                hasher.update(octets);
                Ok(hasher.finish())
            }
        }
    }

    async fn ask(&self, digest: &MessageDigest, dry_run: bool) -> Result<SignOutput, CallError> {
        let call = Call { operation: "Sign", micro_dollars: price(self.public_key.key_type()) };
        let attempt = || async {
            let sent = self
                .client
                .sign()
                .key_id(self.key.as_str())
                .message_type(MessageType::Digest)
                .message(Blob::new(digest.octets()))
                .signing_algorithm(self.algorithm.clone())
                .set_dry_run(dry_run.then_some(true))
                .send()
                .await;
            sent.map_err(|error| Failure::of(&error))
        };
        self.caller.call(call, attempt).await
    }

    fn is_another_key(&self, what: &str) -> SignerError {
        SignerError::Refused {
            detail: format!(
                "KMS key {}: {what}; another key stands behind that ARN than when the authority was made. Nothing that it signs \
                 leaves the service: find out what answers under `aws.endpoint_url`, or put the right ARN on record",
                self.key
            ),
        }
    }

    fn in_words(&self, operation: &str, error: CallError) -> SignerError {
        refusal::in_words(&self.key, operation, error)
    }
}

/// What `Sign` is asked for, for a key of that type; `None` for one that is not in KMS, or not as X.509 needs it.
const fn algorithm_of(key_type: KeyType) -> Option<SigningAlgorithmSpec> {
    match key_type.signature_algorithm() {
        SignatureAlgorithm::RsaSha256 => Some(SigningAlgorithmSpec::RsassaPkcs1V15Sha256),
        SignatureAlgorithm::RsaSha384 => Some(SigningAlgorithmSpec::RsassaPkcs1V15Sha384),
        SignatureAlgorithm::RsaSha512 => Some(SigningAlgorithmSpec::RsassaPkcs1V15Sha512),
        SignatureAlgorithm::EcdsaSha256 => Some(SigningAlgorithmSpec::EcdsaSha256),
        SignatureAlgorithm::EcdsaSha384 => Some(SigningAlgorithmSpec::EcdsaSha384),
        SignatureAlgorithm::EcdsaSha512 => Some(SigningAlgorithmSpec::EcdsaSha512),
        // KMS takes messages of 4,096 octets at most with it, and lists are longer.
        SignatureAlgorithm::Ed25519 => None,
    }
}

/// A signature by the price list: 0.15 US dollars for 10,000, of RSA 2048 0.03.
const fn price(key_type: KeyType) -> u64 {
    match key_type {
        KeyType::Rsa2048 => 3,
        _ => 15,
    }
}

/// Whole seconds, at least one.
fn seconds(duration: std::time::Duration) -> Lifetime {
    Lifetime::from_seconds(duration.as_millis().div_ceil(1_000).max(1).try_into().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
