//! Writes into the anchor what was committed since, within a second, and compares the record with it, once a minute. On every
//! replica; one of the status role only compares.

use std::time::Duration;

use async_trait::async_trait;
use ca_engine::flow::follow_anchor::{Anchored, compare_again, follow};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::driver::{Job, Outcome, with_detail};
use crate::state::AppState;

/// Follows the record with the anchor.
#[derive(Default)]
pub(crate) struct AnchorJob {
    anchored: Mutex<Anchored>,
    watch: AnchorWatchJob,
}

#[async_trait]
impl Job for AnchorJob {
    fn name(&self) -> &'static str {
        "anchor"
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(500)
    }

    fn changes_the_record(&self) -> bool {
        // Over a record that can only be read it compares.
        false
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        if state.is_read_only() {
            return self.watch.run(state).await;
        }
        let was_open = state.engine().check_anchor().is_ok();
        let mut anchored = self.anchored.lock().await;
        let followed = follow(state.engine(), state.anchor(), &mut anchored).await;
        lists_follow(state, was_open).await?;
        followed.map_err(with_detail)?;
        Ok(Outcome::Done(0))
    }
}

/// Compares and changes nothing: for replicas that only answer.
#[derive(Default)]
pub(crate) struct AnchorWatchJob {
    compared_at: Mutex<Option<Instant>>,
}

#[async_trait]
impl Job for AnchorWatchJob {
    fn name(&self) -> &'static str {
        "anchor"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn changes_the_record(&self) -> bool {
        false
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let was_open = state.engine().check_anchor().is_ok();
        let mut compared_at = self.compared_at.lock().await;
        if was_open && compared_at.is_some_and(|at| at.elapsed() < WATCH_INTERVAL) {
            return Ok(Outcome::Done(0));
        }
        compare_again(state.engine(), state.anchor()).await.map_err(with_detail)?;
        *compared_at = Some(Instant::now());
        lists_follow(state, was_open).await?;
        Ok(Outcome::Done(0))
    }
}

/// How often all is compared while everything is well.
const WATCH_INTERVAL: Duration = Duration::from_secs(60);

/// While the record is closed no list of it is served: it might be an older one than clients have.
async fn lists_follow(state: &AppState, was_open: bool) -> anyhow::Result<()> {
    if state.engine().check_anchor().is_ok() != was_open {
        super::follow::refresh(state).await?;
    }
    Ok(())
}
