//! Whether the service's clock can be trusted, and that nothing is signed while it cannot.
//!
//! A CRL dated a year ahead would block every later one, and a certificate dated a year back would be born expired; so a
//! clock that is off by more than a minute closes the service for signing until it is right again. The comparison itself is
//! a flow, [`crate::flow::watch_clock`].

use ca_core::time::Timestamp;

use crate::error::{FlowError, FlowErrorKind};

/// What the comparison found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClockVerdict {
    /// Not compared yet: nothing is signed.
    Unknown,
    /// Within the tolerance.
    Right,
    /// Off; says against what, and by how much.
    Wrong(String),
}

/// Refuses to sign while the clock is not known to be right.
pub(crate) fn refuse_wrong_clock(verdict: &ClockVerdict, now: Timestamp) -> Result<(), FlowError> {
    match verdict {
        ClockVerdict::Right => Ok(()),
        ClockVerdict::Unknown => Err(FlowError::new(
            FlowErrorKind::SigningSuspended,
            "the service has not yet compared its clock with its record; try again",
        )
        .retry_after(2)
        .with_detail(now)),
        ClockVerdict::Wrong(why) => Err(FlowError::new(
            FlowErrorKind::SigningSuspended,
            "the service's clock is wrong, so it signs nothing; its operator must set the clock",
        )
        .with_detail(why)),
    }
}
