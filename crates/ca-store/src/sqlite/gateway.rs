//! What gateways say.

use async_trait::async_trait;
use ca_core::id::CertificateId;
use ca_engine::port::store::{GatewayRecord, GatewayStore, Journal, StoreError};
use sqlx::{SqliteConnection, SqlitePool};

use super::SqliteStore;
use super::change::Change;
use super::error::Failure;
use super::journal::{self, journal_sql};
use crate::row::gateway::{GatewayRow, lists_column};

#[async_trait]
impl GatewayStore for SqliteStore {
    async fn gateways(&self) -> Result<Vec<GatewayRecord>, StoreError> {
        all(&self.readers).await?.into_iter().map(TryInto::try_into).collect()
    }

    async fn gateway(&self, id: &str) -> Result<Option<GatewayRecord>, StoreError> {
        by_id(&self.readers, id).await?.map(TryInto::try_into).transpose()
    }

    async fn put_gateway(
        &self,
        gateway: GatewayRecord,
        spoken_by: Option<CertificateId>,
        journal: Option<Journal>,
    ) -> Result<(), StoreError> {
        self.change(Statement { gateway, spoken_by, journal }).await
    }

    async fn remove_gateway(&self, id: &str, journal: Journal) -> Result<bool, StoreError> {
        self.change(Removal { id: id.to_owned(), journal }).await
    }
}

async fn all(readers: &SqlitePool) -> Result<Vec<GatewayRow>, Failure> {
    // As many as there are gateways: this reads the whole table.
    const SQL: &str =
        "SELECT id, certificate_id, registered_at, stated_at, generation, lists FROM gateways ORDER BY id";
    Ok(sqlx::query_as(SQL).fetch_all(readers).await?)
}

async fn by_id(readers: &SqlitePool, id: &str) -> Result<Option<GatewayRow>, Failure> {
    const SQL: &str =
        "SELECT id, certificate_id, registered_at, stated_at, generation, lists FROM gateways WHERE id = $1";
    Ok(sqlx::query_as(SQL).bind(id).fetch_optional(readers).await?)
}

struct Statement {
    gateway: GatewayRecord,
    spoken_by: Option<CertificateId>,
    journal: Option<Journal>,
}

#[async_trait]
impl Change for Statement {
    type Answer = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        let Self { gateway, spoken_by, journal } = self;
        const LOOK: &str = "SELECT certificate_id FROM gateways WHERE id = $1";
        let there: Option<Vec<u8>> =
            sqlx::query_scalar(LOOK).bind(gateway.id.as_str()).fetch_optional(&mut *connection).await?;
        if there.as_deref() != spoken_by.as_ref().map(|id| id.as_bytes().as_slice()) {
            let detail = format!("another speaks for gateway {}", gateway.id);
            return Err(StoreError::Conflict { detail }.into());
        }
        const PUT: &str = "INSERT OR REPLACE INTO gateways
                 (id, certificate_id, registered_at, stated_at, generation, lists) VALUES ($1, $2, $3, $4, $5, $6)";
        sqlx::query(PUT)
            .bind(gateway.id.as_str())
            .bind(gateway.certificate.as_bytes().as_slice())
            .bind(gateway.registered_at.unix_millis())
            .bind(gateway.stated_at.unix_millis())
            .bind(gateway.generation.as_str())
            .bind(lists_column(&gateway.lists))
            .execute(&mut *connection)
            .await?;
        if let Some(journal) = journal {
            journal::bind(journal_sql!(), journal).execute(connection).await?;
        }
        Ok(())
    }
}

struct Removal {
    id: String,
    journal: Journal,
}

#[async_trait]
impl Change for Removal {
    type Answer = bool;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<bool, Failure> {
        const SQL: &str = "DELETE FROM gateways WHERE id = $1";
        let removed = sqlx::query(SQL).bind(self.id.as_str()).execute(&mut *connection).await?.rows_affected() > 0;
        if removed {
            journal::bind(journal_sql!(), &self.journal).execute(connection).await?;
        }
        Ok(removed)
    }
}
