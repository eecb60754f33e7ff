//! What a request does that its profile or issuer does not allow.

use std::fmt;

/// Which rule is broken; its text is stable and part of the API.
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
            Self::ProfileInternal => "profile_internal",
            Self::KeyTypeNotAllowed => "key_type_not_allowed",
            Self::KeyNotOfCsr => "key_not_of_csr",
            Self::SubjectAttributeMissing => "subject_attribute_missing",
            Self::SubjectAttributeNotAllowed => "subject_attribute_not_allowed",
            Self::SubjectAttributeFixed => "subject_attribute_fixed",
            Self::SubjectAttributeInvalid => "subject_attribute_invalid",
            Self::SubjectTooLarge => "subject_too_large",
            Self::SubjectMissing => "subject_missing",
            Self::CommonNameNotAName => "common_name_not_a_name",
            Self::NameMissing => "name_missing",
            Self::NameKindNotAllowed => "name_kind_not_allowed",
            Self::NameNotWithin => "name_not_within",
            Self::WildcardNotAllowed => "wildcard_not_allowed",
            Self::SingleLabelNotAllowed => "single_label_not_allowed",
            Self::UriSchemeNotAllowed => "uri_scheme_not_allowed",
            Self::TooManyNames => "too_many_names",
            Self::NameDuplicate => "name_duplicate",
            Self::NameReserved => "name_reserved",
            Self::ValidityZero => "validity_zero",
            Self::ValidityTooLong => "validity_too_long",
            Self::ValidityBeyondIssuer => "validity_beyond_issuer",
            Self::IssuerNotYetValid => "issuer_not_yet_valid",
            Self::IssuerExpired => "issuer_expired",
            Self::IssuerNameConstraints => "issuer_name_constraints",
            Self::IssuerPathLength => "issuer_path_length",
            Self::IssuerExtendedKeyUsage => "issuer_extended_key_usage",
            Self::IssuerPolicies => "issuer_policies",
            Self::IssuerNotFit => "issuer_not_fit",
            Self::ConstraintsNotAllowed => "constraints_not_allowed",
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
