//! The data keys of the service: found in the store and opened with the seals, or made.

use ca_engine::port::entropy::Entropy;
use ca_engine::port::keyring::KeyRoom;
use ca_engine::port::store::{AuthorityStore, StoreError};

use super::data_key::DataKey;
use super::error::SealError;
use super::room::DataKeyRoom;
use super::seals::{Seal, Seals, WrappingKeys};
use super::wrapped_key::WrappedKey;

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
    /// Finds the data keys in `store` and opens them; makes those that are missing if told to. What several are wrapped under
    /// is derived, or asked for, once.
    pub async fn open(
        store: &dyn AuthorityStore,
        seals: &Seals,
        missing: MissingKeys,
        entropy: &dyn Entropy,
    ) -> Result<Self, SealError> {
        let mut opening = Opening { store, missing, entropy, keys: WrappingKeys::default() };
        let authorities = match &seals.authorities {
            Some(seal) => Some(opening.data_key(DataKeyRoom::Keys(KeyRoom::Authorities), seal).await?),
            None => None,
        };
        let responders = opening.data_key(DataKeyRoom::Keys(KeyRoom::Responders), &seals.responders).await?;
        let personal_data = match &seals.authorities {
            Some(seal) => opening.personal_data_key(seal).await?,
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

/// Whether the store has data keys: whether a seal is in use with it.
pub async fn is_sealed(store: &dyn AuthorityStore) -> Result<bool, StoreError> {
    Ok(store.setting(setting_name(DataKeyRoom::Keys(KeyRoom::Responders))).await?.is_some()
        || store.setting(setting_name(DataKeyRoom::Keys(KeyRoom::Authorities))).await?.is_some())
}

struct Opening<'a> {
    store: &'a dyn AuthorityStore,
    missing: MissingKeys,
    entropy: &'a dyn Entropy,
    keys: WrappingKeys,
}

impl Opening<'_> {
    /// A record that was made before personal data was encrypted has no key for it, and gets one: the seal has just opened
    /// the others. One that can only be read has no use for a key that nothing is encrypted under.
    async fn personal_data_key(&mut self, seal: &Seal) -> Result<Option<DataKey>, SealError> {
        self.missing = MissingKeys::Make;
        match self.data_key(DataKeyRoom::PersonalData, seal).await {
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

    async fn data_key(&mut self, room: DataKeyRoom, seal: &Seal) -> Result<DataKey, SealError> {
        let name = setting_name(room);
        if let Some(record) = self.store.setting(name).await? {
            return self.unwrap(room, seal, &record).await;
        }
        if self.missing == MissingKeys::Refuse {
            return Err(SealError::NotInitialised);
        }
        let (protection, wrapping_key) = self.keys.current(seal, self.entropy).await?;
        let data_key = DataKey::generate(self.entropy)?;
        let wrapped = WrappedKey::wrap(room, &data_key, protection, &wrapping_key, self.entropy)?;
        if self.store.set_setting(name, None, wrapped.to_record().as_bytes()).await? {
            return Ok(data_key);
        }
        // Another process made it first: theirs is the one.
        let record = self.store.setting(name).await?.ok_or(SealError::NotInitialised)?;
        self.unwrap(room, seal, &record).await
    }

    async fn unwrap(&mut self, room: DataKeyRoom, seal: &Seal, record: &[u8]) -> Result<DataKey, SealError> {
        let wrapped = WrappedKey::from_record(record).ok_or(SealError::UnreadableRecord { room })?;
        self.keys.open(room, seal, &wrapped).await
    }
}

/// Where the wrapped data key of a room lies in the store.
pub(super) const fn setting_name(room: DataKeyRoom) -> &'static str {
    match room {
        DataKeyRoom::Keys(KeyRoom::Authorities) => "seal.authorities",
        DataKeyRoom::Keys(KeyRoom::Responders) => "seal.responders",
        DataKeyRoom::PersonalData => "seal.personal-data",
    }
}
