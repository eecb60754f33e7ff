//! What gateways say.

use async_trait::async_trait;
use ca_core::id::CertificateId;
use ca_engine::port::store::{GatewayRecord, GatewayStore, Journal, StoreError};

use super::error::Failure;
use super::transaction::{Change, Transaction, read};
use super::{PostgresStore, column, journal};
use crate::row::gateway::{GatewayRow, lists_column};

/// The columns of a [`GatewayRow`].
macro_rules! gateway_columns {
    () => {
        "id, uuid_send(certificate_id) AS certificate_id, registered_at, stated_at, generation, lists"
    };
}

#[async_trait]
impl GatewayStore for PostgresStore {
    async fn gateways(&self) -> Result<Vec<GatewayRecord>, StoreError> {
        // As many as there are gateways: this reads the whole table.
        const SQL: &str = concat!("SELECT ", gateway_columns!(), " FROM gateways ORDER BY id");
        let rows: Vec<GatewayRow> = read(&self.reads, || sqlx::query_as(SQL)).await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    async fn gateway(&self, id: &str) -> Result<Option<GatewayRecord>, StoreError> {
        const SQL: &str = concat!("SELECT ", gateway_columns!(), " FROM gateways WHERE id = $1");
        let id = id.to_owned();
        let rows: Vec<GatewayRow> = read(&self.reads, || sqlx::query_as(SQL).bind(id.clone())).await?;
        rows.into_iter().next().map(TryInto::try_into).transpose()
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

struct Statement {
    gateway: GatewayRecord,
    spoken_by: Option<CertificateId>,
    journal: Option<Journal>,
}

#[async_trait]
impl Change for Statement {
    type Answer = ();

    async fn apply(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        let Self { gateway, spoken_by, journal } = self;
        // Either finds what was seen, or changes nothing.
        const ADD: &str = "INSERT INTO gateways (id, certificate_id, registered_at, stated_at, generation, lists)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
        const REPLACE: &str =
            "UPDATE gateways SET certificate_id = $2, registered_at = $3, stated_at = $4, generation = $5,
                 lists = $6 WHERE id = $1 AND certificate_id = $7";
        let query = sqlx::query(if spoken_by.is_some() { REPLACE } else { ADD })
            .bind(gateway.id.as_str())
            .bind(column::certificate(gateway.certificate))
            .bind(gateway.registered_at.unix_millis())
            .bind(gateway.stated_at.unix_millis())
            .bind(gateway.generation.as_str())
            .bind(lists_column(&gateway.lists));
        let query = match spoken_by {
            Some(certificate) => query.bind(column::certificate(*certificate)),
            None => query,
        };
        if transaction.execute(query).await? == 0 {
            let detail = format!("another speaks for gateway {}", gateway.id);
            return Err(StoreError::Conflict { detail }.into());
        }
        match journal {
            Some(journal) => journal::store(&[journal], transaction).await,
            None => Ok(()),
        }
    }
}

struct Removal {
    id: String,
    journal: Journal,
}

#[async_trait]
impl Change for Removal {
    type Answer = bool;

    async fn apply(&self, transaction: &mut Transaction) -> Result<bool, Failure> {
        const SQL: &str = "DELETE FROM gateways WHERE id = $1";
        let removed = transaction.execute(sqlx::query(SQL).bind(self.id.as_str())).await? > 0;
        if removed {
            journal::store(&[&self.journal], transaction).await?;
        }
        Ok(removed)
    }
}
