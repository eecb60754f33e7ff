//! Certificate templates: everything a certificate will say, the signature apart.
//!
//! [`build`] joins what was granted with what the issuer's certificate permits and with the serial and the instant, which
//! are used here and nowhere else. Encoding is that of [`crate::tbs`].

use const_oid::ObjectIdentifier;

use crate::id::ProfileName;
use crate::key::{PublicKey, SignatureAlgorithm};
use crate::name::{DistinguishedName, GeneralName, NameConstraints};
use crate::policy::{Granted, Violation, ViolationCode};
use crate::profile::ProfileKind;
use crate::serial::Serial;
use crate::time::{Lifetime, Timestamp, Validity};
use crate::usage::{ExtendedKeyUsage, KeyUsages};

/// What the issuer's certificate says, as far as it binds those it issues. [`Self::from_certificate`] reads it once, when
/// the authority is opened.
#[derive(Clone, Debug, PartialEq)]
pub struct IssuerFacts {
    /// The issuer's subject, byte for byte.
    pub subject: DistinguishedName,
    /// The issuer's key, which every signature is verified with.
    pub public_key: PublicKey,
    /// The issuer's subject key identifier.
    pub key_identifier: Vec<u8>,
    /// The issuer's own validity.
    pub validity: Validity,
    /// The algorithm the issuer's key signs with.
    pub signature_algorithm: SignatureAlgorithm,
    /// The issuer's pathLenConstraint.
    pub path_length: Option<u8>,
    /// The names the issuer may certify.
    pub name_constraints: Option<NameConstraints>,
    /// The purposes the issuer may certify; empty means all.
    pub extended_key_usage: Vec<ExtendedKeyUsage>,
    /// The issuer's certificate policies; empty means that it has no such extension.
    pub certificate_policies: Vec<ObjectIdentifier>,
}

/// Who will sign.
#[derive(Clone, Copy, Debug)]
pub enum Issuer<'a> {
    /// Another authority.
    Authority(&'a IssuerFacts),
    /// The subject's own key, with this algorithm: a root.
    Itself(SignatureAlgorithm),
}

/// Where relying parties find status and issuer; `None` leaves the pointer out.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Endpoints {
    /// `http` URL of the issuer's CRL.
    pub crl: Option<String>,
    /// `http` URL of the OCSP responder.
    pub ocsp: Option<String>,
    /// `http` URL of the issuer's certificate, in DER.
    pub ca_issuers: Option<String>,
}

/// Who chooses the serial number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SerialChoice {
    /// This one.
    Ours(Serial),
    /// The issuer, when it signs (ACM PCA).
    ChosenByIssuer,
}

/// Whether the subject is an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectRole {
    /// An end entity.
    EndEntity,
    /// An authority, with at most so many intermediate authorities below it.
    Authority {
        /// pathLenConstraint
        path_length: Option<u8>,
    },
}

/// Everything a certificate will say, the signature apart. Only [`build`] makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct CertificateTemplate {
    pub(crate) profile: ProfileName,
    pub(crate) serial: SerialChoice,
    pub(crate) signature_algorithm: SignatureAlgorithm,
    pub(crate) issuer: DistinguishedName,
    pub(crate) validity: Validity,
    pub(crate) subject: DistinguishedName,
    pub(crate) public_key: PublicKey,
    pub(crate) role: SubjectRole,
    pub(crate) subject_key_identifier: [u8; 20],
    pub(crate) authority_key_identifier: Option<Vec<u8>>,
    pub(crate) key_usage: KeyUsages,
    pub(crate) extended_key_usage: Vec<ExtendedKeyUsage>,
    pub(crate) certificate_policies: Vec<ObjectIdentifier>,
    pub(crate) names: Vec<GeneralName>,
    pub(crate) name_constraints: NameConstraints,
    pub(crate) endpoints: Endpoints,
    pub(crate) must_staple: bool,
    pub(crate) ocsp_no_check: bool,
}

impl CertificateTemplate {
    /// The profile it was granted under.
    pub fn profile(&self) -> &ProfileName {
        &self.profile
    }

    /// The serial number, or that the issuer chooses it.
    pub fn serial(&self) -> &SerialChoice {
        &self.serial
    }

    /// The same, with the serial, the validity and the algorithm that somebody else has chosen.
    #[must_use]
    pub fn of_certificate(self, serial: Serial, validity: Validity, signature_algorithm: SignatureAlgorithm) -> Self {
        Self { serial: SerialChoice::Ours(serial), validity, signature_algorithm, ..self }
    }

    /// The algorithm the issuer is to sign with.
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signature_algorithm
    }

    /// The issuer's name.
    pub fn issuer(&self) -> &DistinguishedName {
        &self.issuer
    }

    /// First and last second of validity.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The subject.
    pub fn subject(&self) -> &DistinguishedName {
        &self.subject
    }

    /// The subject's key.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Whether the subject is an authority.
    pub fn role(&self) -> SubjectRole {
        self.role
    }

    /// What the key may be used for.
    pub fn key_usage(&self) -> KeyUsages {
        self.key_usage
    }

    /// The purposes; empty leaves the extension out.
    pub fn extended_key_usage(&self) -> &[ExtendedKeyUsage] {
        &self.extended_key_usage
    }

    /// The certificate policies; empty leaves the extension out.
    pub fn certificate_policies(&self) -> &[ObjectIdentifier] {
        &self.certificate_policies
    }

    /// The subject alternative names; empty leaves the extension out.
    pub fn names(&self) -> &[GeneralName] {
        &self.names
    }

    /// The names the subject, an authority, may certify.
    pub fn name_constraints(&self) -> &NameConstraints {
        &self.name_constraints
    }

    /// Where status and issuer are found.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }
}

/// How far `not_before` lies in the past, for clocks that run behind ours.
pub const BACKDATE: Lifetime = Lifetime::from_seconds(300);

/// Joins a grant with its issuer. Every violation is told.
///
/// `not_before` is `now` less [`BACKDATE`], to the second, but never before the issuer's. `not_after` is `now` and the
/// lifetime; one that ends after the issuer is cut short where it is the profile's default and refused where it was asked
/// for. `endpoints` that the profile leaves out are dropped.
pub fn build(
    granted: Granted,
    issuer: Issuer<'_>,
    endpoints: &Endpoints,
    serial: SerialChoice,
    now: Timestamp,
) -> Result<CertificateTemplate, Vec<Violation>> {
    let mut violations = Vec::new();
    let validity = match issuer {
        Issuer::Authority(facts) => {
            check_issuer(&granted, facts, &mut violations);
            validity_within(&granted, facts.validity, now, &mut violations)
        }
        Issuer::Itself(_) => validity_from(now, granted.lifetime),
    };
    let self_signed = matches!(issuer, Issuer::Itself(_));
    if self_signed != (granted.kind == ProfileKind::Root) {
        let message = if self_signed {
            format!("the profile `{}` is no root's: name the authority that issues", granted.profile)
        } else {
            format!("the profile `{}` is a root's, which signs itself", granted.profile)
        };
        violations.push(Violation::new(ViolationCode::IssuerNotFit, "/profile", message));
    }
    if !violations.is_empty() {
        return Err(violations);
    }
    Ok(assemble(granted, issuer, endpoints, serial, validity))
}

fn assemble(
    granted: Granted,
    issuer: Issuer<'_>,
    endpoints: &Endpoints,
    serial: SerialChoice,
    validity: Validity,
) -> CertificateTemplate {
    let (issuer_name, authority_key_identifier, signature_algorithm) = match issuer {
        Issuer::Authority(facts) => {
            (facts.subject.clone(), Some(facts.key_identifier.clone()), facts.signature_algorithm)
        }
        // RFC 5280 §4.2.1.1: a self-signed certificate may leave the authority key identifier out.
        Issuer::Itself(algorithm) => (granted.subject.clone(), None, algorithm),
    };
    let urls = granted.status_urls;
    CertificateTemplate {
        profile: granted.profile,
        serial,
        signature_algorithm,
        issuer: issuer_name,
        validity,
        subject: granted.subject,
        subject_key_identifier: granted.public_key.key_identifier(),
        public_key: granted.public_key,
        role: if granted.kind.is_authority() {
            SubjectRole::Authority { path_length: granted.path_length }
        } else {
            SubjectRole::EndEntity
        },
        authority_key_identifier,
        key_usage: granted.key_usage,
        extended_key_usage: granted.extended_key_usage,
        certificate_policies: granted.certificate_policies,
        names: granted.names,
        name_constraints: granted.name_constraints,
        endpoints: Endpoints {
            crl: endpoints.crl.clone().filter(|_| urls.crl),
            ocsp: endpoints.ocsp.clone().filter(|_| urls.ocsp),
            ca_issuers: endpoints.ca_issuers.clone().filter(|_| urls.ca_issuers),
        },
        must_staple: granted.must_staple,
        ocsp_no_check: granted.kind == ProfileKind::OcspResponder,
    }
}

fn validity_from(now: Timestamp, lifetime: Lifetime) -> Validity {
    let now = now.floor_to_second();
    Validity { not_before: now.minus(BACKDATE), not_after: now.plus(lifetime) }
}

/// The validity inside the issuer's.
fn validity_within(granted: &Granted, issuer: Validity, now: Timestamp, violations: &mut Vec<Violation>) -> Validity {
    let wanted = validity_from(now, granted.lifetime);
    if now < issuer.not_before {
        let message = format!(
            "the clock says {now}, but the issuer's validity begins at {}; set the clock right",
            issuer.not_before
        );
        violations.push(Violation::new(ViolationCode::IssuerNotYetValid, "", message));
        return wanted;
    }
    if now > issuer.not_after {
        let message = format!("the issuer's own certificate ended at {}; renew the authority first", issuer.not_after);
        violations.push(Violation::new(ViolationCode::IssuerExpired, "", message));
        return wanted;
    }
    if wanted.not_after > issuer.not_after && granted.lifetime_explicit {
        let left = issuer.not_after.since(now.floor_to_second());
        let message = format!(
            "{} asked for would end after the issuer does, at {}; ask for at most {} or leave the validity out",
            granted.lifetime,
            issuer.not_after,
            left.rounded_down()
        );
        violations.push(Violation::new(ViolationCode::ValidityBeyondIssuer, "/validity", message));
    }
    Validity { not_before: wanted.not_before.max(issuer.not_before), not_after: wanted.not_after.min(issuer.not_after) }
}

fn check_issuer(granted: &Granted, issuer: &IssuerFacts, violations: &mut Vec<Violation>) {
    if granted.kind.is_authority() && issuer.path_length == Some(0) {
        let message = format!("the issuer `{}` may issue to end entities only (path length 0)", issuer.subject);
        violations.push(Violation::new(ViolationCode::IssuerPathLength, "/profile", message));
    }
    check_issuer_purposes(granted, issuer, violations);
    check_issuer_policies(granted, issuer, violations);
    check_issuer_name_constraints(granted, issuer, violations);
}

/// A purpose that the issuer's certificate does not list would be refused by every verifier that nests purposes (NSS, Go,
/// Windows). Responders are outside: RFC 6960 §4.2.2.2 ties them to the issuer's key, not to its purposes.
fn check_issuer_purposes(granted: &Granted, issuer: &IssuerFacts, violations: &mut Vec<Violation>) {
    let allowed = &issuer.extended_key_usage;
    if allowed.is_empty() || allowed.contains(&ExtendedKeyUsage::ANY) || granted.kind == ProfileKind::OcspResponder {
        return;
    }
    let names: Vec<String> = allowed.iter().map(ToString::to_string).collect();
    let names = names.join(", ");
    if granted.kind.is_authority() && granted.extended_key_usage.is_empty() {
        let message = format!("the issuer is confined to {names}; so must be an authority below it");
        violations.push(Violation::new(ViolationCode::IssuerExtendedKeyUsage, "/profile", message));
    }
    for purpose in granted.extended_key_usage.iter().filter(|purpose| !allowed.contains(purpose)) {
        let message = format!(
            "the profile `{}` is for {purpose}, which its issuer may not certify; it may certify {names}",
            granted.profile
        );
        violations.push(Violation::new(ViolationCode::IssuerExtendedKeyUsage, "/profile", message));
    }
}

fn check_issuer_policies(granted: &Granted, issuer: &IssuerFacts, violations: &mut Vec<Violation>) {
    let allowed = &issuer.certificate_policies;
    if allowed.is_empty() || allowed.contains(&ANY_POLICY) {
        return;
    }
    for policy in granted.certificate_policies.iter().filter(|policy| !allowed.contains(policy)) {
        let message = format!("the issuer's certificate does not list the certificate policy {policy}");
        violations.push(Violation::new(ViolationCode::IssuerPolicies, "/profile", message));
    }
}

fn check_issuer_name_constraints(granted: &Granted, issuer: &IssuerFacts, violations: &mut Vec<Violation>) {
    let Some(constraints) = &issuer.name_constraints else { return };
    let mut refuse = |pointer: String, broken: Vec<crate::name::ConstraintViolation>| {
        for violation in broken {
            let message = violation.to_string();
            violations.push(Violation::new(ViolationCode::IssuerNameConstraints, pointer.clone(), message));
        }
    };
    // Name by name, so that each violation points at its name.
    if let Err(broken) = constraints.check(&granted.subject, &[]) {
        refuse("/subject".to_owned(), broken);
    }
    for (index, name) in granted.names.iter().enumerate() {
        if let Err(broken) = constraints.check(&DistinguishedName::empty(), std::slice::from_ref(name)) {
            refuse(granted.names_pointer.of(index), broken);
        }
    }
}

/// anyPolicy (RFC 5280 §4.2.1.4)
pub(crate) const ANY_POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.32.0");

#[cfg(test)]
mod tests;
