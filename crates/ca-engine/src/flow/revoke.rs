//! Revocation, hold and release: one committed change each, after which no replica says `good`.
//!
//! Caches and the CRL job follow the revocation sequence of the record; this flow tells nobody else.

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::id::CertificateId;
use ca_core::principal::Principal;
use ca_core::revocation::{self, Revocation, RevocationChange, RevocationError, RevocationReason, Standing};
use ca_core::time::Timestamp;

use super::query;
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::port::authorizer::Action;
use crate::port::store::{ChangeOutcome, Journal, OutboxMessage, StandingChange, StoredCertificate};

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
/// harmless and answers with the record as it stands. `keyCompromise` also blocks the public key for ever.
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
        let now = engine.now();
        let decided = revocation::revoke(certificate.standing, request.reason, request.invalidity_date, now);
        let revocation = match decided.map_err(refused)? {
            RevocationChange::AlreadyDone(_) => return Ok(certificate),
            RevocationChange::Becomes(revocation) => revocation,
        };
        // 3. One commit, against the standing seen: state, sequence, blocked key, audit, outbox.
        let change = StandingChange {
            id: certificate.id,
            from: certificate.standing,
            to: Standing::Revoked(revocation),
            block_key: request.reason == RevocationReason::KeyCompromise,
            journal: revocation_journal(principal, request, &certificate, &revocation, now),
        };
        match engine.store().change_standing(change).await? {
            ChangeOutcome::Applied { .. } => {
                certificate.standing = Standing::Revoked(revocation);
                return Ok(certificate);
            }
            ChangeOutcome::Stale => {}
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
    for _ in 0..MAXIMUM_ATTEMPTS {
        let mut certificate = query::permitted_certificate(engine, principal, Action::ReleaseCertificate, id).await?;
        revocation::unhold(certificate.standing).map_err(refused)?;
        let event = AuditEvent::new(
            engine.now(),
            AuditAction::CertificateReleased,
            principal.reference(),
            format!("certificate:{id}"),
        )
        .with("authority", &certificate.authority)
        .with("serial", &certificate.serial)
        .in_request(request_id);
        let change = StandingChange {
            id,
            from: certificate.standing,
            to: Standing::Active,
            block_key: false,
            journal: Journal::of(event).telling(message("certificate.released", &certificate, None)),
        };
        match engine.store().change_standing(change).await? {
            ChangeOutcome::Applied { .. } => {
                certificate.standing = Standing::Active;
                return Ok(certificate);
            }
            ChangeOutcome::Stale => {}
        }
    }
    Err(overtaken())
}

fn revocation_journal(
    principal: &Principal,
    request: &RevokeRequest,
    certificate: &StoredCertificate,
    revocation: &Revocation,
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
    Journal::of(event).telling(message("certificate.revoked", certificate, Some(revocation.reason)))
}

/// A message about a certificate, without personal data.
fn message(topic: &'static str, certificate: &StoredCertificate, reason: Option<RevocationReason>) -> OutboxMessage {
    let payload = serde_json::json!({
        "authority": certificate.authority.as_str(),
        "certificate": certificate.id.to_string(),
        "profile": certificate.profile.as_str(),
        "reason": reason.map(RevocationReason::as_str),
        "serial": certificate.serial.to_string(),
    });
    OutboxMessage { topic, certificate: Some(certificate.id), payload: payload.to_string() }
}

fn refused(error: RevocationError) -> FlowError {
    match error {
        RevocationError::AlreadyRevoked { .. } => FlowError::new(FlowErrorKind::AlreadyRevoked, error.to_string()),
        RevocationError::NotHeld => FlowError::new(FlowErrorKind::NotHeld, error.to_string()),
        RevocationError::InvalidityDateInTheFuture => {
            FlowError::invalid("invalidity-date-in-future", "/invalidity_date", error.to_string())
        }
    }
}

fn overtaken() -> FlowError {
    FlowError::new(FlowErrorKind::Overloaded, "the certificate is being changed by others at this moment; try again")
}
