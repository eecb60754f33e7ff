//! New authorities: a root that signs itself, and subordinates signed by their parent, each with its first CRL and its
//! first OCSP responder. Their certificates go through the same steps as every other.

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::id::AuthorityId;
use ca_core::key::PublicKey;
use ca_core::name::DistinguishedName;
use ca_core::policy::{AuthorityConstraints, CertificateRequest, Granted, Origin};
use ca_core::principal::Principal;
use ca_core::profile::Profile;
use ca_core::template::{Endpoints, Issuer};
use ca_core::time::{Lifetime, Timestamp};

use super::issuance::{Order, carry_out};
use super::issue::{evaluate, profile};
use super::on_host::permit_rollover;
use super::{publish_crl, respond};
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::hierarchy::Hand;
use crate::port::signer::Signer;
use crate::port::store::{
    AuthorityRecord, AuthorityState, FROM_THE_START, Journal, KeyHome, NOT_ANNOUNCED, StoreError, StoredCertificate,
};

/// The profile of authorities below another.
pub(super) const PROFILE_OF_SUBORDINATES: &str = "subordinate";

/// How long the first list and responder of an authority may take.
const LEASE: Lifetime = Lifetime::from_seconds(60);

/// An authority to come.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthorityPlan {
    /// Its id.
    pub id: AuthorityId,
    /// Its subject.
    pub subject: DistinguishedName,
    /// Who signs its certificate; `None` for a root.
    pub parent: Option<AuthorityId>,
    /// How long it lives; the profile's default when absent.
    pub validity: Option<Lifetime>,
    /// What a subordinate is confined to.
    pub constraints: AuthorityConstraints,
    /// Where its key is. A sealed key is on record already.
    pub key_home: KeyHome,
}

/// Establishes an authority whose key is `signer`: certificate, record, first responder, first CRL.
pub async fn establish_authority(
    engine: &Engine,
    principal: &Principal,
    plan: &AuthorityPlan,
    signer: std::sync::Arc<dyn Signer>,
) -> Result<(), FlowError> {
    if *principal != Principal::LocalOperator {
        return Err(FlowError::new(
            FlowErrorKind::AccessDenied,
            "authorities are established on the host of the service",
        ));
    }
    establish(engine, principal, plan, signer, FROM_THE_START).await
}

/// The same for a later generation, which issues nothing before it is announced ([`super::rollover`]).
pub(super) async fn establish_generation(
    engine: &Engine,
    principal: &Principal,
    plan: &AuthorityPlan,
    signer: std::sync::Arc<dyn Signer>,
) -> Result<(), FlowError> {
    permit_rollover(principal)?;
    establish(engine, principal, plan, signer, NOT_ANNOUNCED).await
}

async fn establish(
    engine: &Engine,
    principal: &Principal,
    plan: &AuthorityPlan,
    signer: std::sync::Arc<dyn Signer>,
    issues_from: Timestamp,
) -> Result<(), FlowError> {
    engine.reload_hierarchy().await?;
    if engine.hierarchy().authority(&plan.id).is_some() {
        return Err(FlowError::new(
            FlowErrorKind::AuthorityExists,
            format!("there is an authority `{}` already", plan.id),
        ));
    }
    let signer = engine.as_chosen(&plan.id, signer)?;
    // 1. The certificate: signed by itself or by the parent.
    let certificate = certify(engine, principal, plan, &*signer).await?;
    // 2. The record, and what relying parties look up.
    enlist(engine, principal, plan, signer, &certificate, issues_from).await
}

/// Puts an authority on record whose certificate is, and gives it its first responder and list.
pub(super) async fn enlist(
    engine: &Engine,
    principal: &Principal,
    plan: &AuthorityPlan,
    signer: std::sync::Arc<dyn Signer>,
    certificate: &StoredCertificate,
    issues_from: Timestamp,
) -> Result<(), FlowError> {
    let record = AuthorityRecord {
        id: plan.id.clone(),
        certificate: certificate.id,
        certificate_der: certificate.der.clone(),
        parent: plan.parent.clone(),
        key_home: plan.key_home.clone(),
        state: AuthorityState::Active,
        issues_from,
    };
    let event = AuditEvent::new(
        engine.now(),
        AuditAction::AuthorityCreated,
        principal.reference(),
        format!("authority:{}", plan.id),
    )
    .with("certificate", certificate.id)
    .with("key_type", signer.public_key().key_type());
    let added = engine.store().add_authority(record, Journal::of(event)).await;
    // Whether it is on record although the acknowledgement was lost, the next reading tells.
    let lost = match added {
        Err(lost @ StoreError::Unknown { .. }) => Some(lost),
        added => {
            added?;
            None
        }
    };
    match plan.key_home {
        KeyHome::File => engine.lend_signer(plan.id.clone(), signer).await?,
        _ => engine.reload_hierarchy().await?,
    }
    if let Some(lost) = lost.filter(|_| engine.hierarchy().authority(&plan.id).is_none()) {
        return Err(lost.into());
    }
    if engine.authority(&plan.id)?.record().certificate != certificate.id {
        let message = format!("another process established authority `{}` meanwhile", plan.id);
        return Err(FlowError::new(FlowErrorKind::AuthorityExists, message));
    }
    equip_authority(engine, principal, &plan.id).await
}

/// Gives an authority the responder and the CRL it lacks, as far as they are made here; harmless when it has both, as after an interrupted set-up.
pub async fn equip_authority(engine: &Engine, principal: &Principal, id: &AuthorityId) -> Result<(), FlowError> {
    if respond::needs_responder(engine, id, engine.now()) {
        respond::make_responder(engine, principal, id, None).await?;
    }
    // The list of one that issues elsewhere comes from its issuer, in time.
    if !engine.authority(id)?.issues_elsewhere() && !publish_crl::has_published_list(engine, id).await? {
        publish_first_crl(engine, principal, id).await?;
    }
    Ok(())
}

/// What an authority is granted by its profile.
pub(super) fn granted_to(
    engine: &Engine,
    plan: &AuthorityPlan,
    profile: &Profile,
    public_key: &PublicKey,
) -> Result<Granted, FlowError> {
    let request = CertificateRequest {
        public_key,
        csr: None,
        subject: Some(&plan.subject),
        names: None,
        validity: plan.validity,
        constraints: plan.parent.is_some().then_some(&plan.constraints),
    };
    evaluate(engine, Origin::Service, profile, &request)
}

async fn certify(
    engine: &Engine,
    principal: &Principal,
    plan: &AuthorityPlan,
    signer: &dyn Signer,
) -> Result<StoredCertificate, FlowError> {
    let kind = if plan.parent.is_some() { PROFILE_OF_SUBORDINATES } else { "root" };
    let profile = profile(engine, &kind.parse().map_err(FlowError::internal)?)?;
    let granted = granted_to(engine, plan, &profile, signer.public_key())?;
    let parent = plan.parent.as_ref().map(|parent| engine.authority(parent)).transpose()?;
    let (issuer, authority, key, endpoints) = match &parent {
        Some(parent) => {
            (Issuer::Authority(parent.facts()), parent.id(), &**parent.signer()?, engine.endpoints(parent.id(), None))
        }
        None => (Issuer::Itself(signer.algorithm()), &plan.id, signer, Endpoints::default()),
    };
    let order = Order {
        granted,
        profile: &profile,
        issuer,
        authority,
        hand: Hand::Key(key),
        csr: None,
        endpoints,
        shard: None,
        principal,
        owner: format!("authority:{}", plan.id),
        renews: None,
        idempotency: None,
        request_id: None,
    };
    Ok(carry_out(engine, order).await?.certificate)
}

async fn publish_first_crl(engine: &Engine, principal: &Principal, id: &AuthorityId) -> Result<(), FlowError> {
    let lease = engine
        .store()
        .acquire_lease(&publish_crl::lease_name(id), "establish", LEASE)
        .await?
        .ok_or_else(|| FlowError::new(FlowErrorKind::Overloaded, "another process is making the list"))?;
    publish_crl::publish_crl(engine, principal, id, &lease).await?;
    Ok(engine.store().release_lease(&lease).await?)
}
