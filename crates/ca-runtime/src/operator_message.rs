//! What the operator of the host reads of a flow's error: with the detail that callers over the network never see.

use ca_engine::error::FlowError;

/// The message, then its detail.
pub(crate) fn operator_message(error: &FlowError) -> String {
    match &error.detail {
        Some(detail) => format!("{error}: {detail}"),
        None => error.to_string(),
    }
}
