//! Keys kept in memory under the names of their records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ca_core::hash::sha256;
use ca_core::key::KeyType;

use super::{FakeClock, ScriptedSigner, yield_once};
use crate::port::clock::Clock;
use crate::port::keyring::{KeyRoom, Keyring, KeyringError, SealedKey};
use crate::port::signer::Signer;

/// A keyring that hands out [`ScriptedSigner`]s. What it calls sealed is a digest that names the key in its memory: it opens
/// only for the record it was made for, only where the room's data key is. Clones share their keys, as replicas with one
/// passphrase do.
#[derive(Clone, Debug)]
pub struct MemoryKeyring {
    clock: FakeClock,
    rooms: BTreeSet<KeyRoom>,
    keys: Arc<Mutex<Keys>>,
}

#[derive(Debug, Default)]
struct Keys {
    by_seal: BTreeMap<Vec<u8>, (KeyRoom, ScriptedSigner)>,
    failures: u32,
}

impl MemoryKeyring {
    /// A keyring with the data keys of both rooms.
    pub fn new(clock: FakeClock) -> Self {
        Self { clock, rooms: [KeyRoom::Authorities, KeyRoom::Responders].into(), keys: Arc::default() }
    }

    /// The same keys where only these rooms' data keys are: a status replica has the responders'.
    #[must_use]
    pub fn with_rooms(&self, rooms: impl IntoIterator<Item = KeyRoom>) -> Self {
        Self { rooms: rooms.into_iter().collect(), ..self.clone() }
    }

    /// Makes the next `count` generations fail.
    pub fn fail_generations(&self, count: u32) {
        self.keys().failures = count;
    }

    /// The signer of a key made here, by its id, so that a test can script it.
    pub fn signer(&self, id: &str) -> Option<ScriptedSigner> {
        let keys = self.keys();
        let mut signers = keys.by_seal.values().map(|(_, signer)| signer);
        signers.find(|signer| key_id(signer) == id).cloned()
    }

    fn keys(&self) -> std::sync::MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_room(&self, room: KeyRoom) -> Result<(), KeyringError> {
        if self.rooms.contains(&room) { Ok(()) } else { Err(KeyringError::NoDataKey { room }) }
    }
}

#[async_trait]
impl Keyring for MemoryKeyring {
    async fn generate(&self, room: KeyRoom, key_type: KeyType) -> Result<(SealedKey, Arc<dyn Signer>), KeyringError> {
        yield_once().await;
        self.check_room(room)?;
        {
            let mut keys = self.keys();
            if keys.failures > 0 {
                keys.failures -= 1;
                return Err(KeyringError::Generation { detail: "failed by the test".to_owned() });
            }
        }
        let signer = ScriptedSigner::generate(key_type);
        let sealed = sha256(&signer.to_pkcs8()).to_vec();
        self.keys().by_seal.insert(sealed.clone(), (room, signer.clone()));
        let record = SealedKey {
            id: key_id(&signer),
            room,
            key_type,
            spki: signer.public_key().spki_der().to_vec(),
            sealed,
            created_at: self.clock.now(),
        };
        Ok((record, Arc::new(signer)))
    }

    async fn open(&self, sealed: &SealedKey) -> Result<Arc<dyn Signer>, KeyringError> {
        yield_once().await;
        self.check_room(sealed.room)?;
        let found = self.keys().by_seal.get(&sealed.sealed).cloned();
        let Some((_, signer)) = found.filter(|(room, _)| *room == sealed.room) else {
            return Err(KeyringError::WrongSeal { id: sealed.id.clone() });
        };
        let public = signer.public_key();
        let as_recorded =
            public.spki_der() == sealed.spki && public.key_type() == sealed.key_type && key_id(&signer) == sealed.id;
        if !as_recorded {
            return Err(KeyringError::NotThatKey { id: sealed.id.clone() });
        }
        Ok(Arc::new(signer))
    }
}

fn key_id(signer: &ScriptedSigner) -> String {
    hex::encode(signer.public_key().spki_sha256())
}
