//! Drops what has expired and is kept for nobody: idempotency keys, and events that no sink takes. One replica at a time.
//!
//! Certificates need no marking: their expiry is a matter of the clock, judged whenever they are read.

use std::time::Duration;

use async_trait::async_trait;
use ca_engine::flow::expire::{LEASE_NAME, drop_expired_idempotency, drop_stale_events};

use super::driver::{Job, Outcome, lease, with_detail};
use crate::state::AppState;

pub(crate) struct ExpiryJob;

#[async_trait]
impl Job for ExpiryJob {
    fn name(&self) -> &'static str {
        "expiry"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(600)
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let Some(lease) = lease(state, LEASE_NAME).await? else { return Ok(Outcome::Elsewhere) };
        let engine = state.engine();
        let keys = drop_expired_idempotency(engine).await.map_err(with_detail)?;
        let events = drop_stale_events(engine, &lease).await.map_err(with_detail)?;
        if events.undelivered > 0 {
            tracing::warn!(
                count = events.undelivered,
                "events that no sink had taken were dropped; outbox.keep_undelivered says for how long they are kept"
            );
        }
        Ok(Outcome::Done(keys + events.unassigned + events.undelivered))
    }
}
