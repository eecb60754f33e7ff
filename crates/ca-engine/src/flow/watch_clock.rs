//! The clock is compared with the database's and with what was last published before anything is signed.
//!
//! What follows from a verdict is [`crate::clock_verdict`]'s.

use ca_core::time::Lifetime;

use crate::clock_verdict::ClockVerdict;
use crate::engine::Engine;
use crate::error::FlowError;

/// How far the clocks may be apart.
pub const TOLERANCE: Lifetime = Lifetime::from_seconds(60);

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
