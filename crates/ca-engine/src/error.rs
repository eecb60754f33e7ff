//! The one error of flows: its kind decides what a caller may do about it, its code names it for programs.

use std::fmt;

use ca_core::time::Lifetime;

use crate::port::certificate_issuer::IssuerError;
use crate::port::entropy::EntropyUnavailable;
use crate::port::keyring::KeyringError;
use crate::port::signer::SignerError;
use crate::port::store::StoreError;

/// What kind of failure it is. Each has one meaning for callers; the API gives each a stable problem type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FlowErrorKind {
    /// No proof of who asks was offered where one is needed.
    AuthenticationRequired,
    /// The proof is none of ours, or not accepted any more.
    InvalidCredential,
    /// An enrolment token is past its end.
    TokenExpired,
    /// An enrolment token has no uses left, or was withdrawn.
    TokenUsedUp,
    /// The access policy says no.
    AccessDenied,
    /// What was named is not on record, or may not be seen.
    NotFound,
    /// What was named was on record and was removed after its retention.
    Removed,
    /// A bare serial fits several certificates.
    AmbiguousSerial,
    /// The idempotency key was used for another request.
    IdempotencyConflict,
    /// The same request is being worked on.
    RequestInProgress,
    /// Revoked already, for another reason.
    AlreadyRevoked,
    /// Another number of certificates fits than was to be revoked.
    CountChanged,
    /// A bulk revocation that is completed cannot be canceled.
    BulkRevocationEnded,
    /// Only a held certificate can be released.
    NotHeld,
    /// A revoked or held certificate cannot be renewed.
    CertificateRevoked,
    /// The certificate has a live successor.
    AlreadyRenewed,
    /// Its holder may not renew it yet.
    RenewalTooEarly,
    /// It may not be renewed any more.
    RenewalTooLate,
    /// Another managed certificate has that name, or that target.
    ManagedExists,
    /// A managed certificate was changed since the caller looked.
    ManagedChanged,
    /// A managed certificate is paused.
    ManagedPaused,
    /// A rotation is under way whose certificate is issued.
    RotationUnderWay,
    /// The authority does not issue, or its key cannot be used here.
    AuthorityCannotSign,
    /// There is an authority of that id.
    AuthorityExists,
    /// Some values of the request are wrong.
    InvalidRequest,
    /// There is no such profile, or none that may be asked for.
    UnknownProfile,
    /// The public key is blocked.
    KeyBlocked,
    /// The profile or the issuer does not allow what is asked for.
    ProfileViolation,
    /// Others came first too often; the same call may succeed later.
    Overloaded,
    /// The database or a key cannot be reached; the same call may succeed later.
    Unavailable,
    /// Nothing is signed, because the clock or what was published last forbids it.
    SigningSuspended,
    /// A fault of the service; details are for its operator only.
    InternalError,
}

/// One thing wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Stable name for programs.
    pub code: String,
    /// JSON pointer into the request; empty for the whole.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Why a flow did not do what was asked. Nothing half-done remains visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowError {
    /// Its kind.
    pub kind: FlowErrorKind,
    /// For the caller: what is wrong and what would be right. Never internal text.
    pub message: String,
    /// Every violation, where there are several.
    pub faults: Vec<Fault>,
    /// The certificates a bare serial fits, as `{authority}:{serial}`; for `AmbiguousSerial` only.
    pub candidates: Vec<String>,
    /// When to try again, where that is known.
    pub retry_after: Option<Lifetime>,
    /// For the operator's log only.
    pub detail: Option<String>,
}

impl FlowError {
    /// An error without faults or details.
    pub fn new(kind: FlowErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            faults: Vec::new(),
            candidates: Vec::new(),
            retry_after: None,
            detail: None,
        }
    }

    /// One value of the request is wrong.
    pub fn invalid(code: &str, pointer: &str, message: impl Into<String>) -> Self {
        let fault = Fault { code: code.to_owned(), pointer: pointer.to_owned(), message: message.into() };
        Self::of_faults(FlowErrorKind::InvalidRequest, "the request has invalid values", vec![fault])
    }

    /// What is wrong with a request, all of it. The message of a single fault is that of the error too: whoever reads no
    /// further than its first line knows what would be right. Of several it is `summary`.
    pub fn of_faults(kind: FlowErrorKind, summary: &str, faults: Vec<Fault>) -> Self {
        let message = match &faults[..] {
            [only] => only.message.clone(),
            _ => summary.to_owned(),
        };
        Self::new(kind, message).with_faults(faults)
    }

    /// A fault of the service; `detail` goes to the log, not to the caller.
    pub fn internal(detail: impl fmt::Display) -> Self {
        let mut error = Self::new(FlowErrorKind::InternalError, "the service failed; its log says why");
        error.detail = Some(detail.to_string());
        error
    }

    /// The same error, worth another try after a while.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(Lifetime::from_seconds(seconds));
        self
    }

    /// The same error with text for the operator's log.
    #[must_use]
    pub fn with_detail(mut self, detail: impl fmt::Display) -> Self {
        self.detail = Some(detail.to_string());
        self
    }

    /// The same error with every violation listed.
    #[must_use]
    pub fn with_faults(mut self, faults: Vec<Fault>) -> Self {
        self.faults = faults;
        self
    }
}

impl fmt::Display for FlowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        // The message may be that of the only fault.
        for fault in self.faults.iter().filter(|fault| fault.message != self.message) {
            write!(f, "; {}", fault.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for FlowError {}

impl From<StoreError> for FlowError {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Unavailable { .. }
            | StoreError::Unknown { .. }
            | StoreError::Full { .. }
            | StoreError::ReadOnly { .. } => FlowErrorKind::Unavailable,
            StoreError::Fenced { .. } | StoreError::Conflict { .. } => FlowErrorKind::Overloaded,
            StoreError::Inconsistent { .. } | StoreError::NoPersonalDataKey { .. } => return Self::internal(&error),
        };
        let message = match &error {
            StoreError::Full { .. } => {
                "the service has no storage left, so nothing was issued or changed; its operator must make room"
            }
            StoreError::ReadOnly { .. } => {
                "the database of this replica is read-only (a standby), so nothing was issued or changed; ask another replica, or \
                 again once it has taken over"
            }
            StoreError::Fenced { .. } | StoreError::Conflict { .. } => "another change came first; try again",
            _ => "the database is not available; try again",
        };
        Self::new(kind, message).retry_after(2).with_detail(&error)
    }
}

impl From<IssuerError> for FlowError {
    fn from(error: IssuerError) -> Self {
        let detail = error.to_string();
        match error {
            IssuerError::Busy { retry_after, .. } => {
                let mut busy = Self::new(FlowErrorKind::Overloaded, "the authority's issuer is busy; try again");
                busy.retry_after = retry_after;
                busy.with_detail(detail)
            }
            IssuerError::Unavailable { .. } | IssuerError::Unknown { .. } => {
                let message = "the authority's issuer cannot be used at this moment; try again later";
                Self::new(FlowErrorKind::Unavailable, message).retry_after(5).with_detail(detail)
            }
            IssuerError::Refused { .. } => {
                let message = "the authority's issuer refused to issue; the service's log says why";
                Self::new(FlowErrorKind::AuthorityCannotSign, message).with_detail(detail)
            }
        }
    }
}

impl From<SignerError> for FlowError {
    fn from(error: SignerError) -> Self {
        match &error {
            SignerError::Busy { retry_after, .. } => {
                Self::new(FlowErrorKind::Overloaded, "the signing key is busy; try again")
                    .retry_after(retry_after.map_or(1, Lifetime::seconds))
                    .with_detail(&error)
            }
            SignerError::Unavailable { .. } => {
                Self::new(FlowErrorKind::Unavailable, "the signing key cannot be reached; try again")
                    .retry_after(2)
                    .with_detail(&error)
            }
            // The caller did nothing wrong, and trying again helps once the operator has put it right.
            SignerError::Refused { .. } => {
                let message = "the authority's key does not sign; the service's log and its /ready say why";
                Self::new(FlowErrorKind::Unavailable, message).retry_after(60).with_detail(&error)
            }
        }
    }
}

impl From<KeyringError> for FlowError {
    fn from(error: KeyringError) -> Self {
        Self::internal(error)
    }
}

impl From<EntropyUnavailable> for FlowError {
    fn from(error: EntropyUnavailable) -> Self {
        Self::new(FlowErrorKind::Unavailable, "the source of randomness failed; nothing is signed").with_detail(error)
    }
}
