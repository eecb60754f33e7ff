//! The record in one SQLite file: write-ahead log, durable commits, one writer that joins concurrent changes into one
//! commit, and readers that never wait for it.
//!
//! One file per room of the port; [`writer`] is how changes reach the database, [`pool`] how connections are made, [`schema`]
//! which version of the tables they find. Another process may read the file at the same time, or write in turns; the lock on
//! the data folder that keeps two servers apart is not made here.

mod audit;
mod authority;
mod bulk_revocation;
mod certificate;
mod certificate_list;
mod certificate_record;
mod change;
mod completion;
mod crl;
mod descent;
mod error;
mod gateway;
mod journal;
mod lease;
mod list_octets;
mod managed;
mod newest_crl;
mod notice;
mod outbox;
mod partial_crl;
mod personal_data;
mod pool;
mod renewal;
mod reservation;
mod restore;
mod retention;
mod role;
mod schema;
mod snapshot;
mod status;
mod together;
mod token;
mod upstream;
mod writer;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use ca_core::time::Timestamp;
use ca_engine::port::personal_data::PersonalDataVault;
use ca_engine::port::revocation_hints::RevocationHints;
use ca_engine::port::spool::{MemorySpool, Spool};
use ca_engine::port::store::{Access, Store, StoreError};
use sqlx::SqlitePool;
use tokio::sync::Notify;

use change::Change;
use error::Failure;
use writer::Writer;

use crate::open::{OpenError, OpenMode};
use crate::personal_data::PersonalDataKeys;

/// The record in an SQLite file.
///
/// Dropping it is safe at any time: what was acknowledged is in the file. [`SqliteStore::close`] also waits for the last
/// commit and folds the write-ahead log into the file.
pub struct SqliteStore {
    readers: SqlitePool,
    writer: Option<Writer>,
    revocations: Arc<Notify>,
    personal_data: Arc<PersonalDataKeys>,
    /// Where lists are put that are read; in memory where nothing else was said.
    spool: OnceLock<Arc<dyn Spool>>,
}

impl SqliteStore {
    /// Opens the record at `path`; must be called inside a tokio runtime, which then runs the writer.
    ///
    /// A file that is made has mode 0600, and so have the two that SQLite lays beside it (`-wal`, `-shm`).
    pub async fn open(path: &Path, mode: OpenMode) -> Result<Self, OpenError> {
        if mode == OpenMode::Create {
            pool::create_file(path)?;
            schema::migrate(path).await?;
        }
        let writer = match mode {
            OpenMode::Create | OpenMode::ReadWrite => {
                let mut connection = pool::connect_writer(path).await?;
                schema::check(&mut connection, path).await?;
                Some(Writer::start(connection))
            }
            OpenMode::ReadOnly => {
                let mut connection = pool::connect_reader(path).await?;
                schema::check(&mut connection, path).await?;
                None
            }
        };
        // After the writer: a reader alone cannot make the files of the write-ahead log.
        let readers = pool::readers(path);
        Ok(Self { readers, writer, revocations: Arc::default(), personal_data: Arc::default(), spool: OnceLock::new() })
    }

    /// Gives the store a place for lists that are read from the record, once; without it they come into memory.
    pub fn hold_spool(&self, spool: Arc<dyn Spool>) {
        // The first one stays.
        let _held = self.spool.set(spool);
    }

    fn spool(&self) -> &dyn Spool {
        self.spool.get().map_or(&MemorySpool, |spool| &**spool)
    }

    /// Gives the store the key of personal data, and makes its first version when there is none and the record can be written.
    ///
    /// Without it, personal data can neither be read nor written.
    pub async fn hold_personal_data(&self, vault: Arc<dyn PersonalDataVault>) -> Result<(), StoreError> {
        self.personal_data.hold(vault);
        self.make_first_key().await?;
        self.learn_keys().await
    }

    /// Brings the tables of an existing file to the version of this build; returns the versions before and after.
    ///
    /// No store may have the file open meanwhile.
    pub async fn migrate(path: &Path) -> Result<(i64, i64), OpenError> {
        schema::migrate(path).await
    }

    /// The version of the tables that this build reads and writes.
    pub fn schema_version() -> i64 {
        schema::newest_version()
    }

    /// Waits until the changes that were handed over are committed, closes every connection and folds the write-ahead log
    /// into the file. Changes that come later through a shared reference get [`StoreError::Unavailable`].
    pub async fn close(&self) {
        // Readers first: the last connection to close is the one that tidies up, and a reader cannot.
        self.readers.close().await;
        if let Some(writer) = &self.writer {
            writer.close().await;
        }
    }

    /// News of the revocations that this store makes. Those of another process are seen by who looks at the sequence.
    pub fn revocation_hints(&self) -> Arc<dyn RevocationHints> {
        Arc::new(Hints(Arc::clone(&self.revocations)))
    }

    /// Makes a change through the writer.
    async fn change<C: Change>(&self, change: C) -> Result<C::Answer, StoreError> {
        match &self.writer {
            Some(writer) => writer.change(change).await,
            None => Err(StoreError::ReadOnly { detail: "the record was opened for reading only".to_owned() }),
        }
    }

    async fn now(&self) -> Result<Timestamp, Failure> {
        // From a table, so that the file has to answer, not only the clock.
        const SQL: &str = concat!("SELECT ", database_time!(), " FROM counters WHERE name = 'revocations'");
        let millis: i64 = sqlx::query_scalar(SQL).fetch_one(&self.readers).await?;
        Ok(Timestamp::from_unix_millis(millis))
    }
}

struct Hints(Arc<Notify>);

#[async_trait]
impl RevocationHints for Hints {
    async fn wait(&self) {
        self.0.notified().await;
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn database_time(&self) -> Result<Timestamp, StoreError> {
        Ok(self.now().await?)
    }

    async fn access(&self) -> Result<Access, StoreError> {
        Ok(match self.writer {
            Some(_) => Access::ReadWrite,
            None => Access::ReadOnly,
        })
    }
}

/// SQL of the database's clock in milliseconds. It stands still within a statement.
macro_rules! database_time {
    () => {
        "CAST(ROUND(unixepoch('subsec') * 1000) AS INTEGER)"
    };
}
use database_time;

#[cfg(test)]
mod tests;
