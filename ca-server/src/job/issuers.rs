//! What is between this service and issuers that hold authorities of it: issuances that were ordered there and never ended, and
//! revocations that they are to be told of. One replica at a time; what it leaves, the next one goes on with.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use ca_core::id::AuthorityId;
use ca_core::principal::Principal;
use ca_engine::flow::issuance::elsewhere::{SETTLED_AFTER, settle};
use ca_engine::flow::pass_on_revocations::{lease_name, pass_on_revocations, revocations_to_pass_on};
use ca_engine::port::store::AuthorityState;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::driver::{Job, Outcome, lease, with_detail};
use crate::state::AppState;
use crate::telemetry::metrics;

/// The name of the lease under which open issuances are settled.
const SETTLE: &str = "issuances-elsewhere";

/// Settles what was ordered of an issuer elsewhere and never ended.
pub(crate) struct IssuancesElsewhereJob;

#[async_trait]
impl Job for IssuancesElsewhereJob {
    fn name(&self) -> &'static str {
        SETTLE
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(5)
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let engine = state.engine();
        if !engine.hierarchy().authorities().iter().any(|authority| authority.issues_elsewhere()) {
            metrics::open_elsewhere(0);
            return Ok(Outcome::Done(0));
        }
        if lease(state, SETTLE).await?.is_none() {
            // Who holds it tells.
            metrics::open_elsewhere(0);
            return Ok(Outcome::Elsewhere);
        }
        let before = engine.now().minus(SETTLED_AFTER);
        let settled = settle(engine, &Principal::Job(SETTLE), before).await.map_err(with_detail)?;
        metrics::open_elsewhere(settled.waiting);
        if settled.completed + settled.abandoned > 0 {
            let (completed, abandoned) = (settled.completed, settled.abandoned);
            tracing::warn!(completed, abandoned, "issuances that were left open at an issuer elsewhere are settled");
        }
        let done = settled.completed + settled.abandoned;
        Ok(if settled.waiting > 0 { Outcome::Partly } else { Outcome::Done(done) })
    }
}

/// Tells issuers elsewhere what was revoked here, within a second or two.
#[derive(Default)]
pub(crate) struct RevocationsElsewhereJob {
    /// Which authorities could not be told of late, and until when they are left alone.
    resting: Mutex<BTreeMap<AuthorityId, Instant>>,
}

/// How long an issuer that could not be told is left alone.
const REST: Duration = Duration::from_secs(10);

#[async_trait]
impl Job for RevocationsElsewhereJob {
    fn name(&self) -> &'static str {
        "revocations-elsewhere"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let engine = state.engine();
        let mut resting = self.resting.lock().await;
        let (mut done, mut failed, mut behind) = (0, false, 0);
        for authority in engine.hierarchy().authorities() {
            let id = authority.id();
            if !authority.issues_elsewhere() || authority.record().state == AuthorityState::Retired {
                continue;
            }
            let left = revocations_to_pass_on(engine, id).await.map_err(with_detail)?;
            behind = left.max(behind);
            if left == 0 || resting.get(id).is_some_and(|until| Instant::now() < *until) {
                continue;
            }
            if lease(state, &lease_name(id)).await?.is_none() {
                continue;
            }
            match pass_on_revocations(engine, id).await {
                Ok(told) => {
                    done += told;
                    resting.remove(id);
                }
                Err(error) => {
                    let error = format!("{:#}", with_detail(error));
                    tracing::error!(authority = %id, left, error, "an issuer elsewhere was not told of revocations");
                    resting.insert(id.clone(), Instant::now() + REST);
                    failed = true;
                }
            }
        }
        // As it was found: of a run that passes all on, the next one says so.
        metrics::revocations_to_pass_on(behind);
        Ok(if failed { Outcome::Partly } else { Outcome::Done(done) })
    }
}
