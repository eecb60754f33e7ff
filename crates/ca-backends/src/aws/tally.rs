//! How many calls went to AWS, what became of them, and what the answered ones cost by the price list.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallOutcome {
    /// It was answered with what it wanted.
    Answered,
    /// There were too many calls.
    Throttled,
    /// It failed inside the service, or was not answered.
    Failed,
    /// It was refused.
    Refused,
    /// It was not sent: there was no turn in time.
    QueueFull,
    /// It was not sent: the endpoint is left alone for a while.
    Resting,
}

impl CallOutcome {
    /// As metrics name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Throttled => "throttled",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::QueueFull => "queue-full",
            Self::Resting => "resting",
        }
    }
}

/// Calls of one kind with one outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallCount {
    /// The operation, as in `Sign`.
    pub operation: &'static str,
    /// What became of them.
    pub outcome: CallOutcome,
    /// How many.
    pub calls: u64,
    /// What they cost by the price list, in millionths of a US dollar; only answers cost anything.
    pub micro_dollars: u64,
}

/// Counts.
#[derive(Default)]
pub(crate) struct Tally(Mutex<Counts>);

/// By operation and outcome: how many, and what they cost.
type Counts = BTreeMap<(&'static str, CallOutcome), (u64, u64)>;

impl Tally {
    pub(crate) fn count(&self, operation: &'static str, outcome: CallOutcome, micro_dollars: u64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (calls, cost) = counts.entry((operation, outcome)).or_default();
        *calls += 1;
        *cost += micro_dollars;
    }

    /// Everything so far.
    pub(crate) fn counts(&self) -> Vec<CallCount> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts
            .iter()
            .map(|((operation, outcome), (calls, micro_dollars))| CallCount {
                operation,
                outcome: *outcome,
                calls: *calls,
                micro_dollars: *micro_dollars,
            })
            .collect()
    }
}
