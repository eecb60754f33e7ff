//! Warns 30 days before the last administrator's certificate ends: after that only `ca-server admin reset` on the host helps.
//! On every replica; it changes nothing.

use std::time::Duration;

use async_trait::async_trait;
use ca_core::principal::Role;
use ca_core::time::Lifetime;
use ca_engine::flow::role::holders;

use super::driver::{Job, Outcome, with_detail};
use crate::state::AppState;
use crate::telemetry::metrics;

/// How long before the end it begins to warn.
const NOTICE: Lifetime = Lifetime::from_days(30);

pub(crate) struct AdministratorsJob;

#[async_trait]
impl Job for AdministratorsJob {
    fn name(&self) -> &'static str {
        "administrators"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(3_600)
    }

    fn changes_the_record(&self) -> bool {
        false
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let engine = state.engine();
        let last = holders(engine, Role::Administrator).await.map_err(with_detail)?.pop();
        metrics::administrator_ends(last.map(|(_, not_after)| not_after));
        match last {
            None => tracing::warn!("no administrator's certificate is in force; `ca-server admin reset` makes one"),
            Some((certificate, not_after)) if not_after <= engine.now().plus(NOTICE) => {
                tracing::warn!(
                    %certificate,
                    %not_after,
                    "the last administrator's certificate ends soon; renew it with `ca-cli renew`"
                );
            }
            Some(_) => {}
        }
        Ok(Outcome::Done(0))
    }
}
