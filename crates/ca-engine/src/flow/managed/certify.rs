//! The certificate of a rotation: asked for under the rotation's id, so that whoever asks again gets the same one.

use ca_core::certificate::Certificate;
use ca_core::csr::ParsedCsr;
use ca_core::id::CertificateId;
use ca_core::managed::definition::{DefinitionProblem, ManagedDefinition};
use ca_core::name::DistinguishedName;
use ca_core::principal::Principal;
use ca_core::revocation::Standing;
use ca_core::time::Lifetime;

use super::plan::JOB;
use crate::engine::Engine;
use crate::error::{Fault, FlowError, FlowErrorKind};
use crate::flow::issue::{IDEMPOTENCY_LIFETIME, IssueRequest, issue_for_rotation};
use crate::port::store::{CertificateFilter, ManagedCertificate, Rotation, StoredCertificate};

/// How long before its end an idempotency key is not relied on any more.
const MARGIN: Lifetime = Lifetime::from_seconds(3_600);

/// What a rotation brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified {
    /// The certificate.
    pub certificate: StoredCertificate,
    /// The DER of those above it, issuer first, the root left out.
    pub chain: Vec<Vec<u8>>,
}

/// Certifies the key of a rotation by today's profile and policy, for the owner of the managed certificate; `principal` is who asks.
/// The same rotation gets the same certificate: within a day by its idempotency key, later by the key that it is for.
pub async fn certify(
    engine: &Engine,
    principal: &Principal,
    managed: &ManagedCertificate,
    definition: &ManagedDefinition,
    rotation: &Rotation,
    csr: ParsedCsr,
) -> Result<Certified, FlowError> {
    let spki_sha256 = csr.public_key().spki_sha256();
    let elapsed = engine.now().since(rotation.begun_at);
    if elapsed.seconds() + MARGIN.seconds() >= IDEMPOTENCY_LIFETIME.seconds()
        && let Some(earlier) = made_earlier(engine, managed, rotation, spki_sha256).await?
    {
        return certified(engine, earlier);
    }
    // One that is not defined is none: what a worker's request names is not what somebody was allowed to define.
    let subject = definition.parsed_subject().map_err(unusable)?.unwrap_or_else(DistinguishedName::empty);
    let request = IssueRequest {
        profile: managed.profile.clone(),
        csr,
        subject: Some(subject),
        names: Some(definition.names().map_err(unusable)?),
        validity: definition.parsed_validity().map_err(unusable)?,
        idempotency_key: Some(rotation.id.to_string()),
        request_id: None,
    };
    let issued = issue_for_rotation(engine, &JOB, principal, &managed.owner, request).await?;
    let certificate = issued.certificate;
    if certificate.spki_sha256 != spki_sha256 {
        return Err(FlowError::internal(format!("certificate {} is of another key than its request", certificate.id)));
    }
    certified(engine, certificate)
}

/// A certificate on record, with those above it.
pub async fn certified_as(engine: &Engine, id: CertificateId) -> Result<Certified, FlowError> {
    let certificate = engine.store().certificate(id).await?;
    let gone = || FlowError::new(FlowErrorKind::NotFound, format!("certificate {id} is not on record any more"));
    certified(engine, certificate.ok_or_else(gone)?)
}

/// Roots that a chain of this service may end in.
pub fn roots(engine: &Engine) -> Vec<Certificate> {
    engine.hierarchy().roots().map(|root| root.certificate().clone()).collect()
}

fn certified(engine: &Engine, certificate: StoredCertificate) -> Result<Certified, FlowError> {
    let authority = engine.authority(&certificate.authority)?;
    let chain = authority.chain().into_iter().map(<[u8]>::to_vec).collect();
    Ok(Certified { certificate, chain })
}

/// A certificate for this key that was made since the rotation began.
async fn made_earlier(
    engine: &Engine,
    managed: &ManagedCertificate,
    rotation: &Rotation,
    spki_sha256: [u8; 32],
) -> Result<Option<StoredCertificate>, FlowError> {
    let filter = CertificateFilter {
        spki_sha256: Some(spki_sha256),
        issued_after: Some(rotation.begun_at.minus(Lifetime::from_seconds(1))),
        profile: Some(managed.profile.clone()),
        owner: Some(managed.owner.clone()),
        ..CertificateFilter::all(engine.now())
    };
    let found = engine.store().list(&filter, None, 100).await?.items;
    Ok(found.into_iter().find(|certificate| certificate.standing == Standing::Active))
}

fn unusable(problem: DefinitionProblem) -> FlowError {
    let DefinitionProblem { pointer, message } = problem;
    let fault = Fault { code: "managed-definition".to_owned(), pointer, message };
    FlowError::of_faults(FlowErrorKind::InvalidRequest, "the definition has invalid values", vec![fault])
}
