//! From reservation to certificate: `reserve`, `complete`, `abandon`, each one look and one write.
//!
//! Everything that must hold is read by one statement, judged in the order the port prescribes, and written by one string of
//! statements: between thread and database these two trips are most of the cost. The writer's transaction makes look and write
//! one step.

use async_trait::async_trait;
use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::hash::sha256;
use ca_core::id::CertificateId;
use ca_core::revocation::{Revocation, RevocationReason, Standing};
use ca_core::time::{Timestamp, Validity};
use ca_engine::port::store::{
    CompleteOutcome, Completion, Idempotency, Journal, OpenReservation, Reservation, ReserveOutcome, StoreError,
    StoredCertificate,
};
use sqlx::{FromRow, SqliteConnection, SqlitePool};

use super::certificate_list::search_terms;
use super::certificate_record::by_id;
use super::error::{Failure, inconsistent};
use super::journal::{self, journal_sql};
use super::row::{self, RevocationColumns, state};
use super::status::sequence_sql;
use super::writer::Change;

#[async_trait]
impl Change for Reservation {
    type Answer = ReserveOutcome;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<ReserveOutcome, Failure> {
        let circumstances = Circumstances::of(self, connection).await?;
        if let Some(obstacle) = circumstances.obstacle(self)? {
            return Ok(obstacle);
        }
        insert_reservation(self, connection).await?;
        Ok(ReserveOutcome::Reserved)
    }
}

/// Without token or idempotency key their statements find nothing to do.
async fn insert_reservation(reservation: &Reservation, connection: &mut SqliteConnection) -> Result<(), Failure> {
    const SQL: &str = "
        INSERT INTO serials (serial, authority, certificate_id, state, not_after, renews)
            VALUES (?3, ?2, ?1, 0, ?6, ?12);
        INSERT INTO reservations (id, authority, serial, profile, not_before, not_after, subject, names, spki_sha256,
                owner, requested_by, renews, token_id, idempotency_sha256, reserved_at, to_be_signed)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?18);
        INSERT INTO idempotency_keys (scope_sha256, request_sha256, certificate_id, expires_at)
            SELECT ?14, ?16, ?1, ?17 WHERE ?14 IS NOT NULL
            ON CONFLICT (scope_sha256) DO UPDATE SET request_sha256 = excluded.request_sha256,
                certificate_id = excluded.certificate_id, expires_at = excluded.expires_at;
        UPDATE enrolment_tokens SET used = used + 1 WHERE id = ?13";
    let idempotency = reservation.idempotency.as_ref();
    sqlx::query(SQL)
        .bind(reservation.id.as_bytes().as_slice())
        .bind(reservation.authority.as_str())
        .bind(reservation.serial.as_bytes())
        .bind(reservation.profile.as_str())
        .bind(reservation.validity.not_before.unix_millis())
        .bind(reservation.validity.not_after.unix_millis())
        .bind(reservation.subject.as_der())
        .bind(row::general_names_column(&reservation.names))
        .bind(reservation.spki_sha256.as_slice())
        .bind(reservation.owner.as_str())
        .bind(reservation.requested_by.as_str())
        .bind(reservation.renews.as_ref().map(|id| id.as_bytes().as_slice()))
        .bind(reservation.token.as_ref().map(|id| id.as_bytes().as_slice()))
        .bind(idempotency.map(|key| key.scope_sha256.as_slice()))
        .bind(reservation.reserved_at.unix_millis())
        .bind(idempotency.map(|key| key.request_sha256.as_slice()))
        .bind(idempotency.map(|key| key.expires_at.unix_millis()))
        .bind(reservation.to_be_signed.as_slice())
        .execute(connection)
        .await?;
    Ok(())
}

/// Everything that may stand in the way of a reservation.
#[derive(FromRow)]
struct Circumstances {
    idempotent_request: Option<Vec<u8>>,
    idempotent_certificate: Option<Vec<u8>>,
    idempotent_until: Option<i64>,
    idempotent_done: bool,
    key_blocked: bool,
    token_open: bool,
    successor: Option<Vec<u8>>,
    predecessor_state: Option<i64>,
    taken: bool,
}

impl Circumstances {
    async fn of(reservation: &Reservation, connection: &mut SqliteConnection) -> Result<Self, Failure> {
        const SQL: &str = "
            SELECT i.request_sha256 AS idempotent_request, i.certificate_id AS idempotent_certificate,
                i.expires_at AS idempotent_until,
                EXISTS (SELECT 1 FROM certificates WHERE id = i.certificate_id) AS idempotent_done,
                EXISTS (SELECT 1 FROM blocked_keys WHERE spki_sha256 = ?2) AS key_blocked,
                EXISTS (SELECT 1 FROM enrolment_tokens
                    WHERE id = ?3 AND withdrawn = 0 AND expires_at > ?4 AND used < uses) AS token_open,
                (SELECT certificate_id FROM serials WHERE renews = ?5 AND state <= 2) AS successor,
                (SELECT s.state FROM certificates AS c
                    JOIN serials AS s ON s.serial = c.serial AND s.authority = c.authority
                    WHERE c.id = ?5) AS predecessor_state,
                EXISTS (SELECT 1 FROM serials WHERE serial = ?6 AND authority = ?7)
                    OR EXISTS (SELECT 1 FROM reservations WHERE id = ?8)
                    OR EXISTS (SELECT 1 FROM certificates WHERE id = ?8) AS taken
            FROM (SELECT 1) LEFT JOIN idempotency_keys AS i ON i.scope_sha256 = ?1";
        let circumstances = sqlx::query_as(SQL)
            .bind(reservation.idempotency.as_ref().map(|key| key.scope_sha256.as_slice()))
            .bind(reservation.spki_sha256.as_slice())
            .bind(reservation.token.as_ref().map(|id| id.as_bytes().as_slice()))
            .bind(reservation.reserved_at.unix_millis())
            .bind(reservation.renews.as_ref().map(|id| id.as_bytes().as_slice()))
            .bind(reservation.serial.as_bytes())
            .bind(reservation.authority.as_str())
            .bind(reservation.id.as_bytes().as_slice())
            .fetch_one(connection)
            .await?;
        Ok(circumstances)
    }

    /// The first thing that stands in the way, in the order of [`ReserveOutcome`].
    fn obstacle(self, reservation: &Reservation) -> Result<Option<ReserveOutcome>, StoreError> {
        if let Some(idempotency) = &reservation.idempotency
            && let Some(outcome) = self.repeated(idempotency, reservation.reserved_at)?
        {
            return Ok(Some(outcome));
        }
        if self.key_blocked {
            return Ok(Some(ReserveOutcome::KeyBlocked));
        }
        if reservation.token.is_some() && !self.token_open {
            return Ok(Some(ReserveOutcome::TokenSpent));
        }
        if reservation.renews.is_some() {
            if let Some(successor) = self.successor {
                let octets = row::octets("serials.certificate_id", successor)?;
                return Ok(Some(ReserveOutcome::SuccessorExists(CertificateId::from_bytes(octets))));
            }
            if self.predecessor_state != Some(state::ACTIVE) {
                return Ok(Some(ReserveOutcome::PredecessorNotActive));
            }
        }
        Ok(self.taken.then_some(ReserveOutcome::SerialTaken))
    }

    fn repeated(&self, asked: &Idempotency, now: Timestamp) -> Result<Option<ReserveOutcome>, StoreError> {
        let (Some(request), Some(certificate), Some(until)) =
            (&self.idempotent_request, &self.idempotent_certificate, self.idempotent_until)
        else {
            return Ok(None);
        };
        if until <= now.unix_millis() {
            return Ok(None);
        }
        if *request != asked.request_sha256 {
            return Ok(Some(ReserveOutcome::IdempotencyConflict));
        }
        if !self.idempotent_done {
            return Ok(Some(ReserveOutcome::InProgress));
        }
        let octets = row::octets("idempotency_keys.certificate_id", certificate.clone())?;
        Ok(Some(ReserveOutcome::Replay(CertificateId::from_bytes(octets))))
    }
}

#[async_trait]
impl Change for Completion {
    type Answer = CompleteOutcome;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<CompleteOutcome, Failure> {
        let Some(open) = OpenRow::by_id(self.id, connection).await? else {
            // Completed before, by a call whose answer was lost? Otherwise abandoned, or never reserved.
            let earlier = by_id(&mut *connection, self.id).await?;
            return Ok(
                earlier.map_or(CompleteOutcome::NotReserved, |stored| CompleteOutcome::Completed(Box::new(stored)))
            );
        };
        if let Some(cause) = open.overtaken_by() {
            let event = open.abandonment_event(self, cause)?;
            open.abandon(self.id, &Journal::of(event), connection).await?;
            return Ok(CompleteOutcome::Overtaken);
        }
        let stored = open.certificate(self)?;
        insert_certificate(&stored, self, connection).await?;
        Ok(CompleteOutcome::Completed(Box::new(stored)))
    }
}

async fn insert_certificate(
    stored: &StoredCertificate,
    completion: &Completion,
    connection: &mut SqliteConnection,
) -> Result<(), Failure> {
    const SQL: &str = concat!(
        journal_sql!(),
        "UPDATE serials SET state = 1 WHERE serial = ?9 AND authority = ?8;
         INSERT INTO certificates (id, authority, serial, profile, not_before, not_after, subject, names, spki_sha256,
                 fingerprint_sha256, owner, requested_by, issued_at, renews, der)
             VALUES (?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21);
         INSERT INTO certificate_names (kind, value, certificate_id)
             SELECT 0, value, ?7 FROM json_each(?22) UNION ALL SELECT 1, ?23, ?7;
         DELETE FROM reservations WHERE id = ?7;
         INSERT INTO roles (certificate_id, role, granted_at)
             SELECT ?7, role, ?19 FROM roles WHERE certificate_id = ?20 AND ?24;"
    );
    let terms = search_terms(&stored.subject, &stored.names);
    journal::bind(SQL, &completion.journal)
        .bind(stored.id.as_bytes().as_slice())
        .bind(stored.authority.as_str())
        .bind(stored.serial.as_bytes())
        .bind(stored.profile.as_str())
        .bind(stored.validity.not_before.unix_millis())
        .bind(stored.validity.not_after.unix_millis())
        .bind(stored.subject.as_der())
        .bind(row::general_names_column(&stored.names))
        .bind(stored.spki_sha256.as_slice())
        .bind(stored.fingerprint_sha256.as_slice())
        .bind(stored.owner.as_str())
        .bind(stored.requested_by.as_str())
        .bind(stored.issued_at.unix_millis())
        .bind(stored.renews.as_ref().map(|id| id.as_bytes().as_slice()))
        .bind(stored.der.as_slice())
        .bind(terms.names)
        .bind(terms.subject)
        .bind(completion.inherit_roles)
        .execute(connection)
        .await?;
    Ok(())
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
        match OpenRow::by_id(self.id, connection).await? {
            Some(open) => {
                open.abandon(self.id, &self.journal, connection).await?;
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

/// An open reservation, and what may have overtaken it.
#[derive(FromRow)]
struct OpenRow {
    authority: String,
    serial: Vec<u8>,
    profile: String,
    not_before: i64,
    not_after: i64,
    subject: Vec<u8>,
    names: Vec<u8>,
    spki_sha256: Vec<u8>,
    owner: String,
    requested_by: String,
    renews: Option<Vec<u8>>,
    token_id: Option<Vec<u8>>,
    idempotency_sha256: Option<Vec<u8>>,
    state: i64,
    key_blocked: bool,
    predecessor_state: Option<i64>,
}

impl OpenRow {
    async fn by_id(id: CertificateId, connection: &mut SqliteConnection) -> Result<Option<Self>, Failure> {
        const SQL: &str = "
            SELECT r.authority, r.serial, r.profile, r.not_before, r.not_after, r.subject, r.names, r.spki_sha256, r.owner,
                r.requested_by, r.renews, r.token_id, r.idempotency_sha256, s.state,
                EXISTS (SELECT 1 FROM blocked_keys WHERE spki_sha256 = r.spki_sha256) AS key_blocked,
                (SELECT p.state FROM certificates AS c
                    JOIN serials AS p ON p.serial = c.serial AND p.authority = c.authority
                    WHERE c.id = r.renews) AS predecessor_state
            FROM reservations AS r JOIN serials AS s ON s.serial = r.serial AND s.authority = r.authority
            WHERE r.id = ?1 AND r.abandoned_at IS NULL";
        let row: Option<Self> = sqlx::query_as(SQL).bind(id.as_bytes().as_slice()).fetch_optional(connection).await?;
        match row {
            Some(row) if row.state != state::RESERVED => {
                let what = format_args!("open, but its serial has state {}", row.state);
                Err(inconsistent(&format!("reservations {id}"), what).into())
            }
            row => Ok(row),
        }
    }

    /// What has happened since the reservation that forbids the certificate.
    fn overtaken_by(&self) -> Option<&'static str> {
        if self.key_blocked {
            Some("key-blocked")
        } else if self.renews.is_some() && self.predecessor_state != Some(state::ACTIVE) {
            Some("predecessor-not-active")
        } else {
            None
        }
    }

    /// Of a kind of its own: the completion's event tells of a certificate that there will not be.
    fn abandonment_event(&self, completion: &Completion, cause: &str) -> Result<AuditEvent, StoreError> {
        let subject = format!("certificate:{}", completion.id);
        let requested_by = self.requested_by.as_str();
        let event = AuditEvent::new(completion.completed_at, AuditAction::IssuanceAbandoned, requested_by, subject)
            .with("authority", &self.authority)
            .with("serial", row::serial(&format!("reservations {}", completion.id), &self.serial)?)
            .with("profile", &self.profile)
            .with("cause", cause)
            .in_request(completion.journal.event.request_id.as_deref());
        Ok(event)
    }

    /// The certificate that a completion makes of it.
    fn certificate(self, completion: &Completion) -> Result<StoredCertificate, StoreError> {
        let place = format!("reservations {}", completion.id);
        Ok(StoredCertificate {
            id: completion.id,
            authority: row::authority(&place, &self.authority)?,
            serial: row::serial(&place, &self.serial)?,
            profile: row::profile(&place, &self.profile)?,
            subject: row::distinguished_name(&place, &self.subject)?,
            names: row::general_names(&place, &self.names)?,
            validity: Validity {
                not_before: Timestamp::from_unix_millis(self.not_before),
                not_after: Timestamp::from_unix_millis(self.not_after),
            },
            standing: Standing::Active,
            spki_sha256: row::octets(&place, self.spki_sha256)?,
            fingerprint_sha256: sha256(&completion.certificate),
            der: completion.certificate.clone(),
            owner: self.owner,
            requested_by: self.requested_by,
            issued_at: completion.completed_at,
            renews: self.renews.map(|renews| row::octets(&place, renews)).transpose()?.map(CertificateId::from_bytes),
        })
    }

    /// Closes it: the serial answers as revoked, the idempotency key is free, the token's use is given back.
    async fn abandon(
        &self,
        id: CertificateId,
        journal: &Journal,
        connection: &mut SqliteConnection,
    ) -> Result<(), Failure> {
        const SQL: &str = concat!(
            journal_sql!(),
            sequence_sql!(),
            "UPDATE serials SET state = 4, reason = ?9, revoked_at = ?10, invalidity_date = ?11
                 WHERE serial = ?8 AND authority = ?7;
             UPDATE reservations SET abandoned_at = ?6 WHERE id = ?13;
             DELETE FROM idempotency_keys WHERE scope_sha256 = ?14 AND certificate_id = ?13;
             UPDATE enrolment_tokens SET used = used - 1 WHERE id = ?15 AND used > 0;"
        );
        let columns = RevocationColumns::of(Standing::Revoked(Revocation {
            revoked_at: journal.event.at.floor_to_second(),
            reason: RevocationReason::Unspecified,
            invalidity_date: None,
        }));
        journal::bind(SQL, journal)
            .bind(self.authority.as_str())
            .bind(self.serial.as_slice())
            .bind(columns.reason)
            .bind(columns.revoked_at)
            .bind(columns.invalidity_date)
            .bind(self.not_after)
            .bind(id.as_bytes().as_slice())
            .bind(self.idempotency_sha256.as_deref())
            .bind(self.token_id.as_deref())
            .execute(connection)
            .await?;
        Ok(())
    }
}

#[derive(FromRow)]
struct OpenListRow {
    id: Vec<u8>,
    authority: String,
    serial: Vec<u8>,
    reserved_at: i64,
}

impl TryFrom<OpenListRow> for OpenReservation {
    type Error = StoreError;

    fn try_from(row: OpenListRow) -> Result<Self, StoreError> {
        let id = CertificateId::from_bytes(row::octets("reservations.id", row.id)?);
        let place = format!("reservations {id}");
        Ok(Self {
            id,
            authority: row::authority(&place, &row.authority)?,
            serial: row::serial(&place, &row.serial)?,
            reserved_at: Timestamp::from_unix_millis(row.reserved_at),
        })
    }
}

/// Open reservations made before an instant, oldest first.
pub(super) async fn open(readers: &SqlitePool, before: Timestamp) -> Result<Vec<OpenReservation>, Failure> {
    const SQL: &str = "SELECT id, authority, serial, reserved_at FROM reservations
         WHERE abandoned_at IS NULL AND reserved_at < ?1 ORDER BY reserved_at, id LIMIT 1000";
    let rows: Vec<OpenListRow> = sqlx::query_as(SQL).bind(before.unix_millis()).fetch_all(readers).await?;
    Ok(rows.into_iter().map(OpenReservation::try_from).collect::<Result<_, _>>()?)
}
