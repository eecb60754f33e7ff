//! Evaluation of a request against a profile: `Granted`, or every violation at once.
//!
//! Decides what a certificate may say; who may ask is the access policy's business, and what the issuer's certificate
//! forbids is held against the grant by [`crate::template`].

mod name;
mod subject;
mod violation;

pub use violation::{Violation, ViolationCode};

use const_oid::ObjectIdentifier;

use crate::csr::ParsedCsr;
use crate::id::ProfileName;
use crate::key::{KeyType, PublicKey};
use crate::name::{DistinguishedName, GeneralName, NameConstraints};
use crate::profile::{Profile, ProfileKind, StatusUrlRules};
use crate::time::Lifetime;
use crate::usage::{ExtendedKeyUsage, KeyUsages};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct CertificateRequest<'a> {
    /// The key to be certified. Its holder proved possession: by the CSR, or by the certificate that is renewed.
    pub public_key: &'a PublicKey,
    /// The CSR, where there is one; its subject and names stand in for those the request leaves out.
    pub csr: Option<&'a ParsedCsr>,
    /// The subject asked for; `None` where the request names none.
    pub subject: Option<&'a DistinguishedName>,
    /// The subject alternative names asked for; `None` where the request names none.
    pub names: Option<&'a [GeneralName]>,
    /// The lifetime asked for; `None` takes the profile's default.
    pub validity: Option<Lifetime>,
    /// What a new subordinate authority is confined to; `None` for everything else.
    pub constraints: Option<&'a AuthorityConstraints>,
}

/// What a subordinate authority is confined to.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AuthorityConstraints {
    /// The purposes of the certificates it may issue; empty means all. Delegated OCSP responders are outside this: a
    /// responder's certificate is accepted because its issuer's key signed it.
    pub extended_key_usage: Vec<ExtendedKeyUsage>,
    /// The names it may certify.
    pub name_constraints: NameConstraints,
}

/// Who brings the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Somebody, through the API or the command line: internal profiles are refused.
    Api,
    /// A flow of the service itself.
    Service,
}

/// What the request is held against besides its profile.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// Who brings it.
    pub origin: Origin,
    /// The names of this service's own API listener: no server certificate for them but the service's own.
    pub reserved_names: &'a [GeneralName],
}

/// A request that its profile allows. Only [`evaluate`] makes one, and [`crate::template::build`] consumes it.
#[derive(Debug)]
pub struct Granted {
    pub(crate) profile: ProfileName,
    pub(crate) kind: ProfileKind,
    pub(crate) public_key: PublicKey,
    pub(crate) subject: DistinguishedName,
    pub(crate) names: Vec<GeneralName>,
    pub(crate) names_pointer: NamesPointer,
    pub(crate) lifetime: Lifetime,
    pub(crate) lifetime_explicit: bool,
    pub(crate) key_usage: KeyUsages,
    pub(crate) extended_key_usage: Vec<ExtendedKeyUsage>,
    pub(crate) certificate_policies: Vec<ObjectIdentifier>,
    pub(crate) path_length: Option<u8>,
    pub(crate) name_constraints: NameConstraints,
    pub(crate) must_staple: bool,
    pub(crate) status_urls: StatusUrlRules,
}

impl Granted {
    /// The subject that was granted.
    pub fn subject(&self) -> &DistinguishedName {
        &self.subject
    }

    /// The subject alternative names that were granted.
    pub fn names(&self) -> &[GeneralName] {
        &self.names
    }

    /// The key that was granted.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }
}

/// Where the names of a request stood, for the pointers of violations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamesPointer {
    /// In the request's own list.
    Request,
    /// In the CSR.
    Csr,
}

impl NamesPointer {
    pub(crate) fn of(self, index: usize) -> String {
        match self {
            Self::Request => format!("/subject_alternative_names/{index}"),
            Self::Csr => "/csr".to_owned(),
        }
    }

    pub(crate) fn whole(self) -> &'static str {
        match self {
            Self::Request => "/subject_alternative_names",
            Self::Csr => "/csr",
        }
    }
}

/// Holds a request against its profile. Every violation is told, in the order profile, key, subject, names, validity.
pub fn evaluate(
    profile: &Profile,
    request: &CertificateRequest<'_>,
    surroundings: &Surroundings<'_>,
) -> Result<Granted, Vec<Violation>> {
    let mut violations = Vec::new();
    check_origin(profile, request.constraints, surroundings, &mut violations);
    check_key(profile, request, &mut violations);
    let (names, names_pointer) = name::asked(profile.names(), request.names, request.csr);
    let subject = subject::check(profile, request.subject, request.csr, names, &mut violations);
    check_named(profile, &subject, names, names_pointer, surroundings, &mut violations);
    let lifetime = check_validity(profile, request.validity, &mut violations);
    if !violations.is_empty() {
        return Err(violations);
    }
    let key_type = request.public_key.key_type();
    let constraints = request.constraints;
    Ok(Granted {
        profile: profile.name.clone(),
        kind: profile.kind,
        public_key: request.public_key.clone(),
        subject,
        names: names.to_vec(),
        names_pointer,
        lifetime,
        lifetime_explicit: request.validity.is_some(),
        key_usage: profile.key_usage.iter().filter(|usage| usage.fits(key_type)).collect(),
        extended_key_usage: constraints
            .map_or_else(|| profile.extended_key_usage.clone(), |constraints| constraints.extended_key_usage.clone()),
        certificate_policies: profile.certificate_policies.clone(),
        path_length: profile.path_length,
        name_constraints: constraints.map(|constraints| constraints.name_constraints.clone()).unwrap_or_default(),
        must_staple: profile.must_staple,
        status_urls: profile.status_urls,
    })
}

/// What is to be asked for later, by whoever will make a key for it then.
#[derive(Clone, Copy, Debug)]
pub struct PlannedRequest<'a> {
    /// The type of the keys that will be made.
    pub key_type: KeyType,
    /// The subject; `None` for none.
    pub subject: Option<&'a DistinguishedName>,
    /// The subject alternative names.
    pub names: &'a [GeneralName],
    /// The lifetime; `None` takes the profile's default.
    pub validity: Option<Lifetime>,
}

/// What a profile would grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreseen {
    /// The subject, the profile's fixed attributes in front.
    pub subject: DistinguishedName,
    /// The lifetime.
    pub lifetime: Lifetime,
}

/// Holds a request against its profile before there is a key: the same rules as [`evaluate`], which decides when there is one. Every
/// violation is told; that of the key's type at `/key_type`.
pub fn foresee(
    profile: &Profile,
    request: &PlannedRequest<'_>,
    surroundings: &Surroundings<'_>,
) -> Result<Foreseen, Vec<Violation>> {
    let mut violations = Vec::new();
    check_origin(profile, None, surroundings, &mut violations);
    check_key_type(profile, request.key_type, "/key_type", &mut violations);
    let subject = subject::check(profile, request.subject, None, request.names, &mut violations);
    check_named(profile, &subject, request.names, NamesPointer::Request, surroundings, &mut violations);
    let lifetime = check_validity(profile, request.validity, &mut violations);
    if violations.is_empty() { Ok(Foreseen { subject, lifetime }) } else { Err(violations) }
}

/// What of a subject's attributes the profile does not allow; for lints, which start from octets.
pub(crate) fn check_subject_attributes(profile: &Profile, subject: &DistinguishedName) -> Vec<Violation> {
    let mut violations = Vec::new();
    subject::check_attributes(profile, subject, "/subject", &mut violations);
    violations
}

/// What of a list of names the profile does not allow; for lints, which start from octets.
pub(crate) fn check_names(profile: &Profile, names: &[GeneralName]) -> Vec<Violation> {
    let mut violations = Vec::new();
    name::check(profile, names, NamesPointer::Request, &[], &mut violations);
    violations
}

/// Subject and alternative names together: whether they name somebody, and nobody whom the service alone certifies.
fn check_named(
    profile: &Profile,
    subject: &DistinguishedName,
    names: &[GeneralName],
    pointer: NamesPointer,
    surroundings: &Surroundings<'_>,
    violations: &mut Vec<Violation>,
) {
    name::check(profile, names, pointer, surroundings.reserved_names, violations);
    if subject.is_empty() && names.is_empty() {
        // RFC 5280 §4.1.2.6: a certificate names its subject in the subject field or in the alternative names.
        violations.push(Violation::new(
            ViolationCode::SubjectMissing,
            "",
            "the request names nobody: give a subject or a subject alternative name",
        ));
    }
    name::check_reserved_common_names(profile, subject, surroundings.reserved_names, violations);
}

fn check_origin(
    profile: &Profile,
    constraints: Option<&AuthorityConstraints>,
    surroundings: &Surroundings<'_>,
    violations: &mut Vec<Violation>,
) {
    if profile.internal && surroundings.origin == Origin::Api {
        let message = format!("the profile `{}` is for the service's own certificates; ask for another", profile.name);
        violations.push(Violation::new(ViolationCode::ProfileInternal, "/profile", message));
    }
    let Some(constraints) = constraints else { return };
    if profile.kind != ProfileKind::Subordinate {
        let message = format!("the profile `{}` is no subordinate authority's; it takes no constraints", profile.name);
        violations.push(Violation::new(ViolationCode::ConstraintsNotAllowed, "/profile", message));
    }
    if constraints.extended_key_usage.contains(&ExtendedKeyUsage::OCSP_SIGNING) {
        // An authority's certificate with OCSPSigning would be a responder for its parent (RFC 6960 §4.2.2.2).
        let message = "OCSPSigning never goes into an authority's certificate; its responders do not need it there";
        violations.push(Violation::new(ViolationCode::ConstraintsNotAllowed, "/profile", message));
    }
}

fn check_key(profile: &Profile, request: &CertificateRequest<'_>, violations: &mut Vec<Violation>) {
    check_key_type(profile, request.public_key.key_type(), "/csr", violations);
    if request.csr.is_some_and(|csr| csr.public_key() != request.public_key) {
        let message = "the CSR proves possession of another key than the one to be certified";
        violations.push(Violation::new(ViolationCode::KeyNotOfCsr, "/csr", message));
    }
}

fn check_key_type(profile: &Profile, key_type: KeyType, pointer: &str, violations: &mut Vec<Violation>) {
    if profile.key_types.contains(&key_type) {
        return;
    }
    let allowed: Vec<&str> = profile.key_types.iter().map(|allowed| allowed.as_str()).collect();
    let message = format!(
        "the key is {key_type}, which the profile `{}` does not take; make one of {}",
        profile.name,
        allowed.join(", ")
    );
    violations.push(Violation::new(ViolationCode::KeyTypeNotAllowed, pointer, message));
}

fn check_validity(profile: &Profile, asked: Option<Lifetime>, violations: &mut Vec<Violation>) -> Lifetime {
    let Some(asked) = asked else { return profile.validity.default };
    if asked == Lifetime::ZERO {
        let message = "a certificate lives at least a second; ask for a length of time like 90d or 12h";
        violations.push(Violation::new(ViolationCode::ValidityZero, "/validity", message));
    }
    let maximum = profile.validity.maximum;
    if asked > maximum {
        let message =
            format!("{asked} is longer than the profile `{}` allows; ask for at most {maximum}", profile.name);
        violations.push(Violation::new(ViolationCode::ValidityTooLong, "/validity", message));
    }
    asked
}

#[cfg(test)]
mod tests;
