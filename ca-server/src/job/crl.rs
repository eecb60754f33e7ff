//! Makes CRLs: every `crl_interval`, and within a second of a revocation (large lists less often). One replica at a time for
//! each authority.

use std::time::Duration;

use async_trait::async_trait;
use ca_core::id::AuthorityId;
use ca_core::principal::Principal;
use ca_core::time::Lifetime;
use ca_engine::flow::publish_crl::{is_due, lease_name, publish_crl};

use super::driver::{Job, Outcome, lease, with_detail};
use super::each_authority::EachAuthority;
use crate::state::AppState;

pub(crate) struct CrlJob {
    interval: Lifetime,
    authorities: EachAuthority,
}

impl CrlJob {
    pub(crate) fn new(interval: Lifetime) -> Self {
        Self { interval, authorities: EachAuthority::new("crl", REST) }
    }

    /// Makes the list of one authority if it is due; returns how many it made.
    async fn make(&self, state: &AppState, id: &AuthorityId) -> anyhow::Result<u64> {
        let engine = state.engine();
        if !is_due(engine, id, self.interval).await.map_err(with_detail)? {
            return Ok(0);
        }
        let Some(lease) = lease(state, &lease_name(id)).await? else { return Ok(0) };
        // Another replica may have made it while this one waited for the lease.
        if !is_due(engine, id, self.interval).await.map_err(with_detail)? {
            return Ok(0);
        }
        publish_crl(engine, &Principal::Job("crl"), id, &lease).await.map_err(with_detail)?;
        Ok(1)
    }
}

/// After how long a list that could not be made is tried again: within what a revocation has until it must be seen.
const REST: Duration = Duration::from_secs(3);

#[async_trait]
impl Job for CrlJob {
    fn name(&self) -> &'static str {
        "crl"
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(400)
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let outcome = self.authorities.run(state, |id| async move { self.make(state, &id).await }).await;
        if outcome != Outcome::Done(0) {
            super::follow::refresh(state).await?;
        }
        Ok(outcome)
    }
}
