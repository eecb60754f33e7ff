//! Bulk revocations.

use async_trait::async_trait;
use ca_core::id::{BulkRevocationId, CertificateId};
use ca_core::time::Timestamp;
use ca_engine::port::store::{
    BatchChange, BatchOutcome, BulkBatch, BulkBeginning, BulkRepetition, BulkRevocation, BulkRevocationStore,
    ChangeOutcome, Idempotency, Journal, Lease, StandingChange, StoreError,
};

use super::error::Failure;
use super::lease::fence;
use super::status::wait_for_completions;
use super::transaction::{Change, Transaction, read};
use super::writer::Joint;
use super::{PostgresStore, column, journal};
use crate::row;
use crate::row::bulk_revocation::{
    BatchRow, BulkRevocationRow, CANCELED, COMPLETED, RUNNING, RepetitionRow, certificates_column, is_as_seen,
    shares_column,
};

/// The columns of a [`BulkRevocationRow`].
macro_rules! bulk_columns {
    () => {
        "uuid_send(r.id) AS id, scope, reason::bigint AS reason, invalidity_date, requested_by, request_id, created_at, count,
         shares, refused, refused_first, state::bigint AS state, revoked, skipped, sequence, ended_at"
    };
}

/// SQL of what an idempotency key $1 was used for that has not expired at $2.
const REPEATED: &str = "SELECT uuid_send(id) AS id, request_sha256 FROM bulk_revocations
     WHERE idempotency_sha256 = $1 AND idempotency_expires_at >= $2";

#[async_trait]
impl BulkRevocationStore for PostgresStore {
    async fn begin_bulk_revocation(
        &self,
        operation: BulkRevocation,
        batches: Vec<Vec<CertificateId>>,
        idempotency: Option<Idempotency>,
        journal: Journal,
    ) -> Result<BulkBeginning, StoreError> {
        let idempotency = idempotency.map(|key| self.personal_data.digested(key));
        self.change(Beginning { operation, batches, idempotency, journal }).await
    }

    async fn repeated_bulk_revocation(
        &self,
        idempotency: &Idempotency,
        now: Timestamp,
    ) -> Result<Option<BulkRepetition>, StoreError> {
        let asked = self.personal_data.digested(idempotency.clone());
        let query = || sqlx::query_as(REPEATED).bind(asked.scope_sha256.as_slice()).bind(now.unix_millis());
        let rows: Vec<RepetitionRow> = read(&self.reads, query).await?;
        rows.into_iter().next().map(|row| row.compared_with(&asked.request_sha256)).transpose()
    }

    async fn bulk_revocation(&self, id: BulkRevocationId) -> Result<Option<BulkRevocation>, StoreError> {
        const SQL: &str = concat!("SELECT ", bulk_columns!(), " FROM bulk_revocations AS r WHERE r.id = $1");
        let rows: Vec<BulkRevocationRow> =
            read(&self.reads, || sqlx::query_as(SQL).bind(column::bulk_revocation(id))).await?;
        rows.into_iter().next().map(TryInto::try_into).transpose()
    }

    async fn bulk_revocations(
        &self,
        after: Option<BulkRevocationId>,
        limit: u32,
    ) -> Result<Vec<BulkRevocation>, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            bulk_columns!(),
            " FROM bulk_revocations AS r WHERE r.id < $1 ORDER BY r.id DESC LIMIT $2"
        );
        // No UUIDv7 is the largest that 16 octets can be.
        let before = after.unwrap_or(BulkRevocationId::from_bytes([0xff; 16]));
        let query = || sqlx::query_as(SQL).bind(column::bulk_revocation(before)).bind(i64::from(limit));
        let rows: Vec<BulkRevocationRow> = read(&self.reads, query).await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    async fn running_bulk_revocations(&self) -> Result<Vec<BulkRevocation>, StoreError> {
        const SQL: &str =
            concat!("SELECT ", bulk_columns!(), " FROM bulk_revocations AS r WHERE r.state = 0 ORDER BY r.id");
        let rows: Vec<BulkRevocationRow> = read(&self.reads, || sqlx::query_as(SQL)).await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    async fn next_batch(&self, id: BulkRevocationId) -> Result<Option<BulkBatch>, StoreError> {
        const SQL: &str = "SELECT number::bigint AS number, certificates FROM bulk_revocation_batches AS b
             WHERE b.bulk_revocation_id = $1 ORDER BY b.number LIMIT 1";
        let rows: Vec<BatchRow> = read(&self.reads, || sqlx::query_as(SQL).bind(column::bulk_revocation(id))).await?;
        rows.into_iter().next().map(TryInto::try_into).transpose()
    }

    async fn change_batch(&self, lease: &Lease, batch: BatchChange) -> Result<BatchOutcome, StoreError> {
        self.change(Batch { lease: lease.clone(), batch }).await
    }

    async fn end_bulk_revocation(
        &self,
        lease: Option<&Lease>,
        id: BulkRevocationId,
        journal: Journal,
    ) -> Result<bool, StoreError> {
        self.change(End { lease: lease.cloned(), id, journal }).await
    }
}

struct Beginning {
    operation: BulkRevocation,
    batches: Vec<Vec<CertificateId>>,
    idempotency: Option<Idempotency>,
    journal: Journal,
}

#[async_trait]
impl Change for Beginning {
    type Answer = BulkBeginning;

    async fn apply(&self, transaction: &mut Transaction) -> Result<BulkBeginning, Failure> {
        let Self { operation, batches, idempotency, journal } = self;
        if let Some(asked) = idempotency {
            let query =
                sqlx::query_as(REPEATED).bind(asked.scope_sha256.as_slice()).bind(operation.created_at.unix_millis());
            let row: Option<RepetitionRow> = transaction.row(query).await?;
            if let Some(row) = row {
                return Ok(BulkBeginning::Repeated(row.compared_with(&asked.request_sha256)?));
            }
            // What is left under this key has expired. Of two that come at once one begins; the other is made again, and sees it.
            const FREE: &str = "UPDATE bulk_revocations
                 SET idempotency_sha256 = NULL, request_sha256 = NULL, idempotency_expires_at = NULL
                 WHERE idempotency_sha256 = $1 AND idempotency_expires_at < $2";
            let free = sqlx::query(FREE).bind(asked.scope_sha256.as_slice()).bind(operation.created_at.unix_millis());
            transaction.execute(free).await?;
        }
        self.add(transaction).await?;
        const BATCHES: &str = "INSERT INTO bulk_revocation_batches (bulk_revocation_id, number, certificates)
             SELECT $1, place - 1, certificates FROM UNNEST($2::bytea[]) WITH ORDINALITY AS g (certificates, place)";
        let certificates: Vec<_> = batches.iter().map(|batch| certificates_column(batch)).collect();
        let query = sqlx::query(BATCHES).bind(column::bulk_revocation(operation.id)).bind(certificates);
        transaction.execute(query).await?;
        journal::store(&[journal], transaction).await?;
        Ok(BulkBeginning::Begun)
    }
}

impl Beginning {
    async fn add(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        const SQL: &str = "INSERT INTO bulk_revocations (id, scope, reason, invalidity_date, requested_by, request_id,
                 created_at, count, shares, refused, refused_first, state, revoked, skipped, sequence, idempotency_sha256,
                 request_sha256, idempotency_expires_at)
             VALUES ($1, $2, $3::bigint, $4, $5, $6, $7, $8, $9, $10, $11, 0, 0, 0, 0, $12, $13, $14)
             ON CONFLICT (idempotency_sha256) WHERE idempotency_sha256 IS NOT NULL DO NOTHING";
        let Self { operation, idempotency, .. } = self;
        let query = sqlx::query(SQL)
            .bind(column::bulk_revocation(operation.id))
            .bind(operation.scope.as_str())
            .bind(i64::from(operation.reason.code()))
            .bind(operation.invalidity_date.map(Timestamp::unix_millis))
            .bind(operation.requested_by.as_str())
            .bind(operation.request_id.as_deref())
            .bind(operation.created_at.unix_millis())
            .bind(row::signed("a count", operation.count)?)
            .bind(shares_column(&operation.shares))
            .bind(row::signed("a count", operation.refused)?)
            .bind(certificates_column(&operation.refused_first))
            .bind(idempotency.as_ref().map(|key| key.scope_sha256.as_slice()))
            .bind(idempotency.as_ref().map(|key| key.request_sha256.as_slice()))
            .bind(idempotency.as_ref().map(|key| key.expires_at.unix_millis()));
        match transaction.execute(query).await? {
            0 => Err(Failure::raced("idempotency keys")),
            _ => Ok(()),
        }
    }
}

struct Batch {
    lease: Lease,
    batch: BatchChange,
}

#[async_trait]
impl Change for Batch {
    type Answer = BatchOutcome;

    async fn apply(&self, transaction: &mut Transaction) -> Result<BatchOutcome, Failure> {
        let BatchChange { id, number, changes, skipped } = &self.batch;
        let changes: Vec<&StandingChange> = changes.iter().collect();
        // In the order of locks everywhere: this one before the lease's.
        wait_for_completions(&changes, transaction).await?;
        fence(&self.lease, transaction).await?;
        const STATE: &str = "SELECT state::bigint FROM bulk_revocations WHERE id = $1 FOR NO KEY UPDATE";
        const LOOK: &str = "SELECT number::bigint AS number, certificates FROM bulk_revocation_batches
             WHERE bulk_revocation_id = $1 AND number = $2";
        let (id, number) = (column::bulk_revocation(*id), i64::from(*number));
        let state: Option<(i64,)> = transaction.row(sqlx::query_as(STATE).bind(id)).await?;
        let row: Option<BatchRow> = transaction.row(sqlx::query_as(LOOK).bind(id).bind(number)).await?;
        let there = row.map(BulkBatch::try_from).transpose()?;
        if state != Some((RUNNING,)) || !there.is_some_and(|there| is_as_seen(&there, &self.batch)) {
            return Ok(BatchOutcome::Superseded);
        }
        let outcomes = StandingChange::apply_together(&changes, transaction).await?;
        let mut sequence = 0;
        let mut stale = Vec::new();
        for (change, outcome) in changes.iter().zip(&outcomes) {
            match outcome {
                ChangeOutcome::Applied { sequence: number } => sequence = sequence.max(*number),
                ChangeOutcome::Stale => stale.push(change.id),
            }
        }
        const COUNT: &str = "UPDATE bulk_revocations SET revoked = revoked + $2, skipped = skipped + $3,
                 sequence = GREATEST(sequence, $4) WHERE id = $1";
        let query = sqlx::query(COUNT)
            .bind(id)
            .bind(row::signed("a count", (changes.len() - stale.len()) as u64)?)
            .bind(row::signed("a count", skipped.len() as u64)?)
            .bind(row::signed("the sequence", sequence)?);
        transaction.execute(query).await?;
        const DONE: &str = "DELETE FROM bulk_revocation_batches WHERE bulk_revocation_id = $1 AND number = $2";
        const LEFT: &str =
            "UPDATE bulk_revocation_batches SET certificates = $3 WHERE bulk_revocation_id = $1 AND number = $2";
        let query = sqlx::query(if stale.is_empty() { DONE } else { LEFT }).bind(id).bind(number);
        let query = if stale.is_empty() { query } else { query.bind(certificates_column(&stale)) };
        transaction.execute(query).await?;
        Ok(BatchOutcome::Made { stale })
    }
}

struct End {
    lease: Option<Lease>,
    id: BulkRevocationId,
    journal: Journal,
}

#[async_trait]
impl Change for End {
    type Answer = bool;

    async fn apply(&self, transaction: &mut Transaction) -> Result<bool, Failure> {
        if let Some(lease) = &self.lease {
            fence(lease, transaction).await?;
        }
        const STATE: &str = "SELECT state::bigint FROM bulk_revocations WHERE id = $1 FOR NO KEY UPDATE";
        const LEFT: &str = "SELECT EXISTS (SELECT FROM bulk_revocation_batches WHERE bulk_revocation_id = $1)";
        let id = column::bulk_revocation(self.id);
        let state: Option<(i64,)> = transaction.row(sqlx::query_as(STATE).bind(id)).await?;
        let left: Option<(bool,)> = transaction.row(sqlx::query_as(LEFT).bind(id)).await?;
        let becomes = if self.lease.is_some() { COMPLETED } else { CANCELED };
        let is_left = becomes == COMPLETED && left != Some((false,));
        if state != Some((RUNNING,)) || is_left {
            return Ok(false);
        }
        const DROP: &str = "DELETE FROM bulk_revocation_batches WHERE bulk_revocation_id = $1";
        const END: &str = "UPDATE bulk_revocations SET state = $2::bigint, ended_at = $3 WHERE id = $1";
        transaction.execute(sqlx::query(DROP).bind(id)).await?;
        let end = sqlx::query(END).bind(id).bind(becomes).bind(self.journal.event.at.unix_millis());
        transaction.execute(end).await?;
        journal::store(&[&self.journal], transaction).await?;
        Ok(true)
    }
}
