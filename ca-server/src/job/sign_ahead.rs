//! Signs what many ask for before it is needed. On every replica, each for its own memory.

use std::time::Duration;

use async_trait::async_trait;
use ca_engine::flow::answer_status::{AHEAD_INTERVAL, sign_ahead};

use super::driver::{Job, Outcome, with_detail};
use crate::state::AppState;
use crate::telemetry::metrics;

pub(crate) struct SignAheadJob;

#[async_trait]
impl Job for SignAheadJob {
    fn name(&self) -> &'static str {
        "sign-ahead"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(AHEAD_INTERVAL.seconds())
    }

    fn changes_the_record(&self) -> bool {
        false
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let signed = sign_ahead(state.engine()).await.map_err(with_detail)?;
        metrics::signed_ahead(signed);
        Ok(Outcome::Done(signed))
    }
}
