//! Certificates on record: the room's port, and reading single ones.
//!
//! How they come to be is in [`super::reservation`], lists are in [`super::certificate_list`].

use async_trait::async_trait;
use ca_core::id::{AuthorityId, CertificateId};
use ca_core::serial::Serial;
use ca_core::time::{Timestamp, Validity};
use ca_engine::port::store::{
    CertificateFilter, CertificateStore, CompleteOutcome, Completion, Journal, OpenReservation, Page, PageCursor,
    Reservation, ReserveOutcome, SerialState, StoreError, StoredCertificate,
};
use sqlx::{FromRow, SqliteConnection, SqliteExecutor};

use super::error::{Failure, inconsistent};
use super::reservation::{self, Abandonment};
use super::row::{self, RevocationColumns};
use super::writer::Change;
use super::{SqliteStore, certificate_list};

#[async_trait]
impl CertificateStore for SqliteStore {
    async fn reserve(&self, reservation: Reservation) -> Result<ReserveOutcome, StoreError> {
        self.change(reservation).await
    }

    async fn complete(&self, completion: Completion) -> Result<CompleteOutcome, StoreError> {
        self.change(completion).await
    }

    async fn abandon(&self, id: CertificateId, journal: Journal) -> Result<bool, StoreError> {
        self.change(Abandonment { id, journal }).await
    }

    async fn open_reservations(&self, before: Timestamp) -> Result<Vec<OpenReservation>, StoreError> {
        Ok(reservation::open(&self.readers, before).await?)
    }

    async fn certificate(&self, id: CertificateId) -> Result<Option<StoredCertificate>, StoreError> {
        Ok(by_id(&self.readers, id).await?)
    }

    async fn certificate_by_serial(
        &self,
        authority: &AuthorityId,
        serial: &Serial,
    ) -> Result<Option<StoredCertificate>, StoreError> {
        Ok(by_serial(&self.readers, authority, serial).await?)
    }

    async fn list(
        &self,
        filter: &CertificateFilter,
        after: Option<PageCursor>,
        limit: u32,
    ) -> Result<Page<StoredCertificate>, StoreError> {
        Ok(certificate_list::page(&self.readers, filter, after, limit).await?)
    }

    async fn successor(&self, id: CertificateId) -> Result<Option<CertificateId>, StoreError> {
        Ok(live_successor(&self.readers, id).await?)
    }

    async fn drop_expired_idempotency(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.change(IdempotencyExpiry { now }).await
    }
}

/// The columns of a [`CertificateRow`], from `certificates AS c` and `serials AS s`.
macro_rules! certificate_columns {
    () => {
        "c.id, c.authority, c.serial, c.profile, c.not_before, c.not_after, c.subject, c.names, c.spki_sha256,
         c.fingerprint_sha256, c.owner, c.requested_by, c.issued_at, c.renews, c.der,
         s.state, s.reason, s.revoked_at, s.invalidity_date"
    };
}
pub(super) use certificate_columns;

/// A certificate as `certificate_columns!()` gives it.
#[derive(FromRow)]
pub(super) struct CertificateRow {
    id: Vec<u8>,
    authority: String,
    serial: Vec<u8>,
    profile: String,
    not_before: i64,
    not_after: i64,
    subject: Vec<u8>,
    names: Vec<u8>,
    spki_sha256: Vec<u8>,
    fingerprint_sha256: Vec<u8>,
    owner: String,
    requested_by: String,
    issued_at: i64,
    renews: Option<Vec<u8>>,
    der: Vec<u8>,
    state: i64,
    reason: Option<i64>,
    revoked_at: Option<i64>,
    invalidity_date: Option<i64>,
}

impl TryFrom<CertificateRow> for StoredCertificate {
    type Error = StoreError;

    fn try_from(row: CertificateRow) -> Result<Self, StoreError> {
        let id = CertificateId::from_bytes(row::octets("certificates.id", row.id)?);
        let place = format!("certificates {id}");
        let CertificateRow { reason, revoked_at, invalidity_date, .. } = row;
        let columns = RevocationColumns { reason, revoked_at, invalidity_date };
        let SerialState::Issued(standing) = row::serial_state(&place, row.state, columns)? else {
            return Err(inconsistent(&place, "a certificate whose serial is not issued"));
        };
        Ok(Self {
            id,
            authority: row::authority(&place, &row.authority)?,
            serial: row::serial(&place, &row.serial)?,
            profile: row::profile(&place, &row.profile)?,
            subject: row::distinguished_name(&place, &row.subject)?,
            names: row::general_names(&place, &row.names)?,
            validity: Validity {
                not_before: Timestamp::from_unix_millis(row.not_before),
                not_after: Timestamp::from_unix_millis(row.not_after),
            },
            standing,
            spki_sha256: row::octets(&place, row.spki_sha256)?,
            fingerprint_sha256: row::octets(&place, row.fingerprint_sha256)?,
            der: row.der,
            owner: row.owner,
            requested_by: row.requested_by,
            issued_at: Timestamp::from_unix_millis(row.issued_at),
            renews: row.renews.map(|renews| row::octets(&place, renews)).transpose()?.map(CertificateId::from_bytes),
        })
    }
}

/// One certificate.
pub(super) async fn by_id(
    executor: impl SqliteExecutor<'_>,
    id: CertificateId,
) -> Result<Option<StoredCertificate>, Failure> {
    const SQL: &str = concat!(
        "SELECT ",
        certificate_columns!(),
        " FROM certificates AS c JOIN serials AS s ON s.serial = c.serial AND s.authority = c.authority WHERE c.id = ?1"
    );
    let row: Option<CertificateRow> =
        sqlx::query_as(SQL).bind(id.as_bytes().as_slice()).fetch_optional(executor).await?;
    Ok(row.map(StoredCertificate::try_from).transpose()?)
}

async fn by_serial(
    executor: impl SqliteExecutor<'_>,
    authority: &AuthorityId,
    serial: &Serial,
) -> Result<Option<StoredCertificate>, Failure> {
    const SQL: &str = concat!(
        "SELECT ",
        certificate_columns!(),
        " FROM serials AS s JOIN certificates AS c ON c.id = s.certificate_id
          WHERE s.serial = ?1 AND s.authority = ?2"
    );
    let row: Option<CertificateRow> =
        sqlx::query_as(SQL).bind(serial.as_bytes()).bind(authority.as_str()).fetch_optional(executor).await?;
    Ok(row.map(StoredCertificate::try_from).transpose()?)
}

/// A successor that is issued and not revoked for good: one on hold may come back, and is in the way of another.
async fn live_successor(
    executor: impl SqliteExecutor<'_>,
    id: CertificateId,
) -> Result<Option<CertificateId>, Failure> {
    let successor: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT certificate_id FROM serials WHERE renews = ?1 AND state <= 2 AND state >= 1")
            .bind(id.as_bytes().as_slice())
            .fetch_optional(executor)
            .await?;
    let octets = successor.map(|octets| row::octets("serials.certificate_id", octets)).transpose()?;
    Ok(octets.map(CertificateId::from_bytes))
}

struct IdempotencyExpiry {
    now: Timestamp,
}

#[async_trait]
impl Change for IdempotencyExpiry {
    type Answer = u64;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<u64, Failure> {
        let dropped = sqlx::query("DELETE FROM idempotency_keys WHERE expires_at < ?1")
            .bind(self.now.unix_millis())
            .execute(connection)
            .await?;
        Ok(dropped.rows_affected())
    }
}
