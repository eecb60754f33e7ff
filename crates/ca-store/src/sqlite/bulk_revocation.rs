//! Bulk revocations.

use async_trait::async_trait;
use ca_core::id::{BulkRevocationId, CertificateId};
use ca_core::time::Timestamp;
use ca_engine::port::store::{
    BatchChange, BatchOutcome, BulkBatch, BulkBeginning, BulkRepetition, BulkRevocation, BulkRevocationStore,
    ChangeOutcome, Idempotency, Journal, Lease, StoreError,
};
use sqlx::{SqliteConnection, SqliteExecutor};

use super::SqliteStore;
use super::change::Change;
use super::error::Failure;
use super::journal::{self, journal_sql};
use super::lease::fence;
use crate::row;
use crate::row::bulk_revocation::{
    BatchRow, BulkRevocationRow, CANCELED, COMPLETED, RUNNING, RepetitionRow, certificates_column, is_as_seen,
    shares_column,
};

/// The columns of a [`BulkRevocationRow`].
macro_rules! bulk_columns {
    () => {
        "id, scope, reason, invalidity_date, requested_by, request_id, created_at, count, shares, refused, refused_first, state,
         revoked, skipped, sequence, ended_at"
    };
}

#[async_trait]
impl BulkRevocationStore for SqliteStore {
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
        Ok(repeated(&self.personal_data.digested(idempotency.clone()), now, &self.readers).await?)
    }

    async fn bulk_revocation(&self, id: BulkRevocationId) -> Result<Option<BulkRevocation>, StoreError> {
        const SQL: &str = concat!("SELECT ", bulk_columns!(), " FROM bulk_revocations WHERE id = $1");
        let row: Option<BulkRevocationRow> = sqlx::query_as(SQL)
            .bind(id.as_bytes().as_slice())
            .fetch_optional(&self.readers)
            .await
            .map_err(Failure::from)?;
        row.map(TryInto::try_into).transpose()
    }

    async fn bulk_revocations(
        &self,
        after: Option<BulkRevocationId>,
        limit: u32,
    ) -> Result<Vec<BulkRevocation>, StoreError> {
        const SQL: &str =
            concat!("SELECT ", bulk_columns!(), " FROM bulk_revocations WHERE id < $1 ORDER BY id DESC LIMIT $2");
        // 17 octets are above every id of 16.
        let before = after.map_or_else(|| vec![0xff; 17], |id| id.as_bytes().to_vec());
        let rows: Vec<BulkRevocationRow> =
            sqlx::query_as(SQL).bind(before).bind(limit).fetch_all(&self.readers).await.map_err(Failure::from)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    async fn running_bulk_revocations(&self) -> Result<Vec<BulkRevocation>, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            bulk_columns!(),
            " FROM bulk_revocations INDEXED BY bulk_revocations_running WHERE state = 0 ORDER BY id"
        );
        let rows: Vec<BulkRevocationRow> = sqlx::query_as(SQL).fetch_all(&self.readers).await.map_err(Failure::from)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    async fn next_batch(&self, id: BulkRevocationId) -> Result<Option<BulkBatch>, StoreError> {
        const SQL: &str = "SELECT number, certificates FROM bulk_revocation_batches
             WHERE bulk_revocation_id = $1 ORDER BY number LIMIT 1";
        let row: Option<BatchRow> = sqlx::query_as(SQL)
            .bind(id.as_bytes().as_slice())
            .fetch_optional(&self.readers)
            .await
            .map_err(Failure::from)?;
        row.map(TryInto::try_into).transpose()
    }

    async fn change_batch(&self, lease: &Lease, batch: BatchChange) -> Result<BatchOutcome, StoreError> {
        let outcome = self.change(Batch { lease: lease.clone(), batch }).await;
        self.revocations.notify_one();
        outcome
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

async fn repeated(
    asked: &Idempotency,
    now: Timestamp,
    executor: impl SqliteExecutor<'_>,
) -> Result<Option<BulkRepetition>, Failure> {
    const SQL: &str = "SELECT id, request_sha256 FROM bulk_revocations
         WHERE idempotency_sha256 = $1 AND idempotency_expires_at >= $2";
    let row: Option<RepetitionRow> = sqlx::query_as(SQL)
        .bind(asked.scope_sha256.as_slice())
        .bind(now.unix_millis())
        .fetch_optional(executor)
        .await?;
    Ok(row.map(|row| row.compared_with(&asked.request_sha256)).transpose()?)
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

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<BulkBeginning, Failure> {
        let Self { operation, batches, idempotency, journal } = self;
        if let Some(asked) = idempotency {
            if let Some(repetition) = repeated(asked, operation.created_at, &mut *connection).await? {
                return Ok(BulkBeginning::Repeated(repetition));
            }
            // What is left under this key has expired.
            const FREE: &str = "UPDATE bulk_revocations
                 SET idempotency_sha256 = NULL, request_sha256 = NULL, idempotency_expires_at = NULL
                 WHERE idempotency_sha256 = $1";
            sqlx::query(FREE).bind(asked.scope_sha256.as_slice()).execute(&mut *connection).await?;
        }
        const ADD: &str = concat!(
            journal_sql!(),
            "INSERT INTO bulk_revocations (id, scope, reason, invalidity_date, requested_by, request_id, created_at, count,
                 shares, refused, refused_first, state, revoked, skipped, sequence, idempotency_sha256, request_sha256,
                 idempotency_expires_at)
             VALUES ($7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, 0, 0, 0, 0, $18, $19, $20);"
        );
        journal::bind(ADD, journal)
            .bind(operation.id.as_bytes().as_slice())
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
            .bind(idempotency.as_ref().map(|key| key.expires_at.unix_millis()))
            .execute(&mut *connection)
            .await?;
        const BATCH: &str =
            "INSERT INTO bulk_revocation_batches (bulk_revocation_id, number, certificates) VALUES ($1, $2, $3)";
        for (number, certificates) in (0u32..).zip(batches) {
            sqlx::query(BATCH)
                .bind(operation.id.as_bytes().as_slice())
                .bind(number)
                .bind(certificates_column(certificates))
                .execute(&mut *connection)
                .await?;
        }
        Ok(BulkBeginning::Begun)
    }
}

struct Batch {
    lease: Lease,
    batch: BatchChange,
}

#[async_trait]
impl Change for Batch {
    type Answer = BatchOutcome;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<BatchOutcome, Failure> {
        let BatchChange { id, number, changes, skipped } = &self.batch;
        fence(&self.lease, &mut *connection).await?;
        const LOOK: &str = "SELECT b.number, b.certificates FROM bulk_revocations AS r
             JOIN bulk_revocation_batches AS b ON b.bulk_revocation_id = r.id
             WHERE r.id = $1 AND r.state = 0 AND b.number = $2";
        let row: Option<BatchRow> =
            sqlx::query_as(LOOK).bind(id.as_bytes().as_slice()).bind(number).fetch_optional(&mut *connection).await?;
        let there = row.map(BulkBatch::try_from).transpose()?;
        if !there.is_some_and(|there| is_as_seen(&there, &self.batch)) {
            return Ok(BatchOutcome::Superseded);
        }
        let (mut stale, mut sequence) = (Vec::new(), 0);
        for change in changes {
            match change.apply(&mut *connection).await? {
                ChangeOutcome::Applied { sequence: number } => sequence = number,
                ChangeOutcome::Stale => stale.push(change.id),
            }
        }
        const COUNT: &str = "UPDATE bulk_revocations
             SET revoked = revoked + $2, skipped = skipped + $3, sequence = max(sequence, $4) WHERE id = $1";
        sqlx::query(COUNT)
            .bind(id.as_bytes().as_slice())
            .bind(row::signed("a count", (changes.len() - stale.len()) as u64)?)
            .bind(row::signed("a count", skipped.len() as u64)?)
            .bind(row::signed("the sequence", sequence)?)
            .execute(&mut *connection)
            .await?;
        const DONE: &str = "DELETE FROM bulk_revocation_batches WHERE bulk_revocation_id = $1 AND number = $2";
        const LEFT: &str =
            "UPDATE bulk_revocation_batches SET certificates = $3 WHERE bulk_revocation_id = $1 AND number = $2";
        let query = sqlx::query(if stale.is_empty() { DONE } else { LEFT });
        let query = query.bind(id.as_bytes().as_slice()).bind(number);
        let query = if stale.is_empty() { query } else { query.bind(certificates_column(&stale)) };
        query.execute(&mut *connection).await?;
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

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<bool, Failure> {
        if let Some(lease) = &self.lease {
            fence(lease, &mut *connection).await?;
        }
        const LOOK: &str = "SELECT state, EXISTS (SELECT 1 FROM bulk_revocation_batches WHERE bulk_revocation_id = $1)
             FROM bulk_revocations WHERE id = $1";
        let there: Option<(i64, bool)> =
            sqlx::query_as(LOOK).bind(self.id.as_bytes().as_slice()).fetch_optional(&mut *connection).await?;
        let state = if self.lease.is_some() { COMPLETED } else { CANCELED };
        match there {
            Some((RUNNING, is_left)) if state == CANCELED || !is_left => {}
            _ => return Ok(false),
        }
        const SQL: &str = concat!(
            journal_sql!(),
            "DELETE FROM bulk_revocation_batches WHERE bulk_revocation_id = $7;
             UPDATE bulk_revocations SET state = $8, ended_at = $6 WHERE id = $7;"
        );
        journal::bind(SQL, &self.journal).bind(self.id.as_bytes().as_slice()).bind(state).execute(connection).await?;
        Ok(true)
    }
}
