//! Compares the clock with the record, every 5 s; nothing is signed while it is wrong. Looks also whether the record can be changed:
//! a standby that takes over is served by the replicas that read it. On every replica.

use std::time::Duration;

use async_trait::async_trait;
use ca_engine::clock_verdict::ClockVerdict;
use ca_engine::flow::watch_clock::watch_clock;
use ca_engine::port::store::Access;

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

    fn changes_the_record(&self) -> bool {
        false
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
    let read_only = state.engine().store().access().await? == Access::ReadOnly;
    if state.set_read_only(read_only) {
        match read_only {
            true => tracing::warn!("the database can only be read: status is answered, changes are refused"),
            false => tracing::info!("the database can be changed again"),
        }
    }
    Ok(())
}
