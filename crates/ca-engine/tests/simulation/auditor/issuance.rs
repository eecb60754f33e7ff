//! Reservations and certificates: what is there stays, and changes only forward.

use std::collections::BTreeMap;

use ca_core::audit::AuditAction;
use ca_core::id::CertificateId;
use ca_core::revocation::{Revocation, RevocationReason, Standing};
use ca_core::time::Timestamp;
use ca_engine::fake::{Issuance, IssuanceState, Record, StoreMethod};
use ca_engine::port::clock::Clock;
use ca_engine::port::store::{Reservation, RevocationRow};

use super::{AHEAD, Auditor, Change, Finding};

/// Where a serial stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Reserved,
    Standing(Standing),
    Abandoned(Revocation),
}

impl Phase {
    pub(super) fn of(issuance: &Issuance) -> Self {
        match &issuance.state {
            IssuanceState::Reserved => Self::Reserved,
            IssuanceState::Issued { standing, .. } => Self::Standing(*standing),
            IssuanceState::Abandoned(revocation) => Self::Abandoned(*revocation),
        }
    }

    /// Revoked for good, or abandoned.
    pub(super) fn is_final(self) -> bool {
        match self {
            Self::Reserved | Self::Standing(Standing::Active) => false,
            Self::Standing(Standing::Revoked(revocation)) => revocation.reason != RevocationReason::CertificateHold,
            Self::Abandoned(_) => true,
        }
    }

    /// What OCSP and CRLs tell of it.
    fn revocation_told(self) -> Option<Revocation> {
        match self {
            Self::Standing(Standing::Revoked(revocation)) | Self::Abandoned(revocation) => Some(revocation),
            Self::Reserved | Self::Standing(Standing::Active) => None,
        }
    }

    pub(super) fn is_good(self) -> bool {
        self == Self::Standing(Standing::Active)
    }
}

/// How a serial came to stand where it does: since which step it was in which phase.
pub(super) struct History {
    pub(super) phases: Vec<(u64, Phase)>,
    /// When it was reserved, by the true time.
    pub(super) begun: Timestamp,
}

impl History {
    pub(super) fn now(&self) -> Phase {
        self.phases[self.phases.len() - 1].1
    }

    /// Whether it was in such a phase at any time from the step `since` on.
    pub(super) fn was_since(&self, since: u64, such: impl Fn(Phase) -> bool) -> bool {
        let ended = self.phases.iter().skip(1).map(|(step, _)| *step).chain([u64::MAX]);
        self.phases.iter().zip(ended).any(|((_, phase), ended)| ended >= since && such(*phase))
    }
}

impl Auditor {
    pub(super) fn remember_issuances(&mut self, record: &Record) {
        self.numbers.clear();
        self.histories.clear();
        for (id, issuance) in &record.issuances {
            let reservation = &issuance.reservation;
            self.numbers.insert((reservation.authority.clone(), reservation.serial.clone()), *id);
            let history = History { phases: vec![(0, Phase::of(issuance))], begun: self.truth.now() };
            self.histories.insert(*id, history);
        }
    }

    pub(super) fn check_issuances(
        &mut self,
        record: &Record,
        method: StoreMethod,
        changes: &mut Vec<Change>,
    ) -> Finding {
        let mut new_rows = record.revocations.iter().skip(self.rows);
        for (id, issuance) in &record.issuances {
            let now = Phase::of(issuance);
            let Some(before) = self.histories.get(id).map(History::now) else {
                if method == StoreMethod::RecordLostSerial {
                    self.check_lost(*id, issuance, new_rows.next(), changes)?;
                    continue;
                }
                self.check_reserved(record, *id, issuance)?;
                continue;
            };
            self.check_adopted(*id, issuance, method)?;
            if before == now {
                continue;
            }
            let wrong = |what: String| format!("certificate {id} went from {before:?} to {now:?}: {what}");
            let actions = events_of(before, now, self.is_restoring()).ok_or_else(|| wrong("it may not".to_owned()))?;
            match now.revocation_told() {
                None if before == Phase::Reserved => self.check_completed(record, issuance).map_err(wrong)?,
                // Every other change is a row of the sequence.
                told => {
                    let standing = told.map_or(Standing::Active, Standing::Revoked);
                    check_row(new_rows.next(), issuance, standing).map_err(wrong)?;
                }
            }
            if now.revocation_told().is_some_and(|revocation| self.is_ahead(revocation.revoked_at, AHEAD)) {
                return Err(wrong("it is dated in the future".to_owned()));
            }
            changes.push(Change { actions, subject: format!("certificate:{id}") });
            let step = self.step;
            if let Some(history) = self.histories.get_mut(id) {
                history.phases.push((step, now));
            }
        }
        if new_rows.next().is_some() {
            return Err("the sequence of revocations tells of a change that is none".to_owned());
        }
        self.check_sequence(record)
    }

    /// From 1, without gaps but those of restorations; what was there stays.
    fn check_sequence(&mut self, record: &Record) -> Finding {
        for index in self.rows.saturating_sub(1)..record.revocations.len() {
            let row = &record.revocations[index];
            let before = index.checked_sub(1).map_or(0, |before| record.revocations[before].sequence);
            // A restoration leaves a gap before what comes after it.
            let expected =
                if index < self.rows { row.sequence.max(before + 1) } else { before.max(self.sequence_floor) + 1 };
            if row.sequence != expected {
                return Err(format!("the sequence of revocations has {} in place of {expected}", row.sequence));
            }
        }
        if record.revocations.len() < self.rows {
            return Err("the sequence of revocations became shorter".to_owned());
        }
        self.rows = record.revocations.len();
        Ok(())
    }

    /// A serial that a restoration knows as revoked, and nothing else of it.
    fn check_lost(
        &mut self,
        id: CertificateId,
        issuance: &Issuance,
        row: Option<&RevocationRow>,
        changes: &mut Vec<Change>,
    ) -> Finding {
        let reservation = &issuance.reservation;
        let number = (reservation.authority.clone(), reservation.serial.clone());
        let wrong = |what: &str| Err(format!("the lost serial {}: {what}", reservation.serial));
        let phase = Phase::of(issuance);
        let Phase::Abandoned(revocation) = phase else { return wrong("it is not revoked") };
        let late = self.came_too_late(&reservation.serial);
        if late.is_none() && !self.was_revoked(&number) {
            return wrong("it was never revoked");
        }
        if self.numbers.contains_key(&number) {
            return wrong("it is another's");
        }
        check_row(row, issuance, Standing::Revoked(revocation))?;
        changes.push(match late {
            // Told of the issuance that was given up.
            Some(made) => {
                let subject = format!("certificate:{}", made.id);
                Change { actions: &[AuditAction::IssuanceAbandoned], subject }
            }
            None => Change { actions: &[AuditAction::CertificateRevoked], subject: format!("certificate:{id}") },
        });
        self.numbers.insert(number, id);
        self.histories.insert(id, History { phases: vec![(self.step, phase)], begun: self.truth.now() });
        Ok(())
    }

    /// A new reservation.
    fn check_reserved(&mut self, record: &Record, id: CertificateId, issuance: &Issuance) -> Finding {
        let reservation = &issuance.reservation;
        let wrong = |what: &str| Err(format!("reservation {id}: {what}"));
        if !matches!(issuance.state, IssuanceState::Reserved) {
            return wrong("it is a certificate before it was reserved");
        }
        let number = (reservation.authority.clone(), reservation.serial.clone());
        self.check_past_serial(&number, &reservation.to_be_signed)?;
        if self.numbers.contains_key(&number) {
            return wrong("its serial number is another's");
        }
        if record.blocked_keys.contains(&reservation.spki_sha256) {
            return wrong("its key is blocked");
        }
        if let Some(what) = self.does_not_issue(reservation) {
            return wrong(what);
        }
        if self.is_ahead(reservation.reserved_at, AHEAD) {
            return wrong("it is dated in the future");
        }
        if let Some(token) = reservation.token.and_then(|token| record.tokens.get(&token))
            && token.withdrawn
        {
            return wrong("its token is withdrawn");
        }
        if let Some(twin) = self.twin(record, reservation) {
            return wrong(&format!("its idempotency key is that of {twin}"));
        }
        self.numbers.insert(number, id);
        let history = History { phases: vec![(self.step, Phase::Reserved)], begun: self.truth.now() };
        self.histories.insert(id, history);
        Ok(())
    }

    /// Another issuance that was asked for with the same idempotency key, which is still kept.
    fn twin(&self, record: &Record, reservation: &Reservation) -> Option<CertificateId> {
        let asked = reservation.idempotency.as_ref()?;
        let instant = reservation.reserved_at.max(self.truth.now());
        let twin = record.issuances.values().find(|other| {
            let idempotency = other.reservation.idempotency.as_ref();
            other.reservation.id != reservation.id
                && !self.past.without_key.contains(&other.reservation.id)
                && !matches!(other.state, IssuanceState::Abandoned(_))
                && idempotency.is_some_and(|idempotency| {
                    idempotency.scope_sha256 == asked.scope_sha256 && idempotency.expires_at > instant
                })
        });
        twin.map(|twin| twin.reservation.id)
    }

    /// At its completion neither its key nor its predecessor has fallen.
    fn check_completed(&self, record: &Record, issuance: &Issuance) -> Finding {
        if let IssuanceState::Issued { issued_at, .. } = issuance.state {
            if issued_at < issuance.reservation.reserved_at {
                return Err(format!("it was completed at {issued_at}, before it was reserved"));
            }
            if self.is_ahead(issued_at, AHEAD) {
                return Err(format!("it was completed at {issued_at}, in the future"));
            }
        }
        if self.issuer.is_some() {
            self.check_serial_of(issuance)?;
        }
        if record.blocked_keys.contains(&issuance.reservation.spki_sha256) {
            return Err("its key is blocked".to_owned());
        }
        let predecessor = issuance.reservation.renews.and_then(|renews| record.issuances.get(&renews));
        if predecessor.is_some_and(|predecessor| predecessor.standing() != Some(Standing::Active)) {
            return Err("its predecessor is not active".to_owned());
        }
        Ok(())
    }

    /// One live successor, reserved ones included.
    pub(super) fn check_successors(&self, record: &Record) -> Finding {
        let mut claimed = BTreeMap::new();
        for (id, issuance) in &record.issuances {
            let Some(predecessor) = issuance.reservation.renews.filter(|_| !Phase::of(issuance).is_final()) else {
                continue;
            };
            if let Some(other) = claimed.insert(predecessor, *id) {
                return Err(format!("certificate {predecessor} has two successors, {other} and {id}"));
            }
        }
        Ok(())
    }
}

/// The audit events that tell of a change; `None` when it is not legal.
fn events_of(before: Phase, now: Phase, restoring: bool) -> Option<&'static [AuditAction]> {
    match (before, now) {
        (Phase::Reserved, Phase::Standing(Standing::Active)) => Some(&ISSUED),
        (Phase::Reserved, Phase::Abandoned(_)) => Some(&[AuditAction::IssuanceAbandoned]),
        (Phase::Standing(_), Phase::Standing(Standing::Active)) => {
            (!before.is_final()).then_some(&[AuditAction::CertificateReleased])
        }
        (Phase::Standing(from), Phase::Standing(Standing::Revoked(to))) => {
            may_become(from, to, restoring).then_some(&[AuditAction::CertificateRevoked])
        }
        _ => None,
    }
}

/// The row of the sequence that tells of a change.
fn check_row(row: Option<&RevocationRow>, issuance: &Issuance, standing: Standing) -> Finding {
    let reservation = &issuance.reservation;
    let tells = |row: &RevocationRow| {
        row.serial == reservation.serial && row.authority == reservation.authority && row.standing == standing
    };
    if row.is_some_and(tells) { Ok(()) } else { Err(format!("the sequence of revocations says {row:?}")) }
}

const ISSUED: [AuditAction; 4] = [
    AuditAction::CertificateIssued,
    AuditAction::CertificateRenewed,
    AuditAction::CertificateRecovered,
    AuditAction::ResponderIssued,
];

/// A reason once given stays, but for a hold and for `keyCompromise`. The date stays, unless a restoration knows better: what stands
/// on a record that was set back may be an earlier hold, or one of a process that ran on over it.
fn may_become(from: Standing, to: Revocation, restoring: bool) -> bool {
    match from {
        Standing::Active => true,
        Standing::Revoked(earlier) => {
            let replaced =
                earlier.reason == RevocationReason::CertificateHold || to.reason == RevocationReason::KeyCompromise;
            replaced && earlier.reason != to.reason && (restoring || earlier.revoked_at == to.revoked_at)
        }
    }
}
