//! Renews OCSP responders past half of their life. One replica at a time for each authority.

use std::time::Duration;

use async_trait::async_trait;
use ca_core::principal::Principal;
use ca_engine::flow::respond::{lease_name, make_responder, needs_responder};

use super::driver::{Job, Outcome, lease, with_detail};
use crate::state::AppState;

pub(crate) struct RespondersJob;

#[async_trait]
impl Job for RespondersJob {
    fn name(&self) -> &'static str {
        "responders"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let engine = state.engine();
        // Another replica may have made one.
        engine.reload_hierarchy().await.map_err(with_detail)?;
        let mut made = 0;
        for authority in engine.hierarchy().authorities() {
            if !authority.can_sign() || !needs_responder(engine, authority.id(), engine.now()) {
                continue;
            }
            let Some(lease) = lease(state, &lease_name(authority.id())).await? else { continue };
            engine.reload_hierarchy().await.map_err(with_detail)?;
            if needs_responder(engine, authority.id(), engine.now()) {
                make_responder(engine, &Principal::Job("responders"), authority.id(), Some(&lease))
                    .await
                    .map_err(with_detail)?;
                made += 1;
            }
        }
        Ok(Outcome::Done(made))
    }
}
