//! Backups: a whole record in one encrypted file, made while servers are at work, and loaded into an empty place.
//!
//! What a record needs besides lies elsewhere and is not in the file: the seal's passphrase, without which its keys are lost, the
//! root's key, the configuration, and the anchor, which a restored record is compared with ([`crate::restore`]).

pub(crate) mod container;
mod stream;

use std::fs::{self, File, Permissions};
use std::io::{self, BufReader, BufWriter};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::principal::Principal;
use ca_engine::lineage::{RESTORATION, RESTORED};
use ca_engine::port::clock::Clock;
use ca_engine::port::store::StoreError;
use ca_store::{OpenMode, SnapshotError, SnapshotSource};
use thiserror::Error;

use self::container::{ContainerReader, ContainerWriter};
use self::stream::{PartReader, PartWriter};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::data_folder::{DataFolder, DataFolderError};
use crate::entropy::SystemEntropy;
use crate::file::{self, Existing, TEMPORARY_PREFIX};
use crate::lock::LockError;
use crate::record::Record;
use crate::seal::{Passphrase, PassphraseError};

/// Told how many octets of the record went through, now and then.
pub type BackupProgress<'a> = &'a (dyn Fn(u64) + Sync);

/// Makes a backup of the record that `config` names, as it stands at one instant, in `target` (mode 0600), which appears whole or
/// not at all. Servers may be at work meanwhile. Returns how many octets the record has.
pub async fn back_up(
    config: &Config,
    passphrase: &Passphrase,
    target: &Path,
    existing: Existing,
    progress: BackupProgress<'_>,
) -> Result<u64, BackupError> {
    let data_folder = DataFolder::open(&config.data_dir)?;
    let _beside_servers = data_folder.lock_shared("ca-server backup")?;
    let failed = |source| BackupError::File { path: target.to_path_buf(), source };
    if existing == Existing::Keep && target.symlink_metadata().is_ok() {
        return Err(BackupError::Exists { path: target.to_path_buf() });
    }
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Removed when this returns before its end.
    let temporary = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(folder)
        .map_err(failed)?;
    let now = SystemClock.now();
    note(config, now).await?;
    let out = BufWriter::new(temporary.as_file());
    let container = ContainerWriter::new(out, passphrase, &SystemEntropy::new()).map_err(failed)?;
    let mut parts = PartWriter::new(container, now, progress);
    Record::dump(&config.database, &mut parts).await.map_err(|error| of_snapshot(target, error))?;
    let (container, octets) = parts.finish().map_err(failed)?;
    container.finish().map_err(failed)?;
    temporary.as_file().sync_all().map_err(failed)?;
    match existing {
        Existing::Replace => temporary.persist(target).map_err(|error| failed(error.error))?,
        Existing::Keep => temporary.persist_noclobber(target).map_err(|error| failed(error.error))?,
    };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(octets)
}

/// Puts on record that a copy leaves it: before it does, so that the copy says so too.
async fn note(config: &Config, now: ca_core::time::Timestamp) -> Result<(), BackupError> {
    let record = Record::open(&config.database, OpenMode::ReadWrite).await.map_err(SnapshotError::from)?;
    let event = AuditEvent::new(now, AuditAction::RecordBackedUp, Principal::LocalOperator.reference(), "service");
    let noted = record.store().append_event(event).await;
    record.close().await;
    Ok(noted?)
}

/// Loads a backup into the place that `config` names, where there is no record yet. The whole file is read and authenticated
/// before anything is written; the record appears whole or not at all, and is closed until it was brought up to its anchor.
pub async fn load_backup(
    config: &Config,
    passphrase: &Passphrase,
    path: &Path,
    progress: BackupProgress<'_>,
) -> Result<(), BackupError> {
    let data_folder = DataFolder::create(&config.data_dir)?;
    let _alone = data_folder.lock_exclusive("ca-server restore")?;
    data_folder.remove_leftovers()?;
    Record::check_empty(&config.database).await?;
    let failed = |source| BackupError::File { path: path.to_path_buf(), source };
    // A regular file: it is read twice.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    let open = || ContainerReader::new(BufReader::new(File::open(path)?), passphrase);
    let quiet = |_| {};
    let mut look = PartReader::new(open().map_err(failed)?, &quiet);
    while look.next().map_err(failed)?.is_some() {}
    let mut parts = PartReader::new(open().map_err(failed)?, progress);
    let loaded = Record::load(&config.database, &mut parts, (RESTORATION, RESTORED)).await;
    loaded.map_err(|error| of_snapshot(path, error))
}

fn of_snapshot(path: &Path, error: SnapshotError) -> BackupError {
    match error {
        SnapshotError::Stream(source) => BackupError::File { path: path.to_path_buf(), source },
        other => BackupError::Snapshot(other),
    }
}

/// Why a backup was not made or not loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The data folder.
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    /// Somebody else is at work.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The passphrase of the file.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// There is a file of that name.
    #[error("{} is there already; name another file, or replace it with --force", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file.
    #[error("the backup {}: {}", path.display(), file::complaint(source))]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// The record.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The record, once opened.
    #[error(transparent)]
    Store(#[from] StoreError),
}
