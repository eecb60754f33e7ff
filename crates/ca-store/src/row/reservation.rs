//! Reservations, as their columns give them, and what stands in their way.

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::id::CertificateId;
use ca_core::revocation::{Revocation, RevocationReason, Standing};
use ca_core::time::Timestamp;
use ca_engine::port::store::{
    Completion, Idempotency, Journal, OpenReservation, Reservation, ReserveOutcome, StoreError,
};
use sqlx::FromRow;

use super::search::SearchTerms;
use super::{RevocationColumns, inconsistent, state};
use crate::personal_data::{PersonalDataKeys, Sealer, certificate_place};

/// A reservation, and what of it columns hold otherwise than it is.
pub(crate) struct Reserving {
    pub(crate) reservation: Reservation,
    pub(crate) subject: Vec<u8>,
    pub(crate) names: Vec<u8>,
    pub(crate) to_be_signed: Vec<u8>,
    /// What it will be found by, in clear: a column has it as the database's room of names says, under `sealer` if there is one.
    pub(crate) terms: SearchTerms,
    pub(crate) idempotency: Option<Idempotency>,
    /// The version of the key that all of it is under, when it is personal data.
    pub(crate) sealer: Option<Sealer>,
    pub(crate) audit_text: Option<Vec<u8>>,
}

impl Reserving {
    pub(crate) fn of(mut reservation: Reservation, keys: &PersonalDataKeys) -> Result<Self, StoreError> {
        let terms = SearchTerms::of(&reservation.subject, &reservation.names);
        let subject = reservation.subject.as_der().to_vec();
        let names = super::general_names_column(&reservation.names);
        let to_be_signed = std::mem::take(&mut reservation.to_be_signed);
        let idempotency = reservation.idempotency.take().map(|key| keys.digested(key));
        let Some(personal) = reservation.personal_data.take() else {
            let (sealer, audit_text) = (None, None);
            return Ok(Self { reservation, subject, names, to_be_signed, terms, idempotency, sealer, audit_text });
        };
        let place = certificate_place(reservation.id);
        let sealer = keys.newest(&place)?;
        let seal = |column: &str, clear: &[u8]| sealer.seal(&place, column, clear);
        Ok(Self {
            subject: seal("subject", &subject)?,
            names: seal("names", &names)?,
            to_be_signed: seal("to_be_signed", &to_be_signed)?,
            audit_text: Some(seal("audit_text", &personal.audit_text)?),
            reservation,
            terms,
            idempotency,
            sealer: Some(sealer),
        })
    }
}

/// What stands in the way of a reservation, and what the caller is told about it.
#[derive(FromRow)]
pub(crate) struct Obstacle {
    pub(crate) obstacle: Option<String>,
    pub(crate) same_request: Option<bool>,
    pub(crate) repeated: Option<Vec<u8>>,
    pub(crate) repeated_is_issued: bool,
    pub(crate) successor: Option<Vec<u8>>,
}

impl Obstacle {
    /// What the caller is told; `None` when nothing stands in the way.
    pub(crate) fn outcome(self) -> Result<Option<ReserveOutcome>, StoreError> {
        let Some(obstacle) = self.obstacle else { return Ok(None) };
        let id = |octets: Option<Vec<u8>>, place| {
            super::octets(place, octets.unwrap_or_default()).map(CertificateId::from_bytes)
        };
        Ok(Some(match obstacle.as_str() {
            "repeated" if self.same_request != Some(true) => ReserveOutcome::IdempotencyConflict,
            "repeated" => {
                let earlier = id(self.repeated, "idempotency_keys.certificate_id")?;
                match self.repeated_is_issued {
                    true => ReserveOutcome::Replay(earlier),
                    false => ReserveOutcome::InProgress(earlier),
                }
            }
            "key blocked" => ReserveOutcome::KeyBlocked,
            "token spent" => ReserveOutcome::TokenSpent,
            "successor" => ReserveOutcome::SuccessorExists(id(self.successor, "serials.certificate_id")?),
            "predecessor" => ReserveOutcome::PredecessorNotActive,
            "taken" => ReserveOutcome::SerialTaken,
            other => return Err(inconsistent("reservations", format_args!("an unknown obstacle {other}"))),
        }))
    }
}

#[derive(FromRow)]
pub(crate) struct OpenListRow {
    pub(crate) id: Vec<u8>,
    pub(crate) authority: String,
    pub(crate) serial: Vec<u8>,
    pub(crate) reserved_at: i64,
}

impl TryFrom<OpenListRow> for OpenReservation {
    type Error = StoreError;

    fn try_from(row: OpenListRow) -> Result<Self, StoreError> {
        let id = CertificateId::from_bytes(super::octets("reservations.id", row.id)?);
        let place = format!("reservations {id}");
        Ok(Self {
            id,
            authority: super::authority(&place, &row.authority)?,
            serial: super::serial(&place, &row.serial)?,
            reserved_at: Timestamp::from_unix_millis(row.reserved_at),
        })
    }
}

/// An open reservation, and what may have overtaken it.
#[derive(FromRow)]
pub(crate) struct OpenRow {
    pub(crate) authority: String,
    pub(crate) serial: Vec<u8>,
    pub(crate) profile: String,
    pub(crate) not_after: i64,
    pub(crate) renews: Option<Vec<u8>>,
    pub(crate) token_id: Option<Vec<u8>>,
    pub(crate) idempotency_sha256: Option<Vec<u8>>,
    pub(crate) state: i64,
    pub(crate) key_blocked: bool,
    pub(crate) predecessor_state: Option<i64>,
}

impl OpenRow {
    /// The row itself, whose serial must be reserved.
    pub(crate) fn checked(self, id: CertificateId) -> Result<Self, StoreError> {
        if self.state != state::RESERVED {
            let what = format_args!("open, but its serial has state {}", self.state);
            return Err(inconsistent(&format!("reservations {id}"), what));
        }
        Ok(self)
    }

    /// What has happened since the reservation that forbids the certificate.
    pub(crate) fn overtaken_by(&self) -> Option<&'static str> {
        if self.key_blocked {
            Some("key-blocked")
        } else if self.renews.is_some() && self.predecessor_state != Some(state::ACTIVE) {
            Some("predecessor-not-active")
        } else {
            None
        }
    }

    /// The completion's event tells of a certificate that there will not be; this one says by whose attempt, and why not.
    pub(crate) fn abandonment_event(&self, completion: &Completion, cause: &str) -> Result<AuditEvent, StoreError> {
        let subject = format!("certificate:{}", completion.id);
        let attempt = &completion.journal.event;
        let principal = attempt.principal.as_str();
        let event = AuditEvent::new(completion.completed_at, AuditAction::IssuanceAbandoned, principal, subject)
            .with("authority", &self.authority)
            .with("serial", super::serial(&format!("reservations {}", completion.id), &self.serial)?)
            .with("profile", &self.profile)
            .with("cause", cause)
            .in_request(attempt.request_id.as_deref());
        Ok(event)
    }
}

/// How the serial of a reservation stands that was closed for good.
pub(crate) fn abandonment_columns(journal: &Journal) -> RevocationColumns {
    RevocationColumns::of(Standing::Revoked(Revocation {
        revoked_at: journal.event.at.floor_to_second(),
        reason: RevocationReason::Unspecified,
        invalidity_date: None,
    }))
}
