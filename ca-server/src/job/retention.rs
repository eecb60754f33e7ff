//! Removes certificates from the record whose retention has passed; nothing unless `retention.expired` says so. Once a day, one replica
//! at a time.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ca_core::principal::Principal;
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::flow::retention::{Due, LEASE_NAME, due, remove};
use ca_engine::port::store::{Lease, MonthRemoval, RemovalOutcome};

use super::driver::{Job, Outcome, with_detail};
use crate::state::AppState;
use crate::telemetry::metrics;

const PRINCIPAL: Principal = Principal::Job("retention");

/// How long after a run that left nothing the next one is.
const DAY: Lifetime = Lifetime::from_days(1);

/// A large month takes minutes. Whoever waits for the lease of a holder that died loses nothing: this is a matter of days.
const LEASE: Lifetime = Lifetime::from_seconds(3_600);

#[derive(Default)]
pub(crate) struct RetentionJob {
    /// When this process found last that nothing was left to do.
    done_at: Mutex<Option<Timestamp>>,
}

#[async_trait]
impl Job for RetentionJob {
    fn name(&self) -> &'static str {
        "retention"
    }

    /// A month that was in use, or a failure, is tried again after this, not a day later.
    fn interval(&self) -> Duration {
        Duration::from_secs(900)
    }

    /// A service that starts has more urgent work.
    fn first(&self) -> Duration {
        Duration::from_secs(300)
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let now = state.engine().now();
        if self.was_done_within_a_day(now) {
            return Ok(Outcome::Done(0));
        }
        let months = match due(state.engine(), &PRINCIPAL).await.map_err(with_detail)? {
            Due::Months(months) => months,
            Due::NotBefore(from) => {
                tracing::info!(target: "progress", not_before = %from, "nothing is removed before the clock was watched for a day");
                return Ok(Outcome::Done(0));
            }
        };
        if months.is_empty() {
            self.done(now);
            return Ok(Outcome::Done(0));
        }
        let Some(lease) = lease(state).await? else { return Ok(Outcome::Elsewhere) };
        let removed = remove_all(state, months).await;
        // Whoever runs it by hand need not wait until the lease ends.
        state.engine().store().release_lease(&lease).await?;
        let Some((total, waiting)) = removed? else { return Ok(Outcome::Elsewhere) };
        metrics::months_waiting(waiting);
        if waiting == 0 {
            self.done(now);
        }
        Ok(Outcome::Done(total))
    }
}

impl RetentionJob {
    fn done(&self, now: Timestamp) {
        *self.done_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    fn was_done_within_a_day(&self, now: Timestamp) -> bool {
        let done_at = *self.done_at.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back is no reason to wait longer.
        done_at.is_some_and(|done_at| done_at <= now && now.since(done_at) < DAY)
    }
}

/// How many certificates went, and how many months wait for another run; `None` when another has the lease by now.
async fn remove_all(state: &AppState, months: Vec<MonthRemoval>) -> anyhow::Result<Option<(u64, u64)>> {
    let (mut total, mut waiting) = (0, 0);
    for month in months {
        // Prolonged for each: the months before it may have taken long.
        let Some(lease) = lease(state).await? else { return Ok(None) };
        let name = month.month;
        match remove(state.engine(), &lease, month).await.map_err(with_detail)? {
            RemovalOutcome::Nothing => {}
            RemovalOutcome::Removed { removed, kept } => {
                total += removed;
                metrics::certificates_removed(removed);
                tracing::info!(target: "progress", month = %name, removed, kept, "a month of certificates was removed");
            }
            RemovalOutcome::Busy => {
                waiting += 1;
                tracing::info!(target: "progress", month = %name, "a month is in use; it is removed by a later run");
            }
        }
    }
    Ok(Some((total, waiting)))
}

async fn lease(state: &AppState) -> anyhow::Result<Option<Lease>> {
    let lease = state.engine().store().acquire_lease(LEASE_NAME, state.holder(), LEASE).await?;
    if let Some(lease) = &lease {
        state.keep_lease(lease.clone());
    }
    Ok(lease)
}
