//! Revocation, hold and release: one committed change each, after which no replica says `good`.
//!
//! Caches and the CRL job follow the revocation sequence of the record; this flow tells nobody else.

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::id::CertificateId;
use ca_core::principal::Principal;
use ca_core::profile::ProfileKind;
use ca_core::revocation::{self, Revocation, RevocationChange, RevocationError, RevocationReason, Standing};
use ca_core::time::Timestamp;

use super::query;
use super::watch_clock::dependable_now;
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::port::authorizer::Action;
use crate::port::store::{ChangeOutcome, Journal, OutboxMessage, StandingChange, StoreError, StoredCertificate};

/// How often a change is decided anew when another came first.
const MAXIMUM_ATTEMPTS: usize = 8;

/// A request to revoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeRequest {
    /// Which certificate.
    pub certificate: CertificateId,
    /// Why.
    pub reason: RevocationReason,
    /// Since when the key is not to be trusted.
    pub invalidity_date: Option<Timestamp>,
    /// The request it came with.
    pub request_id: Option<String>,
}

/// Revokes a certificate, or puts it on hold when the reason is `certificateHold`. Asking again with the same reason is
/// harmless and answers with the record as it stands. `keyCompromise` also blocks the public key for ever; the event names the
/// other certificates of that key, which stand until they are revoked themselves.
pub async fn revoke(
    engine: &Engine,
    principal: &Principal,
    request: &RevokeRequest,
) -> Result<StoredCertificate, FlowError> {
    for _ in 0..MAXIMUM_ATTEMPTS {
        // 1. Who asks may revoke this certificate.
        let mut certificate =
            query::permitted_certificate(engine, principal, Action::RevokeCertificate, request.certificate).await?;
        // 2. The change is legal from where the certificate stands.
        let now = dependable_now(engine).await?;
        let decided = revocation::revoke(certificate.standing, request.reason, request.invalidity_date, now);
        let revocation = match decided.map_err(refused)? {
            RevocationChange::AlreadyDone(_) => return Ok(certificate),
            RevocationChange::Becomes(revocation) => revocation,
        };
        // 3. One commit, against the standing seen: state, sequence, blocked key, audit, outbox.
        let same_key = match request.reason {
            RevocationReason::KeyCompromise => live_with_key(engine, &certificate).await?,
            _ => Vec::new(),
        };
        let change = StandingChange {
            id: certificate.id,
            from: certificate.standing,
            to: Standing::Revoked(revocation),
            block_key: request.reason == RevocationReason::KeyCompromise,
            journal: revocation_journal(principal, request, &certificate, &revocation, &same_key, now),
        };
        match engine.store().change_standing(change).await {
            Ok(ChangeOutcome::Applied { .. }) => {
                certificate.standing = Standing::Revoked(revocation);
                forget_if_ours(engine, &certificate).await;
                return Ok(certificate);
            }
            // Done or not, the next look at the record tells: a change that is there is not made again.
            Ok(ChangeOutcome::Stale) | Err(StoreError::Unknown { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(overtaken())
}

/// Ends a hold.
pub async fn unhold(
    engine: &Engine,
    principal: &Principal,
    id: CertificateId,
    request_id: Option<&str>,
) -> Result<StoredCertificate, FlowError> {
    let mut unacknowledged = false;
    for _ in 0..MAXIMUM_ATTEMPTS {
        let mut certificate = query::permitted_certificate(engine, principal, Action::ReleaseCertificate, id).await?;
        match revocation::unhold(certificate.standing) {
            // It was our change whose acknowledgement was lost.
            Err(RevocationError::NotHeld) if unacknowledged => return Ok(certificate),
            decided => decided.map_err(refused)?,
        }
        if engine.store().is_key_blocked(&certificate.spki_sha256).await? {
            return Err(FlowError::new(
                FlowErrorKind::KeyBlocked,
                "the certificate's key was reported as compromised meanwhile, so the hold cannot end; revoke it",
            ));
        }
        let change = StandingChange {
            id,
            from: certificate.standing,
            to: Standing::Active,
            block_key: false,
            journal: release_journal(principal, &certificate, request_id, dependable_now(engine).await?),
        };
        match engine.store().change_standing(change).await {
            Ok(ChangeOutcome::Applied { .. }) => {
                certificate.standing = Standing::Active;
                forget_if_ours(engine, &certificate).await;
                return Ok(certificate);
            }
            Ok(ChangeOutcome::Stale) => {}
            Err(StoreError::Unknown { .. }) => unacknowledged = true,
            Err(error) => return Err(error.into()),
        }
    }
    Err(overtaken())
}

/// An authority or responder that is revoked, or released, is used otherwise from now on. Here at once where the record can be
/// read; everywhere with the next reading of the hierarchy.
async fn forget_if_ours(engine: &Engine, certificate: &StoredCertificate) {
    let kind = engine.profiles().get(&certificate.profile).map(|profile| profile.kind());
    if kind.is_none_or(|kind| kind != ProfileKind::Leaf) {
        let _ = engine.reload_hierarchy().await;
    }
}

/// The other certificates of a compromised key that are not revoked for good yet.
async fn live_with_key(engine: &Engine, certificate: &StoredCertificate) -> Result<Vec<CertificateId>, FlowError> {
    let others = query::others_with_key(engine, certificate).await?;
    let live = others.into_iter().filter(|other| match other.standing {
        Standing::Active => true,
        Standing::Revoked(revocation) => revocation.reason == RevocationReason::CertificateHold,
    });
    Ok(live.map(|other| other.id).collect())
}

fn release_journal(
    principal: &Principal,
    certificate: &StoredCertificate,
    request_id: Option<&str>,
    now: Timestamp,
) -> Journal {
    let subject = format!("certificate:{}", certificate.id);
    let event = AuditEvent::new(now, AuditAction::CertificateReleased, principal.reference(), subject)
        .with("authority", &certificate.authority)
        .with("serial", &certificate.serial)
        .in_request(request_id);
    Journal::of(event).telling(message("certificate.released", certificate, None, &[]))
}

fn revocation_journal(
    principal: &Principal,
    request: &RevokeRequest,
    certificate: &StoredCertificate,
    revocation: &Revocation,
    same_key: &[CertificateId],
    now: Timestamp,
) -> Journal {
    let mut event = AuditEvent::new(
        now,
        AuditAction::CertificateRevoked,
        principal.reference(),
        format!("certificate:{}", certificate.id),
    )
    .with("authority", &certificate.authority)
    .with("serial", &certificate.serial)
    .with("reason", revocation.reason)
    .in_request(request.request_id.as_deref());
    if let Some(date) = revocation.invalidity_date {
        event = event.with("invalidity_date", date);
    }
    if let Standing::Revoked(earlier) = certificate.standing {
        event = event.with("earlier_reason", earlier.reason);
    }
    if !same_key.is_empty() {
        let ids: Vec<String> = same_key.iter().map(ToString::to_string).collect();
        event = event.with("same_key", ids.join(" "));
    }
    Journal::of(event).telling(message("certificate.revoked", certificate, Some(revocation.reason), same_key))
}

/// A message about a certificate, without personal data.
fn message(
    topic: &'static str,
    certificate: &StoredCertificate,
    reason: Option<RevocationReason>,
    same_key: &[CertificateId],
) -> OutboxMessage {
    let payload = serde_json::json!({
        "authority": certificate.authority.as_str(),
        "certificate": certificate.id.to_string(),
        "profile": certificate.profile.as_str(),
        "reason": reason.map(RevocationReason::as_str),
        "same_key": same_key.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "serial": certificate.serial.to_string(),
    });
    OutboxMessage { topic, certificate: Some(certificate.id), payload: payload.to_string() }
}

fn refused(error: RevocationError) -> FlowError {
    match error {
        RevocationError::AlreadyRevoked { .. } | RevocationError::RevokedForGood { .. } => {
            FlowError::new(FlowErrorKind::AlreadyRevoked, error.to_string())
        }
        RevocationError::NotHeld => FlowError::new(FlowErrorKind::NotHeld, error.to_string()),
        RevocationError::InvalidityDateInTheFuture => {
            FlowError::invalid("invalidity-date-in-future", "/invalidity_date", error.to_string())
        }
    }
}

fn overtaken() -> FlowError {
    FlowError::new(FlowErrorKind::Overloaded, "the certificate is being changed by others at this moment; try again")
}
