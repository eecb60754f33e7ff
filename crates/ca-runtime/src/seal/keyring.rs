//! The engine's keyring: software keys, sealed under the data key of their room.

use std::sync::Arc;

use async_trait::async_trait;
use ca_backends::signer::{PrivateKeyInfo, SoftwareSigner};
use ca_core::hash::sha256;
use ca_core::key::KeyType;
use ca_engine::port::clock::Clock;
use ca_engine::port::entropy::Entropy;
use ca_engine::port::keyring::{KeyRoom, Keyring, KeyringError, SealedKey};
use ca_engine::port::signer::Signer;
use zeroize::Zeroizing;

use super::data_key::DataKey;
use super::wrapping::DataKeys;

/// Makes and opens software keys with the data keys this process was given.
pub struct SealedKeyring {
    data_keys: DataKeys,
    entropy: Arc<dyn Entropy>,
    clock: Arc<dyn Clock>,
}

impl SealedKeyring {
    /// A keyring over opened data keys.
    pub fn new(data_keys: DataKeys, entropy: Arc<dyn Entropy>, clock: Arc<dyn Clock>) -> Self {
        Self { data_keys, entropy, clock }
    }

    fn data_key(&self, room: KeyRoom) -> Result<&DataKey, KeyringError> {
        self.data_keys.of(room).ok_or(KeyringError::NoDataKey { room })
    }

    fn seal(&self, room: KeyRoom, key: &[u8], signer: &SoftwareSigner) -> Result<SealedKey, KeyringError> {
        let public_key = signer.public_key();
        let spki = public_key.spki_der().to_vec();
        let id = hex::encode(public_key.spki_sha256());
        let sealed = self
            .data_key(room)?
            .seal(&associated(room, &id, &spki), key, self.entropy.as_ref())
            .map_err(|error| KeyringError::Generation { detail: error.to_string() })?;
        Ok(SealedKey { id, room, key_type: public_key.key_type(), spki, sealed, created_at: self.clock.now() })
    }

    /// Seals a key that was made elsewhere, given as unencrypted PKCS#8. The caller records it before it is used.
    pub(crate) fn adopt(&self, room: KeyRoom, pkcs8: &[u8]) -> Result<SealedKey, KeyringError> {
        let signer = SoftwareSigner::from_pkcs8(pkcs8)
            .map_err(|error| KeyringError::Generation { detail: error.to_string() })?;
        self.seal(room, pkcs8, &signer)
    }

    /// The PKCS#8 of a sealed key and its signer, after proof that it is the key of the record.
    pub(crate) fn unseal(&self, sealed: &SealedKey) -> Result<(Zeroizing<Vec<u8>>, SoftwareSigner), KeyringError> {
        let key = self
            .data_key(sealed.room)?
            .open(&associated(sealed.room, &sealed.id, &sealed.spki), &sealed.sealed)
            .ok_or_else(|| KeyringError::WrongSeal { id: sealed.id.clone() })?;
        let not_that_key = || KeyringError::NotThatKey { id: sealed.id.clone() };
        let signer = SoftwareSigner::from_pkcs8(&key).map_err(|_| not_that_key())?;
        let public_key = signer.public_key();
        if public_key.spki_der() != sealed.spki
            || public_key.key_type() != sealed.key_type
            || hex::encode(public_key.spki_sha256()) != sealed.id
        {
            return Err(not_that_key());
        }
        Ok((key, signer))
    }
}

#[async_trait]
impl Keyring for SealedKeyring {
    async fn generate(&self, room: KeyRoom, key_type: KeyType) -> Result<(SealedKey, Arc<dyn Signer>), KeyringError> {
        // Before seconds are spent on a key that could not be sealed.
        self.data_key(room)?;
        let (key, signer) = generate_software_key(key_type).await?;
        let sealed = self.seal(room, key.as_der(), &signer)?;
        Ok((sealed, Arc::new(signer)))
    }

    async fn open(&self, sealed: &SealedKey) -> Result<Arc<dyn Signer>, KeyringError> {
        let (_, signer) = self.unseal(sealed)?;
        Ok(Arc::new(signer))
    }
}

/// Makes a software key off the async threads: RSA takes up to seconds.
pub(crate) async fn generate_software_key(key_type: KeyType) -> Result<(PrivateKeyInfo, SoftwareSigner), KeyringError> {
    tokio::task::spawn_blocking(move || SoftwareSigner::generate(key_type))
        .await
        .map_err(|_| KeyringError::Generation { detail: "the process is stopping".to_owned() })?
        .map_err(|error| KeyringError::Generation { detail: error.to_string() })
}

/// What a sealed key is bound to: its room, its name and its public key. Fixed lengths and separators, so that no two records
/// give the same octets.
fn associated(room: KeyRoom, id: &str, spki: &[u8]) -> Vec<u8> {
    let mut octets = format!("cartorio private key, {}, {id}, ", room.as_str()).into_bytes();
    octets.extend_from_slice(&sha256(spki));
    octets
}
