//! Serial numbers and their standing: what OCSP and CRLs are made from, and the sequence of revocations.

use async_trait::async_trait;
use ca_core::id::AuthorityId;
use ca_core::revocation::Revocation;
use ca_core::serial::Serial;
use ca_core::time::Timestamp;
use ca_engine::port::store::{ChangeOutcome, RevocationRow, SerialStatus, StandingChange, StatusStore, StoreError};
use sqlx::{FromRow, SqliteConnection, SqlitePool};

use super::SqliteStore;
use super::change::Change;
use super::descent::descendants_sql;
use super::error::Failure;
use super::journal::{self, journal_sql};
use crate::row::status::{CrlEntryRow, SequenceRow, StandingRow, StatusColumns};
use crate::row::{self, RevocationColumns};

/// SQL that takes the next number of the sequence for authority $7, serial $8, reason $9, revoked_at $10, invalidity_date $11,
/// not_after $12. The counter's row is what makes commit order and sequence one.
macro_rules! sequence_sql {
    () => {
        "UPDATE counters SET value = value + 1 WHERE name = 'revocations';
         INSERT INTO revocations (sequence, authority, serial, reason, revoked_at, invalidity_date, not_after)
             SELECT value, $7, $8, $9, $10, $11, $12 FROM counters WHERE name = 'revocations';"
    };
}
pub(super) use sequence_sql;

#[async_trait]
impl StatusStore for SqliteStore {
    async fn status(&self, authority: &AuthorityId, serial: &Serial) -> Result<Option<SerialStatus>, StoreError> {
        Ok(status(&self.readers, authority, serial).await?)
    }

    async fn change_standing(&self, change: StandingChange) -> Result<ChangeOutcome, StoreError> {
        let outcome = self.change(change).await;
        self.revocations.notify_one();
        outcome
    }

    async fn revocation_sequence(&self) -> Result<u64, StoreError> {
        Ok(newest_sequence(&self.readers).await?)
    }

    async fn revocations_after(&self, sequence: u64, limit: u32) -> Result<Vec<RevocationRow>, StoreError> {
        Ok(revocations_after(&self.readers, sequence, limit).await?)
    }

    async fn revoked_serials(
        &self,
        authority: &AuthorityId,
        not_after_from: Timestamp,
        after: Option<&Serial>,
        limit: u32,
    ) -> Result<Vec<(Serial, Revocation)>, StoreError> {
        Ok(revoked_serials(&self.readers, authority, not_after_from, after, limit).await?)
    }

    async fn count_revoked(&self, authority: &AuthorityId, not_after_from: Timestamp) -> Result<u64, StoreError> {
        Ok(count_revoked(&self.readers, authority, not_after_from).await?)
    }

    async fn is_key_blocked(&self, spki_sha256: &[u8; 32]) -> Result<bool, StoreError> {
        Ok(is_key_blocked(&self.readers, spki_sha256).await?)
    }
}

async fn status(
    readers: &SqlitePool,
    authority: &AuthorityId,
    serial: &Serial,
) -> Result<Option<SerialStatus>, Failure> {
    const SQL: &str = "SELECT certificate_id, state, reason, revoked_at, invalidity_date, not_after
         FROM serials WHERE serial = $1 AND authority = $2";
    let row: Option<StatusColumns> =
        sqlx::query_as(SQL).bind(serial.as_bytes()).bind(authority.as_str()).fetch_optional(readers).await?;
    Ok(row.map(SerialStatus::try_from).transpose()?)
}

/// A certificate's place in the narrow table, and the newest number of the sequence.
#[derive(FromRow)]
struct Found {
    #[sqlx(flatten)]
    standing: StandingRow,
    sequence: i64,
}

#[async_trait]
impl Change for StandingChange {
    type Answer = ChangeOutcome;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<ChangeOutcome, Failure> {
        const LOOK: &str = "
            SELECT c.authority, c.serial, c.spki_sha256, s.not_after, s.state, s.reason, s.revoked_at, s.invalidity_date,
                (SELECT value FROM counters WHERE name = 'revocations') AS sequence
            FROM certificates AS c JOIN serials AS s ON s.serial = c.serial AND s.authority = c.authority
            WHERE c.id = $1";
        let found: Option<Found> =
            sqlx::query_as(LOOK).bind(self.id.as_bytes().as_slice()).fetch_optional(&mut *connection).await?;
        let Some(Found { standing, sequence }) = found else { return Ok(ChangeOutcome::Stale) };
        if !standing.stands_as_seen(self)? {
            return Ok(ChangeOutcome::Stale);
        }
        write_standing(self, &standing, connection).await?;
        Ok(ChangeOutcome::Applied { sequence: row::unsigned("counters.value", sequence + 1)? })
    }
}

async fn write_standing(
    change: &StandingChange,
    row: &StandingRow,
    connection: &mut SqliteConnection,
) -> Result<(), Failure> {
    const SQL: &str = concat!(
        journal_sql!(),
        sequence_sql!(),
        "UPDATE serials SET state = $13, reason = $9, revoked_at = $10, invalidity_date = $11
             WHERE serial = $8 AND authority = $7;
         INSERT INTO blocked_keys (spki_sha256, certificate_id, blocked_at)
             SELECT $14, $15, $6 WHERE $16 IS NOT NULL ON CONFLICT (spki_sha256) DO NOTHING;
         DELETE FROM roles WHERE certificate_id IN (",
        descendants_sql!("$15", "$16"),
        ") AND $16 IS NOT NULL;"
    );
    let columns = RevocationColumns::of(change.to);
    journal::bind(SQL, &change.journal)
        .bind(row.authority.as_str())
        .bind(row.serial.as_slice())
        .bind(columns.reason)
        .bind(columns.revoked_at)
        .bind(columns.invalidity_date)
        .bind(row.not_after)
        .bind(row::state_of(change.to))
        .bind(row.spki_sha256.as_slice())
        .bind(change.id.as_bytes().as_slice())
        .bind(change.compromised_since.map(Timestamp::unix_millis))
        .execute(connection)
        .await?;
    Ok(())
}

async fn newest_sequence(readers: &SqlitePool) -> Result<u64, Failure> {
    let value: i64 =
        sqlx::query_scalar("SELECT value FROM counters WHERE name = 'revocations'").fetch_one(readers).await?;
    Ok(row::unsigned("counters.value", value)?)
}

async fn revocations_after(readers: &SqlitePool, sequence: u64, limit: u32) -> Result<Vec<RevocationRow>, Failure> {
    const SQL: &str = "SELECT sequence, authority, serial, reason, revoked_at, invalidity_date, not_after
         FROM revocations WHERE sequence > $1 ORDER BY sequence LIMIT $2";
    // No number is above the largest that can be stored.
    let after = i64::try_from(sequence).unwrap_or(i64::MAX);
    let rows: Vec<SequenceRow> = sqlx::query_as(SQL).bind(after).bind(limit).fetch_all(readers).await?;
    Ok(rows.into_iter().map(RevocationRow::try_from).collect::<Result<_, _>>()?)
}

async fn revoked_serials(
    readers: &SqlitePool,
    authority: &AuthorityId,
    not_after_from: Timestamp,
    after: Option<&Serial>,
    limit: u32,
) -> Result<Vec<(Serial, Revocation)>, Failure> {
    const SQL: &str = "SELECT serial, reason, revoked_at, invalidity_date FROM serials INDEXED BY serials_in_crl
         WHERE state >= 2 AND authority = $1 AND serial > $2 AND not_after >= $3 ORDER BY serial LIMIT $4";
    let rows: Vec<CrlEntryRow> = sqlx::query_as(SQL)
        .bind(authority.as_str())
        // Every serial is above no octets at all.
        .bind(after.map_or(&[][..], Serial::as_bytes))
        .bind(not_after_from.unix_millis())
        .bind(limit)
        .fetch_all(readers)
        .await?;
    Ok(rows.into_iter().map(<(Serial, Revocation)>::try_from).collect::<Result<_, _>>()?)
}

async fn count_revoked(
    readers: &SqlitePool,
    authority: &AuthorityId,
    not_after_from: Timestamp,
) -> Result<u64, Failure> {
    const SQL: &str = "SELECT COUNT(*) FROM serials INDEXED BY serials_in_crl
         WHERE state >= 2 AND authority = $1 AND not_after >= $2";
    let count: i64 =
        sqlx::query_scalar(SQL).bind(authority.as_str()).bind(not_after_from.unix_millis()).fetch_one(readers).await?;
    Ok(row::unsigned("serials", count)?)
}

async fn is_key_blocked(readers: &SqlitePool, spki_sha256: &[u8; 32]) -> Result<bool, Failure> {
    let blocked = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM blocked_keys WHERE spki_sha256 = $1)")
        .bind(spki_sha256.as_slice())
        .fetch_one(readers)
        .await?;
    Ok(blocked)
}
