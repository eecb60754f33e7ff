//! The data keys of the service: found in the store and opened with the passphrase, or made.

use std::sync::Arc;

use ca_engine::port::entropy::{Entropy, EntropyUnavailable};
use ca_engine::port::keyring::KeyRoom;
use ca_engine::port::store::{AuthorityStore, StoreError};
use thiserror::Error;

use super::data_key::{DataKey, SealingError};
use super::passphrase::Passphrase;
use super::room::DataKeyRoom;
use super::wrapped_key::{Derivation, WrappedKey};

/// The passphrases a process was given.
#[derive(Clone, Debug)]
pub struct Passphrases {
    /// For the keys of authorities; the status role has none.
    pub authorities: Option<Arc<Passphrase>>,
    /// For the keys of responders; often the same.
    pub responders: Arc<Passphrase>,
}

/// What to do when the store has no data keys yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingKeys {
    /// Make them: `init`, `dev`, and the first use of local mode.
    Make,
    /// Fail: nothing is ever sealed here before `init` was run.
    Refuse,
}

/// The opened data keys a process holds.
#[derive(Clone, Debug)]
pub struct DataKeys {
    authorities: Option<DataKey>,
    responders: DataKey,
    personal_data: Option<DataKey>,
}

impl DataKeys {
    /// Finds the data keys in `store` and opens them; makes those that are missing if told to. Each distinct passphrase and
    /// salt is derived once, off the async threads.
    pub async fn open(
        store: &dyn AuthorityStore,
        passphrases: &Passphrases,
        missing: MissingKeys,
        entropy: &dyn Entropy,
    ) -> Result<Self, SealError> {
        let mut opening = Opening { store, missing, entropy, derived: Vec::new() };
        let authorities = match &passphrases.authorities {
            Some(passphrase) => Some(opening.data_key(DataKeyRoom::Keys(KeyRoom::Authorities), passphrase).await?),
            None => None,
        };
        let responders = opening.data_key(DataKeyRoom::Keys(KeyRoom::Responders), &passphrases.responders).await?;
        let personal_data = match &passphrases.authorities {
            Some(passphrase) => opening.personal_data_key(passphrase).await?,
            None => None,
        };
        Ok(Self { authorities, responders, personal_data })
    }

    /// The data key of personal data, if this process holds it.
    pub fn personal_data(&self) -> Option<&DataKey> {
        self.personal_data.as_ref()
    }

    /// The data key of a room, if this process holds it.
    pub fn of(&self, room: KeyRoom) -> Option<&DataKey> {
        match room {
            KeyRoom::Authorities => self.authorities.as_ref(),
            KeyRoom::Responders => Some(&self.responders),
        }
    }
}

/// Whether the store has data keys: whether a passphrase is in use with it.
pub async fn is_sealed(store: &dyn AuthorityStore) -> Result<bool, StoreError> {
    Ok(store.setting(setting_name(DataKeyRoom::Keys(KeyRoom::Responders))).await?.is_some()
        || store.setting(setting_name(DataKeyRoom::Keys(KeyRoom::Authorities))).await?.is_some())
}

struct Opening<'a> {
    store: &'a dyn AuthorityStore,
    missing: MissingKeys,
    entropy: &'a dyn Entropy,
    /// What was derived so far.
    derived: Vec<(Arc<Passphrase>, Derivation, DataKey)>,
}

impl Opening<'_> {
    /// A record that was made before personal data was encrypted has no key for it, and gets one: the passphrase has just opened
    /// the others. One that can only be read has no use for a key that nothing is encrypted under.
    async fn personal_data_key(&mut self, passphrase: &Arc<Passphrase>) -> Result<Option<DataKey>, SealError> {
        self.missing = MissingKeys::Make;
        match self.data_key(DataKeyRoom::PersonalData, passphrase).await {
            Err(SealError::Store(StoreError::Unavailable { detail })) => {
                tracing::warn!(
                    detail,
                    "personal data cannot be read: its key is missing, and the record cannot be written"
                );
                Ok(None)
            }
            opened => opened.map(Some),
        }
    }

    async fn data_key(&mut self, room: DataKeyRoom, passphrase: &Arc<Passphrase>) -> Result<DataKey, SealError> {
        let name = setting_name(room);
        if let Some(record) = self.store.setting(name).await? {
            return self.unwrap(room, passphrase, &record).await;
        }
        if self.missing == MissingKeys::Refuse {
            return Err(SealError::NotInitialised);
        }
        // The salt of a key made a moment ago under the same passphrase: one derivation then opens both.
        let known =
            self.derived.iter().find(|(known, ..)| known == passphrase).map(|(_, derivation, _)| derivation.clone());
        let derivation = match known {
            Some(derivation) => derivation,
            None => Derivation::generate(self.entropy)?,
        };
        let wrapping_key = self.derive(passphrase, &derivation).await?;
        let data_key = DataKey::generate(self.entropy)?;
        let wrapped = WrappedKey::wrap(room, &data_key, derivation, &wrapping_key, self.entropy)?;
        if self.store.set_setting(name, None, wrapped.to_record().as_bytes()).await? {
            return Ok(data_key);
        }
        // Another process made it first: theirs is the one.
        let record = self.store.setting(name).await?.ok_or(SealError::NotInitialised)?;
        self.unwrap(room, passphrase, &record).await
    }

    async fn unwrap(
        &mut self,
        room: DataKeyRoom,
        passphrase: &Arc<Passphrase>,
        record: &[u8],
    ) -> Result<DataKey, SealError> {
        let wrapped = WrappedKey::from_record(record).ok_or(SealError::UnreadableRecord { room })?;
        let wrapping_key = self.derive(passphrase, &wrapped.derivation).await?;
        wrapped
            .unwrap(room, &wrapping_key)
            .ok_or_else(|| SealError::WrongPassphrase { room, origin: passphrase.origin().to_owned() })
    }

    async fn derive(&mut self, passphrase: &Arc<Passphrase>, derivation: &Derivation) -> Result<DataKey, SealError> {
        let known = self.derived.iter().find(|(known, with, _)| known == passphrase && with == derivation);
        if let Some((_, _, key)) = known {
            return Ok(key.clone());
        }
        let (with, from) = (derivation.clone(), Arc::clone(passphrase));
        let key = tokio::task::spawn_blocking(move || with.derive(&from)).await.map_err(|_| SealError::Stopped)?;
        self.derived.push((Arc::clone(passphrase), derivation.clone(), key.clone()));
        Ok(key)
    }
}

const fn setting_name(room: DataKeyRoom) -> &'static str {
    match room {
        DataKeyRoom::Keys(KeyRoom::Authorities) => "seal.authorities",
        DataKeyRoom::Keys(KeyRoom::Responders) => "seal.responders",
        DataKeyRoom::PersonalData => "seal.personal-data",
    }
}

/// Why the seal does not open.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// The passphrase is another one.
    #[error(
        "the passphrase from {origin} does not open the keys of {}: they were sealed with another one, or the database's record of it was changed; give the passphrase that was in use when they were made",
        room.as_str()
    )]
    WrongPassphrase {
        /// The keys.
        room: DataKeyRoom,
        /// Where the passphrase came from.
        origin: String,
    },
    /// Nothing was sealed here yet.
    #[error("the database holds no sealed keys yet; run `ca-server init` first")]
    NotInitialised,
    /// The record makes no sense.
    #[error("the database's record of the data key of {} cannot be read; it was changed, or made by a newer version", room.as_str())]
    UnreadableRecord {
        /// The keys.
        room: DataKeyRoom,
    },
    /// The process is stopping.
    #[error("the process is stopping")]
    Stopped,
    /// No randomness.
    #[error("no data key could be made: {0}")]
    Entropy(#[from] EntropyUnavailable),
    /// A data key that was made could not be wrapped.
    #[error("the data key could not be wrapped: {0}")]
    Wrapping(#[from] SealingError),
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}
