//! Keys made from numbers, and signers that look at the record before they sign.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ca_core::hash::sha256;
use ca_core::key::{KeyType, PublicKey, SignatureAlgorithm};
use ca_core::signing::{Message, Signable, Signature};
use ca_core::time::Timestamp;
use ca_engine::fake::{MemoryStore, ScriptedSigner};
use ca_engine::port::keyring::{KeyRoom, Keyring, KeyringError, SealedKey};
use ca_engine::port::signer::{Signer, SignerError};

use crate::auditor::{Auditor, Process};
use crate::executor::{nap, naps};
use crate::lock;
use crate::planted_bug::PlantedBug;
use crate::random::Random;

/// The private keys of a service: the how manieth each is, and the signers of those that were used.
#[derive(Default)]
pub(crate) struct KeyPool {
    numbers: BTreeMap<String, u64>,
    signers: BTreeMap<String, ScriptedSigner>,
}

impl KeyPool {
    /// The same keys with signers of their own: runs that go on at the same time share nothing.
    pub(crate) fn forked(&self) -> Self {
        Self { numbers: self.numbers.clone(), signers: BTreeMap::new() }
    }

    fn make(&mut self) -> (String, ScriptedSigner) {
        let number = self.numbers.len() as u64;
        let signer = ScriptedSigner::from_pkcs8(KeyType::Ed25519, &pkcs8("service", number));
        let id = hex::encode(signer.public_key().spki_sha256());
        self.numbers.insert(id.clone(), number);
        self.signers.insert(id.clone(), signer.clone());
        (id, signer)
    }

    fn signer(&mut self, id: &str) -> Option<ScriptedSigner> {
        let number = *self.numbers.get(id)?;
        let make = || ScriptedSigner::from_pkcs8(KeyType::Ed25519, &pkcs8("service", number));
        Some(self.signers.entry(id.to_owned()).or_insert_with(make).clone())
    }
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
    pub(crate) pool: Arc<Mutex<KeyPool>>,
    pub(crate) witness: Option<(Arc<Mutex<Auditor>>, MemoryStore)>,
    /// The process whose keyring it is.
    pub(crate) process: Process,
    /// Whether it has the data key of responders only.
    pub(crate) status_only: bool,
    pub(crate) random: Arc<Mutex<Random>>,
    pub(crate) bug: Option<PlantedBug>,
}

impl WitnessKeyring {
    fn check_room(&self, room: KeyRoom) -> Result<(), KeyringError> {
        if self.status_only && room == KeyRoom::Authorities { Err(KeyringError::NoDataKey { room }) } else { Ok(()) }
    }

    /// A key whose signatures are watched.
    pub(crate) fn watched(&self, room: KeyRoom, signer: ScriptedSigner) -> Arc<dyn Signer> {
        let Some((auditor, store)) = &self.witness else { return Arc::new(signer) };
        Arc::new(WitnessSigner {
            signer,
            room,
            process: self.process,
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
        self.check_room(room)?;
        let (id, signer) = lock(&self.pool).make();
        let public = signer.public_key();
        let sealed = SealedKey {
            id,
            room,
            key_type: KeyType::Ed25519,
            spki: public.spki_der().to_vec(),
            sealed: Vec::new(),
            created_at: Timestamp::from_unix_seconds(0),
        };
        Ok((sealed, self.watched(room, signer)))
    }

    async fn open(&self, sealed: &SealedKey) -> Result<Arc<dyn Signer>, KeyringError> {
        self.check_room(sealed.room)?;
        let found = lock(&self.pool).signer(&sealed.id);
        let signer = found.ok_or_else(|| KeyringError::WrongSeal { id: sealed.id.clone() })?;
        Ok(self.watched(sealed.room, signer))
    }
}

/// Signs some polls later, fails now and then as a KMS does, and tells the auditor of an authority's signature over what is not
/// on record.
struct WitnessSigner {
    signer: ScriptedSigner,
    room: KeyRoom,
    process: Process,
    auditor: Arc<Mutex<Auditor>>,
    store: MemoryStore,
    random: Arc<Mutex<Random>>,
    bug: Option<PlantedBug>,
}

/// How a signature fails.
#[derive(Clone, Copy)]
enum Fault {
    Busy,
    Unavailable,
    Garbage,
}

impl WitnessSigner {
    fn fault(&self) -> Option<Fault> {
        let mut random = lock(&self.random);
        // A responder's signature is verified once in a process only (`Responder::is_proved`).
        let garbage = if self.room == KeyRoom::Authorities { Fault::Garbage } else { Fault::Unavailable };
        random.one_in(40).then(|| random.pick(&[Fault::Busy, Fault::Unavailable, garbage]))
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
        // Its keys are Ed25519 ones, which have one.
        self.signer.with_algorithm(algorithm)
    }

    async fn sign(&self, message: &dyn Signable) -> Result<Signature, SignerError> {
        let polls = lock(&self.random).below(3);
        naps(polls).await;
        let Message::Whole(whole) = message.message() else {
            // Its keys are Ed25519 ones, which sign what they are given.
            return Err(SignerError::Refused { detail: "not a whole message".to_owned() });
        };
        let mut octets = whole.to_vec();
        match self.fault() {
            Some(Fault::Busy) => {
                return Err(SignerError::Busy { detail: "too many requests".to_owned(), retry_after: None });
            }
            Some(Fault::Unavailable) => {
                return Err(SignerError::Unavailable { detail: "no route".to_owned() });
            }
            Some(Fault::Garbage) => {
                return Ok(Signature { algorithm: self.algorithm(), octets: vec![0x5a; 64] });
            }
            None => {}
        }
        if self.bug == Some(PlantedBug::OtherOctetsSigned) && lock(&self.random).one_in(4) {
            octets.push(0);
        }
        lock(&self.auditor).signs(self.process);
        if self.room == KeyRoom::Authorities && !self.store.is_intended(Message::Whole(&octets)) {
            lock(&self.auditor).violated("an authority's key signed octets that are not on record".to_owned());
        }
        self.signer.sign(message).await
    }
}
