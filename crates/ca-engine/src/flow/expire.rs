//! Forgets what has expired.

use crate::engine::Engine;
use crate::error::FlowError;
use crate::port::store::Lease;

/// The lease under which what has expired is dropped.
pub const LEASE_NAME: &str = "expiry";

/// Deletes idempotency keys that have expired; returns how many. By the database's time: a clock that is wrong would delete keys
/// that are in use, and a request that is repeated with one would get a second certificate.
pub async fn drop_expired_idempotency(engine: &Engine) -> Result<u64, FlowError> {
    let now = engine.store().database_time().await?;
    Ok(engine.store().drop_expired_idempotency(now).await?)
}

/// The events that were given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DroppedEvents {
    /// No sink was there to take them.
    pub unassigned: u64,
    /// A sink did not take them.
    pub undelivered: u64,
}

/// Gives up events that nobody takes: those that are older than the operator wants to keep them. By the database's time.
pub async fn drop_stale_events(engine: &Engine, lease: &Lease) -> Result<DroppedEvents, FlowError> {
    let store = engine.store();
    let now = store.database_time().await?;
    let settings = &engine.settings().outbox;
    let mut dropped = DroppedEvents::default();
    // Where there is a sink, what is not assigned is about to be.
    while engine.sinks().is_empty() {
        let count = store.drop_unassigned(lease, now.minus(settings.keep_unassigned), BATCH).await?;
        dropped.unassigned += count;
        if count == 0 {
            break;
        }
    }
    loop {
        let count = store.drop_deliveries(lease, now.minus(settings.keep_undelivered), BATCH).await?;
        dropped.undelivered += count;
        if count == 0 {
            return Ok(dropped);
        }
    }
}

/// How many events are dropped in one change.
const BATCH: u32 = 1_000;
