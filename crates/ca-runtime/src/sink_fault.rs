//! What is wrong with a sink that a configuration names.

use thiserror::Error;

/// A sink that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {detail}")]
pub struct SinkFault {
    /// Its table in the configuration.
    pub place: String,
    /// What is wrong and what would be right, without secrets.
    pub detail: String,
}
