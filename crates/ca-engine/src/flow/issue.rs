//! A new certificate for whoever may have it.

use std::fmt;

use ca_core::csr::ParsedCsr;
use ca_core::hash::sha256;
use ca_core::id::ProfileName;
use ca_core::name::{DistinguishedName, GeneralName};
use ca_core::policy::{self, CertificateRequest, Granted, Origin, Surroundings};
use ca_core::principal::Principal;
use ca_core::profile::Profile;
use ca_core::template::Issuer;
use ca_core::time::Lifetime;

use super::issuance::{AskedOnce, Order, carry_out, elsewhere, violations};
pub use super::issuance::{IDEMPOTENCY_LIFETIME, Issued};
use super::query::permit;
use super::shards;
use crate::engine::Engine;
use crate::error::{Fault, FlowError, FlowErrorKind};
use crate::hierarchy::Authority;
use crate::port::authorizer::{Action, Resource};

/// A request for a certificate.
#[derive(Clone)]
pub struct IssueRequest {
    /// The profile.
    pub profile: ProfileName,
    /// The CSR, its proof of possession checked.
    pub csr: ParsedCsr,
    /// The subject; the CSR's when absent.
    pub subject: Option<DistinguishedName>,
    /// The subject alternative names; the CSR's when absent and the profile allows it.
    pub names: Option<Vec<GeneralName>>,
    /// The lifetime; the profile's default when absent.
    pub validity: Option<Lifetime>,
    /// The idempotency key, as the caller chose it.
    pub idempotency_key: Option<String>,
    /// The request it came with.
    pub request_id: Option<String>,
}

/// Without subject, names and key: they may be personal data, and this goes to logs.
impl fmt::Debug for IssueRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssueRequest")
            .field("profile", &self.profile)
            .field("public_key", self.csr.public_key())
            .field("validity", &self.validity)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// Issues a certificate: decides, then prepares, reserves, signs, checks and completes it.
pub async fn issue(engine: &Engine, principal: &Principal, request: IssueRequest) -> Result<Issued, FlowError> {
    let asker =
        Asker { permitted: principal, origin: origin(principal), told: principal, owner: principal.reference() };
    issue_as(engine, asker, "issue", request).await
}

/// Issues the certificate of a rotation: the access policy is asked about `job`, the event tells of `principal`, and the certificate is
/// `owner`'s. Profiles decide as for anybody: what was defined came from outside.
pub(super) async fn issue_for_rotation(
    engine: &Engine,
    job: &Principal,
    principal: &Principal,
    owner: &str,
    request: IssueRequest,
) -> Result<Issued, FlowError> {
    let asker = Asker { permitted: job, origin: Origin::Api, told: principal, owner: owner.to_owned() };
    issue_as(engine, asker, "rotate", request).await
}

/// In whose name something is issued.
struct Asker<'a> {
    /// Whom the access policy is asked about, and whose an idempotency key is.
    permitted: &'a Principal,
    /// By which rules the profile is read.
    origin: Origin,
    /// Whom the event tells of.
    told: &'a Principal,
    /// Principal reference of the owner.
    owner: String,
}

async fn issue_as(engine: &Engine, asker: Asker<'_>, route: &str, request: IssueRequest) -> Result<Issued, FlowError> {
    let Asker { permitted: principal, origin, told, owner } = asker;
    // 1. Does the profile allow it? All violations at once.
    let profile = profile(engine, &request.profile)?;
    let granted = evaluate(
        engine,
        origin,
        &profile,
        &CertificateRequest {
            public_key: request.csr.public_key(),
            csr: Some(&request.csr),
            subject: request.subject.as_ref(),
            names: request.names.as_deref(),
            validity: request.validity,
            constraints: None,
        },
    )?;
    // 2. May this principal have it? The policy judges the very names that would be certified.
    let common_names = granted.subject().common_names();
    let resource = Resource::Profile {
        name: profile.name(),
        internal: profile.is_internal(),
        common_names: &common_names,
        names: granted.names(),
    };
    permit(engine, principal, Action::IssueCertificate, resource)?;
    // 3. By whom.
    let authority = issuing_authority(engine, &profile).await?;
    let shard = shards::draw(engine, &authority, &profile).await?;
    let idempotency = request
        .idempotency_key
        .as_deref()
        .map(|key| AskedOnce { scope_sha256: scope(principal, route, key), request_sha256: request_digest(&request) });
    // 4. Prepare, reserve, sign, check, complete.
    carry_out(
        engine,
        Order {
            granted,
            profile: &profile,
            issuer: Issuer::Authority(authority.facts()),
            authority: authority.id(),
            hand: authority.hand()?,
            csr: Some(request.csr.der()),
            endpoints: elsewhere::endpoints(engine, &authority, shard.as_ref().map(|shard| shard.uri.as_str())),
            shard: shard.map(|shard| shard.number),
            principal: told,
            owner,
            renews: None,
            idempotency,
            request_id: request.request_id.as_deref(),
        },
    )
    .await
}

/// A profile by its name.
pub(super) fn profile(engine: &Engine, name: &ProfileName) -> Result<std::sync::Arc<Profile>, FlowError> {
    engine.profiles().get(name).cloned().ok_or_else(|| {
        let message = format!("there is no profile `{name}`; profiles are {}", engine.profile_names());
        let fault =
            Fault { code: "unknown-profile".to_owned(), pointer: "/profile".to_owned(), message: message.clone() };
        FlowError::new(FlowErrorKind::UnknownProfile, message).with_faults(vec![fault])
    })
}

/// The authority a profile's certificates come from: the newest generation that issues (`tls`, after a rollover `tls-2`) of the
/// line that it names. Judged by a recent look at the record: from the moment that a generation was announced for, and for good once
/// it is retiring, nobody issues from the one before.
pub(super) async fn issuing_authority(
    engine: &Engine,
    profile: &Profile,
) -> Result<std::sync::Arc<Authority>, FlowError> {
    let line = profile.authority().ok_or_else(|| {
        FlowError::new(
            FlowErrorKind::UnknownProfile,
            format!("profile `{}` is not asked for like this", profile.name()),
        )
    })?;
    let hierarchy = engine.recent_hierarchy().await?;
    match hierarchy.issuing(line, engine.now()) {
        Some(authority) => Ok(authority.clone()),
        None if hierarchy.generations(line).is_empty() => {
            Err(FlowError::new(FlowErrorKind::NotFound, format!("there is no authority `{line}`")))
        }
        None => {
            let message = format!("authority {line} issues no more certificates");
            Err(FlowError::new(FlowErrorKind::AuthorityCannotSign, message))
        }
    }
}

/// Internal profiles are for flows of the service and for the operator of its host.
pub(super) fn origin(principal: &Principal) -> Origin {
    match principal {
        Principal::LocalOperator | Principal::Job(_) => Origin::Service,
        _ => Origin::Api,
    }
}

/// Holds a request against a profile.
pub(super) fn evaluate(
    engine: &Engine,
    origin: Origin,
    profile: &Profile,
    request: &CertificateRequest<'_>,
) -> Result<Granted, FlowError> {
    // The operator of the host may certify the API's own names: it could as well take the API's key.
    let reserved_names = if origin == Origin::Api { &engine.settings().api_names[..] } else { &[] };
    let surroundings = Surroundings { origin, reserved_names };
    policy::evaluate(profile, request, &surroundings).map_err(violations)
}

/// SHA-256 over who, which route and which key: the scope of an idempotency key.
pub(super) fn scope(principal: &Principal, route: &str, key: &str) -> [u8; 32] {
    sha256(format!("{}\0{route}\0{key}", principal.reference()).as_bytes())
}

/// SHA-256 over everything that decides what is issued.
fn request_digest(request: &IssueRequest) -> [u8; 32] {
    let mut octets = Vec::new();
    let mut part = |bytes: &[u8]| {
        octets.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        octets.extend_from_slice(bytes);
    };
    part(request.profile.as_str().as_bytes());
    part(request.csr.der());
    // DER is never empty: an empty subject is another request than none.
    part(request.subject.as_ref().map_or(&[], |subject| subject.as_der()));
    part(&request.names.as_deref().map(GeneralName::encode_all).unwrap_or_default());
    part(request.validity.map(|validity| validity.to_string()).unwrap_or_default().as_bytes());
    sha256(&octets)
}
