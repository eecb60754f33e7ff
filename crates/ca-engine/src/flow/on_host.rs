//! What is done on the host of the service only, by its operator or by what the operator's configuration asks for.

use ca_core::principal::Principal;

use crate::error::{FlowError, FlowErrorKind};

/// The job that may roll over, because the operator's configuration asks for it.
pub const SCHEDULED: &str = "scheduled-rollover";

/// Refuses who is not the operator of the host; `what` begins the sentence that says why.
pub(super) fn permit_on_host(principal: &Principal, what: &str) -> Result<(), FlowError> {
    match principal {
        Principal::LocalOperator => Ok(()),
        _ => Err(FlowError::new(FlowErrorKind::AccessDenied, format!("{what} on the host of the service"))),
    }
}

/// Refuses who is neither the operator of the host nor the job that the operator's configuration asks for.
pub(super) fn permit_rollover(principal: &Principal) -> Result<(), FlowError> {
    match principal {
        Principal::Job(SCHEDULED) => Ok(()),
        principal => permit_on_host(principal, "authorities are rolled over"),
    }
}
