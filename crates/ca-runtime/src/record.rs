//! The record that a configuration names: which adapter it is, how it is opened and closed. With [`crate::open`] and
//! [`crate::sinks`] the wiring, and the only files that name concrete adapters.

use std::sync::Arc;

use ca_engine::port::personal_data::PersonalDataVault;
use ca_engine::port::revocation_hints::{NoHints, RevocationHints};
use ca_engine::port::spool::Spool;
use ca_engine::port::store::{Store, StoreError};
use ca_store::{
    OpenError, OpenMode, PostgresHints, PostgresStore, SnapshotError, SnapshotSink, SnapshotSource, SqliteStore,
};

use crate::config::DatabaseConfig;

/// An opened record.
#[derive(Clone)]
pub(crate) enum Record {
    /// In a file of this host: one server has it at a time, as the lock on the data folder proves.
    Embedded(Arc<SqliteStore>),
    /// On a server, for many replicas at once.
    Shared(Arc<PostgresStore>),
}

impl Record {
    pub(crate) async fn open(database: &DatabaseConfig, mode: OpenMode) -> Result<Self, OpenError> {
        Ok(match database {
            DatabaseConfig::Sqlite { path } => {
                // Who only reads such a file cannot make the files beside it that reading needs.
                let mode = if mode == OpenMode::ReadOnly { OpenMode::ReadWrite } else { mode };
                Self::Embedded(Arc::new(SqliteStore::open(path, mode).await?))
            }
            DatabaseConfig::Postgres { options, .. } => {
                Self::Shared(Arc::new(PostgresStore::open(options, mode).await?))
            }
        })
    }

    /// Brings the tables to the version of this build; returns the versions before and after.
    pub(crate) async fn migrate(database: &DatabaseConfig) -> Result<(i64, i64), OpenError> {
        match database {
            DatabaseConfig::Sqlite { path } => SqliteStore::migrate(path).await,
            DatabaseConfig::Postgres { options, .. } => PostgresStore::migrate(options).await,
        }
    }

    /// Gives the record as it stands, while others are at work on it.
    pub(crate) async fn dump(database: &DatabaseConfig, sink: &mut dyn SnapshotSink) -> Result<(), SnapshotError> {
        match database {
            DatabaseConfig::Sqlite { path } => SqliteStore::dump(path, sink).await,
            DatabaseConfig::Postgres { options, .. } => PostgresStore::dump(options, sink).await,
        }
    }

    /// Loads a record into an empty place, and sets a value of it.
    pub(crate) async fn load(
        database: &DatabaseConfig,
        source: &mut dyn SnapshotSource,
        setting: (&str, &[u8]),
    ) -> Result<(), SnapshotError> {
        match database {
            DatabaseConfig::Sqlite { path } => SqliteStore::load(path, source, setting).await,
            DatabaseConfig::Postgres { options, .. } => PostgresStore::load(options, source, setting).await,
        }
    }

    /// Refuses a place that is not empty.
    pub(crate) async fn check_empty(database: &DatabaseConfig) -> Result<(), SnapshotError> {
        match database {
            DatabaseConfig::Sqlite { path } => SqliteStore::check_empty(path),
            DatabaseConfig::Postgres { options, .. } => PostgresStore::check_empty(options).await,
        }
    }

    /// Gives the record a place for the lists that are read from it.
    pub(crate) fn hold_spool(&self, spool: &Arc<dyn Spool>) {
        match self {
            Self::Embedded(store) => store.hold_spool(Arc::clone(spool)),
            Self::Shared(store) => store.hold_spool(Arc::clone(spool)),
        }
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Shared(store) => store.clone(),
        }
    }

    /// News of revocations: of this process in an embedded record, of every replica in a shared one. Through a pooler nobody can
    /// listen, unless another way is configured.
    pub(crate) fn revocation_hints(&self, database: &DatabaseConfig) -> Arc<dyn RevocationHints> {
        match (self, database) {
            (Self::Embedded(store), _) => store.revocation_hints(),
            (Self::Shared(_), DatabaseConfig::Postgres { options, listen }) => {
                let way = listen.as_deref().or(Some(&**options).filter(|options| options.can_listen()));
                match way {
                    Some(way) => Arc::new(PostgresHints::listen(way)),
                    None => Arc::new(NoHints),
                }
            }
            (Self::Shared(_), DatabaseConfig::Sqlite { .. }) => Arc::new(NoHints),
        }
    }

    /// Gives it the key of personal data.
    pub(crate) async fn hold_personal_data(&self, vault: Arc<dyn PersonalDataVault>) -> Result<(), StoreError> {
        match self {
            Self::Embedded(store) => store.hold_personal_data(vault).await,
            Self::Shared(store) => store.hold_personal_data(vault).await,
        }
    }

    /// Waits for the last commit.
    pub(crate) async fn close(&self) {
        match self {
            Self::Embedded(store) => store.close().await,
            Self::Shared(store) => store.close().await,
        }
    }
}
