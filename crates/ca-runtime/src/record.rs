//! The record that a configuration names: which adapter it is, how it is opened and closed. With [`crate::open`] the wiring, and
//! the only files that name concrete adapters.

use std::sync::Arc;

use ca_engine::port::personal_data::PersonalDataVault;
use ca_engine::port::store::{Store, StoreError};
use ca_store::{OpenError, OpenMode, PostgresStore, SqliteStore};

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
            DatabaseConfig::Sqlite { path } => Self::Embedded(Arc::new(SqliteStore::open(path, mode).await?)),
            DatabaseConfig::Postgres { options } => Self::Shared(Arc::new(PostgresStore::open(options, mode).await?)),
        })
    }

    /// Brings the tables to the version of this build; returns the versions before and after.
    pub(crate) async fn migrate(database: &DatabaseConfig) -> Result<(i64, i64), OpenError> {
        match database {
            DatabaseConfig::Sqlite { path } => SqliteStore::migrate(path).await,
            DatabaseConfig::Postgres { options } => PostgresStore::migrate(options).await,
        }
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Shared(store) => store.clone(),
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
