//! What the operator of the host reads of a flow's error: with the detail that callers over the network never see.
//!
//! An error that is shown like this is not named as a source too: whoever prints a chain of causes would say it twice.

use ca_engine::error::{FlowError, FlowErrorKind};

/// The message, then its detail; of an internal error the detail alone, since the message only points to it.
pub(crate) fn operator_message(error: &FlowError) -> String {
    match (&error.detail, error.kind) {
        (Some(detail), FlowErrorKind::InternalError) => detail.clone(),
        (Some(detail), _) => format!("{error}: {detail}"),
        (None, _) => error.to_string(),
    }
}
