//! Ends of certificates that come near, and notices of them.

use async_trait::async_trait;
use ca_core::id::CertificateId;
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::port::store::{EndingCertificate, ExpiryNotice, Journal, NoticeStore, StoreError};

use super::error::Failure;
use super::transaction::{Change, Transaction, read};
use super::{PostgresStore, column, journal};
use crate::row::notice::{EndingRow, lifetime, seconds_column};

#[async_trait]
impl NoticeStore for PostgresStore {
    async fn ending_certificates(
        &self,
        (end, id): (Timestamp, CertificateId),
        ends_before: Timestamp,
        limit: u32,
    ) -> Result<Vec<EndingCertificate>, StoreError> {
        // A walk down the index of ends, month by month; everything else is looked up row by row, by whose end is known.
        const SQL: &str = "SELECT uuid_send(c.id) AS id, c.authority, c.serial, c.profile, c.not_before, c.not_after, c.owner,
                 n.seconds_before, m.name AS managed_name, m.state AS managed_state, m.failures AS managed_failures
             FROM certificates AS c
                 LEFT JOIN LATERAL (SELECT seconds_before FROM expiry_notices WHERE certificate_id = c.id LIMIT 1) AS n ON TRUE
                 LEFT JOIN LATERAL (SELECT name, state, failures FROM managed_certificates WHERE certificate_id = c.id LIMIT 1)
                     AS m ON TRUE
             WHERE c.not_after >= $1 AND c.not_after < $3 AND (c.not_after, c.id) > ($1, $2)
                 AND (SELECT s.state FROM serials AS s WHERE s.certificate_id = c.id) = 1
                 AND (SELECT TRUE FROM serials AS h
                     WHERE h.renews = c.id AND (h.reason IS NULL OR h.reason = 6) AND h.state >= 1) IS NULL
             ORDER BY c.not_after, c.id LIMIT $4";
        let query = || {
            let query = sqlx::query_as(SQL).bind(end.unix_millis()).bind(column::certificate(id));
            query.bind(ends_before.unix_millis()).bind(i64::from(limit))
        };
        let rows: Vec<EndingRow> = read(&self.reads, query).await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    async fn expiry_notice(&self, certificate: CertificateId) -> Result<Option<Lifetime>, StoreError> {
        const SQL: &str = "SELECT seconds_before FROM expiry_notices WHERE certificate_id = $1";
        let query = || sqlx::query_as(SQL).bind(column::certificate(certificate));
        let rows: Vec<(i64,)> = read(&self.reads, query).await?;
        rows.into_iter().next().map(|(seconds,)| lifetime(seconds)).transpose()
    }

    async fn note_expiry(&self, notice: ExpiryNotice, journal: Option<Journal>) -> Result<bool, StoreError> {
        self.change(Note { notice, journal }).await
    }

    async fn drop_expiry_notices(&self, ended_before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.change(Dropping { ended_before, limit }).await
    }
}

struct Note {
    notice: ExpiryNotice,
    journal: Option<Journal>,
}

#[async_trait]
impl Change for Note {
    type Answer = bool;

    async fn apply(&self, transaction: &mut Transaction) -> Result<bool, Failure> {
        // Messages about a certificate are numbered in the order of their commits, by whoever holds its serial.
        const LOCK: &str = "SELECT not_after FROM serials WHERE certificate_id = $1 FOR NO KEY UPDATE";
        transaction.execute(sqlx::query(LOCK).bind(column::certificate(self.notice.certificate))).await?;
        const SQL: &str = "INSERT INTO expiry_notices (certificate_id, not_after, seconds_before) VALUES ($1, $2, $3)
             ON CONFLICT (certificate_id) DO UPDATE SET seconds_before = excluded.seconds_before
                 WHERE excluded.seconds_before < expiry_notices.seconds_before";
        let query = sqlx::query(SQL)
            .bind(column::certificate(self.notice.certificate))
            .bind(self.notice.not_after.unix_millis())
            .bind(seconds_column(self.notice.before));
        let is_new = transaction.execute(query).await? > 0;
        if let Some(journal) = self.journal.as_ref().filter(|_| is_new) {
            journal::store(&[journal], transaction).await?;
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

    async fn apply(&self, transaction: &mut Transaction) -> Result<u64, Failure> {
        const SQL: &str = "DELETE FROM expiry_notices WHERE certificate_id = ANY (ARRAY(
             SELECT certificate_id FROM expiry_notices WHERE not_after < $1 LIMIT $2))";
        let query = sqlx::query(SQL).bind(self.ended_before.unix_millis()).bind(i64::from(self.limit));
        transaction.execute(query).await
    }
}
