//! Linting before signing: what was encoded is read again and held against the standards, the issuer and the profile.
//!
//! Nothing here repairs anything, and nothing here believes the template: a rule sees the octets, the issuer's facts and the
//! profile. [`check`] is the only way to a [`LintedTbs`], and that the only certificate an authority's key can be given.

mod catalogue;
mod extension;
mod field;
mod inspection;
mod issuer;
mod name;
mod profile;
mod rule;
mod usage;

use std::fmt;

use thiserror::Error;

use crate::hash;
use crate::key::{PublicKey, SignatureAlgorithm, SignatureInvalid};
use crate::profile::{Profile, ProfileKind};
use crate::signing::{self, Message, Signable, Signature, sealed};
use crate::tbs::extension::id;
use crate::tbs::{CertificateDer, TbsDer, TbsView};
use crate::template::Issuer;

/// A rule that something about to be signed breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The name of the rule, stable.
    pub rule: &'static str,
    /// The text that states it, like `RFC 5280 §5.1.2.1`.
    pub clause: &'static str,
    /// What was found and what would be right.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.rule, self.detail, self.clause)
    }
}

/// What a TBSCertificate is held against.
#[derive(Clone, Copy, Debug)]
pub struct LintContext<'a> {
    /// Who will sign.
    pub issuer: Issuer<'a>,
    /// The key that was to be certified; it exists, so it is strong. The octets in the TBS must be its.
    pub public_key: &'a PublicKey,
    /// The profile.
    pub profile: &'a Profile,
}

/// A TBSCertificate that every rule found faultless: ready to be put on record and signed. Only [`check`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct LintedTbs {
    der: Vec<u8>,
    signature_algorithm: SignatureAlgorithm,
}

/// Holds a TBSCertificate against every rule; every finding is told.
pub fn check(tbs: TbsDer, context: &LintContext<'_>) -> Result<LintedTbs, Vec<Finding>> {
    let der = tbs.into_bytes();
    let signature_algorithm = catalogue::check(&der, context)?;
    Ok(LintedTbs { der, signature_algorithm })
}

/// Holds the TBSCertificate of a certificate that another issuer made against every rule; every finding is told. Of responders such an
/// issuer has ways of its own, which [`is_a_way_of_issuers`] lets pass.
pub fn check_received(to_be_signed: &[u8], context: &LintContext<'_>) -> Result<(), Vec<Finding>> {
    let Err(mut findings) = catalogue::check(to_be_signed, context) else { return Ok(()) };
    if context.profile.kind() == ProfileKind::OcspResponder {
        findings.retain(|finding| !is_a_way_of_issuers(finding, to_be_signed));
    }
    if findings.is_empty() { Ok(()) } else { Err(findings) }
}

/// Whether a finding about a responder is how AWS Private CA makes one, and does no harm: it adds to all that it makes where its own
/// status is found, and from a responder with id-pkix-ocsp-nocheck nobody goes there (RFC 6960 §4.2.2.2.1); its template makes
/// OCSPSigning critical, which binds no less, and basicConstraints not, which RFC 5280 §4.2.1.9 leaves open for end entities.
fn is_a_way_of_issuers(finding: &Finding, to_be_signed: &[u8]) -> bool {
    match finding.rule {
        extension::RESPONDER_POINTS_NOWHERE | usage::PURPOSES_NOT_CRITICAL => true,
        extension::CONSTRAINING_CRITICAL => TbsView::read(to_be_signed).is_ok_and(|view| {
            let lax = |oid| view.extensions.iter().any(|extension| extension.is(oid) && !extension.critical);
            !lax(&id::KEY_USAGE) && !lax(&id::NAME_CONSTRAINTS)
        }),
        _ => false,
    }
}

impl LintedTbs {
    /// The octets to be signed.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the octets: what is put on record before they are signed.
    pub fn sha256(&self) -> [u8; 32] {
        hash::sha256(&self.der)
    }

    /// The algorithm it must be signed with.
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signature_algorithm
    }

    /// Joins it with its signature. The signature is verified first: what does not verify never becomes a certificate.
    pub fn into_certificate(self, signature: &Signature, issuer: &PublicKey) -> Result<CertificateDer, AssembleError> {
        if signature.algorithm != self.signature_algorithm {
            return Err(AssembleError::OtherAlgorithm {
                expected: self.signature_algorithm,
                found: signature.algorithm,
            });
        }
        issuer.verify(signature.algorithm, &self.der, &signature.octets)?;
        Ok(CertificateDer(signing::assemble(&self.der, signature)))
    }
}

impl sealed::Sealed for LintedTbs {}

impl Signable for LintedTbs {
    fn message(&self) -> Message<'_> {
        Message::Whole(&self.der)
    }
}

/// A signature that does not make a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AssembleError {
    /// Made with another algorithm than the one named inside what was signed.
    #[error("the signature is {}, but the certificate names {}", found.as_str(), expected.as_str())]
    OtherAlgorithm {
        /// The one named inside.
        expected: SignatureAlgorithm,
        /// The one of the signature.
        found: SignatureAlgorithm,
    },
    /// Not a signature of the issuer's key over these octets.
    #[error("the issuer's key did not make this signature: {0}")]
    Signature(#[from] SignatureInvalid),
}

#[cfg(test)]
mod tests;
