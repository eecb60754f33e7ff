//! The port of certificates on record: what it asks, and who answers.
//!
//! How certificates come to be is in [`super::reservation`] and [`super::completion`], single ones are read in
//! [`super::certificate_record`], lists in [`super::certificate_list`].

use async_trait::async_trait;
use ca_core::id::{AuthorityId, CertificateId};
use ca_core::serial::Serial;
use ca_core::time::Timestamp;
use ca_engine::port::store::{
    CertificateFilter, CertificateStore, CompleteOutcome, Completion, Journal, OpenReservation, Page, PageCursor,
    Reservation, ReserveOutcome, StoreError, StoredCertificate,
};
use sqlx::{SqliteConnection, SqliteExecutor};

use super::change::Change;
use super::completion::Abandonment;
use super::error::Failure;
use super::reservation;
use super::{SqliteStore, certificate_list, certificate_record, descent};
use crate::row;
use crate::row::certificate::{CertificateRow, Completing};
use crate::row::reservation::Reserving;

#[async_trait]
impl CertificateStore for SqliteStore {
    async fn reserve(&self, reservation: Reservation) -> Result<ReserveOutcome, StoreError> {
        if reservation.personal_data.is_some() {
            self.learn_keys().await?;
        }
        self.change(Reserving::of(reservation, &self.personal_data)?).await
    }

    async fn complete(&self, completion: Completion) -> Result<CompleteOutcome, StoreError> {
        self.change(Completing::of(completion, &self.personal_data)?).await
    }

    async fn abandon(&self, id: CertificateId, journal: Journal) -> Result<bool, StoreError> {
        self.change(Abandonment { id, journal }).await
    }

    async fn open_reservations(&self, before: Timestamp) -> Result<Vec<OpenReservation>, StoreError> {
        Ok(reservation::open(&self.readers, before).await?)
    }

    async fn certificate(&self, id: CertificateId) -> Result<Option<StoredCertificate>, StoreError> {
        self.opened(certificate_record::by_id(&self.readers, id).await?).await
    }

    async fn certificate_by_serial(
        &self,
        authority: &AuthorityId,
        serial: &Serial,
    ) -> Result<Option<StoredCertificate>, StoreError> {
        self.opened(certificate_record::by_serial(&self.readers, authority, serial).await?).await
    }

    async fn list(
        &self,
        filter: &CertificateFilter,
        after: Option<PageCursor>,
        limit: u32,
    ) -> Result<Page<StoredCertificate>, StoreError> {
        if filter.name.is_some() {
            self.learn_keys().await?;
        }
        let limit = limit.clamp(1, certificate_list::MAX_PAGE);
        let walks = certificate_list::walks(&self.readers, filter, after, limit, &self.personal_data).await?;
        self.know_keys(walks.iter().flatten().flat_map(CertificateRow::key_versions)).await?;
        row::certificate::page(walks, limit, &self.personal_data)
    }

    async fn successor(&self, id: CertificateId) -> Result<Option<CertificateId>, StoreError> {
        Ok(live_successor(&self.readers, id).await?)
    }

    async fn descendants(&self, id: CertificateId, since: Timestamp) -> Result<Vec<CertificateId>, StoreError> {
        Ok(descent::descendants(&self.readers, id, since).await?)
    }

    async fn drop_expired_idempotency(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut dropped = 0;
        loop {
            let few = self.change(IdempotencyExpiry { now }).await?;
            dropped += few;
            if few < EXPIRY_AT_ONCE {
                return Ok(dropped);
            }
        }
    }
}

impl SqliteStore {
    /// The certificate of a row.
    async fn opened(&self, row: Option<CertificateRow>) -> Result<Option<StoredCertificate>, StoreError> {
        self.know_keys(row.iter().flat_map(CertificateRow::key_versions)).await?;
        row.map(|row| row.certificate(&self.personal_data)).transpose()
    }
}

/// A successor that is issued and not revoked for good: one on hold may come back, and is in the way of another.
async fn live_successor(
    executor: impl SqliteExecutor<'_>,
    id: CertificateId,
) -> Result<Option<CertificateId>, Failure> {
    let successor: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT certificate_id FROM serials WHERE renews = $1 AND state <= 2 AND state >= 1")
            .bind(id.as_bytes().as_slice())
            .fetch_optional(executor)
            .await?;
    let octets = successor.map(|octets| row::octets("serials.certificate_id", octets)).transpose()?;
    Ok(octets.map(CertificateId::from_bytes))
}

/// Drops some of the keys that have expired: issuance waits no longer than that takes.
struct IdempotencyExpiry {
    now: Timestamp,
}

#[async_trait]
impl Change for IdempotencyExpiry {
    type Answer = u64;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<u64, Failure> {
        const SQL: &str = "DELETE FROM idempotency_keys WHERE scope_sha256 IN
             (SELECT scope_sha256 FROM idempotency_keys WHERE expires_at < $1 LIMIT $2)";
        let limit = row::signed("a limit", EXPIRY_AT_ONCE)?;
        let dropped = sqlx::query(SQL).bind(self.now.unix_millis()).bind(limit).execute(&mut *connection).await?;
        // Those of bulk revocations are few.
        const BULK: &str = "UPDATE bulk_revocations
             SET idempotency_sha256 = NULL, request_sha256 = NULL, idempotency_expires_at = NULL
             WHERE idempotency_expires_at < $1";
        let freed = sqlx::query(BULK).bind(self.now.unix_millis()).execute(connection).await?;
        Ok(dropped.rows_affected() + freed.rows_affected())
    }
}

/// How many idempotency keys are dropped by one change.
const EXPIRY_AT_ONCE: u64 = 1_000;
