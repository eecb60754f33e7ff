//! Lists and OCSP responders that were made elsewhere, for authorities whose keys are not here: read from files and taken on record.

use std::io;
use std::path::{Path, PathBuf};

use ca_core::crl::{CrlParseError, ParsedCrl};
use ca_core::id::AuthorityId;
use ca_core::principal::Principal;
use ca_core::time::Timestamp;
use ca_engine::error::FlowError;
use ca_engine::flow::import_crl::{self, ImportedCrl};
use ca_engine::flow::import_responder::import_responder;
use ca_engine::port::keyring::{KeyRoom, KeyringError};
use ca_engine::port::store::StoreError;
use thiserror::Error;

use crate::encrypted_key::{self, EncryptedKeyError};
use crate::external_root::{ExternalRootError, read_certificates};
use crate::file::{self, Links};
use crate::local::LocalError;
use crate::open::Runtime;
use crate::operator_message::operator_message;
use crate::seal::Passphrase;

impl Runtime {
    /// Takes a complete list on record and publishes it: PEM (the first of the text) or DER.
    pub async fn import_crl(&self, octets: &[u8]) -> Result<ImportedCrl, ExternalStatusError> {
        let list = match std::str::from_utf8(octets) {
            Ok(text) if text.contains("-----BEGIN") => ParsedCrl::all_from_pem(text)?.into_iter().next(),
            _ => Some(ParsedCrl::from_der(octets.to_vec())?),
        };
        let list = list.ok_or(ExternalStatusError::NoList)?;
        let (_, lease_name) = import_crl::issuer_of(&self.engine, &list)?;
        let lease = self.lease(&lease_name).await?;
        let imported = import_crl::import_crl(&self.engine, &Principal::LocalOperator, &list, &lease).await;
        self.engine.store().release_lease(&lease).await?;
        Ok(imported?)
    }

    /// Takes an OCSP responder on record: its certificate, and its key as encrypted PKCS#8. Returns for whom it answers, and until
    /// when.
    pub async fn import_responder(
        &self,
        certificate: &Path,
        key: &Path,
        passphrase: &Passphrase,
    ) -> Result<(AuthorityId, Timestamp), ExternalStatusError> {
        let unreadable = |source| ExternalStatusError::Io { path: key.to_path_buf(), source };
        let of_key = |source| ExternalStatusError::Key { path: key.to_path_buf(), source };
        let certificate =
            read_certificates(certificate)?.into_iter().next().ok_or(ExternalStatusError::NoCertificate)?;
        let pem = file::read_private(key, Links::Follow)
            .map_err(unreadable)?
            .ok_or_else(|| unreadable(io::ErrorKind::NotFound.into()))?;
        let passphrase = passphrase.clone();
        let clear = tokio::task::spawn_blocking(move || {
            let text = std::str::from_utf8(&pem).map_err(|_| EncryptedKeyError::NotAnEncryptedKey)?;
            encrypted_key::decrypt(text, &passphrase)
        })
        .await
        .map_err(|_| ExternalStatusError::Stopped)?
        .map_err(of_key)?;
        let sealed = self.keyring.adopt(KeyRoom::Responders, &clear)?;
        let authority = import_responder(&self.engine, &Principal::LocalOperator, &certificate, sealed).await?;
        Ok((authority, certificate.validity().not_after))
    }
}

/// Why a list or a responder was not taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExternalStatusError {
    /// Not a list.
    #[error("not a revocation list that can be read: {0}")]
    List(#[from] CrlParseError),
    /// Text without a list.
    #[error("there is no revocation list in it; give one in PEM or DER")]
    NoList,
    /// Text without a certificate.
    #[error("there is no certificate in it; give one in PEM or DER")]
    NoCertificate,
    /// The certificate's file.
    #[error(transparent)]
    Certificate(#[from] ExternalRootError),
    /// The key does not open.
    #[error("{}: {source}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: EncryptedKeyError,
    },
    /// The key cannot be sealed.
    #[error(transparent)]
    Sealing(#[from] KeyringError),
    /// A file.
    #[error("{}: {}", path.display(), file::complaint(source))]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The lease.
    #[error(transparent)]
    Lease(#[from] LocalError),
    /// The record.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A flow; the operator sees what callers do not.
    #[error("{}", operator_message(.0))]
    Flow(FlowError),
    /// The process is stopping.
    #[error("the process is stopping")]
    Stopped,
}

impl From<FlowError> for ExternalStatusError {
    fn from(error: FlowError) -> Self {
        Self::Flow(error)
    }
}
