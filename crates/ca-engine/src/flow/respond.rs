//! Delegated OCSP responders (RFC 6960 §4.2.2.2): a P-256 key per authority and period, certified by the authority, so that
//! the authority's own key signs two certificates a week and not every answer.

use ca_core::id::AuthorityId;
use ca_core::key::KeyType;
use ca_core::name::DistinguishedName;
use ca_core::policy::{CertificateRequest, Origin};
use ca_core::principal::Principal;
use ca_core::profile::Profile;
use ca_core::tbs::RequestInfo;
use ca_core::template::{Endpoints, Issuer};
use ca_core::time::{Lifetime, Timestamp};

use super::issuance::{Order, carry_out, elsewhere};
use super::issue::{evaluate, profile};
use super::watch_clock::assure_clock;
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::hierarchy::{Authority, Hand};
use crate::port::keyring::KeyRoom;
use crate::port::signer::Signer;
use crate::port::store::{Lease, ResponderRecord, StoredCertificate};

/// The profile of responders.
pub(super) const PROFILE: &str = "ocsp-responder";

/// Responders of an authority whose key is offline live until the next ceremony, with a month to spare.
pub const OFFLINE_LIFETIME: Lifetime = Lifetime::from_days(395);

/// Whether an authority needs a new responder: it has none, or the one that ends last is past half of its life.
pub fn needs_responder(engine: &Engine, authority: &AuthorityId, now: Timestamp) -> bool {
    engine.hierarchy().responder(authority, now).is_none_or(|responder| {
        let validity = responder.validity();
        let half = validity.not_after.since(validity.not_before).seconds() / 2;
        now > validity.not_before.plus(Lifetime::from_seconds(half))
    })
}

/// Makes a responder for an authority: key, certificate, record; then reads the hierarchy again.
pub async fn make_responder(
    engine: &Engine,
    principal: &Principal,
    authority_id: &AuthorityId,
    lease: Option<&Lease>,
) -> Result<(), FlowError> {
    // 1. The authority can sign now: a key is made for nothing else.
    assure_clock(engine).await?;
    let authority = engine.authority(authority_id)?;
    let hand = authority.hand()?;
    if authority.has_ended(engine.now()) {
        let message = format!("authority {authority_id} ended at {}", authority.facts().validity.not_after);
        return Err(FlowError::new(FlowErrorKind::AuthorityCannotSign, message));
    }
    if let Hand::Elsewhere(_) = hand {
        let before = elsewhere::settle_responders(engine, principal, authority_id).await?;
        if before.waiting > 0 {
            let message =
                format!("the issuer of {authority_id} has not said what became of the responder that it was asked for");
            return Err(FlowError::new(FlowErrorKind::Unavailable, message));
        }
        engine.reload_hierarchy().await?;
        if before.completed > 0 && !needs_responder(engine, authority_id, engine.now()) {
            return Ok(());
        }
    }
    // 2. A key, on record before it is used.
    let (key, responder_key) = engine.keyring().generate(KeyRoom::Responders, KeyType::P256).await?;
    engine.store().add_key(key).await?;
    // 3. Its certificate, like any other.
    let profile = profile(engine, &PROFILE.parse().map_err(FlowError::internal)?)?;
    let subject = subject(&authority)?;
    let request = CertificateRequest {
        public_key: responder_key.public_key(),
        csr: None,
        subject: Some(&subject),
        names: None,
        validity: offline_lifetime(&authority, &profile, engine.now()),
        constraints: None,
    };
    let granted = evaluate(engine, Origin::Service, &profile, &request)?;
    let csr = match hand {
        Hand::Key(_) => None,
        Hand::Elsewhere(_) => Some(request_of(&subject, &*responder_key).await?),
    };
    let issued = carry_out(
        engine,
        Order {
            granted,
            profile: &profile,
            issuer: Issuer::Authority(authority.facts()),
            authority: authority.id(),
            hand,
            csr: csr.as_deref(),
            // id-pkix-ocsp-nocheck: nobody looks up the status of a responder.
            endpoints: Endpoints::default(),
            shard: None,
            principal,
            owner: format!("authority:{authority_id}"),
            renews: None,
            idempotency: None,
            request_id: None,
        },
    )
    .await?;
    // 4. At the disposal of every replica.
    take_up(engine, lease, authority_id, &issued.certificate).await?;
    engine.reload_hierarchy().await
}

/// Takes a certificate whose key is on record for the responder's that it is; harmless when it was taken.
pub(super) async fn take_up(
    engine: &Engine,
    lease: Option<&Lease>,
    authority: &AuthorityId,
    certificate: &StoredCertificate,
) -> Result<(), FlowError> {
    if engine.store().responders().await?.iter().any(|responder| responder.certificate == certificate.id) {
        return Ok(());
    }
    let record = ResponderRecord {
        authority: authority.clone(),
        certificate: certificate.id,
        certificate_der: certificate.der.clone(),
        // What sealed keys are named by.
        key_id: hex::encode(certificate.spki_sha256),
        validity: certificate.validity,
    };
    Ok(engine.store().add_responder(lease, record).await?)
}

/// The DER of a CSR of a responder's key, as an issuer elsewhere wants it: of it counts the key alone.
async fn request_of(subject: &DistinguishedName, key: &dyn Signer) -> Result<Vec<u8>, FlowError> {
    let info = RequestInfo::of_key(subject, key.public_key());
    let signature = key.sign(&info).await?;
    info.into_request(&signature).map_err(|error| FlowError::internal(format!("a responder's key: {error}")))
}

/// How long the responder of an authority whose key is offline is asked to live: never longer than the authority itself, nor
/// than the profile allows. The profile's default for others.
fn offline_lifetime(authority: &Authority, profile: &Profile, now: Timestamp) -> Option<Lifetime> {
    if !authority.record().key_home.is_offline() {
        return None;
    }
    let left = authority.facts().validity.not_after.since(now.floor_to_second());
    Some(OFFLINE_LIFETIME.min(profile.maximum_validity()).min(left))
}

fn subject(authority: &Authority) -> Result<DistinguishedName, FlowError> {
    let common_name = format!("OCSP responder of {}", authority.id());
    DistinguishedName::builder().common_name(&common_name).build().map_err(FlowError::internal)
}

/// The name of the lease under which an authority's responders are made.
pub fn lease_name(authority: &AuthorityId) -> String {
    format!("responder:{authority}")
}
