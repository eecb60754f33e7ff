//! Drops what has expired and is kept for nobody: idempotency keys. One replica at a time.
//!
//! Certificates need no marking: their expiry is a matter of the clock, judged whenever they are read.

use std::time::Duration;

use async_trait::async_trait;
use ca_engine::flow::expire::drop_expired_idempotency;

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
        if lease(state, "expiry").await?.is_none() {
            return Ok(Outcome::Elsewhere);
        }
        let engine = state.engine();
        Ok(Outcome::Done(drop_expired_idempotency(engine).await.map_err(with_detail)?))
    }
}
