//! Reservations: an issuance is put on record before the key is used.
//!
//! One statement judges a group and writes what nothing stands in the way of. How a reservation ends is in
//! [`super::completion`].

use async_trait::async_trait;
use ca_core::time::Timestamp;
use ca_engine::port::store::{OpenReservation, ReserveOutcome};
use sqlx::FromRow;

use super::column;
use super::error::Failure;
use super::pool::Pool;
use super::transaction::{Transaction, read};
use super::writer::{Claim, Joint};
use crate::row::inconsistent;
use crate::row::personal_data;
use crate::row::reservation::{Obstacle, OpenListRow, Reserving};

/// SQL that puts reservations on record unless something stands in their way, in the order of [`ReserveOutcome`]. Either all that
/// could be written are, or, when another transaction has just taken what one of them needs, none: `numbered` tells. Of those that
/// are written, which nearly all are, no more is said.
///
/// What is looked up is looked up row by row: of an EXISTS, PostgreSQL may make a hash table of the whole other table.
///
/// Rows are written in the order of what concurrent transactions may wait for: predecessors first, of which there may be one
/// successor; serials and ids are drawn by chance.
const RESERVE: &str = "
    WITH given AS MATERIALIZED (
        SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::bytea[], $4::text[], $5::bigint[], $6::bigint[], $7::bytea[],
                $8::bytea[], $9::bytea[], $10::bytea[], $11::text[], $12::text[], $13::uuid[], $14::uuid[], $15::bytea[],
                $16::bytea[], $17::bigint[], $18::bytea[]) WITH ORDINALITY
            AS g (id, authority, serial, profile, not_before, not_after, subject, names, spki_sha256, to_be_signed, owner,
                requested_by, renews, token_id, idempotency_sha256, request_sha256, reserved_at, terms, place)
    ), judged AS MATERIALIZED (
        SELECT g.*, i.certificate_id AS repeated, i.request_sha256 = g.request_sha256 AS same_request,
            (SELECT TRUE FROM serials AS r WHERE r.certificate_id = i.certificate_id AND r.state BETWEEN 1 AND 3)
                IS NOT NULL AS repeated_is_issued,
            live.certificate_id AS successor,
            CASE
                WHEN i.certificate_id IS NOT NULL THEN 'repeated'
                WHEN (SELECT TRUE FROM blocked_keys AS b WHERE b.spki_sha256 = g.spki_sha256) THEN 'key blocked'
                WHEN g.token_id IS NOT NULL AND (SELECT TRUE FROM enrolment_tokens AS t WHERE t.id = g.token_id
                    AND NOT t.withdrawn AND t.expires_at > g.reserved_at AND t.used < t.uses) IS NULL THEN 'token spent'
                WHEN live.certificate_id IS NOT NULL THEN 'successor'
                WHEN g.renews IS NOT NULL AND (SELECT TRUE FROM serials AS p
                    WHERE p.certificate_id = g.renews AND p.state = 1) IS NULL THEN 'predecessor'
                WHEN (SELECT TRUE FROM serials AS s WHERE s.serial = g.serial AND s.authority = g.authority)
                    OR (SELECT TRUE FROM serials AS s WHERE s.certificate_id = g.id) THEN 'taken'
            END AS obstacle
        FROM given AS g
            LEFT JOIN idempotency_keys AS i ON i.scope_sha256 = g.idempotency_sha256 AND i.expires_at > g.reserved_at
            LEFT JOIN serials AS live ON live.renews = g.renews AND (live.reason IS NULL OR live.reason = 6)
    ), clean AS MATERIALIZED (
        SELECT * FROM judged WHERE obstacle IS NULL ORDER BY renews, id
    ), numbered AS (
        INSERT INTO serials (serial, authority, certificate_id, state, not_after, renews)
            SELECT serial, authority, id, 0, not_after, renews FROM clean ON CONFLICT DO NOTHING RETURNING 1
    ), reserved AS (
        INSERT INTO reservations (id, authority, serial, profile, not_before, not_after, subject, names, spki_sha256,
                to_be_signed, owner, requested_by, renews, token_id, idempotency_sha256, reserved_at, terms)
            SELECT id, authority, serial, profile, not_before, not_after, subject, names, spki_sha256, to_be_signed, owner,
                requested_by, renews, token_id, idempotency_sha256, reserved_at, terms
            FROM clean WHERE (SELECT COUNT(*) FROM numbered) = (SELECT COUNT(*) FROM clean)
    )
    SELECT n.numbered, j.place, j.obstacle, j.same_request, uuid_send(j.repeated) AS repeated,
        COALESCE(j.repeated_is_issued, FALSE) AS repeated_is_issued, uuid_send(j.successor) AS successor
    FROM (SELECT COUNT(*) AS numbered FROM numbered) AS n LEFT JOIN judged AS j ON j.obstacle IS NOT NULL";

/// How many were numbered, and one that was not, if there is any.
#[derive(FromRow)]
struct Judged {
    numbered: i64,
    place: Option<i64>,
    #[sqlx(flatten)]
    obstacle: Obstacle,
}

#[async_trait]
impl Joint for Reserving {
    type Answer = ReserveOutcome;

    fn claims(&self) -> Vec<Claim> {
        let Self { reservation, .. } = self;
        let serial = Claim::Serial(reservation.authority.clone(), reservation.serial.clone());
        let mut claims = vec![Claim::Certificate(reservation.id), serial];
        claims.extend(reservation.renews.map(Claim::Successor));
        claims.extend(reservation.token.map(Claim::Token));
        claims.extend(self.idempotency.as_ref().map(|key| Claim::Idempotency(key.scope_sha256)));
        claims
    }

    async fn apply_together(
        reservations: &[&Self],
        transaction: &mut Transaction,
    ) -> Result<Vec<ReserveOutcome>, Failure> {
        let judged: Vec<Judged> = judge_and_reserve(reservations, transaction).await?;
        let numbered = judged.first().map_or(0, |first| first.numbered);
        let mut outcomes: Vec<_> = reservations.iter().map(|_| ReserveOutcome::Reserved).collect();
        for Judged { place, obstacle, .. } in judged {
            let (Some(place), Some(outcome)) = (place, obstacle.outcome()?) else { continue };
            // Places count from 1.
            let refused = usize::try_from(place - 1).ok().and_then(|index| outcomes.get_mut(index));
            *refused.ok_or_else(|| inconsistent("reservations", "one was judged that nobody asked for"))? = outcome;
        }
        let reserved: Vec<&Self> = reservations
            .iter()
            .zip(&outcomes)
            .filter(|(_, outcome)| matches!(outcome, ReserveOutcome::Reserved))
            .map(|(reserving, _)| *reserving)
            .collect();
        if usize::try_from(numbered) != Ok(reserved.len()) {
            return Err(Failure::raced("serial numbers and successors"));
        }
        take_idempotency_keys(&reserved, transaction).await?;
        use_tokens(&reserved, transaction).await?;
        hold_personal_data(&reserved, transaction).await?;
        Ok(outcomes)
    }
}

async fn judge_and_reserve(reservations: &[&Reserving], transaction: &mut Transaction) -> Result<Vec<Judged>, Failure> {
    let columns = || reservations.iter().copied();
    let each = || columns().map(|columns| &columns.reservation);
    let keys = || columns().map(|columns| columns.idempotency.as_ref());
    let terms = |columns: &Reserving| column::terms(&columns.terms, columns.sealer.as_ref());
    let query = sqlx::query_as(RESERVE)
        .bind(each().map(|reservation| column::certificate(reservation.id)).collect::<Vec<_>>())
        .bind(each().map(|reservation| reservation.authority.as_str()).collect::<Vec<_>>())
        .bind(each().map(|reservation| reservation.serial.as_bytes()).collect::<Vec<_>>())
        .bind(each().map(|reservation| reservation.profile.as_str()).collect::<Vec<_>>())
        .bind(each().map(|reservation| reservation.validity.not_before.unix_millis()).collect::<Vec<_>>())
        .bind(each().map(|reservation| reservation.validity.not_after.unix_millis()).collect::<Vec<_>>())
        .bind(columns().map(|columns| columns.subject.as_slice()).collect::<Vec<_>>())
        .bind(columns().map(|columns| columns.names.as_slice()).collect::<Vec<_>>())
        .bind(each().map(|reservation| reservation.spki_sha256.as_slice()).collect::<Vec<_>>())
        .bind(columns().map(|columns| columns.to_be_signed.as_slice()).collect::<Vec<_>>())
        .bind(each().map(|reservation| reservation.owner.as_str()).collect::<Vec<_>>())
        .bind(each().map(|reservation| reservation.requested_by.as_str()).collect::<Vec<_>>())
        .bind(each().map(|reservation| reservation.renews.map(column::certificate)).collect::<Vec<_>>())
        .bind(each().map(|reservation| reservation.token.map(column::token)).collect::<Vec<_>>())
        .bind(keys().map(|key| key.map(|key| key.scope_sha256.as_slice())).collect::<Vec<_>>())
        .bind(keys().map(|key| key.map(|key| key.request_sha256.as_slice())).collect::<Vec<_>>())
        .bind(each().map(|reservation| reservation.reserved_at.unix_millis()).collect::<Vec<_>>())
        .bind(columns().map(terms).collect::<Vec<_>>());
    transaction.rows(query).await
}

/// Takes the idempotency keys, in their order; one that has expired is taken over.
async fn take_idempotency_keys(reserved: &[&Reserving], transaction: &mut Transaction) -> Result<(), Failure> {
    const SQL: &str = "
        WITH given AS MATERIALIZED (
            SELECT * FROM UNNEST($1::bytea[], $2::bytea[], $3::uuid[], $4::bigint[], $5::bigint[])
                AS g (scope_sha256, request_sha256, certificate_id, expires_at, reserved_at)
        )
        INSERT INTO idempotency_keys AS i (scope_sha256, request_sha256, certificate_id, expires_at)
            SELECT scope_sha256, request_sha256, certificate_id, expires_at FROM given ORDER BY scope_sha256
            ON CONFLICT (scope_sha256) DO UPDATE SET request_sha256 = excluded.request_sha256,
                certificate_id = excluded.certificate_id, expires_at = excluded.expires_at
            WHERE i.expires_at <= (SELECT g.reserved_at FROM given AS g WHERE g.scope_sha256 = excluded.scope_sha256)";
    let with_key =
        |columns: &&Reserving| columns.idempotency.clone().map(|key| (*columns.reservation.id.as_bytes(), key));
    let keys: Vec<_> = reserved.iter().filter_map(with_key).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let with_time = reserved.iter().filter(|columns| columns.idempotency.is_some());
    let query = sqlx::query(SQL)
        .bind(keys.iter().map(|(_, key)| key.scope_sha256.as_slice()).collect::<Vec<_>>())
        .bind(keys.iter().map(|(_, key)| key.request_sha256.as_slice()).collect::<Vec<_>>())
        .bind(keys.iter().map(|(id, _)| sqlx::types::Uuid::from_bytes(*id)).collect::<Vec<_>>())
        .bind(keys.iter().map(|(_, key)| key.expires_at.unix_millis()).collect::<Vec<_>>())
        .bind(with_time.map(|columns| columns.reservation.reserved_at.unix_millis()).collect::<Vec<_>>());
    match transaction.execute(query).await? {
        taken if taken == keys.len() as u64 => Ok(()),
        _ => Err(Failure::raced("idempotency keys")),
    }
}

/// Counts the uses of tokens, in the order of their ids.
async fn use_tokens(reserved: &[&Reserving], transaction: &mut Transaction) -> Result<(), Failure> {
    const SQL: &str = "
        UPDATE enrolment_tokens AS t SET used = t.used + 1
        FROM UNNEST($1::uuid[], $2::bigint[]) AS g (id, reserved_at)
        WHERE t.id = g.id AND NOT t.withdrawn AND t.expires_at > g.reserved_at AND t.used < t.uses";
    let with_token = |columns: &&Reserving| {
        let reservation = &columns.reservation;
        reservation.token.map(|id| (column::token(id), reservation.reserved_at.unix_millis()))
    };
    let mut uses: Vec<_> = reserved.iter().filter_map(with_token).collect();
    if uses.is_empty() {
        return Ok(());
    }
    uses.sort_unstable();
    let (ids, times): (Vec<_>, Vec<_>) = uses.into_iter().unzip();
    let count = ids.len() as u64;
    match transaction.execute(sqlx::query(SQL).bind(ids).bind(times)).await? {
        used if used == count => Ok(()),
        _ => Err(Failure::raced("enrolment tokens")),
    }
}

/// Says which of them hold encrypted values: their key cannot be dropped any more. One that was dropped meanwhile is a conflict.
async fn hold_personal_data(reserved: &[&Reserving], transaction: &mut Transaction) -> Result<(), Failure> {
    const SQL: &str = "INSERT INTO personal_data (id, kind, key_version, audit_text)
             SELECT id, $4::smallint, key_version, audit_text
             FROM UNNEST($1::uuid[], $2::integer[], $3::bytea[]) AS g (id, key_version, audit_text)";
    let personal: Vec<_> = reserved
        .iter()
        .filter_map(|columns| columns.sealer.as_ref().map(|sealer| (columns, sealer.column() as i32)))
        .collect();
    if personal.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(SQL)
        .bind(personal.iter().map(|(columns, _)| column::certificate(columns.reservation.id)).collect::<Vec<_>>())
        .bind(personal.iter().map(|(_, version)| *version).collect::<Vec<_>>())
        .bind(personal.iter().map(|(columns, _)| columns.audit_text.as_deref()).collect::<Vec<_>>())
        .bind(personal_data::CERTIFICATE);
    transaction.execute(query).await.map(|_| ())
}

/// Open reservations made before an instant, oldest first.
pub(super) async fn open(reads: &Pool, before: Timestamp) -> Result<Vec<OpenReservation>, Failure> {
    const SQL: &str = "SELECT uuid_send(id) AS id, authority, serial, reserved_at FROM reservations
         WHERE abandoned_at IS NULL AND reserved_at < $1
             AND NOT EXISTS (SELECT FROM upstream_issuances AS u WHERE u.certificate_id = reservations.id)
         ORDER BY reserved_at, reservations.id LIMIT 1000";
    let rows: Vec<OpenListRow> = read(reads, || sqlx::query_as(SQL).bind(before.unix_millis())).await?;
    Ok(rows.into_iter().map(OpenReservation::try_from).collect::<Result<_, _>>()?)
}
