//! Authorities whose certificates others signed, taken on record: roots and intermediates whose keys were never here, and the
//! authorities of this service below them. What they must look like is judged by [`ca_core::chain::subordinate`] before.
//!
//! Every certificate goes through the steps of an issuance, its serial being reserved first, so it is on record once and as it is;
//! only when all of them are does the first authority come to be. Repeating is harmless: what was cut off is gone on with.

use std::sync::Arc;

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::certificate::Certificate;
use ca_core::id::{AuthorityId, CertificateId, ProfileName};
use ca_core::principal::Principal;

use super::establish::equip_authority;
use super::watch_clock::{assure_clock, dependable_now};
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::hierarchy::EXTERNAL_PROFILE;
use crate::port::store::{
    AuthorityRecord, AuthorityState, CompleteOutcome, Completion, FROM_THE_START, Journal, KeyHome, Reservation,
    ReserveOutcome, SerialState, StoreError,
};

/// The profile of authorities whose key is here.
const OWN_PROFILE: &str = "subordinate";

/// An authority to be taken on record.
#[derive(Clone, Debug, PartialEq)]
pub struct Adoption {
    /// Its id.
    pub id: AuthorityId,
    /// Its certificate.
    pub certificate: Certificate,
    /// Who signed it; `None` for a root.
    pub parent: Option<AuthorityId>,
    /// Where its key is: [`KeyHome::File`] when it is elsewhere, and always was. A sealed key is on record already.
    pub key_home: KeyHome,
}

/// Takes authorities on record, parents before children, and gives those that can sign their first responder and list.
pub async fn adopt_authorities(
    engine: &Engine,
    principal: &Principal,
    adoptions: &[Adoption],
) -> Result<(), FlowError> {
    if *principal != Principal::LocalOperator {
        let message = "authorities are taken on record on the host of the service";
        return Err(FlowError::new(FlowErrorKind::AccessDenied, message));
    }
    assure_clock(engine).await?;
    engine.reload_hierarchy().await?;
    // 1. Every certificate, so that no authority is there without those above and beside it.
    let mut certificates = Vec::with_capacity(adoptions.len());
    for adoption in adoptions {
        refuse_another(engine, adoption)?;
        let issuer = adoption.parent.as_ref().unwrap_or(&adoption.id);
        let profile = match adoption.key_home {
            KeyHome::File => EXTERNAL_PROFILE,
            _ => OWN_PROFILE,
        };
        certificates.push(put_on_record(engine, principal, issuer, profile, &adoption.certificate).await?);
    }
    // 2. The authorities.
    for (adoption, certificate) in adoptions.iter().zip(certificates) {
        if engine.hierarchy().authority(&adoption.id).is_none() {
            add_authority(engine, principal, adoption, certificate).await?;
        }
    }
    // 3. What relying parties look up.
    for adoption in adoptions {
        if engine.authority(&adoption.id)?.hand().is_ok() {
            equip_authority(engine, principal, &adoption.id).await?;
        }
    }
    Ok(())
}

/// An id is given to one authority for ever.
fn refuse_another(engine: &Engine, adoption: &Adoption) -> Result<(), FlowError> {
    match engine.hierarchy().authority(&adoption.id) {
        Some(there) if there.certificate().der() != adoption.certificate.der() => Err(FlowError::new(
            FlowErrorKind::AuthorityExists,
            format!("there is an authority `{}` already, with another certificate", adoption.id),
        )),
        _ => Ok(()),
    }
}

async fn add_authority(
    engine: &Engine,
    principal: &Principal,
    adoption: &Adoption,
    certificate: CertificateId,
) -> Result<(), FlowError> {
    let record = AuthorityRecord {
        id: adoption.id.clone(),
        certificate,
        certificate_der: adoption.certificate.der().to_vec(),
        parent: adoption.parent.clone(),
        key_home: adoption.key_home.clone(),
        state: AuthorityState::Active,
        issues_from: FROM_THE_START,
    };
    let event = AuditEvent::new(
        engine.now(),
        AuditAction::AuthorityAdopted,
        principal.reference(),
        format!("authority:{}", adoption.id),
    )
    .with("certificate", certificate)
    .with("fingerprint_sha256", hex::encode(adoption.certificate.fingerprint_sha256()))
    .with("key_is_here", !matches!(adoption.key_home, KeyHome::File | KeyHome::AcmPca(_)))
    .with("key_type", adoption.certificate.public_key().key_type());
    let added = engine.store().add_authority(record, Journal::of(event)).await;
    engine.reload_hierarchy().await?;
    match added {
        // Whether it is on record although the acknowledgement was lost, the reading has told.
        Err(StoreError::Unknown { .. }) if engine.hierarchy().authority(&adoption.id).is_some() => {
            refuse_another(engine, adoption)
        }
        added => Ok(added?),
    }
}

/// Puts a certificate that others signed on record, once; goes on with a reservation of it that was cut off.
pub(super) async fn put_on_record(
    engine: &Engine,
    principal: &Principal,
    issuer: &AuthorityId,
    profile: &str,
    certificate: &Certificate,
) -> Result<CertificateId, FlowError> {
    let status = engine.store().status(issuer, certificate.serial()).await?;
    let id = match status.map(|status| (status.certificate, status.state)) {
        None => reserve(engine, principal, issuer, profile, certificate).await?,
        Some((id, SerialState::Reserved)) => id,
        Some((id, SerialState::Issued(_))) => return known(engine, id, certificate).await,
        Some((_, SerialState::Abandoned(_))) => {
            let message = format!(
                "serial number {} of `{issuer}` was given up on record when a set-up was cut off, and answers as revoked; have \
                 the certificate issued anew",
                certificate.serial()
            );
            return Err(FlowError::new(FlowErrorKind::CertificateRevoked, message));
        }
    };
    let now = dependable_now(engine).await?;
    let event =
        AuditEvent::new(now, AuditAction::CertificateAdopted, principal.reference(), format!("certificate:{id}"))
            .with("authority", issuer)
            .with("fingerprint_sha256", hex::encode(certificate.fingerprint_sha256()))
            .with("not_after", certificate.validity().not_after)
            .with("profile", profile)
            .with("serial", certificate.serial());
    let completion = Completion {
        id,
        certificate: certificate.der().to_vec(),
        completed_at: now,
        inherit_roles: false,
        personal_data: false,
        journal: Journal::of(event),
    };
    let mut outcome = engine.store().complete(completion.clone()).await;
    if outcome.is_err() {
        // Repeating is harmless.
        outcome = engine.store().complete(completion).await;
    }
    match outcome? {
        // Which reservation was gone on with shows here.
        CompleteOutcome::Completed(stored) if stored.der == certificate.der() => Ok(stored.id),
        CompleteOutcome::Completed(_) | CompleteOutcome::Overtaken | CompleteOutcome::NotReserved => {
            Err(FlowError::new(
                FlowErrorKind::KeyBlocked,
                "the certificate cannot be taken on record: its key was reported as compromised, or another certificate of its \
                 serial number was begun",
            ))
        }
    }
}

async fn reserve(
    engine: &Engine,
    principal: &Principal,
    issuer: &AuthorityId,
    profile: &str,
    certificate: &Certificate,
) -> Result<CertificateId, FlowError> {
    let now = dependable_now(engine).await?;
    let profile: ProfileName = profile.parse().map_err(FlowError::internal)?;
    let id = CertificateId::new(now, engine.random()?);
    let reservation = Reservation {
        id,
        authority: issuer.clone(),
        serial: certificate.serial().clone(),
        profile,
        validity: certificate.validity(),
        subject: certificate.subject().clone(),
        names: certificate.names().to_vec(),
        spki_sha256: certificate.public_key().spki_sha256(),
        to_be_signed: certificate.tbs_der().to_vec(),
        owner: format!("authority:{issuer}"),
        requested_by: principal.reference(),
        renews: None,
        token: None,
        idempotency: None,
        personal_data: None,
        reserved_at: now,
    };
    match engine.store().reserve(reservation).await? {
        ReserveOutcome::Reserved => Ok(id),
        ReserveOutcome::KeyBlocked => Err(FlowError::new(
            FlowErrorKind::KeyBlocked,
            "the certificate's key was reported as compromised and is blocked for ever",
        )),
        _ => {
            Err(FlowError::new(FlowErrorKind::Overloaded, "the record changes at this moment; try again")
                .retry_after(1))
        }
    }
}

async fn known(engine: &Engine, id: CertificateId, certificate: &Certificate) -> Result<CertificateId, FlowError> {
    match engine.store().certificate(id).await? {
        Some(stored) if stored.der == certificate.der() => Ok(id),
        _ => Err(FlowError::new(
            FlowErrorKind::InvalidCredential,
            format!(
                "another certificate of serial number {} is on record for the same issuer: no issuer may use a number twice",
                certificate.serial()
            ),
        )),
    }
}

/// An authority on record whose key is not here, by a list or certificate that it signed.
pub(super) fn keyless(authority: &Arc<crate::hierarchy::Authority>) -> bool {
    authority.record().key_home.is_offline()
}
