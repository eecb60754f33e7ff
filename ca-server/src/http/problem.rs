//! From the error of a flow to problem+json (RFC 9457). Internal text is logged here, once, and never sent.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ca_api::problem::{PROBLEM_JSON, Problem, ProblemType, Violation};
use ca_engine::error::{FlowError, FlowErrorKind};

use super::request_id;

/// An error on its way to the caller.
#[derive(Debug)]
pub(crate) struct ProblemResponse {
    kind: ProblemType,
    detail: String,
    errors: Vec<Violation>,
    retry_after: Option<u32>,
    candidates: Vec<String>,
    internal: Option<String>,
}

impl ProblemResponse {
    pub(crate) fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            candidates: Vec::new(),
            internal: None,
        }
    }

    /// One value of the request that cannot be read.
    pub(crate) fn invalid(code: &str, pointer: &str, detail: impl Into<String>) -> Self {
        Self::about(ProblemType::InvalidRequest, code, pointer, detail)
    }

    /// A problem of one place in the request.
    pub(crate) fn about(kind: ProblemType, code: &str, pointer: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let errors = vec![Violation { code: code.to_owned(), pointer: pointer.to_owned(), detail: detail.clone() }];
        Self { errors, ..Self::new(kind, detail) }
    }

    /// Several such values.
    pub(crate) fn all_invalid(errors: Vec<Violation>) -> Self {
        let detail = errors.first().map_or_else(String::new, |first| first.detail.clone());
        Self { errors, ..Self::new(ProblemType::InvalidRequest, detail) }
    }
}

impl From<FlowError> for ProblemResponse {
    fn from(error: FlowError) -> Self {
        let errors: Vec<Violation> = error
            .faults
            .into_iter()
            .map(|fault| Violation { code: fault.code, pointer: fault.pointer, detail: fault.message })
            .collect();
        Self {
            kind: problem_type(error.kind),
            detail: error.message,
            errors,
            retry_after: error.retry_after.map(|after| u32::try_from(after.seconds()).unwrap_or(u32::MAX)),
            candidates: error.candidates,
            internal: error.detail,
        }
    }
}

impl IntoResponse for ProblemResponse {
    fn into_response(self) -> Response {
        let request_id = request_id::current();
        let status = StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Some(internal) = &self.internal {
            if status.is_server_error() {
                tracing::error!(request_id, problem = self.kind.uri(), detail = internal, "a request failed");
            } else {
                tracing::info!(request_id, problem = self.kind.uri(), detail = internal, "a request was refused");
            }
        }
        let problem = Problem {
            kind: self.kind,
            title: self.kind.title().to_owned(),
            status: status.as_u16(),
            detail: self.detail,
            errors: self.errors,
            request_id,
            retry_after: self.retry_after,
            candidates: self.candidates,
        };
        let mut response = (status, axum::Json(problem)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §11.6.1 wants a challenge; a client certificate has no scheme of its own.
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The stable problem type of each kind of failure.
fn problem_type(kind: FlowErrorKind) -> ProblemType {
    match kind {
        FlowErrorKind::AuthenticationRequired => ProblemType::AuthenticationRequired,
        FlowErrorKind::InvalidCredential => ProblemType::InvalidCredential,
        FlowErrorKind::TokenExpired => ProblemType::TokenExpired,
        FlowErrorKind::TokenUsedUp => ProblemType::TokenUsedUp,
        FlowErrorKind::AccessDenied => ProblemType::AccessDenied,
        FlowErrorKind::NotFound => ProblemType::NotFound,
        FlowErrorKind::AmbiguousSerial => ProblemType::AmbiguousSerial,
        FlowErrorKind::IdempotencyConflict => ProblemType::IdempotencyConflict,
        FlowErrorKind::RequestInProgress => ProblemType::RequestInProgress,
        FlowErrorKind::AlreadyRevoked => ProblemType::AlreadyRevoked,
        FlowErrorKind::NotHeld => ProblemType::NotHeld,
        FlowErrorKind::CertificateRevoked => ProblemType::CertificateRevoked,
        FlowErrorKind::AlreadyRenewed => ProblemType::AlreadyRenewed,
        FlowErrorKind::RenewalTooEarly => ProblemType::RenewalTooEarly,
        FlowErrorKind::RenewalTooLate => ProblemType::RenewalTooLate,
        FlowErrorKind::AuthorityCannotSign | FlowErrorKind::AuthorityExists => ProblemType::AuthorityCannotSign,
        FlowErrorKind::InvalidRequest => ProblemType::InvalidRequest,
        FlowErrorKind::UnknownProfile => ProblemType::UnknownProfile,
        FlowErrorKind::KeyBlocked => ProblemType::KeyBlocked,
        FlowErrorKind::ProfileViolation => ProblemType::ProfileViolation,
        FlowErrorKind::Overloaded => ProblemType::Overloaded,
        FlowErrorKind::Unavailable => ProblemType::Unavailable,
        FlowErrorKind::SigningSuspended => ProblemType::SigningSuspended,
        FlowErrorKind::InternalError => ProblemType::InternalError,
    }
}
