//! What clients were told: it is on record, and stays so.

use ca_core::id::{CertificateId, TokenId};
use ca_core::revocation::{RevocationReason, Standing};
use ca_core::time::Timestamp;
use ca_engine::fake::{IssuanceState, Record};
use ca_engine::port::store::StoredCertificate;

use super::issuance::Phase;
use super::{Auditor, Finding, Process};

impl Auditor {
    /// A certificate left the service, as the answer to a request with this idempotency key, where there was one.
    pub(crate) fn certificate_left(&mut self, stored: &StoredCertificate, request: Option<&str>) {
        let id = stored.id;
        let on_record = self.store.tables(|record| match record.issuances.get(&id).map(|issuance| &issuance.state) {
            Some(IssuanceState::Issued { certificate, .. }) => *certificate == stored.der,
            _ => false,
        });
        if !on_record {
            self.violated(format!("certificate {id} left the service and is not on record"));
        }
        let Some(request) = request else { return };
        let other = self.answers.insert(request.to_owned(), id).unwrap_or(id);
        // Answers may arrive in another order than they were made.
        let begun = |id| self.histories.get(&id).map(|history| history.begun);
        let [first, second] = if begun(other) <= begun(id) { [other, id] } else { [id, other] };
        if first != second && self.kept_until(first) > self.reserved_at(second).max(begun(second)) {
            self.violated(format!("request {request} was answered with {other} and with {id}"));
        }
    }

    /// Until when the idempotency key of a certificate is kept.
    fn kept_until(&self, id: CertificateId) -> Option<Timestamp> {
        let idempotency = |record: &mut Record| record.issuances.get(&id)?.reservation.idempotency.clone();
        self.store.tables(idempotency).map(|idempotency| idempotency.expires_at)
    }

    fn reserved_at(&self, id: CertificateId) -> Option<Timestamp> {
        self.store.tables(|record| Some(record.issuances.get(&id)?.reservation.reserved_at))
    }

    /// A client was told by a process that a certificate is revoked for a reason; it asked at the step `since`.
    pub(crate) fn revocation_told(
        &mut self,
        process: Process,
        id: CertificateId,
        reason: RevocationReason,
        since: u64,
    ) {
        let so = |phase: Phase| match phase {
            Phase::Standing(Standing::Revoked(revocation)) => revocation.reason == reason,
            _ => false,
        };
        let history = self.histories.get(&id);
        let done = history.is_some_and(|history| {
            history.was_since(since, so) && (reason == RevocationReason::CertificateHold || history.now().is_final())
        });
        if !done {
            self.violated(format!("the revocation of {id} for {reason} was acknowledged and is not on record"));
        }
        self.told(process, id, so);
    }

    /// A process that told a client how a certificate stands knows it from then on.
    fn told(&mut self, process: Process, id: CertificateId, so: impl Fn(Phase) -> bool) {
        let phases = self.histories.get(&id).map(|history| &history.phases);
        let last = phases.and_then(|phases| phases.iter().rev().find(|(_, phase)| so(*phase)));
        if let Some((step, _)) = last {
            self.acknowledged(process, id, *step);
        }
    }

    /// A client was told by a process that a hold ended.
    pub(crate) fn release_told(&mut self, process: Process, id: CertificateId, since: u64) {
        if !self.histories.get(&id).is_some_and(|history| history.was_since(since, Phase::is_good)) {
            self.violated(format!("the end of the hold of {id} was acknowledged and is not on record"));
        }
        self.told(process, id, Phase::is_good);
    }

    /// A client was told that a token is withdrawn, or made.
    pub(crate) fn token_told(&mut self, id: TokenId, withdrawn: bool) {
        let so = self.store.tables(|record| record.tokens.get(&id).is_some_and(|token| token.withdrawn || !withdrawn));
        if !so {
            self.violated(format!("token {id}: its making or withdrawal was acknowledged and is not on record"));
        }
    }

    /// Whatever was begun has come to its end.
    pub(crate) fn check_no_reservation_is_open(&self) -> Finding {
        match self.histories.iter().find(|(_, history)| history.now() == Phase::Reserved) {
            Some((id, _)) => Err(format!("reservation {id} is still open")),
            None => Ok(()),
        }
    }
}
