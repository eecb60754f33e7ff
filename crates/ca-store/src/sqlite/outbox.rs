//! The outbox: messages that go to no sink yet, and deliveries. What is done is deleted.

use async_trait::async_trait;
use ca_core::id::{DeliveryId, SinkName};
use ca_core::time::Timestamp;
use ca_engine::port::store::{Assignment, Backlog, Delivery, Journal, Lease, OutboxStore, Settlement, StoreError};
use serde_json::json;
use sqlx::{SqliteConnection, SqlitePool};

use super::change::Change;
use super::error::Failure;
use super::journal::{self, journal_sql};
use super::lease::fence;
use super::{SqliteStore, database_time};
use crate::row;
use crate::row::outbox::{DEAD, DeliveryRow, PENDING, backlog, failure, first_of};

/// The columns of a [`DeliveryRow`].
macro_rules! delivery_columns {
    () => {
        "id, sink, sequence, topic, certificate_id, payload, created_at, state, attempts, next_attempt_at, last_attempt_at,
         last_error"
    };
}

#[async_trait]
impl OutboxStore for SqliteStore {
    async fn unassigned_messages(&self, limit: u32) -> Result<Vec<u64>, StoreError> {
        Ok(unassigned(&self.readers, limit).await?)
    }

    async fn assign_messages(&self, lease: &Lease, assignments: Vec<Assignment>) -> Result<(), StoreError> {
        self.change(Assigning { lease: lease.clone(), assignments }).await
    }

    async fn drop_unassigned(&self, lease: &Lease, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.change(DroppingMessages { lease: lease.clone(), before, limit }).await
    }

    async fn due_deliveries(&self, sink: &SinkName, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        Ok(due(&self.readers, sink, limit).await?)
    }

    async fn settle_deliveries(&self, lease: &Lease, settlements: Vec<Settlement>) -> Result<(), StoreError> {
        self.change(Settling { lease: lease.clone(), settlements }).await
    }

    async fn hasten_deliveries(&self, lease: &Lease, sink: &SinkName) -> Result<u64, StoreError> {
        self.change(Hastening { lease: lease.clone(), sink: sink.clone() }).await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        Ok(by_id(&self.readers, id).await?)
    }

    async fn deliveries(
        &self,
        dead: Option<bool>,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        Ok(page(&self.readers, dead, after, limit).await?)
    }

    async fn replay_delivery(&self, id: DeliveryId, journal: Journal) -> Result<bool, StoreError> {
        self.change(Replay { id, journal }).await
    }

    async fn drop_deliveries(&self, lease: &Lease, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.change(DroppingDeliveries { lease: lease.clone(), before, limit }).await
    }

    async fn backlog(&self, sink: &SinkName) -> Result<Backlog, StoreError> {
        Ok(backlog_of(&self.readers, sink).await?)
    }
}

async fn unassigned(readers: &SqlitePool, limit: u32) -> Result<Vec<u64>, Failure> {
    const SQL: &str = "SELECT id FROM outbox ORDER BY id LIMIT $1";
    let ids: Vec<i64> = sqlx::query_scalar(SQL).bind(limit).fetch_all(readers).await?;
    Ok(ids.into_iter().map(|id| row::unsigned("outbox.id", id)).collect::<Result<_, _>>()?)
}

struct Assigning {
    lease: Lease,
    assignments: Vec<Assignment>,
}

impl Assigning {
    /// The assignments as one JSON array.
    fn given(&self) -> String {
        let given = self.assignments.iter().map(|assignment| {
            json!({
                "sequence": assignment.sequence,
                "sink": assignment.sink.as_str(),
                "id": assignment.id.to_string(),
            })
        });
        serde_json::Value::Array(given.collect()).to_string()
    }
}

#[async_trait]
impl Change for Assigning {
    type Answer = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        const SQL: &str = concat!(
            "INSERT INTO deliveries (id, sink, sequence, topic, certificate_id, payload, created_at, next_attempt_at)
                 SELECT unhex(given.value ->> 'id', '-'), given.value ->> 'sink', o.id, o.topic, o.certificate_id, o.payload,
                     o.created_at, ",
            database_time!(),
            " FROM json_each($1) AS given CROSS JOIN outbox AS o ON o.id = given.value ->> 'sequence';
             DELETE FROM outbox WHERE id IN (SELECT value ->> 'sequence' FROM json_each($1));"
        );
        fence(&self.lease, &mut *connection).await?;
        sqlx::query(SQL).bind(self.given()).execute(connection).await?;
        Ok(())
    }
}

/// A walk up the index of what is due; that nothing of the same certificate comes before is looked up in another.
async fn due(readers: &SqlitePool, sink: &SinkName, limit: u32) -> Result<Vec<Delivery>, Failure> {
    const SQL: &str = concat!(
        "SELECT ",
        delivery_columns!(),
        " FROM deliveries AS d INDEXED BY deliveries_due
         WHERE d.sink = $1 AND d.state = 0 AND d.next_attempt_at <= ",
        database_time!(),
        " AND NOT EXISTS (SELECT 1 FROM deliveries AS p INDEXED BY deliveries_in_order
             WHERE p.sink = d.sink AND p.certificate_id = d.certificate_id AND p.state = 0 AND p.sequence < d.sequence)
         ORDER BY d.next_attempt_at, d.sequence LIMIT $2"
    );
    let rows: Vec<DeliveryRow> = sqlx::query_as(SQL).bind(sink.as_str()).bind(limit).fetch_all(readers).await?;
    Ok(rows.into_iter().map(Delivery::try_from).collect::<Result<_, _>>()?)
}

struct Settling {
    lease: Lease,
    settlements: Vec<Settlement>,
}

#[async_trait]
impl Change for Settling {
    type Answer = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        const DONE: &str = "DELETE FROM deliveries WHERE state = 0
             AND id IN (SELECT unhex(value, '-') FROM json_each($1))";
        const FAILED: &str = concat!(
            "UPDATE deliveries SET attempts = attempts + 1, state = given.value ->> 'state', next_attempt_at = ",
            database_time!(),
            " + (given.value ->> 'pause'), last_attempt_at = ",
            database_time!(),
            ", last_error = given.value ->> 'error'
             FROM json_each($1) AS given WHERE deliveries.id = unhex(given.value ->> 'id', '-') AND deliveries.state = 0"
        );
        fence(&self.lease, &mut *connection).await?;
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        for settlement in &self.settlements {
            match failure(settlement) {
                None => done.push(json!(settlement.id.to_string())),
                Some((state, pause, error)) => failed.push(json!({
                    "id": settlement.id.to_string(),
                    "state": state,
                    "pause": pause,
                    "error": error,
                })),
            }
        }
        for (sql, given) in [(DONE, done), (FAILED, failed)] {
            if !given.is_empty() {
                let given = serde_json::Value::Array(given).to_string();
                sqlx::query(sql).bind(given).execute(&mut *connection).await?;
            }
        }
        Ok(())
    }
}

struct Hastening {
    lease: Lease,
    sink: SinkName,
}

#[async_trait]
impl Change for Hastening {
    type Answer = u64;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<u64, Failure> {
        const SQL: &str = concat!(
            "UPDATE deliveries INDEXED BY deliveries_due SET next_attempt_at = ",
            database_time!(),
            " WHERE sink = $1 AND state = 0 AND next_attempt_at > ",
            database_time!()
        );
        fence(&self.lease, &mut *connection).await?;
        Ok(sqlx::query(SQL).bind(self.sink.as_str()).execute(connection).await?.rows_affected())
    }
}

async fn by_id(readers: &SqlitePool, id: DeliveryId) -> Result<Option<Delivery>, Failure> {
    const SQL: &str = concat!("SELECT ", delivery_columns!(), " FROM deliveries WHERE id = $1");
    let row: Option<DeliveryRow> = sqlx::query_as(SQL).bind(id.as_bytes().as_slice()).fetch_optional(readers).await?;
    Ok(row.map(Delivery::try_from).transpose()?)
}

async fn page(
    readers: &SqlitePool,
    dead: Option<bool>,
    after: Option<DeliveryId>,
    limit: u32,
) -> Result<Vec<Delivery>, Failure> {
    const ALL: &str =
        concat!("SELECT ", delivery_columns!(), " FROM deliveries WHERE id < $1 ORDER BY id DESC LIMIT $2");
    const OF_STATE: &str = concat!(
        "SELECT ",
        delivery_columns!(),
        " FROM deliveries INDEXED BY deliveries_by_state WHERE state = $3 AND id < $1 ORDER BY id DESC LIMIT $2"
    );
    // No UUIDv7 is the largest that 16 octets can be.
    let before = after.unwrap_or(DeliveryId::from_bytes([0xff; 16]));
    let query = match dead {
        None => sqlx::query_as(ALL).bind(before.as_bytes().as_slice()).bind(limit),
        Some(dead) => {
            let state = if dead { DEAD } else { PENDING };
            sqlx::query_as(OF_STATE).bind(before.as_bytes().as_slice()).bind(limit).bind(state)
        }
    };
    let rows: Vec<DeliveryRow> = query.fetch_all(readers).await?;
    Ok(rows.into_iter().map(Delivery::try_from).collect::<Result<_, _>>()?)
}

struct Replay {
    id: DeliveryId,
    journal: Journal,
}

#[async_trait]
impl Change for Replay {
    type Answer = bool;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<bool, Failure> {
        const LOOK: &str = "SELECT EXISTS (SELECT 1 FROM deliveries WHERE id = $1)";
        let there: bool =
            sqlx::query_scalar(LOOK).bind(self.id.as_bytes().as_slice()).fetch_one(&mut *connection).await?;
        if !there {
            return Ok(false);
        }
        const SQL: &str = concat!(
            journal_sql!(),
            "UPDATE deliveries SET state = 0, attempts = 0, next_attempt_at = ",
            database_time!(),
            " WHERE id = $7;"
        );
        journal::bind(SQL, &self.journal).bind(self.id.as_bytes().as_slice()).execute(connection).await?;
        Ok(true)
    }
}

struct DroppingMessages {
    lease: Lease,
    before: Timestamp,
    limit: u32,
}

#[async_trait]
impl Change for DroppingMessages {
    type Answer = u64;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<u64, Failure> {
        const SQL: &str =
            "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox ORDER BY id LIMIT $2) AND created_at < $1";
        fence(&self.lease, &mut *connection).await?;
        let query = sqlx::query(SQL).bind(self.before.unix_millis()).bind(self.limit);
        Ok(query.execute(connection).await?.rows_affected())
    }
}

struct DroppingDeliveries {
    lease: Lease,
    before: Timestamp,
    limit: u32,
}

#[async_trait]
impl Change for DroppingDeliveries {
    type Answer = u64;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<u64, Failure> {
        const SQL: &str =
            "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE id < $1 ORDER BY id LIMIT $2)";
        fence(&self.lease, &mut *connection).await?;
        let first_kept = first_of(self.before);
        let query = sqlx::query(SQL).bind(first_kept.as_bytes().as_slice()).bind(self.limit);
        Ok(query.execute(connection).await?.rows_affected())
    }
}

async fn backlog_of(readers: &SqlitePool, sink: &SinkName) -> Result<Backlog, Failure> {
    const SQL: &str = "SELECT
         (SELECT created_at FROM deliveries INDEXED BY deliveries_pending
             WHERE sink = $1 AND state = 0 ORDER BY sequence LIMIT 1),
         (SELECT COUNT(*) FROM (SELECT 1 FROM deliveries INDEXED BY deliveries_dead
             WHERE sink = $1 AND state = 1 LIMIT 10000))";
    let (oldest, dead): (Option<i64>, i64) = sqlx::query_as(SQL).bind(sink.as_str()).fetch_one(readers).await?;
    Ok(backlog(oldest, dead)?)
}
