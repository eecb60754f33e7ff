//! Takes an OCSP responder on record that an authority whose key is elsewhere has certified: in its ceremony, ahead of time, or by
//! whoever holds a root. Its key is sealed like every responder's.

use ca_core::certificate::Certificate;
use ca_core::id::AuthorityId;
use ca_core::principal::Principal;
use ca_core::usage::{ExtendedKeyUsage, KeyUsage};

use super::adopt::{keyless, put_on_record};
use super::respond::PROFILE;
use super::watch_clock::assure_clock;
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::port::keyring::{KeyRoom, SealedKey};
use crate::port::store::ResponderRecord;

/// Takes a responder on record: its certificate, and its key as it was sealed. Returns for whom it answers. One that is on record is
/// left alone.
pub async fn import_responder(
    engine: &Engine,
    principal: &Principal,
    certificate: &Certificate,
    key: SealedKey,
) -> Result<AuthorityId, FlowError> {
    if *principal != Principal::LocalOperator {
        return Err(FlowError::new(FlowErrorKind::AccessDenied, "responders are imported on the host of the service"));
    }
    assure_clock(engine).await?;
    // 1. For whom it answers, and whether it may.
    let hierarchy = engine.hierarchy();
    let authority = hierarchy
        .issuer_of(certificate)
        .ok_or_else(|| refused(format!("no authority on record signed it; it names `{}`", certificate.issuer())))?;
    if !keyless(authority) {
        return Err(refused(format!("the responders of `{}` are made by this service", authority.id())));
    }
    check(engine, certificate, &key)?;
    // 2. Key, certificate, responder, in the order in which one needs the other.
    let key_id = key.id.clone();
    engine.store().add_key(key).await?;
    let id = put_on_record(engine, principal, authority.id(), PROFILE, certificate).await?;
    let is_known = engine.store().responders().await?.iter().any(|responder| responder.certificate == id);
    if !is_known {
        let record = ResponderRecord {
            authority: authority.id().clone(),
            certificate: id,
            certificate_der: certificate.der().to_vec(),
            key_id,
            validity: certificate.validity(),
        };
        engine.store().add_responder(None, record).await?;
    }
    engine.reload_hierarchy().await?;
    Ok(authority.id().clone())
}

fn check(engine: &Engine, certificate: &Certificate, key: &SealedKey) -> Result<(), FlowError> {
    let now = engine.now();
    let validity = certificate.validity();
    if key.room != KeyRoom::Responders || key.spki != certificate.public_key().spki_der() {
        return Err(refused("the key is not that of its certificate".to_owned()));
    }
    if now < validity.not_before {
        return Err(refused(format!("it begins at {}, and now is {now}; import it then", validity.not_before)));
    }
    if now >= validity.not_after {
        return Err(refused(format!("it ended at {}, and now is {now}", validity.not_after)));
    }
    // RFC 6960 §4.2.2.2: a delegated responder is known by this purpose.
    if !certificate.extended_key_usage().contains(&ExtendedKeyUsage::OCSP_SIGNING) || certificate.is_authority() {
        return Err(refused("it is no OCSP responder's certificate (extendedKeyUsage OCSPSigning)".to_owned()));
    }
    if certificate.key_usage().is_some_and(|usages| !usages.contains(KeyUsage::DigitalSignature)) {
        return Err(refused("its key usage lacks digitalSignature".to_owned()));
    }
    // Nobody could tell its own status: it would have to say so itself (§4.2.2.2.1).
    if !certificate.ocsp_no_check() {
        return Err(refused("it lacks id-pkix-ocsp-nocheck, so that clients would ask for its own status".to_owned()));
    }
    Ok(())
}

fn refused(message: String) -> FlowError {
    FlowError::new(FlowErrorKind::InvalidCredential, format!("the OCSP responder is not taken: {message}"))
}
