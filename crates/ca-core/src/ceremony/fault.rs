//! What is wrong with a script: gathered, so that all of it is told at once.

use thiserror::Error;

/// Something wrong with a script.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path}: {message}")]
pub struct ScriptFault {
    /// The key, as `root.validity`.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// The faults that were found so far.
#[derive(Default)]
pub(super) struct Faults(pub(super) Vec<ScriptFault>);

impl Faults {
    pub(super) fn add(&mut self, path: impl Into<String>, message: impl ToString) {
        self.0.push(ScriptFault { path: path.into(), message: message.to_string() });
    }

    /// What was read, or `otherwise` and a fault.
    pub(super) fn take<T, E: ToString>(&mut self, path: &str, read: Result<T, E>, otherwise: T) -> T {
        read.unwrap_or_else(|error| {
            self.add(path, error.to_string());
            otherwise
        })
    }
}
