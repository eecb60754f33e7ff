//! `ca-server reseal`: moves what is sealed to the seal that the configuration names, alone on the data folder. Replicas on other hosts
//! may go on: their keys are open.

use std::path::PathBuf;
use std::sync::Arc;

use ca_backends::aws::KmsKeyArn;
use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::principal::Principal;
use ca_engine::port::clock::Clock;
use ca_engine::port::entropy::Entropy;
use ca_engine::port::store::StoreError;
use ca_engine::port::wrapping_key::WrappingPurpose;
use ca_store::OpenMode;
use thiserror::Error;

use crate::clock::SystemClock;
use crate::config::{Config, PassphraseSource};
use crate::data_folder::{DataFolder, DataFolderError};
use crate::entropy::SystemEntropy;
use crate::lock::LockError;
use crate::record::Record;
use crate::root_key::{RootKeyError, RootKeyFile};
use crate::root_password::RootPassword;
use crate::seal::{self, DataKeyRoom, Passphrase, Seal, SealError, Seals};
use crate::seal_sources::{SealSourceFault, root_password, seals, wrapping_key};

/// A seal that was in use before.
#[derive(Clone, Debug)]
pub enum FormerSeal {
    /// The passphrase in a file.
    PassphraseFile(PathBuf),
    /// A key of KMS.
    Kms(KmsKeyArn),
}

/// What was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resealed {
    /// The data keys.
    pub data_keys: Vec<DataKeyRoom>,
    /// Where the root's key was found and moved; `None`: it is not here, and what opened it before opens it still.
    pub root_key: Option<PathBuf>,
}

/// Wraps everything anew under the seals of `config`. It opens by those, or by one of `former`.
pub async fn reseal(config: &Config, former: &[FormerSeal]) -> Result<Resealed, ResealError> {
    let data_folder = DataFolder::open(&config.data_dir)?;
    let _alone = data_folder.lock_exclusive("ca-server reseal")?;
    let record = Record::open(&config.database, OpenMode::ReadWrite).await?;
    let moved = move_all(config, former, &data_folder, &record).await;
    record.close().await;
    moved
}

async fn move_all(
    config: &Config,
    former: &[FormerSeal],
    data_folder: &DataFolder,
    record: &Record,
) -> Result<Resealed, ResealError> {
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::new());
    let wanted = seals(config, false, Passphrase::read).await?;
    let mut opening = Vec::new();
    for seal in former {
        opening.push(match seal {
            FormerSeal::PassphraseFile(path) => {
                let passphrase = Passphrase::read(&PassphraseSource::File(path.clone()));
                Seal::Passphrase(Arc::new(passphrase.map_err(SealSourceFault::from)?))
            }
            FormerSeal::Kms(arn) => Seal::External(wrapping_key(&config.aws, arn).await?, WrappingPurpose::Authorities),
        });
    }
    let store = record.store();
    // Before anything is moved, as an export is told of before the key is given out.
    let event = AuditEvent::new(
        SystemClock.now(),
        AuditAction::KeysResealed,
        Principal::LocalOperator.reference(),
        "service".to_owned(),
    );
    store.append_event(event).await?;
    // The root's key first: what it needs to be opened must not be given up before it was.
    let root_key = move_root_key(data_folder, &wanted, &opening, &entropy).await?;
    let data_keys = seal::reseal(&*store, &wanted, &opening, &*entropy).await?;
    Ok(Resealed { data_keys, root_key })
}

async fn move_root_key(
    data_folder: &DataFolder,
    wanted: &Seals,
    former: &[Seal],
    entropy: &Arc<dyn Entropy>,
) -> Result<Option<PathBuf>, ResealError> {
    let seal = wanted.authorities.as_ref().unwrap_or(&wanted.responders);
    let file = RootKeyFile::new(data_folder.root_key_file(), root_password(seal));
    let former: Vec<RootPassword> = former.iter().map(root_password).collect();
    Ok(file.reseal(&former, entropy).await?.then(|| file.path().to_path_buf()))
}

/// Why not everything was moved. Run again, it goes on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ResealError {
    /// The data folder.
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    /// Somebody else is at work.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The database.
    #[error(transparent)]
    Database(#[from] ca_store::OpenError),
    /// The database, once opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A seal that cannot be used.
    #[error(transparent)]
    Source(#[from] SealSourceFault),
    /// A seal that does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The root's key.
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
}
