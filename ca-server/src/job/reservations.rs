//! Closes issuances that were begun and never finished, because their replica died. One replica at a time.

use std::time::Duration;

use async_trait::async_trait;
use ca_core::principal::Principal;
use ca_core::time::Lifetime;
use ca_engine::flow::reconcile::abandon_reservations_older_than;

use super::driver::{Job, Outcome, lease, with_detail};
use crate::state::AppState;

/// No issuance takes this long: requests are cut off after 30 s.
pub(crate) const PATIENCE: Lifetime = Lifetime::from_seconds(300);

pub(crate) struct ReservationsJob;

#[async_trait]
impl Job for ReservationsJob {
    fn name(&self) -> &'static str {
        "reservations"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        if lease(state, "reservations").await?.is_none() {
            return Ok(Outcome::Elsewhere);
        }
        let engine = state.engine();
        let principal = Principal::Job("reservations");
        Ok(Outcome::Done(abandon_reservations_older_than(engine, &principal, PATIENCE).await.map_err(with_detail)?))
    }
}
