//! Keys that leave the service: an authority's as encrypted PKCS#8, the root's file to where it is kept offline. Each is on the
//! audit record before the key is out.

use std::path::Path;

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::id::{AuthorityId, IdError};
use ca_core::principal::Principal;
use ca_engine::error::FlowError;
use ca_engine::flow::query::permit;
use ca_engine::port::authorizer::{Action, Resource};
use ca_engine::port::keyring::KeyringError;
use ca_engine::port::store::{KeyHome, StoreError};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::encrypted_key::{self, EncryptedKeyError};
use crate::hierarchy::ROOT;
use crate::open::Runtime;
use crate::operator_message::operator_message;
use crate::root_key::RootKeyError;
use crate::seal::Passphrase;

impl Runtime {
    /// The software key of an authority as encrypted PKCS#8, PEM, under a passphrase of its own.
    pub async fn export_key(
        &self,
        principal: &Principal,
        id: &AuthorityId,
        passphrase: &Passphrase,
    ) -> Result<Zeroizing<String>, ExportError> {
        permit(&self.engine, principal, Action::ExportKey, Resource::Authority(id))?;
        let authority = self.engine.authority(id)?;
        let key_id = match &authority.record().key_home {
            KeyHome::Sealed(key_id) => key_id,
            KeyHome::File => return Err(ExportError::InAFile { authority: id.clone() }),
            elsewhere => {
                return Err(ExportError::Elsewhere { authority: id.clone(), place: elsewhere.to_string() });
            }
        };
        let sealed = self.engine.store().key(key_id).await?.ok_or(ExportError::NoKey { authority: id.clone() })?;
        let (key, _) = self.keyring.unseal(&sealed)?;
        let pem = {
            let (passphrase, entropy) = (passphrase.clone(), self.entropy.clone());
            tokio::task::spawn_blocking(move || encrypted_key::encrypt(&key, &passphrase, &*entropy))
                .await
                .map_err(|_| ExportError::Stopped)??
        };
        self.record(AuditAction::AuthorityKeyExported, principal, id).await?;
        Ok(pem)
    }

    /// Moves the root's key file to `target`, which must not be there: to where it is kept offline. It opens with the seal's
    /// passphrase as before.
    pub async fn export_root_key(&self, principal: &Principal, target: &Path) -> Result<(), ExportError> {
        let root: AuthorityId = ROOT.parse()?;
        permit(&self.engine, principal, Action::ExportKey, Resource::Authority(&root))?;
        let authority = self.engine.authority(&root)?;
        let file = self.root_key.as_ref().ok_or(ExportError::NoKey { authority: root.clone() })?;
        // What is moved away must be the root's key, and must open: nobody looks at it again for a year.
        file.open(authority.certificate().public_key()).await?;
        self.record(AuditAction::RootKeyExported, principal, &root).await?;
        Ok(file.move_to(target)?)
    }

    async fn record(&self, action: AuditAction, principal: &Principal, id: &AuthorityId) -> Result<(), StoreError> {
        let event = AuditEvent::new(self.engine.now(), action, principal.reference(), format!("authority:{id}"));
        self.engine.store().append_event(event).await
    }
}

/// Why a key stays where it is.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The root's.
    #[error("the key of {authority} is in a file of encrypted PKCS#8 already; `authority export-root-key` moves that")]
    InAFile {
        /// Whose.
        authority: AuthorityId,
    },
    /// In KMS or in a token.
    #[error("the key of {authority} is in {place}, which it never leaves")]
    Elsewhere {
        /// Whose.
        authority: AuthorityId,
        /// Where.
        place: String,
    },
    /// Not here.
    #[error("the key of {authority} is not here")]
    NoKey {
        /// Whose.
        authority: AuthorityId,
    },
    /// The seal.
    #[error(transparent)]
    Key(#[from] KeyringError),
    /// The root's key file.
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
    /// The encryption.
    #[error(transparent)]
    Encryption(#[from] EncryptedKeyError),
    /// The record.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The access policy, or an authority that is not there.
    #[error("{}", operator_message(.0))]
    Flow(FlowError),
    /// A built-in id that is none.
    #[error(transparent)]
    Id(#[from] IdError),
    /// The process is stopping.
    #[error("the process is stopping")]
    Stopped,
}

impl From<FlowError> for ExportError {
    fn from(error: FlowError) -> Self {
        Self::Flow(error)
    }
}
