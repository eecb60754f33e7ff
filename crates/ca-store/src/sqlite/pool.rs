//! Connections to the file: how they are set, who may write.
//!
//! Which tables they find is [`super::schema`]'s business.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection, SqlitePool};

use super::error::of_connecting;
use crate::open::{Database, OpenError};

/// How long a connection waits for another process that holds a lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// How long a reading caller waits for a free connection.
const READER_PATIENCE: Duration = Duration::from_secs(5);

/// Reading connections, a thread and a page cache each; made when first needed.
const READERS: u32 = 4;

/// Makes an empty file that only its owner can read, unless there is a file already.
pub(super) fn create_file(path: &Path) -> Result<(), OpenError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            Err(OpenError::Full { database: Database::file(path), detail: error.to_string() })
        }
        Err(error) => Err(OpenError::Create { database: Database::file(path), detail: error.to_string() }),
    }
}

/// The one connection that writes.
pub(super) async fn connect_writer(path: &Path) -> Result<SqliteConnection, OpenError> {
    must_exist(path)?;
    let options = options(path)
        .journal_mode(SqliteJournalMode::Wal)
        // Durable at every commit, not only safe from corruption (which NORMAL is).
        .synchronous(SqliteSynchronous::Full)
        // Where fsync does not reach the platter (macOS); without effect elsewhere.
        .pragma("fullfsync", "ON")
        .pragma("checkpoint_fullfsync", "ON")
        // Fold the log back every 16 MiB, and give its space back when a burst made it longer than 64 MiB.
        .pragma("wal_autocheckpoint", "4000")
        .pragma("journal_size_limit", "67108864")
        .pragma("cache_size", "-16384");
    options.connect().await.map_err(|error| of_connecting(path, error))
}

/// One connection that only reads, outside the pool.
pub(super) async fn connect_reader(path: &Path) -> Result<SqliteConnection, OpenError> {
    must_exist(path)?;
    reader_options(path).connect().await.map_err(|error| of_connecting(path, error))
}

/// One connection that makes a copy of the file as it stands; it changes nothing of it.
pub(super) async fn connect_snapshot(path: &Path) -> Result<SqliteConnection, OpenError> {
    must_exist(path)?;
    options(path).pragma("cache_size", "-4096").connect().await.map_err(|error| of_connecting(path, error))
}

/// The connections that read; none is made yet.
pub(super) fn readers(path: &Path) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(READER_PATIENCE)
        // An embedded connection does not die of silence: asking it each time would double the cost of a status.
        .test_before_acquire(false)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_lazy_with(reader_options(path))
}

fn reader_options(path: &Path) -> SqliteConnectOptions {
    options(path).read_only(true).pragma("query_only", "ON").pragma("cache_size", "-4096")
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(LOCK_PATIENCE)
        // A changed file must not be able to run code of its choice through views and triggers.
        .pragma("trusted_schema", "OFF")
        .pragma("temp_store", "MEMORY")
        .statement_cache_capacity(256)
}

fn must_exist(path: &Path) -> Result<(), OpenError> {
    match path.try_exists() {
        Ok(true) => Ok(()),
        Ok(false) => Err(OpenError::Missing { database: Database::file(path) }),
        Err(error) => Err(OpenError::Unreadable { database: Database::file(path), detail: error.to_string() }),
    }
}
