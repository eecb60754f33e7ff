//! What a request does that its profile or issuer does not allow.

use std::fmt;

/// Which rule is broken; its text is stable, in kebab-case, and part of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ViolationCode {
    /// The profile is for the service's own use.
    ProfileInternal,
    /// A key of a type that the profile does not list.
    KeyTypeNotAllowed,
    /// The CSR proves possession of another key.
    KeyNotOfCsr,
    /// An attribute that must be in the subject is not.
    SubjectAttributeMissing,
    /// An attribute that the profile does not list.
    SubjectAttributeNotAllowed,
    /// An attribute that the profile itself sets.
    SubjectAttributeFixed,
    /// An attribute that breaks its size limits or string type.
    SubjectAttributeInvalid,
    /// More attributes than the profile allows.
    SubjectTooLarge,
    /// Neither a subject nor a name.
    SubjectMissing,
    /// A common name that is no subject alternative name.
    CommonNameNotAName,
    /// No subject alternative name (of a kind) where the profile asks for one.
    NameMissing,
    /// A kind of name that the profile does not list.
    NameKindNotAllowed,
    /// A name outside the profile's domains, networks or types.
    NameNotWithin,
    /// A wildcard where none may be.
    WildcardNotAllowed,
    /// A DNS name of one label where none may be.
    SingleLabelNotAllowed,
    /// A URI of a scheme that the profile does not list.
    UriSchemeNotAllowed,
    /// More names than the profile allows.
    TooManyNames,
    /// The same name twice.
    NameDuplicate,
    /// A name of this service itself.
    NameReserved,
    /// A lifetime of no time.
    ValidityZero,
    /// A lifetime beyond the profile's maximum.
    ValidityTooLong,
    /// A lifetime asked for that ends after the issuer's.
    ValidityBeyondIssuer,
    /// The clock stands before the issuer's validity begins.
    IssuerNotYetValid,
    /// The issuer's own certificate has ended.
    IssuerExpired,
    /// A name outside what the issuer may certify.
    IssuerNameConstraints,
    /// An authority below an issuer that allows none.
    IssuerPathLength,
    /// A purpose outside what the issuer may certify.
    IssuerExtendedKeyUsage,
    /// A certificate policy outside what the issuer may certify.
    IssuerPolicies,
    /// The issuer is missing for a certificate that cannot sign itself, or given for one that does.
    IssuerNotFit,
    /// Constraints of an authority asked for a certificate that is none.
    ConstraintsNotAllowed,
}

impl ViolationCode {
    /// The stable text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProfileInternal => "profile-internal",
            Self::KeyTypeNotAllowed => "key-type-not-allowed",
            Self::KeyNotOfCsr => "key-not-of-csr",
            Self::SubjectAttributeMissing => "subject-attribute-missing",
            Self::SubjectAttributeNotAllowed => "subject-attribute-not-allowed",
            Self::SubjectAttributeFixed => "subject-attribute-fixed",
            Self::SubjectAttributeInvalid => "subject-attribute-invalid",
            Self::SubjectTooLarge => "subject-too-large",
            Self::SubjectMissing => "subject-missing",
            Self::CommonNameNotAName => "common-name-not-a-name",
            Self::NameMissing => "name-missing",
            Self::NameKindNotAllowed => "name-kind-not-allowed",
            Self::NameNotWithin => "name-not-within",
            Self::WildcardNotAllowed => "wildcard-not-allowed",
            Self::SingleLabelNotAllowed => "single-label-not-allowed",
            Self::UriSchemeNotAllowed => "uri-scheme-not-allowed",
            Self::TooManyNames => "too-many-names",
            Self::NameDuplicate => "name-duplicate",
            Self::NameReserved => "name-reserved",
            Self::ValidityZero => "validity-zero",
            Self::ValidityTooLong => "validity-too-long",
            Self::ValidityBeyondIssuer => "validity-beyond-issuer",
            Self::IssuerNotYetValid => "issuer-not-yet-valid",
            Self::IssuerExpired => "issuer-expired",
            Self::IssuerNameConstraints => "issuer-name-constraints",
            Self::IssuerPathLength => "issuer-path-length",
            Self::IssuerExtendedKeyUsage => "issuer-extended-key-usage",
            Self::IssuerPolicies => "issuer-policies",
            Self::IssuerNotFit => "issuer-not-fit",
            Self::ConstraintsNotAllowed => "constraints-not-allowed",
        }
    }
}

impl fmt::Display for ViolationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is not allowed. `message` may quote names of the request, so it goes to the asker and into no log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which rule.
    pub code: ViolationCode,
    /// Where in the request, as a JSON pointer (RFC 6901): `/csr`, `/subject`, `/subject_alternative_names/2`, `/validity`,
    /// `/profile`.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Violation {
    pub(crate) fn new(code: ViolationCode, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, pointer: pointer.into(), message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.message)
    }
}
