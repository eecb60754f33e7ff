//! Reservations: an issuance is put on record before the key is used.
//!
//! How it ends is in [`super::completion`]. Both are one string of statements each, since a trip to the database's thread costs
//! more than what is done there: the first statement is a guard that fails unless everything holds, and only then is looked
//! why.

use std::sync::LazyLock;

use async_trait::async_trait;
use ca_core::time::Timestamp;
use ca_engine::port::store::{OpenReservation, ReserveOutcome};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{FromRow, Sqlite, SqliteConnection, SqlitePool};

use super::certificate_record::term;
use super::change::Change;
use super::error::{Failure, is_null_in};
use super::together::repeated;
use crate::personal_data::Sealer;
use crate::row::reservation::{Obstacle, OpenListRow, Reserving};
use crate::row::search::{NAME, SUBJECT};

/// SQL of what stands in the way, in the order of [`ReserveOutcome`]; NULL when nothing does. Its parameters are those of
/// [`bind`].
macro_rules! obstacle_sql {
    () => {
        "CASE
             WHEN EXISTS (SELECT 1 FROM idempotency_keys WHERE scope_sha256 = $14 AND expires_at > $15) THEN 'repeated'
             WHEN EXISTS (SELECT 1 FROM blocked_keys WHERE spki_sha256 = $9) THEN 'key blocked'
             WHEN $13 IS NOT NULL AND NOT EXISTS (SELECT 1 FROM enrolment_tokens
                 WHERE id = $13 AND withdrawn = 0 AND expires_at > $15 AND used < uses) THEN 'token spent'
             WHEN EXISTS (SELECT 1 FROM serials WHERE renews = $12 AND state <= 2) THEN 'successor'
             WHEN $12 IS NOT NULL AND NOT EXISTS (SELECT 1 FROM certificates AS c
                 JOIN serials AS s ON s.serial = c.serial AND s.authority = c.authority
                 WHERE c.id = $12 AND s.state = 1) THEN 'predecessor'
             WHEN EXISTS (SELECT 1 FROM serials WHERE serial = $3 AND authority = $2)
                 OR EXISTS (SELECT 1 FROM reservations WHERE id = $1)
                 OR EXISTS (SELECT 1 FROM certificates WHERE id = $1)
                 OR EXISTS (SELECT 1 FROM serials WHERE certificate_id = $1 AND removed_at IS NOT NULL) THEN 'taken'
         END"
    };
}

/// SQL that puts a reservation on record, unless something stands in the way: then it fails on `serials.certificate_id`. Without
/// token, idempotency key or personal data their statements find nothing to do.
const RESERVE: &str = concat!(
    "INSERT INTO serials (serial, authority, certificate_id, state, not_after, renews)
         SELECT $3, $2, iif((",
    obstacle_sql!(),
    ") IS NULL, $1, NULL), 0, $6, $12;
     INSERT INTO reservations (id, authority, serial, profile, not_before, not_after, subject, names, spki_sha256,
             owner, requested_by, renews, token_id, idempotency_sha256, reserved_at, to_be_signed, search_names,
             search_subject)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $18, $19, $20);
     INSERT INTO idempotency_keys (scope_sha256, request_sha256, certificate_id, expires_at)
         SELECT $14, $16, $1, $17 WHERE $14 IS NOT NULL
         ON CONFLICT (scope_sha256) DO UPDATE SET request_sha256 = excluded.request_sha256,
             certificate_id = excluded.certificate_id, expires_at = excluded.expires_at;
     UPDATE enrolment_tokens SET used = used + 1 WHERE id = $13;
     INSERT INTO personal_data (id, kind, key_version, audit_text) SELECT $1, 0, $21, $22 WHERE $21 IS NOT NULL;"
);

/// How many parameters [`RESERVE`] takes: what [`bind`] binds.
const PARAMETERS: usize = 22;

static SIXTEEN: LazyLock<String> = LazyLock::new(|| repeated(RESERVE, PARAMETERS, 16));
static FOUR: LazyLock<String> = LazyLock::new(|| repeated(RESERVE, PARAMETERS, 4));

#[async_trait]
impl Change for Reserving {
    type Answer = ReserveOutcome;

    const TOGETHER: &'static [usize] = &[16, 4];

    const TURN: u8 = 0;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<ReserveOutcome, Failure> {
        match bind(sqlx::query(RESERVE), self).execute(&mut *connection).await {
            Ok(_) => Ok(ReserveOutcome::Reserved),
            Err(error) if is_null_in(&error, "serials.certificate_id") => {
                obstacle(self, connection).await?.ok_or_else(|| error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn apply_together(
        reservations: &[&Self],
        connection: &mut SqliteConnection,
    ) -> Result<Vec<ReserveOutcome>, Failure> {
        let sql: &'static str = if reservations.len() == 16 { &SIXTEEN } else { &FOUR };
        let query = reservations.iter().fold(sqlx::query(sql), |query, reservation| bind(query, reservation));
        query.execute(connection).await?;
        Ok(vec![ReserveOutcome::Reserved; reservations.len()])
    }
}

/// Binds everything a reservation holds, whether the statement needs it or not.
fn bind<'q>(query: Query<'q, Sqlite, SqliteArguments>, reserving: &'q Reserving) -> Query<'q, Sqlite, SqliteArguments> {
    let Reserving { reservation, idempotency, terms, sealer, .. } = reserving;
    let (idempotency, sealer) = (idempotency.as_ref(), sealer.as_ref());
    let names = terms.names.iter().map(|name| term(NAME, name, sealer));
    query
        .bind(reservation.id.as_bytes().as_slice())
        .bind(reservation.authority.as_str())
        .bind(reservation.serial.as_bytes())
        .bind(reservation.profile.as_str())
        .bind(reservation.validity.not_before.unix_millis())
        .bind(reservation.validity.not_after.unix_millis())
        .bind(reserving.subject.as_slice())
        .bind(reserving.names.as_slice())
        .bind(reservation.spki_sha256.as_slice())
        .bind(reservation.owner.as_str())
        .bind(reservation.requested_by.as_str())
        .bind(reservation.renews.as_ref().map(|id| id.as_bytes().as_slice()))
        .bind(reservation.token.as_ref().map(|id| id.as_bytes().as_slice()))
        .bind(idempotency.map(|key| key.scope_sha256.as_slice()))
        .bind(reservation.reserved_at.unix_millis())
        .bind(idempotency.map(|key| key.request_sha256.as_slice()))
        .bind(idempotency.map(|key| key.expires_at.unix_millis()))
        .bind(reserving.to_be_signed.as_slice())
        .bind(serde_json::Value::from_iter(names).to_string())
        .bind(term(SUBJECT, &terms.subject, sealer))
        .bind(sealer.map(Sealer::column))
        .bind(reserving.audit_text.as_deref())
}

/// Says what stands in the way: looks again, in the transaction in which the guard failed; `None` if nothing stands in the way after all.
async fn obstacle(
    reservation: &Reserving,
    connection: &mut SqliteConnection,
) -> Result<Option<ReserveOutcome>, Failure> {
    const SQL: &str = concat!(
        "SELECT ",
        obstacle_sql!(),
        " AS obstacle, i.request_sha256 = $16 AS same_request, i.certificate_id AS repeated,
             EXISTS (SELECT 1 FROM certificates WHERE id = i.certificate_id) AS repeated_is_issued,
             (SELECT certificate_id FROM serials WHERE renews = $12 AND state <= 2) AS successor
         FROM (SELECT 1) LEFT JOIN idempotency_keys AS i ON i.scope_sha256 = $14"
    );
    let found: Obstacle = bind(sqlx::query(SQL), reservation)
        .try_map(|row: SqliteRow| Obstacle::from_row(&row))
        .fetch_one(connection)
        .await?;
    Ok(found.outcome()?)
}

/// Open reservations made before an instant, oldest first.
pub(super) async fn open(readers: &SqlitePool, before: Timestamp) -> Result<Vec<OpenReservation>, Failure> {
    const SQL: &str = "SELECT id, authority, serial, reserved_at FROM reservations
         WHERE abandoned_at IS NULL AND reserved_at < $1
             AND NOT EXISTS (SELECT 1 FROM upstream_issuances WHERE certificate_id = reservations.id) ORDER BY reserved_at, id LIMIT 1000";
    let rows: Vec<OpenListRow> = sqlx::query_as(SQL).bind(before.unix_millis()).fetch_all(readers).await?;
    Ok(rows.into_iter().map(OpenReservation::try_from).collect::<Result<_, _>>()?)
}
