//! Rollover where the key above the authority cannot come here: the next generation's key is made and a request for its certificate
//! leaves; the certificate that comes back is held against what would have been signed here, put on record and announced.

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::certificate::Certificate;
use ca_core::id::CertificateId;
use ca_core::lint::{LintContext, check_received};
use ca_core::pem;
use ca_core::principal::Principal;
use ca_core::profile::Profile;
use ca_core::tbs::RequestInfo;
use ca_core::template::{self, CertificateTemplate, Issuer, SerialChoice};

use super::establish::{PROFILE_OF_SUBORDINATES, enlist, granted_to};
use super::issue::profile;
use super::rollover::{Announced, Next, RolloverPlan, announce, next, plan_of};
use crate::engine::Engine;
use crate::error::{Fault, FlowError, FlowErrorKind};
use crate::hierarchy::Authority;
use crate::port::store::{
    CompleteOutcome, Completion, Journal, Lease, NOT_ANNOUNCED, OutboxMessage, Reservation, ReserveOutcome,
    StoredCertificate,
};

/// The label of a request in PEM (RFC 7468 §7).
const REQUEST_LABEL: &str = "CERTIFICATE REQUEST";

/// Makes the key of the next generation, unless an earlier call did, and asks for its certificate: the id it will have, and PEM.
pub async fn request_certificate(
    engine: &Engine,
    principal: &Principal,
    plan: RolloverPlan,
    lease: &Lease,
) -> Result<(ca_core::id::AuthorityId, String), FlowError> {
    let next = match next(engine, principal, &plan, lease).await? {
        Next::Made(made) => return Err(exists(&made)),
        Next::ToCome(next) => next,
    };
    let parent = engine.authority(&next.parent)?;
    let profile = profile(engine, &PROFILE_OF_SUBORDINATES.parse().map_err(FlowError::internal)?)?;
    let template = template_of(engine, &plan_of(&next, plan), &next.signer, &profile, &parent)?;
    let info = RequestInfo::of(&template);
    let signature = next.signer.sign(&info).await?;
    let request = info
        .into_csr(&signature)
        .map_err(|error| FlowError::internal(format!("the request of {} cannot be read back: {error}", next.id)))?;
    let event = AuditEvent::new(
        engine.now(),
        AuditAction::AuthorityRequested,
        principal.reference(),
        format!("authority:{}", next.id),
    )
    .with("key", hex::encode(next.signer.public_key().spki_sha256()));
    engine.store().append_event(event).await?;
    Ok((next.id, pem::encode(REQUEST_LABEL, request.der())))
}

/// Takes the certificate that was asked for, and announces the generation.
pub async fn import_certificate(
    engine: &Engine,
    principal: &Principal,
    plan: RolloverPlan,
    certificate: &Certificate,
    lease: &Lease,
) -> Result<Announced, FlowError> {
    let notice = plan.notice;
    let next = match next(engine, principal, &plan, lease).await? {
        Next::Made(made) if made.certificate() == certificate => {
            return announce(engine, principal, &made, notice).await;
        }
        Next::Made(made) => return Err(exists(&made)),
        Next::ToCome(next) => next,
    };
    let parent = engine.authority(&next.parent)?;
    let profile = profile(engine, &PROFILE_OF_SUBORDINATES.parse().map_err(FlowError::internal)?)?;
    let authority = plan_of(&next, plan);
    let template = template_of(engine, &authority, &next.signer, &profile, &parent)?;
    // 1. Is it what was asked for, by the key above, and would it have been signed here?
    judge(engine, certificate, template, &profile, &parent)?;
    // 2. On record, under its serial.
    let stored =
        put_on_record(engine, principal, &parent, certificate, &profile, &format!("authority:{}", next.id)).await?;
    // 3. As the generation's own; then out with it.
    enlist(engine, principal, &authority, next.signer, &stored, NOT_ANNOUNCED).await?;
    let made = engine.authority(&next.id)?;
    announce(engine, principal, &made, notice).await
}

fn exists(made: &Authority) -> FlowError {
    let message =
        format!("{} has its certificate already; `authority rollover` without more goes on with it", made.id());
    FlowError::new(FlowErrorKind::AuthorityExists, message)
}

fn template_of(
    engine: &Engine,
    plan: &super::establish::AuthorityPlan,
    signer: &std::sync::Arc<dyn crate::port::signer::Signer>,
    profile: &Profile,
    parent: &Authority,
) -> Result<CertificateTemplate, FlowError> {
    let granted = granted_to(engine, plan, profile, signer.public_key())?;
    let serial = SerialChoice::Ours(engine.new_serial(None)?);
    let endpoints = engine.endpoints(parent.id(), None);
    template::build(granted, Issuer::Authority(parent.facts()), &endpoints, serial, engine.now())
        .map_err(super::issuance::violations)
}

fn judge(
    engine: &Engine,
    certificate: &Certificate,
    template: CertificateTemplate,
    profile: &Profile,
    parent: &Authority,
) -> Result<(), FlowError> {
    let refused = |message: String| FlowError::invalid("not-the-certificate", "/certificate", message);
    if certificate.public_key() != template.public_key() {
        return Err(refused(
            "the certificate is not of the key that the request was made for; import the one that answers it"
                .to_owned(),
        ));
    }
    certificate.verify_signed_by(parent.certificate().public_key()).map_err(|error| {
        refused(format!(
            "the certificate is not signed by the key of {} (`{}`): {error}",
            parent.id(),
            parent.certificate().subject()
        ))
    })?;
    let now = engine.now();
    let validity = certificate.validity();
    if !validity.contains(now) || !parent.facts().validity.contains(validity.not_after) {
        return Err(refused(format!(
            "the certificate is valid from {} to {}; it must be valid now, {now}, and not outlive {}, which ends at {}",
            validity.not_before,
            validity.not_after,
            parent.id(),
            parent.facts().validity.not_after
        )));
    }
    // Which algorithm the key above signs with is its holder's to choose, as serial and validity are; it was verified.
    let algorithm = certificate.signature_algorithm();
    let template = template.of_certificate(certificate.serial().clone(), validity, algorithm);
    certificate.check_against(&template).map_err(|mismatch| {
        refused(format!(
            "the certificate's {} is not what the request asks for: {} instead of {}",
            mismatch.field, mismatch.found, mismatch.expected
        ))
    })?;
    let facts = parent.facts().clone().signing_by(algorithm);
    let issuer = Issuer::Authority(&facts);
    let context = LintContext { issuer, public_key: template.public_key(), profile };
    let found = check_received(certificate.tbs_der(), &context).err().unwrap_or_default();
    if found.is_empty() {
        return Ok(());
    }
    let faults = found.iter().map(|finding| Fault {
        code: finding.rule.to_owned(),
        pointer: "/certificate".to_owned(),
        message: format!("{} ({})", finding.detail, finding.clause),
    });
    let message = "the certificate would break a rule of RFC 5280, so it is not taken";
    Err(FlowError::new(FlowErrorKind::ProfileViolation, message).with_faults(faults.collect()))
}

/// By the steps of an issuance, its serial being reserved first; again when an earlier import was cut off.
async fn put_on_record(
    engine: &Engine,
    principal: &Principal,
    parent: &Authority,
    certificate: &Certificate,
    profile: &Profile,
    owner: &str,
) -> Result<StoredCertificate, FlowError> {
    let known = engine.store().certificate_by_serial(parent.id(), certificate.serial()).await?;
    if let Some(known) = known {
        return match known.der == certificate.der() {
            true => Ok(known),
            false => Err(FlowError::invalid(
                "serial-taken",
                "/certificate",
                format!(
                    "{} has issued another certificate with the serial {}; sign with another one",
                    parent.id(),
                    certificate.serial()
                ),
            )),
        };
    }
    let now = engine.now();
    let id = CertificateId::new(now, engine.random()?);
    let reservation = Reservation {
        id,
        authority: parent.id().clone(),
        serial: certificate.serial().clone(),
        profile: profile.name().clone(),
        validity: certificate.validity(),
        subject: certificate.subject().clone(),
        names: Vec::new(),
        spki_sha256: certificate.public_key().spki_sha256(),
        to_be_signed: certificate.tbs_der().to_vec(),
        owner: owner.to_owned(),
        requested_by: principal.reference(),
        renews: None,
        token: None,
        idempotency: None,
        personal_data: None,
        reserved_at: now,
    };
    match engine.store().reserve(reservation).await? {
        ReserveOutcome::Reserved => {}
        refused => return Err(super::issuance::refusal(&refused)),
    }
    let event =
        AuditEvent::new(now, AuditAction::CertificateIssued, principal.reference(), format!("certificate:{id}"))
            .with("authority", parent.id())
            .with("fingerprint_sha256", hex::encode(certificate.fingerprint_sha256()))
            .with("not_after", certificate.validity().not_after)
            .with("serial", certificate.serial())
            .with("signed", "elsewhere");
    let payload = serde_json::json!({
        "authority": parent.id().as_str(),
        "certificate": id.to_string(),
        "not_after": certificate.validity().not_after.to_rfc3339(),
        "renews": null,
        "serial": certificate.serial().to_string(),
    });
    let message = OutboxMessage { topic: "certificate.issued", certificate: Some(id), payload: payload.to_string() };
    let completion = Completion {
        id,
        certificate: certificate.der().to_vec(),
        completed_at: now,
        inherit_roles: false,
        personal_data: false,
        journal: Journal::of(event).telling(message),
    };
    let mut outcome = engine.store().complete(completion.clone()).await;
    if outcome.is_err() {
        outcome = engine.store().complete(completion).await;
    }
    match outcome? {
        CompleteOutcome::Completed(stored) => Ok(*stored),
        CompleteOutcome::Overtaken | CompleteOutcome::NotReserved => Err(FlowError::new(
            FlowErrorKind::Unavailable,
            "the import took too long and was given up; its serial answers as revoked, so have another certificate signed",
        )),
    }
}
