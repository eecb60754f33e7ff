//! What seals: a passphrase, or a key elsewhere. From either comes the key that data keys are wrapped under; each is derived, or asked
//! for, once.

use std::fmt;
use std::sync::Arc;

use ca_engine::port::entropy::Entropy;
use ca_engine::port::wrapping_key::{WrappingKey, WrappingPurpose};

use super::data_key::DataKey;
use super::error::SealError;
use super::passphrase::Passphrase;
use super::room::DataKeyRoom;
use super::wrapped_key::{Derivation, Protection, WrappedKey};

/// One seal.
#[derive(Clone, Debug)]
pub enum Seal {
    /// A passphrase.
    Passphrase(Arc<Passphrase>),
    /// A key elsewhere, and what it wraps here.
    External(Arc<dyn WrappingKey>, WrappingPurpose),
}

impl Seal {
    /// Whether both are the same: what one opens, the other does.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Passphrase(one), Self::Passphrase(other)) => one == other,
            (Self::External(one, purpose), Self::External(other, for_other)) => {
                one.name() == other.name() && purpose == for_other
            }
            _ => false,
        }
    }

    /// Whether it is of the kind that a protection needs; of passphrases only the attempt tells.
    pub(super) fn fits(&self, protection: &Protection) -> bool {
        match (self, protection) {
            (Self::Passphrase(_), Protection::Passphrase(_)) => true,
            (Self::External(key, purpose), Protection::External { by, purpose: wanted, .. }) => {
                key.name() == by && purpose == wanted
            }
            _ => false,
        }
    }
}

/// In messages.
impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passphrase(passphrase) => write!(f, "the passphrase from {}", passphrase.origin()),
            Self::External(key, purpose) => write!(f, "{} for `{}`", key.name(), purpose.as_str()),
        }
    }
}

/// The seals that a process was given.
#[derive(Clone, Debug)]
pub struct Seals {
    /// For the keys of authorities; the status role has none.
    pub authorities: Option<Seal>,
    /// For the keys of responders; often the same.
    pub responders: Seal,
}

/// The keys that data keys are wrapped under, as far as they were derived or asked for.
#[derive(Default)]
pub(super) struct WrappingKeys {
    opened: Vec<(Seal, Protection, DataKey)>,
}

impl WrappingKeys {
    /// The key that a seal wraps with from here on: one that it wrapped with before, else a new one.
    pub(super) async fn current(
        &mut self,
        seal: &Seal,
        entropy: &dyn Entropy,
    ) -> Result<(Protection, DataKey), SealError> {
        // One that is in use spares every start to ask twice.
        if let Some((_, protection, key)) = self.opened.iter().find(|(known, ..)| known.is(seal)) {
            return Ok((protection.clone(), key.clone()));
        }
        let (protection, key) = match seal {
            Seal::Passphrase(passphrase) => {
                let derivation = Derivation::generate(entropy)?;
                let key = derive(derivation.clone(), Arc::clone(passphrase)).await?;
                (Protection::Passphrase(derivation), key)
            }
            Seal::External(wrapping, purpose) => {
                let key = DataKey::generate(entropy)?;
                let wrapping_key = wrapping.wrap(*purpose, key.as_octets()).await.map_err(SealError::NotWrapped)?;
                (Protection::External { by: wrapping.name().to_owned(), purpose: *purpose, wrapping_key }, key)
            }
        };
        self.opened.push((seal.clone(), protection.clone(), key.clone()));
        Ok((protection, key))
    }

    /// Opens a wrapped data key with a seal.
    pub(super) async fn open(
        &mut self,
        room: DataKeyRoom,
        seal: &Seal,
        wrapped: &WrappedKey,
    ) -> Result<DataKey, SealError> {
        let key = self.wrapping_key(room, seal, &wrapped.protection).await?;
        wrapped.unwrap(room, &key).ok_or_else(|| match seal {
            Seal::Passphrase(passphrase) => SealError::WrongPassphrase { room, origin: passphrase.origin().to_owned() },
            // The key was the right one, or would not have opened what is above: the record was changed.
            Seal::External(..) => SealError::UnreadableRecord { room },
        })
    }

    async fn wrapping_key(
        &mut self,
        room: DataKeyRoom,
        seal: &Seal,
        protection: &Protection,
    ) -> Result<DataKey, SealError> {
        let known = self.opened.iter().find(|(known, with, _)| known.is(seal) && with == protection);
        if let Some((_, _, key)) = known {
            return Ok(key.clone());
        }
        let other = || SealError::OtherSeal { room, by: protection.to_string(), configured: seal.to_string() };
        if !seal.fits(protection) {
            return Err(other());
        }
        let key = match (seal, protection) {
            (Seal::Passphrase(passphrase), Protection::Passphrase(derivation)) => {
                derive(derivation.clone(), Arc::clone(passphrase)).await?
            }
            (Seal::External(external, purpose), Protection::External { wrapping_key, .. }) => {
                let opened = external.unwrap(*purpose, wrapping_key).await;
                let opened = opened.map_err(|source| SealError::External { room, source })?;
                DataKey::from_octets(&opened).ok_or(SealError::UnreadableRecord { room })?
            }
            _ => return Err(other()),
        };
        self.opened.push((seal.clone(), protection.clone(), key.clone()));
        Ok(key)
    }
}

/// A tenth of a second of CPU or more, off the async threads.
async fn derive(derivation: Derivation, passphrase: Arc<Passphrase>) -> Result<DataKey, SealError> {
    tokio::task::spawn_blocking(move || derivation.derive(&passphrase)).await.map_err(|_| SealError::Stopped)
}
