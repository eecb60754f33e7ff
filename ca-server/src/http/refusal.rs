//! How each route refuses and fails, for the OpenAPI document: by status, with the problem types that come with it.
//!
//! A status that is not listed for a route is a fault, of the route or of this list; schemathesis looks for them. What becomes
//! a problem, and how, is `problem.rs`'s business.

use std::collections::BTreeMap;

use ca_api::problem::{PROBLEM_JSON, Problem, ProblemType};
use utoipa::openapi::{Content, Ref, RefOr, Response};
use utoipa::{IntoResponses, ToSchema};

use ProblemType::{
    AccessDenied, AlreadyRenewed, AlreadyRevoked, AmbiguousSerial, AuthenticationRequired, AuthorityCannotSign,
    BadNonce, CertificateRemoved, CertificateRevoked, ContentTooLarge, CsrRejected, HeaderFieldsTooLarge,
    IdempotencyConflict, InternalError, InvalidCredential, InvalidRequest, KeyBlocked, KeyRejected, MalformedRequest,
    ManagedCertificateChanged, ManagedCertificateExists, ManagedCertificatePaused, NotAcceptable, NotFound, NotHeld,
    Overloaded, ProfileViolation, RangeNotSatisfiable, RenewalTooEarly, RenewalTooLate, RequestInProgress,
    RequestTimeout, RevocationCompleted, RevocationCountChanged, RotationUnderWay, SigningSuspended, TokenExpired,
    TokenUsedUp, Unavailable, UnknownProfile, UnsupportedMediaType,
};

/// Whatever is asked for.
const ANYTHING: &[ProblemType] = &[RequestTimeout, HeaderFieldsTooLarge, InternalError];
/// What needs a caller with a proof and a permission.
const CALLER: &[ProblemType] = &[
    AuthenticationRequired,
    InvalidCredential,
    TokenExpired,
    TokenUsedUp,
    AccessDenied,
    Overloaded,
    SigningSuspended,
    Unavailable,
];
/// A body of JSON.
const BODY: &[ProblemType] = &[MalformedRequest, ContentTooLarge, UnsupportedMediaType, InvalidRequest];
/// Filters and pages.
const QUERY: &[ProblemType] = &[MalformedRequest, InvalidRequest];
/// Something named in the path.
const NAMED: &[ProblemType] = &[MalformedRequest, NotFound];
/// A certificate named in the path.
const CERTIFICATE: &[ProblemType] = &[MalformedRequest, NotFound, CertificateRemoved, AmbiguousSerial];
/// A signature of an authority over a certificate.
const ISSUANCE: &[ProblemType] = &[
    IdempotencyConflict,
    RequestInProgress,
    AuthorityCannotSign,
    UnknownProfile,
    CsrRejected,
    KeyRejected,
    KeyBlocked,
    ProfileViolation,
    SigningSuspended,
];
/// Taking another's place.
const SUCCESSION: &[ProblemType] = &[CertificateRevoked, AlreadyRenewed, RenewalTooEarly, RenewalTooLate];

/// What is wanted of a managed certificate, held against profile and record.
const DEFINITION: &[ProblemType] =
    &[ManagedCertificateExists, AuthorityCannotSign, UnknownProfile, ProfileViolation, NotFound];
/// A rotation that is another's by now, or nobody's.
const OF_ANOTHER: &[ProblemType] = &[ManagedCertificateChanged, ManagedCertificatePaused];

/// Makes a type for `responses(…)` of a handler.
macro_rules! refusals {
    ($($(#[doc = $doc:literal])+ $name:ident = $($problems:expr),+;)+) => {
        $(
            $(#[doc = $doc])+
            pub(crate) struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    document(&[ANYTHING, $($problems),+])
                }
            }
        )+
    };
}

refusals! {
    /// Of public material under a fixed name.
    Anything = &[];
    /// Of public material under a name.
    NamedFile = NAMED;
    /// Of a published list, of which none is served while the record may be an old one.
    PublishedList = NAMED, &[SigningSuspended, RangeNotSatisfiable];
    /// Of an OCSP request that is posted; one that can be taken in is answered by OCSP's own errors.
    OcspRequest = &[MalformedRequest, ContentTooLarge, UnsupportedMediaType];
    /// Of a list without filters.
    WholeList = CALLER;
    /// Of a list with filters and pages.
    List = CALLER, QUERY;
    /// Of a search whose terms stand in the body.
    Search = CALLER, BODY;
    /// Of reading something by its name.
    Named = CALLER, NAMED;
    /// Of reading a certificate as JSON, PEM or DER.
    ReadCertificate = CALLER, CERTIFICATE, &[NotAcceptable];
    /// Of asking when to renew.
    RenewalWindow = CALLER, CERTIFICATE;
    /// Of issuing.
    Issue = CALLER, BODY, ISSUANCE;
    /// Of renewing.
    Renew = CALLER, CERTIFICATE, BODY, ISSUANCE, SUCCESSION;
    /// Of a nonce for renewing after the end.
    RenewalNonce = &[AccessDenied, Overloaded, SigningSuspended, Unavailable];
    /// Of renewing after the end, by whom nobody knows before the proof was verified.
    RenewExpired = &[NotFound, BadNonce, InvalidCredential, AccessDenied, Overloaded, SigningSuspended, Unavailable],
        BODY, ISSUANCE, SUCCESSION;
    /// Of revoking or holding.
    Revoke = CALLER, CERTIFICATE, BODY, &[AlreadyRevoked];
    /// Of revoking many.
    BulkRevoke = CALLER, BODY, &[IdempotencyConflict, RevocationCountChanged];
    /// Of ending the revocation of many.
    CancelRevocation = CALLER, NAMED, &[RevocationCompleted];
    /// Of ending a hold.
    Unhold = CALLER, CERTIFICATE, &[NotHeld, KeyBlocked];
    /// Of moving renewal windows.
    MoveRenewalWindows = CALLER, BODY;
    /// Of adding a managed certificate.
    DefineManaged = CALLER, BODY, DEFINITION;
    /// Of changing one.
    ChangeManaged = CALLER, NAMED, BODY, DEFINITION, &[ManagedCertificateChanged, RotationUnderWay];
    /// Of having one rotated.
    RotateManaged = CALLER, NAMED, &[ManagedCertificatePaused];
    /// Of beginning a worker's rotation.
    BeginRotation = CALLER, NAMED, OF_ANOTHER;
    /// Of saying what became of one.
    ReportRotation = CALLER, NAMED, BODY, ISSUANCE, OF_ANOTHER;
    /// Of saying what a gateway enforces.
    ReportGateway = CALLER, NAMED, BODY;
    /// Of making a token.
    CreateToken = CALLER, BODY, &[UnknownProfile, ProfileViolation];
}

/// One response for each status, which names its problem types.
fn document(problems: &[&[ProblemType]]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<u16, Vec<ProblemType>> = BTreeMap::new();
    for problem in problems.concat() {
        let same_status = by_status.entry(problem.status()).or_default();
        if !same_status.contains(&problem) {
            same_status.push(problem);
        }
    }
    by_status.into_iter().map(|(status, problems)| (status.to_string(), RefOr::T(response(&problems)))).collect()
}

fn response(problems: &[ProblemType]) -> Response {
    let lines: Vec<String> =
        problems.iter().map(|problem| format!("`{}`: {}", problem.uri(), problem.title())).collect();
    let schema = Ref::from_schema_name(Problem::name());
    Response::builder().description(lines.join("\n\n")).content(PROBLEM_JSON, Content::new(Some(schema))).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_is_listed_once_with_all_of_its_problems() {
        let responses = Revoke::responses();
        let statuses: Vec<&str> = responses.keys().map(String::as_str).collect();
        assert_eq!(
            statuses,
            ["400", "401", "403", "404", "408", "409", "410", "413", "415", "422", "431", "500", "503"]
        );
        let Some(RefOr::T(conflict)) = responses.get("409") else { panic!("no response but a reference") };
        let [serial, revoked] =
            [AmbiguousSerial, AlreadyRevoked].map(|problem| conflict.description.contains(problem.uri()));
        assert!(serial && revoked, "{}", conflict.description);
    }
}
