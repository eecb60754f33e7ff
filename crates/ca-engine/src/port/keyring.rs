//! Makes private keys, seals them for storage, and opens them into signers.

use std::sync::Arc;

use async_trait::async_trait;
use ca_core::key::KeyType;
use ca_core::time::Timestamp;
use thiserror::Error;

use super::signer::Signer;

/// Which data key seals a private key. The status role is given only the responders'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyRoom {
    /// Keys of authorities.
    Authorities,
    /// Keys of OCSP responders.
    Responders,
}

impl KeyRoom {
    /// The name in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authorities => "authorities",
            Self::Responders => "responders",
        }
    }
}

/// A sealed private key, as stored: useless without its data key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedKey {
    /// Its name: lower-case hexadecimal SHA-256 of the SubjectPublicKeyInfo.
    pub id: String,
    /// Which data key opens it.
    pub room: KeyRoom,
    /// What kind of key it is.
    pub key_type: KeyType,
    /// Its SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
    /// The sealed PKCS#8, nonce and tag included.
    pub sealed: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The only way to private keys of the service. Key generation may take seconds (RSA) and does not block other tasks.
#[async_trait]
pub trait Keyring: Send + Sync {
    /// Makes a key and seals it. The key is not stored: the caller records it before it is used.
    async fn generate(&self, room: KeyRoom, key_type: KeyType) -> Result<(SealedKey, Arc<dyn Signer>), KeyringError>;

    /// Opens a sealed key. The public key of the result equals `sealed.spki`, or it is an error.
    async fn open(&self, sealed: &SealedKey) -> Result<Arc<dyn Signer>, KeyringError>;
}

/// Why a key cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// This process was not given the data key of that room.
    #[error("this process holds no data key for {}: it is not meant to use those keys", room.as_str())]
    NoDataKey {
        /// The room.
        room: KeyRoom,
    },
    /// The seal does not open: another passphrase sealed it, or the record was changed.
    #[error("key {id} does not open: it was sealed with another passphrase, or its record was changed")]
    WrongSeal {
        /// The key.
        id: String,
    },
    /// What was sealed is not the key its record says.
    #[error("key {id} opens to another key than its record says; the record was changed")]
    NotThatKey {
        /// The key.
        id: String,
    },
    /// The key could not be made.
    #[error("no key could be made: {detail}")]
    Generation {
        /// What went wrong.
        detail: String,
    },
}
