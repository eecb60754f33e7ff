//! Revocations since the backup: what the anchor's log and the last lists say of each serial, and making it stand so again.

use std::collections::BTreeMap;

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::crl::ParsedCrl;
use ca_core::id::{AuthorityId, CertificateId};
use ca_core::principal::Principal;
use ca_core::revocation::{Revocation, RevocationReason, Standing};
use ca_core::serial::Serial;
use ca_core::time::Timestamp;

use super::RestoreReport;
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::flow::revoke;
use crate::port::anchor::{Anchor, AnchorHead, ServiceDigest};
use crate::port::store::{ChangeOutcome, Journal, LostSerial, SerialState, StandingChange, StoredCertificate};

/// How a serial is to stand, as far as is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anchored {
    standing: Standing,
    /// From a list it is not known.
    not_after: Option<Timestamp>,
    blocked_key: Option<[u8; 32]>,
}

pub(super) type Standings = BTreeMap<(AuthorityId, Serial), Anchored>;

/// The last word on every serial. Within a generation the last row counts; between generations, of which nobody knows which came
/// first, a revocation outweighs its absence and a final one a hold.
pub(super) async fn standings(
    engine: &Engine,
    anchor: &dyn Anchor,
    service: &ServiceDigest,
    heads: &[AnchorHead],
    lists: &BTreeMap<AuthorityId, ParsedCrl>,
) -> Result<Standings, FlowError> {
    let mut all = Standings::new();
    for head in heads {
        let mut last = Standings::new();
        for anchored in anchor.revocations(service, head.generation, 0).await? {
            let row = anchored.row;
            let key = (row.authority, row.serial);
            // A key that was blocked stays so, whatever came after.
            let blocked_key =
                anchored.blocked_key.or_else(|| last.get(&key).and_then(|earlier: &Anchored| earlier.blocked_key));
            let standing = Anchored { standing: row.standing, not_after: Some(row.not_after), blocked_key };
            last.insert(key, standing);
        }
        for (key, standing) in last {
            match all.get_mut(&key) {
                Some(other) if weight(other.standing) >= weight(standing.standing) => {
                    other.blocked_key = other.blocked_key.or(standing.blocked_key);
                }
                _ => {
                    all.insert(key, standing);
                }
            }
        }
    }
    for (id, list) in lists {
        // What a certificate's end is, a list does not say; no certificate outlives its issuer.
        let end = engine.authority(id)?.facts().validity.not_after;
        for entry in list.entries() {
            let reason = entry.reason.and_then(|reason| RevocationReason::from_code(reason.code()));
            let revocation = Revocation {
                revoked_at: entry.revoked_at,
                reason: reason.unwrap_or(RevocationReason::Unspecified),
                invalidity_date: entry.invalidity_date,
            };
            let from_list =
                Anchored { standing: Standing::Revoked(revocation), not_after: Some(end), blocked_key: None };
            all.entry((id.clone(), entry.serial)).or_insert(from_list);
        }
    }
    Ok(all)
}

fn weight(standing: Standing) -> u8 {
    match standing {
        Standing::Active => 0,
        Standing::Revoked(Revocation { reason: RevocationReason::CertificateHold, .. }) => 1,
        Standing::Revoked(Revocation { reason: RevocationReason::KeyCompromise, .. }) => 3,
        Standing::Revoked(_) => 2,
    }
}

/// Makes a serial stand as the anchor says, unless it stands so, or heavier, already.
pub(super) async fn take_over(
    engine: &Engine,
    principal: &Principal,
    authority: &AuthorityId,
    serial: &Serial,
    anchored: &Anchored,
    report: &mut RestoreReport,
) -> Result<(), FlowError> {
    let named = || (authority.clone(), serial.clone());
    let status = engine.store().status(authority, serial).await?;
    let Standing::Revoked(revocation) = anchored.standing else {
        // A hold that was ended since: to hold on is safe, to let go is the operator's to decide.
        if status.is_some_and(|status| matches!(status.state, SerialState::Issued(standing) if weight(standing) == 1)) {
            report.held_again.push(named());
        }
        return Ok(());
    };
    match status.map(|status| status.state) {
        None => {
            record_lost(engine, principal, authority, serial, &revocation, anchored).await?;
            report.lost.push(named());
        }
        Some(SerialState::Issued(standing)) if weight(standing) < weight(anchored.standing) => {
            match engine.store().certificate_by_serial(authority, serial).await? {
                Some(certificate) => {
                    change(engine, principal, &certificate, revocation).await?;
                    report.revoked.push(named());
                }
                // It ended long before it was removed: nobody may rely on it, whatever is said of it.
                None => report.removed.push(named()),
            }
        }
        // As it should be; or abandoned a moment ago, which answers as revoked too.
        Some(SerialState::Issued(_) | SerialState::Abandoned(_) | SerialState::Reserved) => {}
    }
    Ok(())
}

async fn change(
    engine: &Engine,
    principal: &Principal,
    certificate: &StoredCertificate,
    revocation: Revocation,
) -> Result<(), FlowError> {
    let subject = format!("certificate:{}", certificate.id);
    let event = revocation_event(engine, principal, subject, &certificate.authority, &certificate.serial, &revocation);
    // Whoever is told of revocations was told already, perhaps; the outbox is as old as the record, so they are told again.
    let message = revoke::message("certificate.revoked", certificate, Some(revocation.reason), &Default::default());
    let change = StandingChange {
        id: certificate.id,
        from: certificate.standing,
        to: Standing::Revoked(revocation),
        compromised_since: revoke::compromised_since(certificate, &revocation),
        journal: Journal::of(event).telling(message),
    };
    match engine.store().change_standing(change).await? {
        ChangeOutcome::Applied { .. } => Ok(()),
        ChangeOutcome::Stale => Err(FlowError::new(
            FlowErrorKind::Overloaded,
            "another process changes the record while it is restored; stop it and try again",
        )),
    }
}

async fn record_lost(
    engine: &Engine,
    principal: &Principal,
    authority: &AuthorityId,
    serial: &Serial,
    revocation: &Revocation,
    anchored: &Anchored,
) -> Result<(), FlowError> {
    let id = CertificateId::new(engine.now(), engine.random()?);
    // A hold of what is not on record could never be ended: it is revoked, and its holder asks for another.
    let reason = match revocation.reason {
        RevocationReason::CertificateHold => RevocationReason::Unspecified,
        reason => reason,
    };
    let revocation = Revocation { reason, ..*revocation };
    let event = revocation_event(engine, principal, format!("certificate:{id}"), authority, serial, &revocation);
    let not_after = match anchored.not_after {
        Some(not_after) => not_after,
        None => engine.authority(authority)?.facts().validity.not_after,
    };
    let lost = LostSerial {
        id,
        authority: authority.clone(),
        serial: serial.clone(),
        revocation,
        not_after,
        blocked_key: anchored.blocked_key,
        journal: Journal::of(event),
    };
    engine.store().record_lost_serial(lost).await?;
    Ok(())
}

fn revocation_event(
    engine: &Engine,
    principal: &Principal,
    subject: String,
    authority: &AuthorityId,
    serial: &Serial,
    revocation: &Revocation,
) -> AuditEvent {
    AuditEvent::new(engine.now(), AuditAction::CertificateRevoked, principal.reference(), subject)
        .with("authority", authority)
        .with("serial", serial)
        .with("reason", revocation.reason)
        .with("revoked_at", revocation.revoked_at)
        .with("source", "anchor")
}
