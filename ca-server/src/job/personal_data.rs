//! Keeps personal data under the newest version of its key, and replaces that key when it is told to. One replica at a time.
//!
//! Beside a running server nothing has to be done by hand: what a replacement that was cut off left behind, and what an older version
//! of the program wrote in clear, is encrypted by the next run.

use std::time::Duration;

use async_trait::async_trait;
use ca_core::principal::Principal;
use ca_engine::flow::personal_data::{LEASE_NAME, SealingRun};

use super::driver::{Job, Outcome, lease, with_detail};
use crate::state::AppState;
use crate::telemetry::metrics;

const PRINCIPAL: Principal = Principal::Job("personal-data");

/// Does what is due.
pub(crate) struct PersonalDataJob;

#[async_trait]
impl Job for PersonalDataJob {
    fn name(&self) -> &'static str {
        "personal-data"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let run = SealingRun::due(state.engine()).await.map_err(with_detail)?;
        if run.is_done() {
            return Ok(Outcome::Done(0));
        }
        finish(run, state, self.name()).await
    }
}

/// Replaces the key. Never by itself: only `ca-server job run` knows it.
pub(crate) struct PersonalDataKeyJob;

#[async_trait]
impl Job for PersonalDataKeyJob {
    fn name(&self) -> &'static str {
        "personal-data-key"
    }

    fn interval(&self) -> Duration {
        Duration::MAX
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let Some(lease) = lease(state, LEASE_NAME).await? else { return Ok(Outcome::Elsewhere) };
        let run = SealingRun::replacing_key(state.engine(), &PRINCIPAL, &lease).await.map_err(with_detail)?;
        finish(run, state, self.name()).await
    }
}

/// Goes on until all is done, and tells how far it is. The lease is prolonged at every step.
async fn finish(mut run: SealingRun, state: &AppState, job: &'static str) -> anyhow::Result<Outcome> {
    let (mut progress, mut told, mut held) = (None, 0, None);
    while !run.is_done() {
        let Some(lease) = lease(state, LEASE_NAME).await? else { return Ok(Outcome::Elsewhere) };
        let now = run.step(state.engine(), &PRINCIPAL, &lease).await.map_err(with_detail)?;
        metrics::personal_data(now.done, now.older);
        if now.done - told >= TELL_EVERY {
            told = now.done;
            tracing::info!(target: "progress", job, encrypted = now.done, under_older_keys_at_first = now.older, "going on");
        }
        progress = Some(now);
        held = Some(lease);
    }
    if let Some(lease) = held {
        // Whoever replaces the key by hand need not wait until it ends.
        state.engine().store().release_lease(&lease).await?;
    }
    let progress = progress.unwrap_or_default();
    let left = state.engine().store().personal_data_keys().await?.len().saturating_sub(1);
    tracing::info!(
        target: "progress", job, encrypted = progress.done, keys_dropped = progress.dropped, older_keys_left = left,
        "done; an older key that is left is that of an issuance under way, and goes with a later run"
    );
    Ok(Outcome::Done(progress.done))
}

/// After how many rows a line tells of it.
const TELL_EVERY: u64 = 200;
