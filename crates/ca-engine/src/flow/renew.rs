//! The successor of a certificate: same names, new validity, usually a new key; today's profile and policy decide again.
//!
//! The predecessor stays valid until it expires or is revoked. It has one live successor.

use std::fmt;

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::certificate::Certificate;
use ca_core::csr::ParsedCsr;
use ca_core::hash::sha256;
use ca_core::key::PublicKey;
use ca_core::policy::{CertificateRequest, Origin};
use ca_core::principal::Principal;
use ca_core::profile::Profile;
use ca_core::renewal::{RenewalWindow, ask_again_after};
use ca_core::revocation::{RevocationReason, Standing};
use ca_core::template::Issuer;
use ca_core::time::{Lifetime, Timestamp};

use super::issuance::{AskedOnce, Issued, Order, carry_out, elsewhere, is_held_by};
use super::issue::{evaluate, issuing_authority, origin, profile, scope};
use super::query::{CertificateName, permitted, resolve};
use super::renewal_period;
use super::shards;
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::port::authorizer::Action;
use crate::port::store::{Journal, OutboxMessage, StoredCertificate};

/// A request for the successor of a certificate.
#[derive(Clone)]
pub struct RenewRequest {
    /// Which certificate.
    pub certificate: CertificateName,
    /// The new key; `None` keeps the old one.
    pub csr: Option<ParsedCsr>,
    /// The lifetime; the profile's default when absent.
    pub validity: Option<Lifetime>,
    /// The idempotency key, as the caller chose it.
    pub idempotency_key: Option<String>,
    /// The request it came with.
    pub request_id: Option<String>,
}

/// Without what the CSR says besides its key: it may be personal data, and this goes to logs.
impl fmt::Debug for RenewRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenewRequest")
            .field("certificate", &self.certificate)
            .field("public_key", &self.csr.as_ref().map(ParsedCsr::public_key))
            .field("validity", &self.validity)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// Renews a certificate.
pub async fn renew(engine: &Engine, principal: &Principal, request: RenewRequest) -> Result<Issued, FlowError> {
    // 1. Which one, and may this principal renew it now?
    let predecessor = renewable(engine, principal, &request.certificate).await?;
    issue_successor(engine, principal, &predecessor, &request).await
}

/// The successor of a certificate that the principal may renew now. Its key, its names and whether it has one already are judged here.
pub(super) async fn issue_successor(
    engine: &Engine,
    principal: &Principal,
    predecessor: &StoredCertificate,
    request: &RenewRequest,
) -> Result<Issued, FlowError> {
    let certificate = Certificate::from_der(&predecessor.der)
        .map_err(|error| FlowError::internal(format!("certificate {}: {error}", predecessor.id)))?;
    // 2. Today's profile decides again, over the names on record and the new key.
    let profile = profile(engine, &predecessor.profile)?;
    let public_key = request.csr.as_ref().map_or_else(|| certificate.public_key(), ParsedCsr::public_key);
    let origin = origin_of(principal, &profile, predecessor)?;
    let granted = evaluate(
        engine,
        origin,
        &profile,
        &CertificateRequest {
            public_key,
            csr: request.csr.as_ref(),
            subject: Some(&predecessor.subject),
            names: Some(&predecessor.names),
            validity: request.validity,
            constraints: None,
        },
    )?;
    let authority = issuing_authority(engine, &profile).await?;
    let shard = shards::draw(engine, &authority, &profile).await?;
    let idempotency = request.idempotency_key.as_deref().map(|key| AskedOnce {
        scope_sha256: scope(principal, &format!("renew:{}", predecessor.id), key),
        request_sha256: request_digest(request),
    });
    // 3. Prepare, reserve (one live successor), sign, check, complete.
    let issued = carry_out(
        engine,
        Order {
            granted,
            profile: &profile,
            issuer: Issuer::Authority(authority.facts()),
            authority: authority.id(),
            hand: authority.hand()?,
            csr: request.csr.as_ref().map(ParsedCsr::der),
            endpoints: elsewhere::endpoints(engine, &authority, shard.as_ref().map(|shard| shard.uri.as_str())),
            shard: shard.map(|shard| shard.number),
            principal,
            owner: predecessor.owner.clone(),
            renews: Some(predecessor.id),
            idempotency,
            request_id: request.request_id.as_deref(),
        },
    )
    .await;
    if matches!(&issued, Err(error) if error.kind == FlowErrorKind::AlreadyRenewed) {
        // Whoever was cut off for longer than idempotency keys are kept still has the key that it asked with.
        if let Some(successor) = successor_over(engine, predecessor, public_key).await? {
            return Ok(Issued { certificate: successor, replayed: true });
        }
        tell_of_repetition(engine, principal, predecessor, request.request_id.as_deref()).await?;
    }
    issued
}

/// The live successor of a certificate, if it is over this very key, whose possession was proved.
async fn successor_over(
    engine: &Engine,
    predecessor: &StoredCertificate,
    public_key: &PublicKey,
) -> Result<Option<StoredCertificate>, FlowError> {
    let kept = predecessor.spki_sha256 == public_key.spki_sha256();
    // A key that is kept says nothing of which request it was.
    let Some(id) = engine.store().successor(predecessor.id).await?.filter(|_| !kept) else { return Ok(None) };
    let successor = engine.store().certificate(id).await?;
    let now = engine.now();
    Ok(successor.filter(|successor| {
        successor.spki_sha256 == public_key.spki_sha256()
            && successor.standing == Standing::Active
            && now <= successor.validity.not_after
    }))
}

/// Tells the owner that the holder of a certificate asked for another successor: a client that lost an answer, or somebody else who has
/// the key. Once for each successor. When it cannot be put on record, the caller is told to ask again instead.
async fn tell_of_repetition(
    engine: &Engine,
    principal: &Principal,
    predecessor: &StoredCertificate,
    request_id: Option<&str>,
) -> Result<(), FlowError> {
    let has_its_key = match principal {
        Principal::Certificate { id, .. } | Principal::ExpiredHolder { id } => *id == predecessor.id,
        _ => false,
    };
    if !has_its_key {
        return Ok(());
    }
    // One that is only reserved belongs to a request that is at work.
    let Some(successor) = engine.store().successor(predecessor.id).await? else { return Ok(()) };
    let (authority, serial, owner) = (&predecessor.authority, &predecessor.serial, &predecessor.owner);
    let subject = format!("certificate:{}", predecessor.id);
    let event = AuditEvent::new(engine.now(), AuditAction::RenewalRepeated, principal.reference(), subject)
        .with("successor", successor)
        .with("owner", owner)
        .in_request(request_id);
    let payload = serde_json::json!({
        "authority": authority.as_str(),
        "certificate": predecessor.id.to_string(),
        "owner": owner,
        "serial": serial.to_string(),
        "successor": successor.to_string(),
    });
    let topic = "certificate.renewal-repeated";
    let message = OutboxMessage { topic, certificate: Some(predecessor.id), payload: payload.to_string() };
    let journal = Journal::of(event).telling(message);
    engine.store().note_repeated_renewal(predecessor.id, successor, journal).await?;
    Ok(())
}

/// When to renew a certificate, in the terms of RFC 9773 §4.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalInfo {
    /// The window.
    pub window: RenewalWindow,
    /// A page that says why it was moved.
    pub explanation_url: Option<String>,
    /// When to ask again.
    pub ask_again_after: Lifetime,
}

/// When to renew a certificate: in the window of its own, or where an operator moved it; at once when it is revoked.
pub async fn renewal_info(
    engine: &Engine,
    principal: &Principal,
    name: &CertificateName,
) -> Result<RenewalInfo, FlowError> {
    let certificate = permitted(engine, principal, Action::ReadCertificate, name).await?;
    let validity = certificate.validity;
    let ask_again_after = ask_again_after(validity);
    if let Standing::Revoked(revocation) = certificate.standing
        && revocation.reason != RevocationReason::CertificateHold
    {
        let window = RenewalWindow { start: validity.not_before, end: revocation.revoked_at };
        return Ok(RenewalInfo { window, explanation_url: None, ask_again_after });
    }
    let placed = renewal_period::window(engine, &certificate).await?;
    Ok(RenewalInfo { window: placed.window, explanation_url: placed.explanation_url, ask_again_after })
}

async fn renewable(
    engine: &Engine,
    principal: &Principal,
    name: &CertificateName,
) -> Result<StoredCertificate, FlowError> {
    let now = engine.now();
    let permitted = permitted(engine, principal, Action::RenewCertificate, name).await;
    let certificate = match permitted {
        Ok(certificate) => certificate,
        Err(denied) => return Err(too_early(engine, principal, name, now).await.unwrap_or(denied)),
    };
    refuse_revoked(&certificate)?;
    let renew_until =
        engine.profiles().get(&certificate.profile).map_or(Lifetime::ZERO, |profile| profile.renewal().until);
    if certificate.validity.not_after.plus(renew_until) < now {
        return Err(too_late(&certificate));
    }
    Ok(certificate)
}

/// What is revoked or on hold has no successor.
pub(super) fn refuse_revoked(certificate: &StoredCertificate) -> Result<(), FlowError> {
    if let Standing::Revoked(revocation) = certificate.standing {
        let message = match revocation.reason {
            RevocationReason::CertificateHold => {
                "the certificate is on hold (certificateHold); end the hold first, or ask for a new one".to_owned()
            }
            reason => format!("the certificate is revoked ({reason}) and cannot be renewed; ask for a new one"),
        };
        return Err(FlowError::new(FlowErrorKind::CertificateRevoked, message));
    }
    Ok(())
}

pub(super) fn too_late(certificate: &StoredCertificate) -> FlowError {
    let message = format!("the certificate expired at {}; ask for a new one", certificate.validity.not_after);
    FlowError::new(FlowErrorKind::RenewalTooLate, message)
}

/// The holder learns from when on it may renew; others learn nothing from a refusal.
async fn too_early(
    engine: &Engine,
    principal: &Principal,
    name: &CertificateName,
    now: Timestamp,
) -> Option<FlowError> {
    let Principal::Certificate { id: own, .. } = principal else { return None };
    let certificate = resolve(engine, name).await.ok().filter(|certificate| certificate.id == *own)?;
    let opens_at = renewal_period::opens_by_now_at(engine, &certificate).await.ok()?;
    if opens_at <= now {
        return None;
    }
    let mut error = FlowError::new(
        FlowErrorKind::RenewalTooEarly,
        format!(
            "the certificate can be renewed from {opens_at} on; it is valid until {}",
            certificate.validity.not_after
        ),
    );
    error.retry_after = Some(opens_at.since(now));
    Some(error)
}

/// An administrator's own certificate is of an internal profile: its holder may renew it, and the host. Nobody else, whatever the
/// access policy says: who brings a key of its own would pass for another, or for the API, whose names nobody may ask for.
fn origin_of(principal: &Principal, profile: &Profile, predecessor: &StoredCertificate) -> Result<Origin, FlowError> {
    match origin(principal) {
        Origin::Api if !profile.is_internal() => Ok(Origin::Api),
        Origin::Api if !is_held_by(predecessor.id, principal) => Err(FlowError::new(
            FlowErrorKind::AccessDenied,
            "a certificate of the service's own is renewed by its holder, or on the host of the service",
        )),
        _ => Ok(Origin::Service),
    }
}

fn request_digest(request: &RenewRequest) -> [u8; 32] {
    let csr = request.csr.as_ref().map_or(&[][..], ParsedCsr::der);
    let validity = request.validity.map(|validity| validity.to_string()).unwrap_or_default();
    sha256(&[csr, b"\0", validity.as_bytes()].concat())
}
