//! Reservations that come to nothing: their serials answer as revoked.

use async_trait::async_trait;
use ca_core::id::CertificateId;
use ca_engine::port::store::Journal;

use super::column;
use super::error::Failure;
use super::journal;
use super::status::{Numbered, take_numbers};
use super::transaction::{Change, Transaction};
use crate::row::reservation::{OpenRow, abandonment_columns};
use crate::row::state;

/// An order to close a reservation for good.
pub(super) struct Abandonment {
    pub(super) id: CertificateId,
    pub(super) journal: Journal,
}

#[async_trait]
impl Change for Abandonment {
    type Answer = bool;

    async fn apply(&self, transaction: &mut Transaction) -> Result<bool, Failure> {
        match open_by_id(self.id, transaction).await? {
            Some(open) => {
                abandon(&open, self.id, &self.journal, transaction).await?;
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

/// An open reservation, locked, and what may have overtaken it.
pub(super) async fn open_by_id(id: CertificateId, transaction: &mut Transaction) -> Result<Option<OpenRow>, Failure> {
    const SQL: &str = "
        SELECT r.authority, r.serial, r.profile, r.not_after, uuid_send(r.renews) AS renews,
            uuid_send(r.token_id) AS token_id, r.idempotency_sha256, s.state::bigint AS state,
            EXISTS (SELECT FROM blocked_keys AS b WHERE b.spki_sha256 = r.spki_sha256) AS key_blocked,
            (SELECT p.state::bigint FROM serials AS p WHERE p.certificate_id = r.renews) AS predecessor_state
        FROM reservations AS r JOIN serials AS s ON s.certificate_id = r.id
        WHERE r.id = $1 AND r.abandoned_at IS NULL FOR UPDATE OF r";
    let row: Option<OpenRow> = transaction.row(sqlx::query_as(SQL).bind(column::certificate(id))).await?;
    Ok(row.map(|row| row.checked(id)).transpose()?)
}

/// Closes it: the serial answers as revoked, the idempotency key is free, the token's use is given back.
pub(super) async fn abandon(
    open: &OpenRow,
    id: CertificateId,
    journal: &Journal,
    transaction: &mut Transaction,
) -> Result<(), Failure> {
    let columns = abandonment_columns(journal);
    const CLOSE: &str = "
        WITH serial AS (
            UPDATE serials SET state = $2::smallint, reason = $3::smallint, revoked_at = $4, invalidity_date = $5
                WHERE certificate_id = $1
        )
        UPDATE reservations SET abandoned_at = $6 WHERE id = $1";
    let close = sqlx::query(CLOSE)
        .bind(column::certificate(id))
        .bind(state::ABANDONED)
        .bind(columns.reason)
        .bind(columns.revoked_at)
        .bind(columns.invalidity_date)
        .bind(journal.event.at.unix_millis());
    transaction.execute(close).await?;
    if let Some(scope) = &open.idempotency_sha256 {
        const FREE: &str = "DELETE FROM idempotency_keys WHERE scope_sha256 = $1 AND certificate_id = $2";
        transaction.execute(sqlx::query(FREE).bind(scope.as_slice()).bind(column::certificate(id))).await?;
    }
    if open.token_id.is_some() {
        const GIVE_BACK: &str = "UPDATE enrolment_tokens SET used = used - 1 WHERE used > 0
             AND id = (SELECT token_id FROM reservations WHERE id = $1)";
        transaction.execute(sqlx::query(GIVE_BACK).bind(column::certificate(id))).await?;
    }
    journal::store(&[journal], transaction).await?;
    let numbered = Numbered { authority: &open.authority, serial: &open.serial, columns, not_after: open.not_after };
    take_numbers(&[numbered], transaction).await.map(|_| ())
}
