//! Serial numbers and their standing: what OCSP and CRLs are made from, and the sequence of revocations.

use async_trait::async_trait;
use ca_core::id::AuthorityId;
use ca_core::revocation::Revocation;
use ca_core::serial::Serial;
use ca_core::time::Timestamp;
use ca_engine::port::store::{
    ChangeOutcome, Journal, RevocationRow, SerialStatus, StandingChange, StatusStore, StoreError,
};
use sqlx::FromRow;

use super::error::Failure;
use super::pool::Pool;
use super::transaction::{Transaction, read};
use super::writer::{Claim, Joint};
use super::{PostgresStore, column, descent, journal};
use crate::row::status::{CrlEntryRow, SequenceRow, StandingRow, StatusColumns};
use crate::row::{self, RevocationColumns, inconsistent};

#[async_trait]
impl StatusStore for PostgresStore {
    async fn status(&self, authority: &AuthorityId, serial: &Serial) -> Result<Option<SerialStatus>, StoreError> {
        Ok(status(&self.statuses, authority, serial).await?)
    }

    async fn change_standing(&self, change: StandingChange) -> Result<ChangeOutcome, StoreError> {
        self.writers()?.standings.change(change).await
    }

    async fn revocation_sequence(&self) -> Result<u64, StoreError> {
        Ok(newest_sequence(&self.statuses).await?)
    }

    async fn revocations_after(&self, sequence: u64, limit: u32) -> Result<Vec<RevocationRow>, StoreError> {
        Ok(revocations_after(&self.statuses, sequence, limit).await?)
    }

    async fn revoked_serials(
        &self,
        authority: &AuthorityId,
        not_after_from: Timestamp,
        after: Option<&Serial>,
        limit: u32,
    ) -> Result<Vec<(Serial, Revocation)>, StoreError> {
        Ok(revoked_serials(&self.reads, authority, not_after_from, after, limit).await?)
    }

    async fn count_revoked(&self, authority: &AuthorityId, not_after_from: Timestamp) -> Result<u64, StoreError> {
        Ok(count_revoked(&self.reads, authority, not_after_from).await?)
    }

    async fn is_key_blocked(&self, spki_sha256: &[u8; 32]) -> Result<bool, StoreError> {
        Ok(is_key_blocked(&self.reads, spki_sha256).await?)
    }
}

async fn status(reads: &Pool, authority: &AuthorityId, serial: &Serial) -> Result<Option<SerialStatus>, Failure> {
    const SQL: &str = "SELECT uuid_send(certificate_id) AS certificate_id, state::bigint AS state,
             reason::bigint AS reason, revoked_at, invalidity_date, not_after
         FROM serials WHERE serial = $1 AND authority = $2";
    let rows: Vec<StatusColumns> =
        read(reads, || sqlx::query_as(SQL).bind(serial.as_bytes()).bind(authority.as_str())).await?;
    Ok(rows.into_iter().next().map(SerialStatus::try_from).transpose()?)
}

#[async_trait]
impl Joint for StandingChange {
    type Answer = ChangeOutcome;

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::Certificate(self.id)]
    }

    async fn apply_together(changes: &[&Self], transaction: &mut Transaction) -> Result<Vec<ChangeOutcome>, Failure> {
        wait_for_completions(changes, transaction).await?;
        let mut found = look(changes, transaction).await?;
        let mut applied = Vec::with_capacity(changes.len());
        let mut outcomes = Vec::with_capacity(changes.len());
        for change in changes {
            let position = found.iter().position(|found| found.id == change.id.as_bytes());
            let standing = position.map(|position| found.swap_remove(position).standing);
            let standing = match standing {
                Some(standing) if standing.stands_as_seen(change)? => standing,
                _ => {
                    outcomes.push(ChangeOutcome::Stale);
                    continue;
                }
            };
            applied.push((*change, standing));
            // Its number in this group, from 1; the counter is asked last.
            outcomes.push(ChangeOutcome::Applied { sequence: applied.len() as u64 });
        }
        if applied.is_empty() {
            return Ok(outcomes);
        }
        write(&applied, transaction).await?;
        for (change, _) in &applied {
            descent::withdraw_roles(change, transaction).await?;
        }
        let journals: Vec<&Journal> = applied.iter().map(|(change, _)| &change.journal).collect();
        journal::store(&journals, transaction).await?;
        let numbered: Vec<_> = applied.iter().map(|(change, standing)| Numbered::of(change, standing)).collect();
        let before = take_numbers(&numbered, transaction).await?;
        for outcome in &mut outcomes {
            if let ChangeOutcome::Applied { sequence } = outcome {
                *sequence += before;
            }
        }
        Ok(outcomes)
    }
}

/// Where a key is to be blocked, waits for completions that are being made: they have not seen that.
pub(super) async fn wait_for_completions(
    changes: &[&StandingChange],
    transaction: &mut Transaction,
) -> Result<(), Failure> {
    if changes.iter().any(|change| change.compromised_since.is_some()) {
        const LOCK: &str = "SELECT pg_advisory_xact_lock(1128350529, 1)";
        transaction.execute(sqlx::query(LOCK)).await?;
    }
    Ok(())
}

#[derive(FromRow)]
struct Found {
    id: Vec<u8>,
    #[sqlx(flatten)]
    standing: StandingRow,
}

/// The certificates as they stand, locked in the order of their ids. A reservation is none.
async fn look(changes: &[&StandingChange], transaction: &mut Transaction) -> Result<Vec<Found>, Failure> {
    // Apart from the rest, so that only the months of these ends are planned for.
    const LOCK: &str = "SELECT not_after FROM serials WHERE certificate_id = ANY ($1::uuid[])
         ORDER BY certificate_id FOR NO KEY UPDATE";
    const LOOK: &str = "
        SELECT uuid_send(s.certificate_id) AS id, s.authority, s.serial, c.spki_sha256, s.not_after,
            s.state::bigint AS state, s.reason::bigint AS reason, s.revoked_at, s.invalidity_date
        FROM certificates AS c JOIN serials AS s ON s.certificate_id = c.id
        WHERE c.id = ANY ($1::uuid[]) AND c.not_after = ANY ($2::bigint[])";
    let ids: Vec<_> = changes.iter().map(|change| column::certificate(change.id)).collect();
    let ends: Vec<(i64,)> = transaction.rows(sqlx::query_as(LOCK).bind(ids.clone())).await?;
    let ends: Vec<i64> = ends.into_iter().map(|(end,)| end).collect();
    transaction.rows(sqlx::query_as(LOOK).bind(ids).bind(ends)).await
}

async fn write(applied: &[(&StandingChange, StandingRow)], transaction: &mut Transaction) -> Result<(), Failure> {
    const SQL: &str = "
        WITH given AS MATERIALIZED (
            SELECT * FROM UNNEST($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::boolean[],
                    $7::bytea[], $8::bigint[])
                AS g (id, state, reason, revoked_at, invalidity_date, block_key, spki_sha256, at)
        ), blocked AS (
            INSERT INTO blocked_keys (spki_sha256, certificate_id, blocked_at)
                SELECT spki_sha256, id, at FROM given WHERE block_key ORDER BY spki_sha256 ON CONFLICT DO NOTHING
        )
        UPDATE serials AS s SET state = g.state, reason = g.reason, revoked_at = g.revoked_at,
                invalidity_date = g.invalidity_date
            FROM given AS g WHERE s.certificate_id = g.id";
    let each = || applied.iter();
    let columns: Vec<_> = each().map(|(change, _)| RevocationColumns::of(change.to)).collect();
    let query = sqlx::query(SQL)
        .bind(each().map(|(change, _)| column::certificate(change.id)).collect::<Vec<_>>())
        .bind(each().map(|(change, _)| row::state_of(change.to)).collect::<Vec<_>>())
        .bind(columns.iter().map(|columns| columns.reason).collect::<Vec<_>>())
        .bind(columns.iter().map(|columns| columns.revoked_at).collect::<Vec<_>>())
        .bind(columns.iter().map(|columns| columns.invalidity_date).collect::<Vec<_>>())
        .bind(each().map(|(change, _)| change.compromised_since.is_some()).collect::<Vec<_>>())
        .bind(each().map(|(_, standing)| standing.spki_sha256.as_slice()).collect::<Vec<_>>())
        .bind(each().map(|(change, _)| change.journal.event.at.unix_millis()).collect::<Vec<_>>());
    match transaction.execute(query).await? {
        changed if changed == applied.len() as u64 => Ok(()),
        _ => Err(inconsistent("serials", "one vanished while it was locked").into()),
    }
}

/// What the sequence says of a serial.
pub(super) struct Numbered<'a> {
    pub(super) authority: &'a str,
    pub(super) serial: &'a [u8],
    pub(super) columns: RevocationColumns,
    pub(super) not_after: i64,
}

impl<'a> Numbered<'a> {
    fn of(change: &StandingChange, standing: &'a StandingRow) -> Self {
        Self {
            authority: &standing.authority,
            serial: &standing.serial,
            columns: RevocationColumns::of(change.to),
            not_after: standing.not_after,
        }
    }
}

/// Takes the next numbers of the sequence, in order, tells who listens, and returns the number before the first.
///
/// The counter's row stays locked until the commit: so the order of numbers is the order of commits. To be called last, since
/// everybody who needs a number waits meanwhile.
pub(super) async fn take_numbers(numbered: &[Numbered<'_>], transaction: &mut Transaction) -> Result<u64, Failure> {
    const SQL: &str = "
        WITH counter AS (
            UPDATE counters SET value = value + $1 WHERE name = 'revocations' RETURNING value
        ), written AS (
            INSERT INTO revocations (sequence, authority, serial, reason, revoked_at, invalidity_date, not_after)
                SELECT c.value - $1 + g.place, g.authority, g.serial, g.reason, g.revoked_at, g.invalidity_date, g.not_after
                FROM counter AS c, UNNEST($2::text[], $3::bytea[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
                    WITH ORDINALITY AS g (authority, serial, reason, revoked_at, invalidity_date, not_after, place)
        )
        SELECT c.value - $1 FROM counter AS c, pg_notify('ca_revocations', c.value::text)"; // hints::CHANNEL
    let each = || numbered.iter();
    let query = sqlx::query_as(SQL)
        .bind(row::signed("a group of revocations", numbered.len() as u64)?)
        .bind(each().map(|numbered| numbered.authority).collect::<Vec<_>>())
        .bind(each().map(|numbered| numbered.serial).collect::<Vec<_>>())
        .bind(each().map(|numbered| numbered.columns.reason).collect::<Vec<_>>())
        .bind(each().map(|numbered| numbered.columns.revoked_at).collect::<Vec<_>>())
        .bind(each().map(|numbered| numbered.columns.invalidity_date).collect::<Vec<_>>())
        .bind(each().map(|numbered| numbered.not_after).collect::<Vec<_>>());
    let before: Option<(i64,)> = transaction.row(query).await?;
    let (before,) = before.ok_or_else(|| inconsistent("counters", "no row for the revocations"))?;
    Ok(row::unsigned("counters.value", before)?)
}

async fn newest_sequence(reads: &Pool) -> Result<u64, Failure> {
    const SQL: &str = "SELECT value FROM counters WHERE name = 'revocations'";
    let rows: Vec<(i64,)> = read(reads, || sqlx::query_as(SQL)).await?;
    let (value,) = rows.first().ok_or_else(|| inconsistent("counters", "no row for the revocations"))?;
    Ok(row::unsigned("counters.value", *value)?)
}

async fn revocations_after(reads: &Pool, sequence: u64, limit: u32) -> Result<Vec<RevocationRow>, Failure> {
    const SQL: &str =
        "SELECT sequence, authority, serial, reason::bigint AS reason, revoked_at, invalidity_date, not_after
         FROM revocations WHERE sequence > $1 ORDER BY sequence LIMIT $2";
    // No number is above the largest that can be stored.
    let after = i64::try_from(sequence).unwrap_or(i64::MAX);
    let rows: Vec<SequenceRow> = read(reads, || sqlx::query_as(SQL).bind(after).bind(i64::from(limit))).await?;
    Ok(rows.into_iter().map(RevocationRow::try_from).collect::<Result<_, _>>()?)
}

async fn revoked_serials(
    reads: &Pool,
    authority: &AuthorityId,
    not_after_from: Timestamp,
    after: Option<&Serial>,
    limit: u32,
) -> Result<Vec<(Serial, Revocation)>, Failure> {
    const SQL: &str = "SELECT serial, reason::bigint AS reason, revoked_at, invalidity_date FROM serials
         WHERE reason IS NOT NULL AND authority = $1 AND serial > $2 AND not_after >= $3 ORDER BY serial LIMIT $4";
    // Every serial is above no octets at all.
    let after = after.map_or(&[][..], Serial::as_bytes);
    let query = || {
        sqlx::query_as(SQL)
            .bind(authority.as_str())
            .bind(after)
            .bind(not_after_from.unix_millis())
            .bind(i64::from(limit))
    };
    let rows: Vec<CrlEntryRow> = read(reads, query).await?;
    Ok(rows.into_iter().map(<(Serial, Revocation)>::try_from).collect::<Result<_, _>>()?)
}

async fn count_revoked(reads: &Pool, authority: &AuthorityId, not_after_from: Timestamp) -> Result<u64, Failure> {
    const SQL: &str = "SELECT COUNT(*) FROM serials
         WHERE reason IS NOT NULL AND authority = $1 AND not_after >= $2";
    let rows: Vec<(i64,)> =
        read(reads, || sqlx::query_as(SQL).bind(authority.as_str()).bind(not_after_from.unix_millis())).await?;
    Ok(row::unsigned("serials", rows.first().map_or(0, |(count,)| *count))?)
}

async fn is_key_blocked(reads: &Pool, spki_sha256: &[u8; 32]) -> Result<bool, Failure> {
    const SQL: &str = "SELECT EXISTS (SELECT FROM blocked_keys WHERE spki_sha256 = $1)";
    let rows: Vec<(bool,)> = read(reads, || sqlx::query_as(SQL).bind(spki_sha256.as_slice())).await?;
    Ok(rows.first().is_some_and(|(blocked,)| *blocked))
}
