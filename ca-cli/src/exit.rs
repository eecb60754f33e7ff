//! How a run ends: the exit status, and the failures that lead to one.

use std::process::ExitCode;

use ca_api::problem::{Problem, ProblemType};
use thiserror::Error;

/// The exit status, as the help promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked for is done.
    Done,
    /// Refused or failed; trying the same again will not help.
    Failed,
    /// The command line, the environment or the configuration file is wrong.
    Usage,
    /// The service cannot be reached, or is not able to answer now; trying again may help.
    Unreachable,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Unreachable => 3,
        })
    }
}

/// Why a command did not do what was asked.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The command was given something that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The service refused, and says why.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    /// As [`Failure::Refused`], in local mode: with what a server would only have logged.
    #[error("{}", .problem.detail)]
    RefusedHere {
        /// The refusal.
        problem: Box<Problem>,
        /// For the operator, who is the one that asked.
        detail: Option<String>,
    },
    /// Nobody answered.
    #[error("{what} cannot be reached: {why}")]
    Unreachable {
        /// Who was asked.
        what: String,
        /// What went wrong.
        why: String,
    },
    /// It cannot be done there now: somebody else is at work, or there is no room on the disk.
    #[error("{0}")]
    Busy(String),
    /// Anything else: files, keys, an answer that makes no sense.
    #[error("{0}")]
    Failed(String),
}

impl Failure {
    /// A failure of any other kind, from its own error.
    pub(crate) fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    /// The same, said of a file.
    pub(crate) fn of_file(path: &std::path::Path, error: impl std::fmt::Display) -> Self {
        Self::Failed(format!("{}: {error}", path.display()))
    }

    /// The exit status it leads to.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Unreachable { .. } | Self::Busy(_) => Exit::Unreachable,
            Self::Refused(problem) | Self::RefusedHere { problem, .. } if is_temporary(problem) => Exit::Unreachable,
            Self::Refused(_) | Self::RefusedHere { .. } | Self::Failed(_) => Exit::Failed,
        }
    }

    /// The problem that the service told, if it did.
    pub(crate) fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) | Self::RefusedHere { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// Whether the service says that this is the problem.
    pub(crate) fn is(&self, kind: ProblemType) -> bool {
        self.problem().is_some_and(|problem| problem.kind == kind)
    }
}

/// Whether the same request may be answered later. A gateway in between may give these statuses too.
pub(crate) fn is_temporary(problem: &Problem) -> bool {
    matches!(problem.status, 408 | 429 | 502 | 503 | 504)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(kind: ProblemType) -> Box<Problem> {
        Box::new(Problem {
            kind,
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: "…".to_owned(),
            errors: Vec::new(),
            request_id: String::new(),
            retry_after: None,
            candidates: Vec::new(),
        })
    }

    #[test]
    fn what_may_help_to_repeat_is_told_from_what_does_not() {
        for (kind, exit) in [
            (ProblemType::ProfileViolation, Exit::Failed),
            (ProblemType::InternalError, Exit::Failed),
            (ProblemType::AccessDenied, Exit::Failed),
            (ProblemType::Overloaded, Exit::Unreachable),
            (ProblemType::TooManyRequests, Exit::Unreachable),
            (ProblemType::SigningSuspended, Exit::Unreachable),
        ] {
            assert_eq!(Failure::Refused(problem(kind)).exit(), exit, "{kind}");
        }
        assert_eq!(Failure::Usage(String::new()).exit(), Exit::Usage);
    }
}
