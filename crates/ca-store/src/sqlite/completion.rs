//! The end of a reservation: a certificate, or a serial that answers as revoked.

use std::sync::LazyLock;

use async_trait::async_trait;
use ca_core::hash::sha256;
use ca_core::id::CertificateId;
use ca_engine::port::store::{CompleteOutcome, Journal};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{FromRow, Sqlite, SqliteConnection};

use super::certificate_record::by_id;
use super::change::Change;
use super::error::{Failure, is_null_in};
use super::journal::{self, journal_sql};
use super::status::sequence_sql;
use super::together::repeated;
use crate::row::certificate::{CertificateRow, Completing, IssuedRow};
use crate::row::inconsistent;
use crate::row::reservation::{OpenRow, abandonment_columns};

/// SQL that turns a reservation into a certificate, unless its guard fails, on `certificates.id`: the reservation is open, its
/// serial is reserved, its key is not blocked, and its predecessor, if it has one, is active.
const COMPLETE: &str = concat!(
    "INSERT INTO certificates (id, authority, serial, profile, not_before, not_after, subject, names, spki_sha256,
             fingerprint_sha256, owner, requested_by, issued_at, renews, der)
         SELECT iif(
                 EXISTS (SELECT 1 FROM serials WHERE serial = r.serial AND authority = r.authority AND state = 0)
                     AND NOT EXISTS (SELECT 1 FROM blocked_keys WHERE spki_sha256 = r.spki_sha256)
                     AND (r.renews IS NULL OR EXISTS (SELECT 1 FROM certificates AS c
                         JOIN serials AS s ON s.serial = c.serial AND s.authority = c.authority
                         WHERE c.id = r.renews AND s.state = 1)),
                 r.id, NULL),
             r.authority, r.serial, r.profile, r.not_before, r.not_after, r.subject, r.names, r.spki_sha256, $8, r.owner,
             r.requested_by, $9, r.renews, $10
         FROM (SELECT 1) LEFT JOIN reservations AS r ON r.id = $7 AND r.abandoned_at IS NULL
         RETURNING authority, serial, profile, not_before, not_after, subject, names, spki_sha256, fingerprint_sha256, owner,
             requested_by, renews;
     UPDATE serials SET state = 1
         WHERE (serial, authority) = (SELECT serial, authority FROM reservations WHERE id = $7);
     INSERT INTO certificate_names (kind, value, certificate_id)
         SELECT 0, name.value, r.id FROM reservations AS r, json_each(r.search_names) AS name WHERE r.id = $7
         UNION ALL SELECT 1, search_subject, id FROM reservations WHERE id = $7;
     INSERT INTO roles (certificate_id, role, granted_at)
         SELECT $7, role, $9 FROM roles
         WHERE $11 AND certificate_id = (SELECT renews FROM reservations WHERE id = $7);
     DELETE FROM reservations WHERE id = $7;",
    journal_sql!(),
);

/// How many parameters [`COMPLETE`] takes: what [`bind`] binds.
const PARAMETERS: usize = 11;

static SIXTEEN: LazyLock<String> = LazyLock::new(|| repeated(COMPLETE, PARAMETERS, 16));
static FOUR: LazyLock<String> = LazyLock::new(|| repeated(COMPLETE, PARAMETERS, 4));

fn bind<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    completing: &'q Completing,
) -> Query<'q, Sqlite, SqliteArguments> {
    let completion = &completing.completion;
    journal::bind_to(query, &completion.journal)
        .bind(completion.id.as_bytes().as_slice())
        .bind(sha256(&completion.certificate).to_vec())
        .bind(completion.completed_at.unix_millis())
        .bind(completing.der())
        .bind(completion.inherit_roles)
}

#[async_trait]
impl Change for Completing {
    type Answer = CompleteOutcome;

    const TOGETHER: &'static [usize] = &[16, 4];

    const TURN: u8 = 1;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<CompleteOutcome, Failure> {
        match issued_rows(bind(sqlx::query(COMPLETE), self), connection).await {
            Ok(rows) => {
                let row = rows.into_iter().next().ok_or_else(|| inconsistent("certificates", "no row was returned"))?;
                Ok(row.outcome(self)?)
            }
            Err(error) if is_null_in(&error, "certificates.id") => {
                refuse(self, connection).await?.ok_or_else(|| error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn apply_together(
        completions: &[&Self],
        connection: &mut SqliteConnection,
    ) -> Result<Vec<CompleteOutcome>, Failure> {
        let sql: &'static str = if completions.len() == 16 { &SIXTEEN } else { &FOUR };
        let query = completions.iter().fold(sqlx::query(sql), |query, completion| bind(query, completion));
        // One row of each, in their order; a row too few is noticed by the caller.
        let rows = issued_rows(query, connection).await?;
        Ok(rows
            .into_iter()
            .zip(completions)
            .map(|(row, completion)| row.outcome(completion))
            .collect::<Result<_, _>>()?)
    }
}

/// Runs all statements: to stop at the first row would leave out those behind it.
async fn issued_rows(
    query: Query<'_, Sqlite, SqliteArguments>,
    connection: &mut SqliteConnection,
) -> Result<Vec<IssuedRow>, sqlx::Error> {
    query.try_map(|row: SqliteRow| IssuedRow::from_row(&row)).fetch_all(connection).await
}

/// Says why there will be no certificate, and abandons the reservation when it was overtaken; `None` if nothing stands in the
/// way after all.
async fn refuse(
    completing: &Completing,
    connection: &mut SqliteConnection,
) -> Result<Option<CompleteOutcome>, Failure> {
    let completion = &completing.completion;
    let Some(open) = open_by_id(completion.id, connection).await? else {
        // Completed before, by a call whose answer was lost? Otherwise abandoned, or never reserved.
        let earlier: Option<CertificateRow> = by_id(connection, completion.id).await?;
        let outcome = earlier.map(|row| completing.repeated(row)).transpose()?;
        return Ok(Some(outcome.unwrap_or(CompleteOutcome::NotReserved)));
    };
    let Some(cause) = open.overtaken_by() else { return Ok(None) };
    let event = open.abandonment_event(completion, cause)?;
    abandon(&open, completion.id, &Journal::of(event), connection).await?;
    Ok(Some(CompleteOutcome::Overtaken))
}

/// An order to close a reservation for good.
pub(super) struct Abandonment {
    pub(super) id: CertificateId,
    pub(super) journal: Journal,
}

#[async_trait]
impl Change for Abandonment {
    type Answer = bool;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<bool, Failure> {
        match open_by_id(self.id, connection).await? {
            Some(open) => {
                abandon(&open, self.id, &self.journal, connection).await?;
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

/// An open reservation, and what may have overtaken it.
pub(super) async fn open_by_id(
    id: CertificateId,
    connection: &mut SqliteConnection,
) -> Result<Option<OpenRow>, Failure> {
    const SQL: &str = "
        SELECT r.authority, r.serial, r.profile, r.not_after, r.renews, r.token_id, r.idempotency_sha256, s.state,
            EXISTS (SELECT 1 FROM blocked_keys WHERE spki_sha256 = r.spki_sha256) AS key_blocked,
            (SELECT p.state FROM certificates AS c
                JOIN serials AS p ON p.serial = c.serial AND p.authority = c.authority
                WHERE c.id = r.renews) AS predecessor_state
        FROM reservations AS r JOIN serials AS s ON s.serial = r.serial AND s.authority = r.authority
        WHERE r.id = $1 AND r.abandoned_at IS NULL";
    let row: Option<OpenRow> = sqlx::query_as(SQL).bind(id.as_bytes().as_slice()).fetch_optional(connection).await?;
    Ok(row.map(|row| row.checked(id)).transpose()?)
}

/// Closes it: the serial answers as revoked, the idempotency key is free, the token's use is given back.
async fn abandon(
    open: &OpenRow,
    id: CertificateId,
    journal: &Journal,
    connection: &mut SqliteConnection,
) -> Result<(), Failure> {
    const SQL: &str = concat!(
        journal_sql!(),
        sequence_sql!(),
        "UPDATE serials SET state = 4, reason = $9, revoked_at = $10, invalidity_date = $11
             WHERE serial = $8 AND authority = $7;
         UPDATE reservations SET abandoned_at = $6 WHERE id = $13;
         DELETE FROM idempotency_keys WHERE scope_sha256 = $14 AND certificate_id = $13;
         UPDATE enrolment_tokens SET used = used - 1 WHERE id = $15 AND used > 0;"
    );
    let columns = abandonment_columns(journal);
    journal::bind(SQL, journal)
        .bind(open.authority.as_str())
        .bind(open.serial.as_slice())
        .bind(columns.reason)
        .bind(columns.revoked_at)
        .bind(columns.invalidity_date)
        .bind(open.not_after)
        .bind(id.as_bytes().as_slice())
        .bind(open.idempotency_sha256.as_deref())
        .bind(open.token_id.as_deref())
        .execute(connection)
        .await?;
    Ok(())
}
