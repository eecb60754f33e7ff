//! Puts committed audit events into the hash chain, within a second. One replica at a time.

use std::time::Duration;

use async_trait::async_trait;
use ca_engine::flow::sequence_audit::{LEASE_NAME, sequence_audit};

use super::driver::{Job, Outcome, lease, with_detail};
use crate::state::AppState;

pub(crate) struct AuditChainJob;

#[async_trait]
impl Job for AuditChainJob {
    fn name(&self) -> &'static str {
        "audit-chain"
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(500)
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        // The lease is a write: taken only when there is something to chain.
        if state.engine().store().pending_events(1).await?.is_empty() {
            return Ok(Outcome::Done(0));
        }
        let Some(lease) = lease(state, LEASE_NAME).await? else { return Ok(Outcome::Elsewhere) };
        sequence_audit(state.engine(), &lease).await.map_err(with_detail)?;
        Ok(Outcome::Done(0))
    }
}
