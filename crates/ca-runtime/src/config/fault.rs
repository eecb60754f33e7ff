//! What can be wrong with a configuration, each fault naming its key as it was written.

use thiserror::Error;

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{key}`: {problem}")]
pub struct ConfigFault {
    /// The key as it was written: `listen.api` in the file, `CA__LISTEN__API` in the environment.
    pub key: String,
    /// What is wrong with it.
    pub problem: ConfigProblem,
}

impl ConfigFault {
    pub(super) fn new(key: impl Into<String>, problem: ConfigProblem) -> Self {
        Self { key: key.into(), problem }
    }

    pub(super) fn invalid(key: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(key, ConfigProblem::Invalid { detail: detail.into() })
    }
}

/// What is wrong with a key. Values of secrets, and of keys that may hold one, are never part of it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// The file is not TOML; nothing in it was judged.
    #[error("not TOML, at line {line}, column {column}: {detail}")]
    NotToml {
        /// Counted from 1.
        line: usize,
        /// In characters, counted from 1.
        column: usize,
        /// What the parser says.
        detail: String,
    },
    /// No such key.
    #[error("unknown key{}", did_you_mean(nearest.as_deref()))]
    UnknownKey {
        /// The known key that is spelled most like it, if one is.
        nearest: Option<String>,
    },
    /// A value of another type.
    #[error("must be {expected}, not {found}")]
    WrongType {
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A secret inside the file.
    #[error("a secret has no place in the file; {instead}")]
    SecretInFile {
        /// Where to put it.
        instead: String,
    },
    /// Part of the public contract that this version does not have.
    #[error("not supported in this version: {what}")]
    NotSupported {
        /// What it would have been, and what there is.
        what: &'static str,
    },
    /// A value that makes no sense.
    #[error("{detail}")]
    Invalid {
        /// What is wrong and what would be right.
        detail: String,
    },
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|key| format!("; did you mean `{key}`?")).unwrap_or_default()
}
