//! Makes CRLs: every `crl_interval`, and within a second of a revocation (large lists less often). One replica at a time for
//! each authority.

use std::time::Duration;

use async_trait::async_trait;
use ca_core::principal::Principal;
use ca_core::time::Lifetime;
use ca_engine::flow::publish_crl::{is_due, lease_name, publish_crl};

use super::driver::{Job, Outcome, lease, with_detail};
use crate::state::AppState;

pub(crate) struct CrlJob {
    interval: Lifetime,
}

impl CrlJob {
    pub(crate) fn new(interval: Lifetime) -> Self {
        Self { interval }
    }
}

#[async_trait]
impl Job for CrlJob {
    fn name(&self) -> &'static str {
        "crl"
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(400)
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let mut made = 0;
        let engine = state.engine();
        for authority in engine.hierarchy().authorities() {
            let id = authority.id();
            if !authority.can_sign() || !is_due(engine, id, self.interval).await.map_err(with_detail)? {
                continue;
            }
            let Some(lease) = lease(state, &lease_name(id)).await? else { continue };
            // Another replica may have made it while this one waited for the lease.
            if is_due(engine, id, self.interval).await.map_err(with_detail)? {
                publish_crl(engine, &Principal::Job("crl"), id, &lease).await.map_err(with_detail)?;
                made += 1;
            }
        }
        if made > 0 {
            super::follow::refresh(state).await?;
        }
        Ok(Outcome::Done(made))
    }
}
