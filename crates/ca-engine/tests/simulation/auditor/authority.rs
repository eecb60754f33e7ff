//! Authorities: what one is stays; a generation is whole before it is announced, issues from then on and no more once it retires, and
//! answers for what it issued.

use ca_core::audit::AuditAction;
use ca_core::certificate::Certificate;
use ca_core::id::AuthorityId;
use ca_core::revocation::Standing;
use ca_engine::fake::{IssuanceState, Record};
use ca_engine::generation::{generation_in, line_of};
use ca_engine::port::clock::Clock;
use ca_engine::port::store::{AuthorityRecord, AuthorityState, NOT_ANNOUNCED, Reservation};

use super::{AHEAD, Auditor, Change, Finding};

/// The profile of responders: a generation that retires has them made as long as it answers.
const RESPONDER: &str = "ocsp-responder";

impl Auditor {
    pub(super) fn check_authorities(&mut self, record: &Record, changes: &mut Vec<Change>) -> Finding {
        if self.duties.keys().any(|id| !record.authorities.contains_key(id)) {
            return Err("an authority is gone from the record".to_owned());
        }
        for (id, authority) in &record.authorities {
            let (duty, before) = (authority.duty(), self.duties.get(id).copied());
            let known = self.issuers.get(id).map(Certificate::der);
            if before.is_some() && known != Some(&authority.certificate_der[..]) {
                return Err(format!("authority {id} has another certificate"));
            }
            if before == Some(duty) {
                continue;
            }
            let wrong = |what: &str| format!("authority {id} went from {before:?} to {duty:?}: {what}");
            let action = match (before.map(|before| (before.state, before.issues_from)), duty.state) {
                (None, AuthorityState::Active) => {
                    check_new(record, authority).map_err(wrong)?;
                    let certificate =
                        Certificate::from_der(&authority.certificate_der).map_err(|error| error.to_string())?;
                    self.issuers.insert(id.clone(), certificate);
                    AuditAction::AuthorityCreated
                }
                (Some((AuthorityState::Active, NOT_ANNOUNCED)), AuthorityState::Active) => {
                    check_whole(record, id).map_err(wrong)?;
                    self.tally.generations += 1;
                    AuditAction::AuthorityAnnounced
                }
                (Some((AuthorityState::Active, _)), AuthorityState::Retiring) => {
                    self.check_succeeded(record, id).map_err(wrong)?;
                    AuditAction::AuthorityRetiring
                }
                (Some((AuthorityState::Retiring, _)), AuthorityState::Retired) => {
                    self.check_done(record, id).map_err(wrong)?;
                    AuditAction::AuthorityRetired
                }
                _ => return Err(wrong("it may not")),
            };
            let actions = match action {
                AuditAction::AuthorityCreated => &[AuditAction::AuthorityCreated],
                AuditAction::AuthorityAnnounced => &[AuditAction::AuthorityAnnounced],
                AuditAction::AuthorityRetiring => &[AuditAction::AuthorityRetiring],
                _ => &[AuditAction::AuthorityRetired],
            };
            changes.push(Change { actions, subject: format!("authority:{id}") });
            self.duties.insert(id.clone(), duty);
        }
        Ok(())
    }

    /// Why nothing may be reserved of an authority now; responders apart, which it needs as long as it answers.
    pub(super) fn does_not_issue(&self, reservation: &Reservation) -> Option<&'static str> {
        let duty = self.duties.get(&reservation.authority)?;
        if reservation.profile.as_str() == RESPONDER {
            return (duty.state == AuthorityState::Retired)
                .then_some("it is a responder of a generation that is retired");
        }
        if duty.state != AuthorityState::Active {
            return Some("its generation issues no more");
        }
        // Whoever reserved it may have a clock that is ahead.
        let is_early = duty.issues_from == NOT_ANNOUNCED || self.is_ahead(duty.issues_from, AHEAD);
        is_early.then_some("its generation does not issue yet")
    }

    /// A later generation has issued for long enough that nobody issues from this one.
    fn check_succeeded(&self, record: &Record, id: &AuthorityId) -> Result<(), &'static str> {
        let (line, now) = (line_of(id), self.truth.now());
        let own = generation_in(&line, id);
        let later = record.authorities.iter().filter(|(other, _)| generation_in(&line, other) > own);
        let issues = |authority: &AuthorityRecord| {
            authority.state == AuthorityState::Active && authority.issues_from <= now.plus(AHEAD)
        };
        match later.into_iter().any(|(_, authority)| issues(authority)) {
            true => Ok(()),
            false => Err("no later one issues"),
        }
    }

    /// Nothing that it answers for lives, by any clock, and its last list has all that it revoked.
    fn check_done(&self, record: &Record, id: &AuthorityId) -> Result<(), &'static str> {
        let now = self.truth.now().plus(AHEAD);
        let own_end = self.issuers.get(id).map(|certificate| certificate.validity().not_after);
        if own_end.is_some_and(|end| end < now) {
            return Ok(());
        }
        let lives = record.issuances.values().any(|issuance| {
            let reservation = &issuance.reservation;
            reservation.authority == *id
                && reservation.profile.as_str() != RESPONDER
                && reservation.validity.not_after > now
                && matches!(issuance.state, IssuanceState::Reserved | IssuanceState::Issued { .. })
        });
        if lives {
            return Err("a certificate of it lives");
        }
        self.check_list_is_whole(id).map_err(|_| "its last list lacks a revocation")
    }

    /// Every generation that is not retired has a list with all that it revoked, and one of each line issues.
    pub(crate) fn check_generations_at_last(&self) -> Finding {
        let answering = self.duties.iter().filter(|(_, duty)| duty.state != AuthorityState::Retired);
        for (id, _) in answering.filter(|(id, _)| id.as_str() != "root") {
            self.check_list_is_whole(id)?;
        }
        for line in crate::foundation::ONLINE.map(crate::foundation::authority) {
            let mut generations = self.duties.iter().filter(|(id, _)| generation_in(&line, id).is_some());
            if !generations
                .any(|(_, duty)| duty.state == AuthorityState::Active && duty.issues_from <= self.truth.now())
            {
                return Err(format!("no generation of {line} issues"));
            }
        }
        Ok(())
    }
}

/// An authority that is new is on record by a certificate that is, and is not announced.
fn check_new(record: &Record, authority: &AuthorityRecord) -> Result<(), &'static str> {
    let issuance = record.issuances.get(&authority.certificate);
    let is_its_own = issuance.is_some_and(|issuance| match &issuance.state {
        IssuanceState::Issued { certificate, .. } => *certificate == authority.certificate_der,
        _ => false,
    });
    if !is_its_own {
        return Err("its certificate is not on record");
    }
    if authority.issues_from != NOT_ANNOUNCED {
        return Err("it was never announced");
    }
    Ok(())
}

/// Relying parties find its list and its responder before it issues.
fn check_whole(record: &Record, id: &AuthorityId) -> Result<(), &'static str> {
    if !record.crls.iter().any(|((authority, _), row)| authority == id && row.der.is_some()) {
        return Err("it has no list");
    }
    let is_responder = |issuance: &&ca_engine::fake::Issuance| {
        issuance.reservation.authority == *id && issuance.reservation.profile.as_str() == RESPONDER
    };
    let mut responders = record.issuances.values().filter(is_responder);
    match responders.any(|responder| responder.standing() == Some(Standing::Active)) {
        true => Ok(()),
        false => Err("it has no responder"),
    }
}
