//! Problems: the body of every error (RFC 9457), and the stable types that programs may tell them apart by.
//!
//! A type is never given another meaning; new ones may come. Texts are for people and may change at any time.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// Media type of a [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What went wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Which problem it is.
    #[serde(rename = "type")]
    pub kind: ProblemType,
    /// The type in words, the same for every occurrence.
    pub title: String,
    /// The HTTP status code, once more.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What is wrong this time, and what would be right.
    pub detail: String,
    /// Every single violation, where there are such.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<Violation>,
    /// What the problem may be reported by; the logs name it too.
    #[schema(example = "0193467e-ca00-7000-8000-0123456789ab")]
    pub request_id: String,
    /// After how many seconds a repetition may help; the header `Retry-After` says the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
    /// The certificates that a bare serial fits, each as `{authority}:{serial}`; of the type `ambiguous-serial` only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, example = json!([]))]
    pub candidates: Vec<String>,
}

/// One violation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Violation {
    /// Which rule was broken; stable, in kebab-case.
    #[schema(example = "wildcard-not-allowed")]
    pub code: String,
    /// Where in the request's body, a JSON pointer (RFC 6901); empty: the whole body. Of a query parameter: `?NAME`.
    #[schema(example = "/subject_alternative_names/0")]
    pub pointer: String,
    /// What is wrong there, and what would be right.
    pub detail: String,
}

/// Makes [`ProblemType`] from one table, so that name, status and title of a type stand in one place.
macro_rules! problem_types {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $status:literal, $title:literal;)+) => {
        /// The stable types of problems, as `urn:cartorio:problem:NAME`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ProblemType {
            $($(#[doc = $doc])+ $variant,)+
            /// `about:blank`: no more than the status says (RFC 9457 §4.2.1). A type newer than its reader reads as this too.
            Blank,
        }

        impl ProblemType {
            /// Every type of this service.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its URI.
            pub const fn uri(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("urn:cartorio:problem:", $name),)+
                    Self::Blank => "about:blank",
                }
            }

            /// The HTTP status code it comes with; 500 for [`Self::Blank`], which has none of its own.
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$variant => $status,)+
                    Self::Blank => 500,
                }
            }

            /// What it is, in words.
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$variant => $title,)+
                    Self::Blank => "The request failed",
                }
            }
        }
    };
}

problem_types! {
    /// The request cannot be read: its syntax, an unknown or missing field, a header.
    MalformedRequest = "malformed-request", 400, "The request cannot be read";
    /// No proof of who asks was offered where one is needed.
    AuthenticationRequired = "authentication-required", 401, "Authentication is required";
    /// A bearer credential is none of ours, or a certificate was not accepted.
    InvalidCredential = "invalid-credential", 401, "The credential is not valid";
    /// An enrolment token is past its end.
    TokenExpired = "token-expired", 401, "The enrolment token has expired";
    /// An enrolment token has no uses left.
    TokenUsedUp = "token-used-up", 401, "The enrolment token has been used up";
    /// The access policy does not let this principal do that.
    AccessDenied = "access-denied", 403, "Access is denied";
    /// There is nothing of that name, or nothing that the principal may see.
    NotFound = "not-found", 404, "Not found";
    /// The route does not know the method.
    MethodNotAllowed = "method-not-allowed", 405, "The method is not allowed here";
    /// The service has no representation that `Accept` admits.
    NotAcceptable = "not-acceptable", 406, "No acceptable representation";
    /// The request took too long to arrive or to be answered.
    RequestTimeout = "request-timeout", 408, "The request took too long";
    /// A bare serial number fits certificates of several authorities; `candidates` has them.
    AmbiguousSerial = "ambiguous-serial", 409, "The serial number fits several certificates";
    /// The idempotency key was used for another request.
    IdempotencyConflict = "idempotency-conflict", 409, "The idempotency key belongs to another request";
    /// The first request of this idempotency key is still at work.
    RequestInProgress = "request-in-progress", 409, "The same request is still in progress";
    /// The certificate is revoked, for another reason.
    AlreadyRevoked = "already-revoked", 409, "The certificate is revoked already";
    /// Another number of certificates fits than was to be revoked; nothing was.
    RevocationCountChanged = "revocation-count-changed", 409, "Another number of certificates fits";
    /// A bulk revocation that is completed cannot be canceled.
    RevocationCompleted = "revocation-completed", 409, "The bulk revocation is completed";
    /// The certificate is not on hold.
    NotHeld = "not-held", 409, "The certificate is not on hold";
    /// A revoked or held certificate cannot be renewed.
    CertificateRevoked = "certificate-revoked", 409, "The certificate is revoked";
    /// The certificate has a live successor.
    AlreadyRenewed = "already-renewed", 409, "The certificate has been renewed already";
    /// Half of the lifetime has not passed yet.
    RenewalTooEarly = "renewal-too-early", 409, "It is too early to renew the certificate";
    /// The profile's `renew_until` has passed.
    RenewalTooLate = "renewal-too-late", 409, "It is too late to renew the certificate";
    /// The authority is retiring or retired, or its key is not here.
    AuthorityCannotSign = "authority-cannot-sign", 409, "The authority cannot sign";
    /// Another managed certificate has that name, or that target.
    ManagedCertificateExists = "managed-certificate-exists", 409, "There is such a managed certificate";
    /// The managed certificate was changed since the caller looked.
    ManagedCertificateChanged = "managed-certificate-changed", 409, "The managed certificate was changed";
    /// Nothing is done for a managed certificate that is paused.
    ManagedCertificatePaused = "managed-certificate-paused", 409, "The managed certificate is paused";
    /// A rotation is under way whose certificate is issued: what it was issued for cannot be changed.
    RotationUnderWay = "rotation-under-way", 409, "A rotation is under way";
    /// The certificate was on record and was removed after its retention; its serial is never given out again.
    CertificateRemoved = "certificate-removed", 410, "The certificate was removed after its retention";
    /// The body is larger than the route takes.
    ContentTooLarge = "content-too-large", 413, "The content is too large";
    /// The URI is longer than the service takes.
    UriTooLong = "uri-too-long", 414, "The URI is too long";
    /// The route takes another media type.
    UnsupportedMediaType = "unsupported-media-type", 415, "The media type is not supported";
    /// The range asked for begins after the end.
    RangeNotSatisfiable = "range-not-satisfiable", 416, "There is nothing in that range";
    /// The request can be read, and some of its values cannot be: a name, a length of time, a time.
    InvalidRequest = "invalid-request", 422, "The request has invalid values";
    /// There is no such profile, or none that may be asked for.
    UnknownProfile = "unknown-profile", 422, "The profile is unknown";
    /// The certificate signing request cannot be read, or its signature does not prove possession of the key.
    CsrRejected = "csr-rejected", 422, "The certificate signing request was rejected";
    /// The public key is weak, or of a kind that the profile does not take.
    KeyRejected = "key-rejected", 422, "The public key was rejected";
    /// The public key is blocked: a certificate with it was revoked for `keyCompromise`.
    KeyBlocked = "key-blocked", 422, "The public key is blocked";
    /// The profile does not allow what is asked for; `errors` has every violation.
    ProfileViolation = "profile-violation", 422, "The profile does not allow this certificate";
    /// The caller asks too often.
    TooManyRequests = "too-many-requests", 429, "Too many requests";
    /// The header fields are larger than the service takes.
    HeaderFieldsTooLarge = "header-fields-too-large", 431, "The header fields are too large";
    /// A fault of the service; the logs have it under the request id.
    InternalError = "internal-error", 500, "Internal error";
    /// The service has more work than it can do.
    Overloaded = "overloaded", 503, "The service is overloaded";
    /// The database or a key cannot be reached.
    Unavailable = "unavailable", 503, "The service is unavailable";
    /// The service does not sign, because its clock or what it published last forbids it.
    SigningSuspended = "signing-suspended", 503, "Signing is suspended";
}

impl fmt::Display for ProblemType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri())
    }
}

impl Serialize for ProblemType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.uri())
    }
}

impl<'de> Deserialize<'de> for ProblemType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let uri = String::deserialize(deserializer)?;
        Ok(Self::ALL.iter().copied().find(|kind| kind.uri() == uri).unwrap_or(Self::Blank))
    }
}

impl utoipa::PartialSchema for ProblemType {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("The stable types of problems; the list may grow."))
            .enum_values(Some(Self::ALL.iter().map(|kind| kind.uri())))
            .into()
    }
}

impl ToSchema for ProblemType {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::golden;

    #[test]
    fn problems_have_their_golden_shapes() {
        let problem = golden::round_trips::<Problem>(include_str!("../testdata/problem_profile_violation.json"));
        assert_eq!(problem.kind, ProblemType::ProfileViolation);
        let problem = golden::round_trips::<Problem>(include_str!("../testdata/problem_overloaded.json"));
        assert_eq!(problem.retry_after, Some(2));
        let problem = golden::round_trips::<Problem>(include_str!("../testdata/problem_ambiguous_serial.json"));
        assert_eq!(problem.candidates.len(), 2);
    }

    #[test]
    fn golden_problems_carry_the_status_and_title_of_their_type() {
        for text in [
            include_str!("../testdata/problem_profile_violation.json"),
            include_str!("../testdata/problem_overloaded.json"),
            include_str!("../testdata/problem_ambiguous_serial.json"),
        ] {
            let problem: Problem = serde_json::from_str(text).expect("golden");
            assert_eq!((problem.status, problem.title.as_str()), (problem.kind.status(), problem.kind.title()));
        }
    }

    #[test]
    fn the_list_of_types_is_the_golden_one() {
        let written: Vec<_> = ProblemType::ALL
            .iter()
            .map(|kind| serde_json::json!({"type": kind, "status": kind.status(), "title": kind.title()}))
            .collect();
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../testdata/problem_types.json")).expect("golden");
        assert_eq!(serde_json::Value::from(written), golden);
    }

    #[test]
    fn types_are_distinct_and_come_with_an_error_status() {
        let uris: BTreeSet<_> = ProblemType::ALL.iter().map(|kind| kind.uri()).collect();
        assert_eq!(uris.len(), ProblemType::ALL.len());
        assert!(ProblemType::ALL.iter().all(|kind| (400..600).contains(&kind.status())));
    }

    #[test]
    fn a_type_newer_than_the_reader_reads_as_blank() {
        let kind: ProblemType = serde_json::from_str(r#""urn:cartorio:problem:from-the-future""#).expect("lenient");
        assert_eq!(kind, ProblemType::Blank);
    }

    #[test]
    fn the_schema_lists_every_type() {
        let schema = serde_json::to_value(<ProblemType as utoipa::PartialSchema>::schema()).expect("JSON");
        assert_eq!(schema["enum"].as_array().map(Vec::len), Some(ProblemType::ALL.len()));
    }
}
