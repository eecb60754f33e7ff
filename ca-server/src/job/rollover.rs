//! Takes the generations of authorities as far as they have come: one that is succeeded issues no more, one whose certificates have
//! ended makes its last list and retires. Warns ahead of the end of an authority that issues. One replica at a time.

use std::time::Duration;

use async_trait::async_trait;
use ca_core::principal::Principal;
use ca_core::time::Lifetime;
use ca_engine::flow::retire::{LEASE_NAME, Watch, retire};
use tokio::sync::Mutex;

use super::driver::{Job, Outcome, lease, with_detail};
use crate::state::AppState;

#[derive(Default)]
pub(crate) struct RolloverJob {
    watch: Mutex<Watch>,
}

#[async_trait]
impl Job for RolloverJob {
    fn name(&self) -> &'static str {
        "rollover"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let Some(_lease) = lease(state, LEASE_NAME).await? else { return Ok(Outcome::Elsewhere) };
        let engine = state.engine();
        engine.reload_hierarchy().await.map_err(with_detail)?;
        let mut watch = self.watch.lock().await;
        let steps = retire(engine, &Principal::Job("rollover"), &mut watch).await.map_err(with_detail)?;
        for step in &steps {
            tracing::info!(authority = %step.authority, state = step.state.as_str(), "an authority goes to its end");
        }
        Ok(Outcome::Done(steps.len() as u64))
    }
}

/// Warns of the end of authorities that issue, a year, 90 and 30 days ahead. On every replica; it changes nothing.
pub(crate) struct AuthorityEndsJob;

/// How long before the end each warning begins, and once again each day.
const NOTICES: [Lifetime; 3] = [Lifetime::from_days(30), Lifetime::from_days(90), Lifetime::from_days(365)];

#[async_trait]
impl Job for AuthorityEndsJob {
    fn name(&self) -> &'static str {
        "authority-ends"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(24 * 3_600)
    }

    fn changes_the_record(&self) -> bool {
        false
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let engine = state.engine();
        let (now, hierarchy) = (engine.now(), engine.hierarchy());
        for authority in hierarchy.authorities() {
            let is_newest =
                hierarchy.generations(authority.id()).last().is_some_and(|(_, last)| last.id() == authority.id());
            let end = authority.facts().validity.not_after;
            let Some(notice) = NOTICES.into_iter().find(|notice| is_newest && end <= now.plus(*notice)) else {
                continue;
            };
            tracing::warn!(
                authority = %authority.id(),
                not_after = %end,
                "the newest generation of an authority ends within {notice}; `ca-server authority rollover` makes the next one"
            );
        }
        Ok(Outcome::Done(0))
    }
}
