//! Forgets what has expired.

use crate::engine::Engine;
use crate::error::FlowError;

/// Deletes idempotency keys that have expired; returns how many. By the database's time: a clock that is wrong would delete keys
/// that are in use, and a request that is repeated with one would get a second certificate.
pub async fn drop_expired_idempotency(engine: &Engine) -> Result<u64, FlowError> {
    let now = engine.store().database_time().await?;
    Ok(engine.store().drop_expired_idempotency(now).await?)
}
