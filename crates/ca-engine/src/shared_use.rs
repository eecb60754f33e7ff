//! How often answers that replicas share were asked for, and what became of what was found; for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// What became of one look at the place that replicas share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedOutcome {
    /// What was found was given.
    Taken,
    /// Nothing was there.
    Absent,
    /// What was found was not believed: forged, stale, or about something else.
    Refused,
    /// The place did not answer.
    Unavailable,
}

impl SharedOutcome {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Taken, Self::Absent, Self::Refused, Self::Unavailable];

    /// The name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Absent => "absent",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Counts looks since the process began.
#[derive(Debug, Default)]
pub struct SharedUse {
    counts: [AtomicU64; SharedOutcome::ALL.len()],
}

impl SharedUse {
    /// How often it ended so.
    pub fn count(&self, outcome: SharedOutcome) -> u64 {
        self.counts[outcome as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn note(&self, outcome: SharedOutcome) {
        self.counts[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }
}
