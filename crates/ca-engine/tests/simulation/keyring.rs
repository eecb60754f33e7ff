//! Keys made from numbers, and signers that look at the record before they sign.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ca_core::hash::sha256;
use ca_core::key::{KeyType, PublicKey, SignatureAlgorithm};
use ca_core::signing::{Signable, Signature};
use ca_engine::fake::{FakeClock, MemoryStore, ScriptedSigner, SigningStep};
use ca_engine::port::clock::Clock;
use ca_engine::port::keyring::{KeyRoom, Keyring, KeyringError, SealedKey};
use ca_engine::port::signer::{Signer, SignerError};

use crate::auditor::Auditor;
use crate::database::planted::PlantedBug;
use crate::executor::nap;
use crate::lock;
use crate::random::Random;

/// The private keys of a service, and how many were made.
#[derive(Clone, Default)]
pub(crate) struct KeyPool {
    by_id: BTreeMap<String, ScriptedSigner>,
    made: u64,
}

/// PKCS#8 of an Ed25519 key up to its 32 octets (RFC 8410 §7).
const PKCS8_HEADER: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// PKCS#8 of the `number`th key of a kind. Ed25519: its signatures have no chance in them either.
pub(crate) fn pkcs8(kind: &str, number: u64) -> Vec<u8> {
    let secret = sha256(format!("{kind} {number}").as_bytes());
    [&PKCS8_HEADER[..], &secret].concat()
}

/// Which keys a process may use, and who watches what they sign.
pub(crate) struct WitnessKeyring {
    pool: Arc<Mutex<KeyPool>>,
    witness: Option<(Arc<Mutex<Auditor>>, MemoryStore)>,
    clock: FakeClock,
    random: Arc<Mutex<Random>>,
    bug: Option<PlantedBug>,
}

impl WitnessKeyring {
    pub(crate) fn new(
        pool: Arc<Mutex<KeyPool>>,
        witness: Option<(Arc<Mutex<Auditor>>, MemoryStore)>,
        clock: FakeClock,
        seed: u64,
        bug: Option<PlantedBug>,
    ) -> Self {
        Self { pool, witness, clock, random: Arc::new(Mutex::new(Random::new(seed))), bug }
    }

    fn watched(&self, room: KeyRoom, signer: ScriptedSigner) -> Arc<dyn Signer> {
        let Some((auditor, store)) = &self.witness else { return Arc::new(signer) };
        Arc::new(WitnessSigner {
            signer,
            room,
            auditor: auditor.clone(),
            store: store.clone(),
            random: self.random.clone(),
            bug: self.bug,
        })
    }
}

#[async_trait]
impl Keyring for WitnessKeyring {
    async fn generate(&self, room: KeyRoom, _: KeyType) -> Result<(SealedKey, Arc<dyn Signer>), KeyringError> {
        nap().await;
        let mut pool = lock(&self.pool);
        pool.made += 1;
        let signer = ScriptedSigner::from_pkcs8(KeyType::Ed25519, &pkcs8("service", pool.made));
        let public = signer.public_key();
        let id = hex::encode(public.spki_sha256());
        let sealed = SealedKey {
            id: id.clone(),
            room,
            key_type: KeyType::Ed25519,
            spki: public.spki_der().to_vec(),
            sealed: Vec::new(),
            created_at: self.clock.now(),
        };
        pool.by_id.insert(id, signer.clone());
        Ok((sealed, self.watched(room, signer)))
    }

    async fn open(&self, sealed: &SealedKey) -> Result<Arc<dyn Signer>, KeyringError> {
        let found = lock(&self.pool).by_id.get(&sealed.id).cloned();
        let signer = found.ok_or_else(|| KeyringError::WrongSeal { id: sealed.id.clone() })?;
        Ok(self.watched(sealed.room, signer))
    }
}

/// Signs some polls later, fails now and then as a KMS does, and tells the auditor of an authority's signature over what is not
/// on record.
struct WitnessSigner {
    signer: ScriptedSigner,
    room: KeyRoom,
    auditor: Arc<Mutex<Auditor>>,
    store: MemoryStore,
    random: Arc<Mutex<Random>>,
    bug: Option<PlantedBug>,
}

#[async_trait]
impl Signer for WitnessSigner {
    fn public_key(&self) -> &PublicKey {
        self.signer.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.signer.algorithm()
    }

    async fn sign(&self, message: &dyn Signable) -> Result<Signature, SignerError> {
        let polls = lock(&self.random).below(3);
        for _ in 0..polls {
            nap().await;
        }
        let mut octets = message.to_be_signed().to_vec();
        let fault = {
            let mut random = lock(&self.random);
            random.one_in(40).then(|| {
                random.pick(&[SigningStep::Busy { retry_after: None }, SigningStep::Unavailable, SigningStep::Garbage])
            })
        };
        if let Some(fault) = fault {
            self.signer.script([fault]);
        } else if self.bug == Some(PlantedBug::OtherOctetsSigned) && lock(&self.random).one_in(4) {
            octets.push(0);
        }
        if fault.is_none() && self.room == KeyRoom::Authorities && !self.store.is_intended(&octets) {
            lock(&self.auditor).violated("an authority's key signed octets that are not on record".to_owned());
        }
        self.signer.sign(message).await
    }
}
