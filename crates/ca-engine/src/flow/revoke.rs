//! Revocation, hold and release: one committed change each, after which no replica says `good`.
//!
//! Caches and the CRL job follow the revocation sequence of the record; this flow tells nobody else.

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::id::{BulkRevocationId, CertificateId};
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

/// What came of a revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// The certificate as it stands now.
    pub certificate: StoredCertificate,
    /// What a compromise reaches besides; nothing for other reasons.
    pub reach: Reach,
}

/// What the compromise of a certificate's key reaches besides that certificate: it stands until it is revoked itself. In order of
/// id, without what is revoked for good already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Other certificates of the same key.
    pub same_key: Vec<CertificateId>,
    /// Certificates that descend from it by a renewal since the key is not to be trusted: who had the key may have made them.
    pub successors: Vec<CertificateId>,
}

/// By whom and with what a revocation was asked for, as its event tells it.
pub(super) struct Asked {
    /// A principal reference.
    pub(super) principal: String,
    /// The request it came with.
    pub(super) request_id: Option<String>,
    /// What it is a part of.
    pub(super) bulk_revocation: Option<BulkRevocationId>,
}

/// Revokes a certificate, or puts it on hold when the reason is `certificateHold`. Asking again with the same reason is
/// harmless and answers with the record as it stands.
///
/// `keyCompromise` also blocks the public key for ever, and takes the roles from the certificates that descend from it by a
/// renewal since the invalidity date (since ever when none is given). Event and answer name what else it reaches ([`Reach`]).
pub async fn revoke(engine: &Engine, principal: &Principal, request: &RevokeRequest) -> Result<Revoked, FlowError> {
    revoke_by(engine, principal, request, Warrant::Policy).await
}

/// Revokes a certificate of an authority that issues elsewhere, since its issuer says on a list that it signed that it is revoked:
/// that is no matter of the access policy.
pub(super) async fn revoke_by_issuer(
    engine: &Engine,
    principal: &Principal,
    request: &RevokeRequest,
) -> Result<Revoked, FlowError> {
    revoke_by(engine, principal, request, Warrant::Issuer).await
}

/// Revokes a certificate that its successor took the place of, since who defined the managed certificate asked for that: the access
/// policy was asked then.
pub(super) async fn revoke_superseded(
    engine: &Engine,
    principal: &Principal,
    certificate: CertificateId,
) -> Result<Revoked, FlowError> {
    let request =
        RevokeRequest { certificate, reason: RevocationReason::Superseded, invalidity_date: None, request_id: None };
    revoke_by(engine, principal, &request, Warrant::Rotation).await
}

/// By what right a certificate is revoked.
#[derive(Clone, Copy)]
enum Warrant {
    /// The access policy permits it to who asks.
    Policy,
    /// Its issuer has signed that it is.
    Issuer,
    /// Another took its place.
    Rotation,
}

async fn revoke_by(
    engine: &Engine,
    principal: &Principal,
    request: &RevokeRequest,
    warrant: Warrant,
) -> Result<Revoked, FlowError> {
    engine.check_anchor()?;
    let asked =
        Asked { principal: principal.reference(), request_id: request.request_id.clone(), bulk_revocation: None };
    for _ in 0..MAXIMUM_ATTEMPTS {
        // 1. Who asks may revoke this certificate.
        let id = request.certificate;
        let mut certificate = match warrant {
            Warrant::Policy => query::permitted_certificate(engine, principal, Action::RevokeCertificate, id).await?,
            Warrant::Issuer | Warrant::Rotation => query::resolve(engine, &query::CertificateName::Id(id)).await?,
        };
        check_offered(engine, &certificate, request.reason)?;
        // 2. The change is legal from where the certificate stands.
        let now = dependable_now(engine).await?;
        let decided = revocation::revoke(certificate.standing, request.reason, request.invalidity_date, now);
        let revocation = match decided.map_err(refused)? {
            RevocationChange::AlreadyDone(revocation) => {
                forget(engine, &certificate);
                forget_if_ours(engine, &certificate).await;
                let reach = reach(engine, &certificate, &revocation).await?;
                return Ok(Revoked { certificate, reach });
            }
            RevocationChange::Becomes(revocation) => revocation,
        };
        // 3. One commit, against the standing seen: state, sequence, blocked key, lost roles, audit, outbox.
        let reach = reach(engine, &certificate, &revocation).await?;
        let change = StandingChange {
            id: certificate.id,
            from: certificate.standing,
            to: Standing::Revoked(revocation),
            compromised_since: compromised_since(&certificate, &revocation),
            journal: revocation_journal(&asked, &certificate, &revocation, &reach, now),
        };
        match change_standing(engine, &certificate, change).await {
            Ok(ChangeOutcome::Applied { .. }) => {
                certificate.standing = Standing::Revoked(revocation);
                forget_if_ours(engine, &certificate).await;
                // Again, since something may have been issued for the key after the look before; from the commit on nothing is. It
                // is revoked whether this can be told or not.
                let reach = self::reach(engine, &certificate, &revocation).await.unwrap_or(reach);
                return Ok(Revoked { certificate, reach });
            }
            // Done or not, the next look at the record tells: a change that is there is not made again.
            Ok(ChangeOutcome::Stale) | Err(StoreError::Unknown { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(overtaken())
}

/// An issuer elsewhere knows no hold: what is on hold here would stay valid for who asks there.
pub(super) fn check_offered(
    engine: &Engine,
    certificate: &StoredCertificate,
    reason: RevocationReason,
) -> Result<(), FlowError> {
    let elsewhere = engine.authority(&certificate.authority).is_ok_and(|authority| authority.issues_elsewhere());
    if reason != RevocationReason::CertificateHold || !elsewhere {
        return Ok(());
    }
    let message = format!(
        "authority {} has its certificates made by AWS Private CA, which knows no certificateHold; revoke for good, with another reason",
        certificate.authority
    );
    Err(FlowError::invalid("hold-not-offered", "/reason", message))
}

/// Ends a hold.
pub async fn unhold(
    engine: &Engine,
    principal: &Principal,
    id: CertificateId,
    request_id: Option<&str>,
) -> Result<StoredCertificate, FlowError> {
    engine.check_anchor()?;
    let mut unacknowledged = false;
    for _ in 0..MAXIMUM_ATTEMPTS {
        let mut certificate = query::permitted_certificate(engine, principal, Action::ReleaseCertificate, id).await?;
        match revocation::unhold(certificate.standing) {
            // It was our change whose acknowledgement was lost.
            Err(RevocationError::NotHeld) if unacknowledged => {
                forget(engine, &certificate);
                return Ok(certificate);
            }
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
            compromised_since: None,
            journal: release_journal(principal, &certificate, request_id, dependable_now(engine).await?),
        };
        match change_standing(engine, &certificate, change).await {
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

/// One commit, after which this process believes nothing of what it has signed before about the certificate; others learn of it by
/// the sequence. Whatever the outcome: an acknowledgement may be lost, and what is dropped without need is signed anew.
async fn change_standing(
    engine: &Engine,
    certificate: &StoredCertificate,
    change: StandingChange,
) -> Result<ChangeOutcome, StoreError> {
    let outcome = engine.store().change_standing(change).await;
    forget(engine, certificate);
    outcome
}

/// What is acknowledged here is told here from then on, also where another process made the change, or where this one did and
/// something was signed between the loss of the acknowledgement and the commit.
fn forget(engine: &Engine, certificate: &StoredCertificate) {
    engine.standing_changed(&certificate.authority, &certificate.serial);
}

/// An authority or responder that is revoked, or released, is used otherwise from now on. Here at once where the record can be
/// read; everywhere with the next reading of the hierarchy.
async fn forget_if_ours(engine: &Engine, certificate: &StoredCertificate) {
    let kind = engine.profiles().get(&certificate.profile).map(|profile| profile.kind());
    if kind.is_none_or(|kind| kind != ProfileKind::Leaf) {
        let _ = engine.reload_hierarchy().await;
    }
}

/// Since when the key of a certificate is not to be trusted; `None` when the reason is another.
pub(super) fn compromised_since(certificate: &StoredCertificate, revocation: &Revocation) -> Option<Timestamp> {
    let since = revocation.invalidity_date.unwrap_or(certificate.validity.not_before);
    (revocation.reason == RevocationReason::KeyCompromise).then_some(since)
}

pub(super) async fn reach(
    engine: &Engine,
    certificate: &StoredCertificate,
    revocation: &Revocation,
) -> Result<Reach, FlowError> {
    let Some(since) = compromised_since(certificate, revocation) else { return Ok(Reach::default()) };
    let mut same_key: Vec<CertificateId> = query::others_with_key(engine, certificate)
        .await?
        .iter()
        .filter(|other| is_live(other))
        .map(|other| other.id)
        .collect();
    same_key.sort_unstable();
    let mut successors = Vec::new();
    for id in engine.store().descendants(certificate.id, since).await? {
        successors.extend(engine.store().certificate(id).await?.filter(is_live).map(|successor| successor.id));
    }
    Ok(Reach { same_key, successors })
}

/// Whether it is not revoked for good yet.
fn is_live(certificate: &StoredCertificate) -> bool {
    match certificate.standing {
        Standing::Active => true,
        Standing::Revoked(revocation) => revocation.reason == RevocationReason::CertificateHold,
    }
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
    Journal::of(event).telling(message("certificate.released", certificate, None, &Reach::default()))
}

pub(super) fn revocation_journal(
    asked: &Asked,
    certificate: &StoredCertificate,
    revocation: &Revocation,
    reach: &Reach,
    now: Timestamp,
) -> Journal {
    let mut event = AuditEvent::new(
        now,
        AuditAction::CertificateRevoked,
        asked.principal.as_str(),
        format!("certificate:{}", certificate.id),
    )
    .with("authority", &certificate.authority)
    .with("serial", &certificate.serial)
    .with("reason", revocation.reason)
    .in_request(asked.request_id.as_deref());
    if let Some(id) = asked.bulk_revocation {
        event = event.with("bulk_revocation", id);
    }
    if let Some(date) = revocation.invalidity_date {
        event = event.with("invalidity_date", date);
    }
    if let Standing::Revoked(earlier) = certificate.standing {
        event = event.with("earlier_reason", earlier.reason);
    }
    for (name, ids) in [("same_key", &reach.same_key), ("successors", &reach.successors)] {
        if !ids.is_empty() {
            event = event.with(name, texts(ids).join(" "));
        }
    }
    Journal::of(event).telling(message("certificate.revoked", certificate, Some(revocation.reason), reach))
}

/// A message about a certificate, without personal data.
pub(super) fn message(
    topic: &'static str,
    certificate: &StoredCertificate,
    reason: Option<RevocationReason>,
    reach: &Reach,
) -> OutboxMessage {
    let payload = serde_json::json!({
        "authority": certificate.authority.as_str(),
        "certificate": certificate.id.to_string(),
        "profile": certificate.profile.as_str(),
        "reason": reason.map(RevocationReason::as_str),
        "same_key": texts(&reach.same_key),
        "serial": certificate.serial.to_string(),
        "successors": texts(&reach.successors),
    });
    OutboxMessage { topic, certificate: Some(certificate.id), payload: payload.to_string() }
}

fn texts(ids: &[CertificateId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

pub(super) fn refused(error: RevocationError) -> FlowError {
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
