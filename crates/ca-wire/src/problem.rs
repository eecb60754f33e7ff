//! Problems (RFC 9457): what the error of a flow is called on the wire.

use ca_api::problem::{Problem, ProblemType, Violation};
use ca_engine::error::{Fault, FlowError, FlowErrorKind};

/// The refusal of a flow in the words of the API. The text for the operator alone ([`FlowError::detail`]) is not in it.
pub fn problem(error: &FlowError, request_id: &str) -> Problem {
    let kind = problem_type(error.kind);
    Problem {
        kind,
        title: kind.title().to_owned(),
        status: kind.status(),
        detail: error.message.clone(),
        errors: error.faults.iter().map(violation).collect(),
        request_id: request_id.to_owned(),
        retry_after: error.retry_after.map(|after| u32::try_from(after.seconds()).unwrap_or(u32::MAX)),
        candidates: error.candidates.clone(),
    }
}

fn violation(fault: &Fault) -> Violation {
    Violation { code: fault.code.clone(), pointer: fault.pointer.clone(), detail: fault.message.clone() }
}

/// The problem type of each kind of failure.
pub const fn problem_type(kind: FlowErrorKind) -> ProblemType {
    match kind {
        FlowErrorKind::AuthenticationRequired => ProblemType::AuthenticationRequired,
        FlowErrorKind::InvalidCredential => ProblemType::InvalidCredential,
        FlowErrorKind::TokenExpired => ProblemType::TokenExpired,
        FlowErrorKind::TokenUsedUp => ProblemType::TokenUsedUp,
        FlowErrorKind::AccessDenied => ProblemType::AccessDenied,
        FlowErrorKind::NotFound => ProblemType::NotFound,
        FlowErrorKind::Removed => ProblemType::CertificateRemoved,
        FlowErrorKind::AmbiguousSerial => ProblemType::AmbiguousSerial,
        FlowErrorKind::IdempotencyConflict => ProblemType::IdempotencyConflict,
        FlowErrorKind::RequestInProgress => ProblemType::RequestInProgress,
        FlowErrorKind::AlreadyRevoked => ProblemType::AlreadyRevoked,
        FlowErrorKind::CountChanged => ProblemType::RevocationCountChanged,
        FlowErrorKind::BulkRevocationEnded => ProblemType::RevocationCompleted,
        FlowErrorKind::NotHeld => ProblemType::NotHeld,
        FlowErrorKind::CertificateRevoked => ProblemType::CertificateRevoked,
        FlowErrorKind::AlreadyRenewed => ProblemType::AlreadyRenewed,
        FlowErrorKind::RenewalTooEarly => ProblemType::RenewalTooEarly,
        FlowErrorKind::RenewalTooLate => ProblemType::RenewalTooLate,
        FlowErrorKind::ManagedExists => ProblemType::ManagedCertificateExists,
        FlowErrorKind::ManagedChanged => ProblemType::ManagedCertificateChanged,
        FlowErrorKind::ManagedPaused => ProblemType::ManagedCertificatePaused,
        FlowErrorKind::RotationUnderWay => ProblemType::RotationUnderWay,
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
