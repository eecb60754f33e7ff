//! Tells ahead of ends that nobody has seen to. One replica at a time.

use std::time::Duration;

use async_trait::async_trait;
use ca_core::principal::Principal;
use ca_engine::flow::notices::{LEASE_NAME, tell_of_ends};

use super::driver::{Job, Outcome, lease, with_detail};
use crate::state::AppState;

pub(crate) struct NoticesJob;

#[async_trait]
impl Job for NoticesJob {
    fn name(&self) -> &'static str {
        "notices"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(3_600)
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        // What is told is on record once: the lease only spares others the look.
        let Some(_lease) = lease(state, LEASE_NAME).await? else { return Ok(Outcome::Elsewhere) };
        let told = tell_of_ends(state.engine(), &Principal::Job("notices")).await.map_err(with_detail)?;
        for notice in &told {
            tracing::warn!(subject = notice.subject, not_after = %notice.not_after, "{}", notice.detail);
        }
        Ok(Outcome::Done(told.len() as u64))
    }
}
