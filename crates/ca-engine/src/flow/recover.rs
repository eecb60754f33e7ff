//! Takes a certificate back on record that was issued after the backup that the record comes from: its holder presents it, or
//! the operator imports it. Until then its status is `unknown`.
//!
//! The signature is the proof that it was issued; that it was not revoked the restored record knows, since it took over what the
//! anchor had. It goes through the steps of an issuance, its serial being reserved first, so it is on record once and as it is.

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::certificate::Certificate;
use ca_core::id::{CertificateId, ProfileName};
use ca_core::principal::Principal;
use ca_core::profile::{Profile, ProfileKind};

use super::audit_text;
use super::retention::removed_error;
use super::watch_clock::{assure_clock, dependable_now};
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::generation::generation_in;
use crate::hierarchy::Authority;
use crate::port::store::{
    CompleteOutcome, Completion, Journal, OutboxMessage, PersonalData, Reservation, ReserveOutcome, SerialState,
    StoredCertificate,
};

/// The profile of what none of the present ones describes.
const RECOVERED: &str = "recovered";

/// What a recovery did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// The certificate is on record now.
    Taken(Box<StoredCertificate>),
    /// It was on record already.
    Known(Box<StoredCertificate>),
}

/// Imports a certificate as the operator of the host. One that is on record is left alone.
pub async fn import(engine: &Engine, principal: &Principal, der: &[u8]) -> Result<Recovered, FlowError> {
    if *principal != Principal::LocalOperator {
        let message = "certificates are imported on the host of the service";
        return Err(FlowError::new(FlowErrorKind::AccessDenied, message));
    }
    let certificate = Certificate::from_der(der).map_err(|error| {
        FlowError::invalid("malformed-certificate", "/certificate", format!("not a certificate: {error}"))
    })?;
    recover(engine, Some(principal), &certificate).await
}

/// Takes back a certificate whose holder has proved possession of its key; `None` when this record lost nothing that it could be.
pub(super) async fn presented(engine: &Engine, der: &[u8]) -> Result<Option<StoredCertificate>, FlowError> {
    let Ok(certificate) = Certificate::from_der(der) else { return Ok(None) };
    let lineage = engine.lineage();
    let restoration =
        lineage.as_ref().and_then(|lineage| lineage.restoration_that_lost(certificate.validity().not_before));
    // Without an anchor nobody knows whether it was revoked: then only the operator may say so.
    if restoration.is_none_or(|restoration| !restoration.with_anchor) {
        return Ok(None);
    }
    match recover(engine, None, &certificate).await {
        Ok(Recovered::Taken(stored) | Recovered::Known(stored)) => Ok(Some(*stored)),
        Err(error) if matches!(error.kind, FlowErrorKind::InvalidCredential | FlowErrorKind::Removed) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn recover(
    engine: &Engine,
    principal: Option<&Principal>,
    certificate: &Certificate,
) -> Result<Recovered, FlowError> {
    assure_clock(engine).await?;
    let refused = |message: String| FlowError::new(FlowErrorKind::InvalidCredential, message);
    // 1. Ours, by its signature; and issued when this record cannot know of it.
    let hierarchy = engine.hierarchy();
    let issuer = hierarchy
        .issuer_of(certificate)
        .ok_or_else(|| refused("no authority of this service signed the certificate".to_owned()))?;
    let not_before = certificate.validity().not_before;
    let is_lost = engine.lineage().is_some_and(|lineage| lineage.restoration_that_lost(not_before).is_some());
    // 2. Neither on record nor revoked.
    let status = engine.store().status(issuer.id(), certificate.serial()).await?;
    match status.map(|status| status.state) {
        None if is_lost => {}
        None => {
            return Err(refused(format!(
                "the certificate is valid from {not_before}, and no restoration of this record lost what was issued then: it \
                 was never on record"
            )));
        }
        Some(SerialState::Issued(_)) => return known(engine, issuer, certificate).await,
        Some(SerialState::Abandoned(revocation)) => {
            return Err(refused(format!(
                "the certificate was revoked at {} ({})",
                revocation.revoked_at, revocation.reason
            )));
        }
        Some(SerialState::Reserved) => {
            return Err(FlowError::new(FlowErrorKind::Overloaded, "the certificate is being recorded; try again")
                .retry_after(1));
        }
    }
    // 3. On record, by the steps of an issuance.
    put_on_record(engine, principal, issuer, certificate).await
}

async fn known(engine: &Engine, issuer: &Authority, certificate: &Certificate) -> Result<Recovered, FlowError> {
    let stored = engine.store().certificate_by_serial(issuer.id(), certificate.serial()).await?;
    let Some(stored) = stored else {
        // Nothing is left to compare it with, and it ended long ago: it does not come back.
        let status = engine.store().status(issuer.id(), certificate.serial()).await?;
        if let Some(status) = status
            && let Some(removed) = engine.store().removed(status.certificate).await?
        {
            return Err(removed_error(&removed));
        }
        return Err(
            FlowError::new(FlowErrorKind::Overloaded, "the record changes at this moment; try again").retry_after(1)
        );
    };
    match stored.der == certificate.der() {
        true => Ok(Recovered::Known(Box::new(stored))),
        false => Err(FlowError::new(
            FlowErrorKind::InvalidCredential,
            "another certificate of that serial number is on record; report this: a key of the service may be in use elsewhere",
        )),
    }
}

async fn put_on_record(
    engine: &Engine,
    principal: Option<&Principal>,
    issuer: &Authority,
    certificate: &Certificate,
) -> Result<Recovered, FlowError> {
    let now = dependable_now(engine).await?;
    let id = CertificateId::new(certificate.validity().not_before, engine.random()?);
    let (profile, is_personal) = profile_of(engine, issuer, certificate)?;
    let audit_text =
        is_personal.then(|| audit_text::of_names(engine, certificate.subject(), certificate.names())).transpose()?;
    // Presented by its holder, it is its own principal.
    let reference = principal.map_or_else(|| format!("certificate:{id}"), Principal::reference);
    let reservation = Reservation {
        id,
        authority: issuer.id().clone(),
        serial: certificate.serial().clone(),
        profile: profile.clone(),
        validity: certificate.validity(),
        subject: certificate.subject().clone(),
        names: certificate.names().to_vec(),
        spki_sha256: certificate.public_key().spki_sha256(),
        to_be_signed: certificate.tbs_der().to_vec(),
        // Who owned it is lost; its holder has every right that follows from holding it.
        owner: format!("certificate:{id}"),
        requested_by: reference.clone(),
        renews: None,
        token: None,
        idempotency: None,
        personal_data: audit_text.as_ref().map(|text| PersonalData { audit_text: text.to_record() }),
        reserved_at: now,
    };
    match engine.store().reserve(reservation).await? {
        ReserveOutcome::Reserved => {}
        ReserveOutcome::KeyBlocked => {
            let message = "the certificate's key was reported as compromised and is blocked for ever";
            return Err(FlowError::new(FlowErrorKind::InvalidCredential, message));
        }
        // Another request brought it at the same time.
        _ => return known(engine, issuer, certificate).await,
    }
    let mut event = AuditEvent::new(now, AuditAction::CertificateRecovered, reference, format!("certificate:{id}"))
        .with("authority", issuer.id())
        .with("fingerprint_sha256", hex::encode(certificate.fingerprint_sha256()))
        .with("not_after", certificate.validity().not_after)
        .with("profile", &profile)
        .with("serial", certificate.serial());
    if let Some(text) = &audit_text {
        event = event.with(audit_text::DETAIL, hex::encode(text.commitment()));
    }
    let payload = serde_json::json!({
        "authority": issuer.id().as_str(),
        "certificate": id.to_string(),
        "not_after": certificate.validity().not_after.to_rfc3339(),
        "serial": certificate.serial().to_string(),
    });
    let message = OutboxMessage { topic: "certificate.recovered", certificate: Some(id), payload: payload.to_string() };
    let completion = Completion {
        id,
        certificate: certificate.der().to_vec(),
        completed_at: now,
        inherit_roles: false,
        personal_data: is_personal,
        journal: Journal::of(event).telling(message),
    };
    let mut outcome = engine.store().complete(completion.clone()).await;
    if outcome.is_err() {
        // Repeating is harmless; what stays open is closed as revoked some day.
        outcome = engine.store().complete(completion).await;
    }
    match outcome? {
        CompleteOutcome::Completed(stored) => Ok(Recovered::Taken(stored)),
        CompleteOutcome::Overtaken | CompleteOutcome::NotReserved => Err(FlowError::new(
            FlowErrorKind::InvalidCredential,
            "the certificate's key was reported as compromised while it was taken back on record",
        )),
    }
}

/// The profile that describes a certificate: one of its issuer's that anybody may ask for and that has the same purposes; a name
/// that no profile has where there is none, which access policies treat as one of the service's own. And whether what it certifies
/// is personal data: of what nobody describes any more, it may be.
fn profile_of(
    engine: &Engine,
    issuer: &Authority,
    certificate: &Certificate,
) -> Result<(ProfileName, bool), FlowError> {
    let describes = |profile: &&std::sync::Arc<Profile>| {
        !profile.is_internal()
            && profile.kind() == ProfileKind::Leaf
            && profile.authority().is_some_and(|line| generation_in(line, issuer.id()).is_some())
            && profile.extended_key_usage() == certificate.extended_key_usage()
    };
    match engine.profiles().values().find(describes) {
        Some(profile) if !certificate.is_authority() => Ok((profile.name().clone(), profile.has_personal_data())),
        _ => Ok((RECOVERED.parse().map_err(FlowError::internal)?, true)),
    }
}
