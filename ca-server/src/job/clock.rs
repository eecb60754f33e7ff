//! Compares the clock with the record, every 5 s; nothing is signed while it is wrong. On every replica.

use std::time::Duration;

use async_trait::async_trait;
use ca_engine::clock_verdict::ClockVerdict;
use ca_engine::flow::watch_clock::watch_clock;

use super::driver::{Job, Outcome, with_detail};
use crate::state::AppState;
use crate::telemetry::metrics;

pub(crate) struct ClockJob;

#[async_trait]
impl Job for ClockJob {
    fn name(&self) -> &'static str {
        "clock"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(5)
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        compare_clock(state).await?;
        metrics::observe(state);
        Ok(Outcome::Done(0))
    }
}

/// One comparison; also tells whether the record answers.
pub(crate) async fn compare_clock(state: &AppState) -> anyhow::Result<()> {
    let verdict = watch_clock(state.engine()).await;
    state.set_store_answers(verdict.is_ok());
    if let ClockVerdict::Wrong(why) = verdict.map_err(with_detail)? {
        tracing::error!(why, "the clock is wrong: nothing is signed");
    }
    Ok(())
}
