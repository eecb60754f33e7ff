//! Ends of certificates that come near, and notices of them.

use async_trait::async_trait;
use ca_core::id::CertificateId;
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::port::store::{EndingCertificate, ExpiryNotice, Journal, NoticeStore, StoreError};
use sqlx::{SqliteConnection, SqlitePool};

use super::SqliteStore;
use super::change::Change;
use super::error::Failure;
use super::journal::{self, journal_sql};
use crate::row::notice::{EndingRow, lifetime, seconds_column};

#[async_trait]
impl NoticeStore for SqliteStore {
    async fn ending_certificates(
        &self,
        after: (Timestamp, CertificateId),
        ends_before: Timestamp,
        limit: u32,
    ) -> Result<Vec<EndingCertificate>, StoreError> {
        ending(&self.readers, after, ends_before, limit).await?.into_iter().map(TryInto::try_into).collect()
    }

    async fn expiry_notice(&self, certificate: CertificateId) -> Result<Option<Lifetime>, StoreError> {
        noted(&self.readers, certificate).await?.map(lifetime).transpose()
    }

    async fn note_expiry(&self, notice: ExpiryNotice, journal: Option<Journal>) -> Result<bool, StoreError> {
        self.change(Note { notice, journal }).await
    }

    async fn drop_expiry_notices(&self, ended_before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.change(Dropping { ended_before, limit }).await
    }
}

async fn ending(
    readers: &SqlitePool,
    (end, id): (Timestamp, CertificateId),
    ends_before: Timestamp,
    limit: u32,
) -> Result<Vec<EndingRow>, Failure> {
    // A walk down the index of ends; everything else is looked up row by row.
    const SQL: &str =
        "SELECT c.id, c.authority, c.serial, c.profile, c.not_before, c.not_after, c.owner, n.seconds_before,
             m.name AS managed_name, m.state AS managed_state, m.failures AS managed_failures
         FROM certificates AS c INDEXED BY certificates_by_end
             CROSS JOIN serials AS s ON s.serial = c.serial AND s.authority = c.authority
             LEFT JOIN expiry_notices AS n ON n.certificate_id = c.id
             LEFT JOIN managed_certificates AS m ON m.certificate_id = c.id
         WHERE s.state = 1 AND (c.not_after, c.id) > ($1, $2) AND c.not_after < $3
             AND NOT EXISTS (SELECT 1 FROM serials AS h WHERE h.renews = c.id AND h.state <= 2 AND h.state >= 1)
         ORDER BY c.not_after, c.id LIMIT $4";
    let query = sqlx::query_as(SQL).bind(end.unix_millis()).bind(id.as_bytes().as_slice());
    Ok(query.bind(ends_before.unix_millis()).bind(limit).fetch_all(readers).await?)
}

async fn noted(readers: &SqlitePool, certificate: CertificateId) -> Result<Option<i64>, Failure> {
    const SQL: &str = "SELECT seconds_before FROM expiry_notices WHERE certificate_id = $1";
    Ok(sqlx::query_scalar(SQL).bind(certificate.as_bytes().as_slice()).fetch_optional(readers).await?)
}

struct Note {
    notice: ExpiryNotice,
    journal: Option<Journal>,
}

#[async_trait]
impl Change for Note {
    type Answer = bool;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<bool, Failure> {
        const SQL: &str = "INSERT INTO expiry_notices (certificate_id, not_after, seconds_before) VALUES ($1, $2, $3)
             ON CONFLICT (certificate_id) DO UPDATE SET seconds_before = excluded.seconds_before
                 WHERE excluded.seconds_before < expiry_notices.seconds_before";
        let query = sqlx::query(SQL)
            .bind(self.notice.certificate.as_bytes().as_slice())
            .bind(self.notice.not_after.unix_millis())
            .bind(seconds_column(self.notice.before));
        let is_new = query.execute(&mut *connection).await?.rows_affected() > 0;
        if let Some(journal) = self.journal.as_ref().filter(|_| is_new) {
            journal::bind(journal_sql!(), journal).execute(connection).await?;
        }
        Ok(is_new)
    }
}

struct Dropping {
    ended_before: Timestamp,
    limit: u32,
}

#[async_trait]
impl Change for Dropping {
    type Answer = u64;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<u64, Failure> {
        const SQL: &str = "DELETE FROM expiry_notices WHERE certificate_id IN
             (SELECT certificate_id FROM expiry_notices WHERE not_after < $1 LIMIT $2)";
        let query = sqlx::query(SQL).bind(self.ended_before.unix_millis()).bind(self.limit);
        Ok(query.execute(connection).await?.rows_affected())
    }
}
