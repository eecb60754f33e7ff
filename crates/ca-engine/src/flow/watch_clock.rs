//! The clock is compared with the database's and with what was last published before anything is signed.
//!
//! What follows from a verdict is [`crate::clock_verdict`]'s.

use ca_core::time::{Lifetime, Timestamp};

use crate::clock_verdict::ClockVerdict;
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};

/// How far the clocks may be apart.
pub const TOLERANCE: Lifetime = Lifetime::from_seconds(60);

/// How long a comparison counts: a clock may be set at any time.
pub(super) const COMPARISON_LIFETIME: Lifetime = Lifetime::from_seconds(10);

/// Compares the clock and tells the engine, which signs only while the verdict is [`ClockVerdict::Right`].
pub async fn watch_clock(engine: &Engine) -> Result<ClockVerdict, FlowError> {
    let database = engine.store().database_time().await?;
    // The verdict is of this instant: a clock that is set while the record is asked further is compared anew.
    let now = engine.now();
    let verdict = compare(engine, database, now).await?;
    engine.set_clock_verdict(verdict.clone(), now);
    Ok(verdict)
}

/// How often the clock is compared for one signature, when it moves meanwhile.
const MAXIMUM_COMPARISONS: usize = 3;

/// Asked before every signature: refuses while the record is not known to be the newest, and while the clock is wrong. Compares it anew when it has moved by more than some
/// seconds since it was compared, be it by time or by somebody's hand, during the comparison too.
pub(super) async fn assure_clock(engine: &Engine) -> Result<(), FlowError> {
    engine.check_anchor()?;
    for _ in 0..MAXIMUM_COMPARISONS {
        if engine.since_clock_comparison() <= COMPARISON_LIFETIME {
            return engine.check_clock();
        }
        watch_clock(engine).await?;
    }
    if engine.since_clock_comparison() <= COMPARISON_LIFETIME {
        return engine.check_clock();
    }
    let message = "the service's clock moves while it is compared with its record, so it signs nothing; try again";
    Err(FlowError::new(FlowErrorKind::SigningSuspended, message).retry_after(2))
}

/// The instant by which a change is dated that must not wait for the clock to be right: the database's, while ours is wrong.
pub(super) async fn dependable_now(engine: &Engine) -> Result<Timestamp, FlowError> {
    match assure_clock(engine).await {
        Ok(()) => Ok(engine.now()),
        Err(_) => Ok(engine.store().database_time().await?),
    }
}

async fn compare(engine: &Engine, database: Timestamp, now: Timestamp) -> Result<ClockVerdict, FlowError> {
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
