//! Audit events and their places in the chain.
//!
//! Events are stored by [`super::journal`]. That they are never changed or deleted, triggers of the database see to.

use async_trait::async_trait;
use ca_core::audit::AuditEvent;
use ca_engine::port::store::{
    AuditStore, ChainHead, ChainLink, ChainedEvent, EventFilter, Journal, Lease, PendingEvent, StoreError,
};
use sqlx::AssertSqlSafe;

use super::error::Failure;
use super::lease::fence;
use super::pool::Pool;
use super::selection::Selection;
use super::transaction::{Change, Transaction, read};
use super::{PostgresStore, journal};
use crate::row;
use crate::row::audit::{EventRow, chain_head, check_links, check_placed};

#[async_trait]
impl AuditStore for PostgresStore {
    async fn append_event(&self, event: AuditEvent) -> Result<(), StoreError> {
        self.change(Appending { journal: Journal::of(event) }).await
    }

    async fn pending_events(&self, limit: u32) -> Result<Vec<PendingEvent>, StoreError> {
        Ok(pending(&self.reads, limit).await?)
    }

    async fn chain_head(&self) -> Result<ChainHead, StoreError> {
        let rows: Vec<(i64, Vec<u8>)> = read(&self.reads, || sqlx::query_as(HEAD)).await?;
        chain_head(rows.into_iter().next())
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
        Ok(events_after(&self.reads, sequence, filter, limit).await?)
    }
}

struct Appending {
    journal: Journal,
}

#[async_trait]
impl Change for Appending {
    type Answer = ();

    async fn apply(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        journal::store(&[&self.journal], transaction).await
    }
}

async fn pending(reads: &Pool, limit: u32) -> Result<Vec<PendingEvent>, Failure> {
    const SQL: &str = "SELECT id, canonical FROM audit_events WHERE sequence IS NULL ORDER BY id LIMIT $1";
    let rows: Vec<(i64, Vec<u8>)> = read(reads, || sqlx::query_as(SQL).bind(i64::from(limit))).await?;
    Ok(rows.into_iter().map(|(row, canonical)| PendingEvent { row, canonical }).collect())
}

/// SQL of the last event in the chain.
const HEAD: &str = "SELECT sequence, hash FROM audit_events WHERE sequence IS NOT NULL ORDER BY sequence DESC LIMIT 1";

struct Chaining {
    lease: Lease,
    head: ChainHead,
    links: Vec<ChainLink>,
}

#[async_trait]
impl Change for Chaining {
    type Answer = ();

    async fn apply(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        fence(&self.lease, transaction).await?;
        let found = chain_head(transaction.row(sqlx::query_as(HEAD)).await?)?;
        check_links(&found, &self.head, &self.links)?;
        const SQL: &str = "UPDATE audit_events AS e SET sequence = g.sequence, hash = g.hash
             FROM UNNEST($1::bigint[], $2::bigint[], $3::bytea[]) AS g (id, sequence, hash)
             WHERE e.id = g.id AND e.sequence IS NULL";
        let sequences = self.links.iter().map(|link| row::signed("a place in the chain", link.sequence));
        let query = sqlx::query(SQL)
            .bind(self.links.iter().map(|link| link.row).collect::<Vec<_>>())
            .bind(sequences.collect::<Result<Vec<_>, _>>()?)
            .bind(self.links.iter().map(|link| link.hash).collect::<Vec<[u8; 32]>>());
        Ok(check_placed(transaction.execute(query).await?, &self.links)?)
    }
}

async fn events_after(
    reads: &Pool,
    sequence: u64,
    filter: &EventFilter,
    limit: u32,
) -> Result<Vec<ChainedEvent>, Failure> {
    let Selection { sql, arguments } = selection(sequence, filter, limit)?;
    let query = || sqlx::query_as_with(AssertSqlSafe(sql.clone()), arguments.clone());
    let rows: Vec<EventRow> = read(reads, query).await?;
    Ok(rows.into_iter().map(ChainedEvent::try_from).collect::<Result<_, _>>()?)
}

/// A walk up one index: that of the chain or, by the statistics, that of a condition.
fn selection(sequence: u64, filter: &EventFilter, limit: u32) -> Result<Selection, Failure> {
    // No number is above the largest that can be stored.
    let after = i64::try_from(sequence).unwrap_or(i64::MAX);
    let mut selection = Selection::new("SELECT sequence, canonical, hash FROM audit_events");
    selection.push_with(" WHERE sequence IS NOT NULL AND sequence > ", after)?;
    let conditions = [
        (" AND subject = ", &filter.subject),
        (" AND principal = ", &filter.principal),
        (" AND action = ", &filter.action),
    ];
    for (condition, wanted) in conditions {
        if let Some(wanted) = wanted {
            selection.push_with(condition, wanted.as_str())?;
        }
    }
    selection.push_with(" ORDER BY sequence LIMIT ", i64::from(limit))?;
    Ok(selection)
}
