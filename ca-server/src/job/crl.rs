//! Makes CRLs: every `crl_interval`, and within a second of a revocation (large lists less often). The complete list of an authority
//! comes first, then its delta and its shards, as it has them. One replica at a time for each authority.

use std::time::Duration;

use async_trait::async_trait;
use ca_core::id::AuthorityId;
use ca_core::principal::Principal;
use ca_core::time::Lifetime;
use ca_engine::flow::publish_crl::{is_due, lease_name, publish_crl};
use ca_engine::flow::publish_partial::{due_scopes, publish_partial};
use ca_engine::hierarchy::Authority;

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

    /// Makes the lists of one authority that are due; returns how many it made.
    async fn make(&self, state: &AppState, id: &AuthorityId) -> anyhow::Result<u64> {
        Ok(self.make_complete(state, id).await? + self.make_partial(state, id).await?)
    }

    async fn make_complete(&self, state: &AppState, id: &AuthorityId) -> anyhow::Result<u64> {
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

    async fn make_partial(&self, state: &AppState, id: &AuthorityId) -> anyhow::Result<u64> {
        let engine = state.engine();
        if due_scopes(engine, id, self.interval).await.map_err(with_detail)?.is_empty() {
            return Ok(0);
        }
        let Some(lease) = lease(state, &lease_name(id)).await? else { return Ok(0) };
        let mut made = 0;
        // Another replica may have made some while this one waited for the lease.
        for scope in due_scopes(engine, id, self.interval).await.map_err(with_detail)? {
            if made == AT_ONCE {
                break;
            }
            publish_partial(engine, &Principal::Job("crl"), id, scope, &lease).await.map_err(with_detail)?;
            made += 1;
        }
        Ok(made)
    }
}

/// How many shards are made before the complete list is looked at again.
const AT_ONCE: u64 = 16;

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
        let outcome =
            self.authorities.run(state, Authority::can_sign, |id| async move { self.make(state, &id).await }).await;
        if outcome != Outcome::Done(0) {
            super::follow::refresh(state).await?;
        }
        Ok(outcome)
    }
}
