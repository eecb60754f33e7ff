//! The error of a stored row that makes no sense.

use ca_engine::port::store::StoreError;

/// Such an error; `place` names table and row or column, never a value.
pub(crate) fn inconsistent(place: &str, what: impl std::fmt::Display) -> StoreError {
    StoreError::Inconsistent { detail: format!("{place}: {what}") }
}
