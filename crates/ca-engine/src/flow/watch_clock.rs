//! The clock is compared with the database's and with what was last published before anything is signed.
//!
//! What follows from a verdict is [`crate::clock_verdict`]'s.

use ca_core::time::{Lifetime, Timestamp};

use crate::clock_verdict::ClockVerdict;
use crate::engine::Engine;
use crate::error::FlowError;

/// How far the clocks may be apart.
pub const TOLERANCE: Lifetime = Lifetime::from_seconds(60);

/// How long a comparison counts: a clock may be set at any time.
const COMPARISON_LIFETIME: Lifetime = Lifetime::from_seconds(10);

/// Compares the clock and tells the engine, which signs only while the verdict is [`ClockVerdict::Right`].
pub async fn watch_clock(engine: &Engine) -> Result<ClockVerdict, FlowError> {
    // The instant that was compared, not the one it is by now: a clock that is set meanwhile must be seen to have moved.
    let now = engine.now();
    let verdict = compare(engine, now).await?;
    engine.set_clock_verdict(verdict.clone(), now);
    Ok(verdict)
}

/// Asked before every signature: refuses while the clock is wrong. Compares it anew when it has moved by more than some
/// seconds since it was compared, be it by time or by somebody's hand.
pub(super) async fn assure_clock(engine: &Engine) -> Result<(), FlowError> {
    if engine.since_clock_comparison() > COMPARISON_LIFETIME {
        watch_clock(engine).await?;
    }
    engine.check_clock()
}

/// The instant by which a change is dated that must not wait for the clock to be right: the database's, while ours is wrong.
pub(super) async fn dependable_now(engine: &Engine) -> Result<Timestamp, FlowError> {
    match assure_clock(engine).await {
        Ok(()) => Ok(engine.now()),
        Err(_) => Ok(engine.store().database_time().await?),
    }
}

async fn compare(engine: &Engine, now: Timestamp) -> Result<ClockVerdict, FlowError> {
    let database = engine.store().database_time().await?;
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
