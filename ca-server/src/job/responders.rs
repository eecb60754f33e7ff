//! Renews OCSP responders past half of their life. One replica at a time for each authority.

use std::time::Duration;

use async_trait::async_trait;
use ca_core::id::AuthorityId;
use ca_core::principal::Principal;
use ca_engine::flow::respond::{lease_name, make_responder, needs_responder};
use ca_engine::hierarchy::Authority;

use super::driver::{Job, Outcome, lease, with_detail};
use super::each_authority::EachAuthority;
use crate::state::AppState;

pub(crate) struct RespondersJob {
    authorities: EachAuthority,
}

impl RespondersJob {
    pub(crate) fn new() -> Self {
        // Every run tries again: they are a minute apart.
        Self { authorities: EachAuthority::new("responders", Duration::ZERO) }
    }

    /// Makes a responder for one authority if it needs one; returns how many it made.
    async fn make(&self, state: &AppState, id: &AuthorityId) -> anyhow::Result<u64> {
        let engine = state.engine();
        if !needs_responder(engine, id, engine.now()) {
            return Ok(0);
        }
        let Some(lease) = lease(state, &lease_name(id)).await? else { return Ok(0) };
        // Another replica may have made it while this one waited for the lease.
        engine.reload_hierarchy().await.map_err(with_detail)?;
        if !needs_responder(engine, id, engine.now()) {
            return Ok(0);
        }
        make_responder(engine, &Principal::Job("responders"), id, Some(&lease)).await.map_err(with_detail)?;
        Ok(1)
    }
}

#[async_trait]
impl Job for RespondersJob {
    fn name(&self) -> &'static str {
        "responders"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        // Another replica may have made one.
        state.engine().reload_hierarchy().await.map_err(with_detail)?;
        // The certificates of some are signed elsewhere.
        let has_hand = |authority: &Authority| authority.hand().is_ok();
        Ok(self.authorities.run(state, has_hand, |id| async move { self.make(state, &id).await }).await)
    }
}
