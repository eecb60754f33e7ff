//! A keyring whose authority keys look at the record before they sign: what is not intended there must not be signed.

use std::sync::Arc;

use async_trait::async_trait;
use ca_core::key::{KeyType, PublicKey, SignatureAlgorithm};
use ca_core::signing::{Message, Signable, Signature};
use ca_engine::fake::{MemoryKeyring, MemoryStore};
use ca_engine::port::keyring::{KeyRoom, Keyring, KeyringError, SealedKey};
use ca_engine::port::signer::{Signer, SignerError};

/// Hands out [`WitnessSigner`]s for the keys of authorities.
pub(crate) struct WitnessKeyring {
    keyring: MemoryKeyring,
    store: MemoryStore,
}

impl WitnessKeyring {
    pub(crate) fn new(keyring: MemoryKeyring, store: MemoryStore) -> Self {
        Self { keyring, store }
    }

    fn witness(&self, room: KeyRoom, signer: Arc<dyn Signer>) -> Arc<dyn Signer> {
        match room {
            KeyRoom::Authorities => Arc::new(WitnessSigner::new(signer, self.store.clone())),
            KeyRoom::Responders => signer,
        }
    }
}

#[async_trait]
impl Keyring for WitnessKeyring {
    async fn generate(&self, room: KeyRoom, key_type: KeyType) -> Result<(SealedKey, Arc<dyn Signer>), KeyringError> {
        let (sealed, signer) = self.keyring.generate(room, key_type).await?;
        Ok((sealed, self.witness(room, signer)))
    }

    async fn open(&self, sealed: &SealedKey) -> Result<Arc<dyn Signer>, KeyringError> {
        Ok(self.witness(sealed.room, self.keyring.open(sealed).await?))
    }
}

/// Signs only what is on record; anything else fails the test that made a flow ask for it.
pub(crate) struct WitnessSigner {
    signer: Arc<dyn Signer>,
    store: MemoryStore,
}

impl WitnessSigner {
    pub(crate) fn new(signer: Arc<dyn Signer>, store: MemoryStore) -> Self {
        Self { signer, store }
    }
}

#[async_trait]
impl Signer for WitnessSigner {
    fn public_key(&self) -> &PublicKey {
        self.signer.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.signer.algorithm()
    }

    fn with_algorithm(&self, algorithm: SignatureAlgorithm) -> Result<Arc<dyn Signer>, SignerError> {
        Ok(Arc::new(Self::new(self.signer.with_algorithm(algorithm)?, self.store.clone())))
    }

    async fn sign(&self, message: &dyn Signable) -> Result<Signature, SignerError> {
        let is_known = self.store.is_intended(message.message()) || is_request(message.message());
        assert!(is_known, "an authority's key is used for what is not on record");
        self.signer.sign(message).await
    }
}

/// Whether this is a CertificationRequestInfo (RFC 2986 §4.1), by which a key asks for its own certificate: its version is 0, that of
/// a TBSCertificate is explicit, and that of a TBSCertList 1.
fn is_request(message: Message<'_>) -> bool {
    let Message::Whole(octets) = message else { return false };
    let header = match octets.get(1) {
        Some(length) if *length >= 0x80 => 2 + usize::from(length & 0x7f),
        _ => 2,
    };
    octets.get(header..header + 3) == Some(&[2, 1, 0])
}
