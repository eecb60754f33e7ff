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

use super::abandonment::Abandonment;
use super::certificate_record::{by_id, by_serial};
use super::error::Failure;
use super::pool::Pool;
use super::transaction::{Change, Transaction, read};
use super::{PostgresStore, certificate_list, column, descent, reservation};
use crate::row;
use crate::row::certificate::{CertificateRow, Completing};
use crate::row::reservation::Reserving;

#[async_trait]
impl CertificateStore for PostgresStore {
    async fn reserve(&self, reservation: Reservation) -> Result<ReserveOutcome, StoreError> {
        let writers = self.writers()?;
        let not_after = reservation.validity.not_after;
        // One that comes back on record long after its end. Its month may be dropped until it is reserved, and not afterwards.
        let is_late = not_after < reservation.reserved_at;
        match is_late {
            true => writers.months.ensure_now(&writers.pool, not_after).await?,
            false => writers.months.ensure(&writers.pool, not_after).await?,
        }
        if reservation.personal_data.is_some() {
            self.learn_keys().await?;
        }
        let outcome = writers.reservations.change(Reserving::of(reservation, &self.personal_data)?).await?;
        if is_late {
            writers.months.ensure_now(&writers.pool, not_after).await?;
        }
        Ok(outcome)
    }

    async fn complete(&self, completion: Completion) -> Result<CompleteOutcome, StoreError> {
        self.writers()?.completions.change(Completing::of(completion, &self.personal_data)?).await
    }

    async fn abandon(&self, id: CertificateId, journal: Journal) -> Result<bool, StoreError> {
        self.change(Abandonment { id, journal }).await
    }

    async fn open_reservations(&self, before: Timestamp) -> Result<Vec<OpenReservation>, StoreError> {
        Ok(reservation::open(&self.reads, before).await?)
    }

    async fn certificate(&self, id: CertificateId) -> Result<Option<StoredCertificate>, StoreError> {
        self.opened(by_id(&self.reads, id).await?).await
    }

    async fn certificate_by_serial(
        &self,
        authority: &AuthorityId,
        serial: &Serial,
    ) -> Result<Option<StoredCertificate>, StoreError> {
        self.opened(by_serial(&self.reads, authority, serial).await?).await
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
        let walks = certificate_list::walks(&self.reads, filter, after, limit, &self.personal_data).await?;
        self.know_keys(walks.iter().flatten().flat_map(CertificateRow::key_versions)).await?;
        row::certificate::page(walks, limit, &self.personal_data)
    }

    async fn successor(&self, id: CertificateId) -> Result<Option<CertificateId>, StoreError> {
        Ok(live_successor(&self.reads, id).await?)
    }

    async fn descendants(&self, id: CertificateId, since: Timestamp) -> Result<Vec<CertificateId>, StoreError> {
        Ok(descent::descendants(&self.reads, id, since).await?)
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

impl PostgresStore {
    /// The certificate of the only row, if there is one.
    async fn opened(&self, rows: Vec<CertificateRow>) -> Result<Option<StoredCertificate>, StoreError> {
        self.know_keys(rows.iter().flat_map(CertificateRow::key_versions)).await?;
        rows.into_iter().next().map(|row| row.certificate(&self.personal_data)).transpose()
    }
}

/// A successor that is issued and not revoked for good: one on hold may come back, and is in the way of another.
async fn live_successor(reads: &Pool, id: CertificateId) -> Result<Option<CertificateId>, Failure> {
    const SQL: &str = "SELECT uuid_send(certificate_id) FROM serials
         WHERE renews = $1 AND (reason IS NULL OR reason = 6) AND state >= 1";
    let rows: Vec<(Vec<u8>,)> = read(reads, || sqlx::query_as(SQL).bind(column::certificate(id))).await?;
    let octets = rows.into_iter().next().map(|(octets,)| row::octets("serials.certificate_id", octets)).transpose()?;
    Ok(octets.map(CertificateId::from_bytes))
}

/// Drops some of the keys that have expired: whoever waits for one of them waits no longer than that takes.
struct IdempotencyExpiry {
    now: Timestamp,
}

#[async_trait]
impl Change for IdempotencyExpiry {
    type Answer = u64;

    async fn apply(&self, transaction: &mut Transaction) -> Result<u64, Failure> {
        // One that somebody is taking over is not expired any more: passed by, not waited for.
        const SQL: &str = "DELETE FROM idempotency_keys WHERE scope_sha256 = ANY (ARRAY(
                 SELECT scope_sha256 FROM idempotency_keys WHERE expires_at < $1
                 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))";
        let limit = row::signed("a limit", EXPIRY_AT_ONCE)?;
        let dropped = transaction.execute(sqlx::query(SQL).bind(self.now.unix_millis()).bind(limit)).await?;
        // Those of bulk revocations are few.
        const BULK: &str = "UPDATE bulk_revocations
             SET idempotency_sha256 = NULL, request_sha256 = NULL, idempotency_expires_at = NULL
             WHERE idempotency_expires_at < $1";
        Ok(dropped + transaction.execute(sqlx::query(BULK).bind(self.now.unix_millis())).await?)
    }
}

/// How many idempotency keys are dropped by one change.
const EXPIRY_AT_ONCE: u64 = 1_000;
