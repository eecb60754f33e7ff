//! The clock is compared with the database's and with what was last published before anything is signed.
//!
//! A CRL dated a year ahead would block every later one, and a certificate dated a year back would be born expired; so a
//! clock that is off by more than a minute closes the service for signing until it is right again.

use ca_core::time::{Lifetime, Timestamp};

use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};

/// How far the clocks may be apart.
pub const TOLERANCE: Lifetime = Lifetime::from_seconds(60);

/// What the comparison found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClockVerdict {
    /// Not compared yet: nothing is signed.
    Unknown,
    /// Within [`TOLERANCE`].
    Right,
    /// Off; says against what, and by how much.
    Wrong(String),
}

/// Compares the clock and tells the engine, which signs only while the verdict is [`ClockVerdict::Right`].
pub async fn watch_clock(engine: &Engine) -> Result<ClockVerdict, FlowError> {
    let verdict = compare(engine).await?;
    engine.set_clock_verdict(verdict.clone());
    Ok(verdict)
}

async fn compare(engine: &Engine) -> Result<ClockVerdict, FlowError> {
    let database = engine.store().database_time().await?;
    let now = engine.now();
    let apart = now.since(database).max(database.since(now));
    if apart > TOLERANCE {
        return Ok(ClockVerdict::Wrong(format!(
            "this machine's clock says {now}, the database's {database}: more than {TOLERANCE} apart"
        )));
    }
    for authority in engine.hierarchy().authorities() {
        let Some(newest) = engine.store().newest_crl(authority.id()).await? else { continue };
        if newest.intent.this_update.since(now) > TOLERANCE {
            return Ok(ClockVerdict::Wrong(format!(
                "this machine's clock says {now}, but CRL {} of {} was made at {}: the clock was set back",
                newest.intent.number, newest.intent.authority, newest.intent.this_update
            )));
        }
    }
    Ok(ClockVerdict::Right)
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
