//! From reservation to certificate, or to nothing.

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::id::CertificateId;
use ca_core::revocation::{Revocation, RevocationReason, Standing};
use ca_core::time::Timestamp;

use super::record::{IdempotencyRow, Issuance, IssuanceState, Record};
use crate::port::store::{CompleteOutcome, Completion, Journal, OpenReservation, Reservation, ReserveOutcome};

/// How many open reservations are listed at once.
const MAX_OPEN_RESERVATIONS: usize = 1_000;

impl Record {
    /// The checks of [`ReserveOutcome`], in its order; the first that does not hold is the outcome.
    pub(super) fn reserve(&mut self, reservation: Reservation) -> ReserveOutcome {
        let checks = [Self::check_idempotency, Self::check_key, Self::check_token, Self::check_predecessor];
        let refusal = checks.iter().find_map(|check| check(self, &reservation));
        if let Some(refusal) = refusal {
            return refusal;
        }
        let number = (reservation.authority.clone(), reservation.serial.clone());
        if self.serials.contains_key(&number) || self.issuances.contains_key(&reservation.id) {
            return ReserveOutcome::SerialTaken;
        }
        if let Some(idempotency) = &reservation.idempotency {
            let row = IdempotencyRow {
                request_sha256: idempotency.request_sha256,
                expires_at: idempotency.expires_at,
                certificate: reservation.id,
            };
            self.idempotency.insert(idempotency.scope_sha256, row);
        }
        if let Some(token) = reservation.token.and_then(|token| self.tokens.get_mut(&token)) {
            token.used += 1;
        }
        self.serials.insert(number, reservation.id);
        if let Some(personal) = &reservation.personal_data {
            self.hold(*reservation.id.as_bytes(), Some(personal.audit_text.clone()));
        }
        self.issuances.insert(reservation.id, Issuance { reservation, state: IssuanceState::Reserved });
        ReserveOutcome::Reserved
    }

    fn check_idempotency(&self, reservation: &Reservation) -> Option<ReserveOutcome> {
        let idempotency = reservation.idempotency.as_ref()?;
        let row = self.idempotency.get(&idempotency.scope_sha256)?;
        if row.expires_at <= reservation.reserved_at {
            return None;
        }
        if row.request_sha256 != idempotency.request_sha256 {
            return Some(ReserveOutcome::IdempotencyConflict);
        }
        let issued = self.issuances.get(&row.certificate).is_some_and(|issuance| issuance.standing().is_some());
        Some(if issued { ReserveOutcome::Replay(row.certificate) } else { ReserveOutcome::InProgress(row.certificate) })
    }

    fn check_key(&self, reservation: &Reservation) -> Option<ReserveOutcome> {
        self.blocked_keys.contains(&reservation.spki_sha256).then_some(ReserveOutcome::KeyBlocked)
    }

    fn check_token(&self, reservation: &Reservation) -> Option<ReserveOutcome> {
        let token = self.tokens.get(&reservation.token?);
        let usable = token.is_some_and(|token| {
            !token.withdrawn && token.expires_at > reservation.reserved_at && token.used < token.uses
        });
        (!usable).then_some(ReserveOutcome::TokenSpent)
    }

    fn check_predecessor(&self, reservation: &Reservation) -> Option<ReserveOutcome> {
        let predecessor = reservation.renews?;
        if let Some(successor) = self.claimed_successor(predecessor) {
            return Some(ReserveOutcome::SuccessorExists(successor));
        }
        (!self.is_active(predecessor)).then_some(ReserveOutcome::PredecessorNotActive)
    }

    /// The successor that is reserved or live.
    fn claimed_successor(&self, predecessor: CertificateId) -> Option<CertificateId> {
        let mut successors =
            self.issuances.iter().filter(|(_, issuance)| issuance.reservation.renews == Some(predecessor));
        successors
            .find(|(_, issuance)| matches!(issuance.state, IssuanceState::Reserved) || is_live(issuance))
            .map(|(id, _)| *id)
    }

    /// The successor that is issued and not revoked.
    pub(super) fn live_successor(&self, predecessor: CertificateId) -> Option<CertificateId> {
        let mut successors =
            self.issuances.iter().filter(|(_, issuance)| issuance.reservation.renews == Some(predecessor));
        successors.find(|(_, issuance)| is_live(issuance)).map(|(id, _)| *id)
    }

    fn is_active(&self, id: CertificateId) -> bool {
        self.issuances.get(&id).and_then(Issuance::standing) == Some(Standing::Active)
    }

    pub(super) fn complete(&mut self, completion: Completion) -> CompleteOutcome {
        let Some(issuance) = self.issuances.get(&completion.id) else {
            return CompleteOutcome::NotReserved;
        };
        match issuance.state {
            IssuanceState::Abandoned(_) => return CompleteOutcome::NotReserved,
            // The acknowledgement of the first completion was lost: what is on record is the answer, without a second event.
            IssuanceState::Issued { .. } => return self.completed(completion.id),
            IssuanceState::Reserved => {}
        }
        let renews = issuance.reservation.renews;
        let blocked = self.blocked_keys.contains(&issuance.reservation.spki_sha256);
        if blocked || renews.is_some_and(|predecessor| !self.is_active(predecessor)) {
            self.overtake(&completion, if blocked { "key-blocked" } else { "predecessor-not-active" });
            return CompleteOutcome::Overtaken;
        }
        if let Some(issuance) = self.issuances.get_mut(&completion.id) {
            issuance.state = IssuanceState::Issued {
                certificate: completion.certificate,
                issued_at: completion.completed_at,
                standing: Standing::Active,
            };
        }
        if let Some(predecessor) = renews.filter(|_| completion.inherit_roles) {
            for role in self.roles_of(predecessor) {
                self.roles.insert((completion.id, role), completion.completed_at);
            }
        }
        self.write_journal(completion.journal);
        self.completed(completion.id)
    }

    fn completed(&self, id: CertificateId) -> CompleteOutcome {
        match self.stored(id) {
            Some(stored) => CompleteOutcome::Completed(Box::new(stored)),
            None => CompleteOutcome::NotReserved,
        }
    }

    /// Abandons a reservation whose completion came too late. The completion's journal tells of a certificate that never
    /// was, so it is dropped; its event still says who asked, in which request.
    fn overtake(&mut self, completion: &Completion, why: &str) {
        let asked = &completion.journal.event;
        let subject = format!("certificate:{}", completion.id);
        let mut event =
            AuditEvent::new(completion.completed_at, AuditAction::IssuanceAbandoned, asked.principal.clone(), subject)
                .with("cause", why)
                .in_request(asked.request_id.as_deref());
        if let Some(issuance) = self.issuances.get(&completion.id) {
            event =
                event.with("authority", &issuance.reservation.authority).with("serial", &issuance.reservation.serial);
        }
        self.abandon(completion.id, Journal::of(event));
    }

    pub(super) fn abandon(&mut self, id: CertificateId, journal: Journal) -> bool {
        let Some(issuance) = self.issuances.get_mut(&id) else {
            return false;
        };
        if !matches!(issuance.state, IssuanceState::Reserved) {
            return false;
        }
        let revocation = Revocation {
            revoked_at: journal.event.at.floor_to_second(),
            reason: RevocationReason::Unspecified,
            invalidity_date: None,
        };
        issuance.state = IssuanceState::Abandoned(revocation);
        let reservation = issuance.reservation.clone();
        // Another reservation may have the key by now, when this one's had expired.
        self.idempotency.retain(|_, row| row.certificate != id);
        if let Some(token) = reservation.token.and_then(|token| self.tokens.get_mut(&token)) {
            token.used = token.used.saturating_sub(1);
        }
        let standing = Standing::Revoked(revocation);
        self.next_revocation(reservation.authority, reservation.serial, standing, reservation.validity.not_after);
        self.write_journal(journal);
        true
    }

    pub(super) fn open_reservations(&self, before: Timestamp) -> Vec<OpenReservation> {
        let mut open: Vec<_> = self
            .issuances
            .values()
            .filter(|issuance| matches!(issuance.state, IssuanceState::Reserved))
            .map(|issuance| &issuance.reservation)
            .filter(|reservation| reservation.reserved_at < before && !self.upstream.contains_key(&reservation.id))
            .map(|reservation| OpenReservation {
                id: reservation.id,
                authority: reservation.authority.clone(),
                serial: reservation.serial.clone(),
                reserved_at: reservation.reserved_at,
            })
            .collect();
        open.sort_by_key(|reservation| (reservation.reserved_at, reservation.id));
        open.truncate(MAX_OPEN_RESERVATIONS);
        open
    }
}

/// Issued and not revoked. A held certificate is live: its hold may end, and then there would be two.
fn is_live(issuance: &Issuance) -> bool {
    match issuance.standing() {
        Some(Standing::Active) => true,
        Some(Standing::Revoked(revocation)) => revocation.reason == RevocationReason::CertificateHold,
        None => false,
    }
}
