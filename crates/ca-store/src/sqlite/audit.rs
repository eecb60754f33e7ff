//! Audit events and their places in the chain.
//!
//! Events are stored by the statements of [`super::journal`]. That they are never changed or deleted, triggers of the database
//! see to.

use async_trait::async_trait;
use ca_core::audit::AuditEvent;
use ca_engine::port::store::{
    AuditStore, ChainHead, ChainLink, ChainedEvent, EventFilter, Journal, Lease, PendingEvent, StoreError,
};
use serde_json::json;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection, SqliteExecutor, SqlitePool};

use super::SqliteStore;
use super::change::Change;
use super::error::Failure;
use super::journal::{self, journal_sql};
use super::lease::fence;
use crate::row::audit::{EventRow, chain_head, check_links, check_placed};

#[async_trait]
impl AuditStore for SqliteStore {
    async fn append_event(&self, event: AuditEvent) -> Result<(), StoreError> {
        self.change(Appending { journal: Journal::of(event) }).await
    }

    async fn pending_events(&self, limit: u32) -> Result<Vec<PendingEvent>, StoreError> {
        Ok(pending(&self.readers, limit).await?)
    }

    async fn chain_head(&self) -> Result<ChainHead, StoreError> {
        Ok(head(&self.readers).await?)
    }

    async fn chain_events(&self, lease: &Lease, head: &ChainHead, links: Vec<ChainLink>) -> Result<(), StoreError> {
        self.change(Chaining { lease: lease.clone(), head: *head, links }).await
    }

    async fn events_after(
        &self,
        sequence: u64,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<Vec<ChainedEvent>, StoreError> {
        Ok(events_after(&self.readers, sequence, filter, limit).await?)
    }
}

struct Appending {
    journal: Journal,
}

#[async_trait]
impl Change for Appending {
    type Answer = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        journal::bind(journal_sql!(), &self.journal).execute(connection).await?;
        Ok(())
    }
}

async fn pending(readers: &SqlitePool, limit: u32) -> Result<Vec<PendingEvent>, Failure> {
    const SQL: &str = "SELECT id, canonical FROM audit_events INDEXED BY audit_events_pending
         WHERE sequence IS NULL ORDER BY id LIMIT $1";
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(SQL).bind(limit).fetch_all(readers).await?;
    Ok(rows.into_iter().map(|(row, canonical)| PendingEvent { row, canonical }).collect())
}

async fn head(executor: impl SqliteExecutor<'_>) -> Result<ChainHead, Failure> {
    const SQL: &str = "SELECT sequence, hash FROM audit_events INDEXED BY audit_events_chain
         WHERE sequence IS NOT NULL ORDER BY sequence DESC LIMIT 1";
    let row: Option<(i64, Vec<u8>)> = sqlx::query_as(SQL).fetch_optional(executor).await?;
    Ok(chain_head(row)?)
}

struct Chaining {
    lease: Lease,
    head: ChainHead,
    links: Vec<ChainLink>,
}

impl Chaining {
    /// The links as one JSON array.
    fn links(&self) -> String {
        let links = self.links.iter().map(|link| {
            let hash: String = link.hash.iter().map(|octet| format!("{octet:02x}")).collect();
            json!({ "id": link.row, "sequence": link.sequence, "hash": hash })
        });
        serde_json::Value::Array(links.collect()).to_string()
    }
}

#[async_trait]
impl Change for Chaining {
    type Answer = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        fence(&self.lease, connection).await?;
        check_links(&head(&mut *connection).await?, &self.head, &self.links)?;
        const SQL: &str = "UPDATE audit_events SET sequence = link.value ->> 'sequence',
                 hash = unhex(link.value ->> 'hash')
             FROM json_each($1) AS link
             WHERE audit_events.id = link.value ->> 'id' AND audit_events.sequence IS NULL";
        let placed = sqlx::query(SQL).bind(self.links()).execute(connection).await?.rows_affected();
        Ok(check_placed(placed, &self.links)?)
    }
}

async fn events_after(
    readers: &SqlitePool,
    sequence: u64,
    filter: &EventFilter,
    limit: u32,
) -> Result<Vec<ChainedEvent>, Failure> {
    let rows: Vec<EventRow> = query(sequence, filter, limit).build_query_as().fetch_all(readers).await?;
    Ok(rows.into_iter().map(ChainedEvent::try_from).collect::<Result<_, _>>()?)
}

/// A walk up one index: that of the subject if it is given (few events each), else of the principal, else of the action.
pub(super) fn query(sequence: u64, filter: &EventFilter, limit: u32) -> QueryBuilder<Sqlite> {
    let index = match filter {
        EventFilter { subject: Some(_), .. } => "audit_events_by_subject",
        EventFilter { principal: Some(_), .. } => "audit_events_by_principal",
        EventFilter { action: Some(_), .. } => "audit_events_by_action",
        EventFilter { .. } => "audit_events_chain",
    };
    // No number is above the largest that can be stored.
    let after = i64::try_from(sequence).unwrap_or(i64::MAX);
    let mut query = QueryBuilder::new("SELECT sequence, canonical, hash FROM audit_events INDEXED BY ");
    query.push(index).push(" WHERE sequence > ").push_bind(after);
    let conditions = [("subject", &filter.subject), ("principal", &filter.principal), ("action", &filter.action)];
    for (column, wanted) in conditions {
        if let Some(wanted) = wanted {
            query.push(format_args!(" AND {column} = ")).push_bind(wanted.clone());
        }
    }
    query.push(" ORDER BY sequence LIMIT ").push_bind(i64::from(limit));
    query
}
