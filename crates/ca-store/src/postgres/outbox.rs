//! The outbox: messages that go to no sink yet, and deliveries. What is done is deleted: nothing goes by a number seen before, since
//! a lower one may be committed later.

use async_trait::async_trait;
use ca_core::id::{DeliveryId, SinkName};
use ca_core::time::Timestamp;
use ca_engine::port::store::{
    Assignment, Backlog, Delivery, Journal, Lease, OutboxStore, Settlement, StoreError, Verdict,
};

use super::error::Failure;
use super::lease::fence;
use super::pool::Pool;
use super::transaction::{Change, Transaction, read};
use super::{PostgresStore, column, database_time, journal};
use crate::row;
use crate::row::outbox::{DEAD, DeliveryRow, PENDING, backlog, failure, first_of};

/// The columns of a [`DeliveryRow`], of the table under the name `d`.
macro_rules! delivery_columns {
    () => {
        "uuid_send(d.id) AS id, d.sink, d.sequence, d.topic, uuid_send(d.certificate_id) AS certificate_id, d.payload,
         d.created_at, d.state::bigint AS state, d.attempts::bigint AS attempts, d.next_attempt_at, d.last_attempt_at,
         d.last_error"
    };
}

#[async_trait]
impl OutboxStore for PostgresStore {
    async fn unassigned_messages(&self, limit: u32) -> Result<Vec<u64>, StoreError> {
        const SQL: &str = "SELECT id FROM outbox ORDER BY id LIMIT $1";
        let rows: Vec<(i64,)> = read(&self.reads, || sqlx::query_as(SQL).bind(i64::from(limit))).await?;
        rows.into_iter().map(|(id,)| row::unsigned("outbox.id", id)).collect()
    }

    async fn assign_messages(&self, lease: &Lease, assignments: Vec<Assignment>) -> Result<(), StoreError> {
        self.change(Assigning { lease: lease.clone(), assignments }).await
    }

    async fn drop_unassigned(&self, lease: &Lease, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.change(DroppingMessages { lease: lease.clone(), before, limit }).await
    }

    async fn due_deliveries(&self, sink: &SinkName, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        Ok(due(&self.reads, sink, limit).await?)
    }

    async fn settle_deliveries(&self, lease: &Lease, settlements: Vec<Settlement>) -> Result<(), StoreError> {
        self.change(Settling { lease: lease.clone(), settlements }).await
    }

    async fn hasten_deliveries(&self, lease: &Lease, sink: &SinkName) -> Result<u64, StoreError> {
        self.change(Hastening { lease: lease.clone(), sink: sink.clone() }).await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        const SQL: &str = concat!("SELECT ", delivery_columns!(), " FROM deliveries AS d WHERE d.id = $1");
        let rows: Vec<DeliveryRow> = read(&self.reads, || sqlx::query_as(SQL).bind(column::delivery(id))).await?;
        rows.into_iter().next().map(Delivery::try_from).transpose()
    }

    async fn deliveries(
        &self,
        dead: Option<bool>,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        Ok(page(&self.reads, dead, after, limit).await?)
    }

    async fn replay_delivery(&self, id: DeliveryId, journal: Journal) -> Result<bool, StoreError> {
        self.change(Replay { id, journal }).await
    }

    async fn drop_deliveries(&self, lease: &Lease, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.change(DroppingDeliveries { lease: lease.clone(), before, limit }).await
    }

    async fn backlog(&self, sink: &SinkName) -> Result<Backlog, StoreError> {
        const SQL: &str = "SELECT
             (SELECT created_at FROM deliveries WHERE sink = $1 AND state = 0 ORDER BY sequence LIMIT 1),
             (SELECT COUNT(*) FROM (SELECT FROM deliveries WHERE sink = $1 AND state = 1 LIMIT 10000) AS d)";
        let rows: Vec<(Option<i64>, i64)> = read(&self.reads, || sqlx::query_as(SQL).bind(sink.as_str())).await?;
        let (oldest, dead) = rows.first().ok_or_else(|| row::inconsistent("deliveries", "no answer"))?;
        backlog(*oldest, *dead)
    }
}

struct Assigning {
    lease: Lease,
    assignments: Vec<Assignment>,
}

#[async_trait]
impl Change for Assigning {
    type Answer = ();

    async fn apply(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        // Whoever assigns the same at the same time waits for the lease's row, and finds the messages gone.
        const SQL: &str = concat!(
            "WITH given AS MATERIALIZED (
                 SELECT * FROM UNNEST($1::bigint[], $2::text[], $3::uuid[]) AS g (sequence, sink, id)
             ), instant AS MATERIALIZED (
                 SELECT ",
            database_time!(),
            " AS now
             ), taken AS (
                 DELETE FROM outbox WHERE id = ANY ($1::bigint[]) RETURNING id, topic, certificate_id, payload, created_at
             )
             INSERT INTO deliveries (id, sink, sequence, topic, certificate_id, payload, created_at, next_attempt_at)
                 SELECT g.id, g.sink, t.id, t.topic, t.certificate_id, t.payload, t.created_at, i.now
                 FROM given AS g JOIN taken AS t ON t.id = g.sequence CROSS JOIN instant AS i"
        );
        fence(&self.lease, transaction).await?;
        let each = || self.assignments.iter();
        let sequences = each().map(|assignment| row::signed("the number of a message", assignment.sequence));
        let query = sqlx::query(SQL)
            .bind(sequences.collect::<Result<Vec<_>, _>>()?)
            .bind(each().map(|assignment| assignment.sink.as_str()).collect::<Vec<_>>())
            .bind(each().map(|assignment| column::delivery(assignment.id)).collect::<Vec<_>>());
        transaction.execute(query).await.map(|_| ())
    }
}

/// A walk up the index of what is due; that nothing of the same certificate comes before is looked up in another.
async fn due(reads: &Pool, sink: &SinkName, limit: u32) -> Result<Vec<Delivery>, Failure> {
    const SQL: &str = concat!(
        "SELECT ",
        delivery_columns!(),
        " FROM deliveries AS d
         WHERE d.sink = $1 AND d.state = 0 AND d.next_attempt_at <= (SELECT ",
        database_time!(),
        ") AND (d.certificate_id IS NULL OR (SELECT TRUE FROM deliveries AS p
             WHERE p.sink = d.sink AND p.certificate_id = d.certificate_id AND p.state = 0 AND p.sequence < d.sequence
             LIMIT 1) IS NULL)
         ORDER BY d.next_attempt_at, d.sequence LIMIT $2"
    );
    let query = || sqlx::query_as(SQL).bind(sink.as_str()).bind(i64::from(limit));
    let rows: Vec<DeliveryRow> = read(reads, query).await?;
    Ok(rows.into_iter().map(Delivery::try_from).collect::<Result<_, _>>()?)
}

struct Settling {
    lease: Lease,
    settlements: Vec<Settlement>,
}

#[async_trait]
impl Change for Settling {
    type Answer = ();

    async fn apply(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        // `IS TRUE` keeps the walk off the indexes of all that are pending.
        const DONE: &str = "DELETE FROM deliveries WHERE id = ANY ($1::uuid[]) AND (state = 0) IS TRUE";
        const FAILED: &str = concat!(
            "WITH instant AS MATERIALIZED (SELECT ",
            database_time!(),
            " AS now)
             UPDATE deliveries AS d SET attempts = d.attempts + 1, state = g.state, next_attempt_at = i.now + g.pause,
                 last_attempt_at = i.now, last_error = g.error
             FROM UNNEST($1::uuid[], $2::bigint[], $3::bigint[], $4::text[]) AS g (id, state, pause, error), instant AS i
             WHERE d.id = g.id AND (d.state = 0) IS TRUE"
        );
        fence(&self.lease, transaction).await?;
        let each = || self.settlements.iter();
        let done: Vec<_> = each()
            .filter(|settlement| settlement.verdict == Verdict::Delivered)
            .map(|settlement| column::delivery(settlement.id))
            .collect();
        if !done.is_empty() {
            transaction.execute(sqlx::query(DONE).bind(done)).await?;
        }
        let failed: Vec<_> =
            each().filter_map(|settlement| failure(settlement).map(|columns| (settlement.id, columns))).collect();
        if !failed.is_empty() {
            let each = || failed.iter();
            let query = sqlx::query(FAILED)
                .bind(each().map(|(id, _)| column::delivery(*id)).collect::<Vec<_>>())
                .bind(each().map(|(_, (state, _, _))| *state).collect::<Vec<_>>())
                .bind(each().map(|(_, (_, pause, _))| *pause).collect::<Vec<_>>())
                .bind(each().map(|(_, (_, _, error))| *error).collect::<Vec<_>>());
            transaction.execute(query).await?;
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

    async fn apply(&self, transaction: &mut Transaction) -> Result<u64, Failure> {
        const SQL: &str = concat!(
            "UPDATE deliveries SET next_attempt_at = ",
            database_time!(),
            " WHERE sink = $1 AND state = 0 AND next_attempt_at > (SELECT ",
            database_time!(),
            ")"
        );
        fence(&self.lease, transaction).await?;
        transaction.execute(sqlx::query(SQL).bind(self.sink.as_str())).await
    }
}

async fn page(
    reads: &Pool,
    dead: Option<bool>,
    after: Option<DeliveryId>,
    limit: u32,
) -> Result<Vec<Delivery>, Failure> {
    const ALL: &str =
        concat!("SELECT ", delivery_columns!(), " FROM deliveries AS d WHERE d.id < $1 ORDER BY d.id DESC LIMIT $2");
    const OF_STATE: &str = concat!(
        "SELECT ",
        delivery_columns!(),
        " FROM deliveries AS d WHERE d.id < $1 AND d.state = $3::smallint ORDER BY d.id DESC LIMIT $2"
    );
    // No UUIDv7 is the largest that 16 octets can be.
    let before = column::delivery(after.unwrap_or(DeliveryId::from_bytes([0xff; 16])));
    let limit = i64::from(limit);
    let rows: Vec<DeliveryRow> = match dead {
        None => read(reads, || sqlx::query_as(ALL).bind(before).bind(limit)).await?,
        Some(dead) => {
            let state = if dead { DEAD } else { PENDING };
            read(reads, || sqlx::query_as(OF_STATE).bind(before).bind(limit).bind(state as i16)).await?
        }
    };
    Ok(rows.into_iter().map(Delivery::try_from).collect::<Result<_, _>>()?)
}

struct Replay {
    id: DeliveryId,
    journal: Journal,
}

#[async_trait]
impl Change for Replay {
    type Answer = bool;

    async fn apply(&self, transaction: &mut Transaction) -> Result<bool, Failure> {
        const SQL: &str = concat!(
            "UPDATE deliveries SET state = 0, attempts = 0, next_attempt_at = ",
            database_time!(),
            " WHERE id = $1"
        );
        if transaction.execute(sqlx::query(SQL).bind(column::delivery(self.id))).await? == 0 {
            return Ok(false);
        }
        journal::store(&[&self.journal], transaction).await?;
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

    async fn apply(&self, transaction: &mut Transaction) -> Result<u64, Failure> {
        const SQL: &str = "DELETE FROM outbox
             WHERE id = ANY (ARRAY(SELECT id FROM outbox ORDER BY id LIMIT $2)) AND created_at < $1";
        fence(&self.lease, transaction).await?;
        transaction.execute(sqlx::query(SQL).bind(self.before.unix_millis()).bind(i64::from(self.limit))).await
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

    async fn apply(&self, transaction: &mut Transaction) -> Result<u64, Failure> {
        const SQL: &str = "DELETE FROM deliveries
             WHERE id = ANY (ARRAY(SELECT id FROM deliveries WHERE id < $1 ORDER BY id LIMIT $2))";
        fence(&self.lease, transaction).await?;
        let first_kept = column::delivery(first_of(self.before));
        transaction.execute(sqlx::query(SQL).bind(first_kept).bind(i64::from(self.limit))).await
    }
}
