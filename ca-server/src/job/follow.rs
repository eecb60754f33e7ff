//! Follows the record: lists published and authorities added by other replicas or by commands. On every replica.

use std::time::Duration;

use async_trait::async_trait;
use ca_engine::flow::republish::republish;

use super::driver::{Job, Outcome, with_detail};
use crate::crl_files::CrlFiles;
use crate::state::AppState;

pub(crate) struct FollowJob;

#[async_trait]
impl Job for FollowJob {
    fn name(&self) -> &'static str {
        "follow"
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(500)
    }

    fn changes_the_record(&self) -> bool {
        false
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let mut published = state.engine().store().published_numbers().await?;
        published.sort();
        let mut partial = state.engine().store().published_partial_numbers().await?;
        partial.sort();
        let files = state.crl_files();
        if published != files.numbers() || partial != files.partial_numbers() {
            // A list of an authority that this process does not know yet.
            state.engine().reload_hierarchy().await.map_err(with_detail)?;
            refresh(state).await?;
        }
        // Also what could not be put in place when it was made: nothing to do, most times.
        republish(state.engine()).await.map_err(with_detail)?;
        Ok(Outcome::Done(0))
    }
}

/// Takes the newest lists into memory.
pub(crate) async fn refresh(state: &AppState) -> anyhow::Result<()> {
    let files = CrlFiles::load(state.engine(), &state.crl_files()).await.map_err(with_detail)?;
    state.set_crl_files(files);
    Ok(())
}
