//! Rotates managed certificates that are due, the most urgent first, in waves at the pace that `[managed]` says. One replica at a time; what
//! it leaves, the next one goes on with.
//!
//! A look is cheap and made every few seconds: what was asked for does not wait. When what is merely due is taken, the schedule has said
//! in each record already, so that a service that was down catches up by itself.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::engine::Engine;
use ca_engine::flow::managed::plan::LEASE_NAME;
use ca_engine::flow::managed::wave::{Wave, WaveReport, next_waves, rotate_wave};
use ca_engine::port::store::Lease;
use futures::future::join_all;

use super::driver::{Job, Outcome, with_detail};
use crate::state::AppState;
use crate::telemetry::metrics;

/// A target may take a while; the lease is prolonged as long as a wave is under way.
const LEASE: Lifetime = Lifetime::from_seconds(15);
const PROLONGED_EVERY: Duration = Duration::from_secs(4);

/// How often all of them are counted, which reads the whole table.
const COUNTED_EVERY: Lifetime = Lifetime::from_seconds(60);

#[derive(Default)]
pub(crate) struct ExpiryCheckJob {
    counted_at: Mutex<Option<Timestamp>>,
}

#[async_trait]
impl Job for ExpiryCheckJob {
    fn name(&self) -> &'static str {
        "expiry-check"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(3)
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let engine = state.engine();
        engine.check_anchor()?;
        let mut total = WaveReport::default();
        let mut waves = next_waves(engine).await.map_err(with_detail)?;
        if !waves.is_empty() {
            let Some(lease) = prolong(state).await? else { return Ok(Outcome::Elsewhere) };
            let done = rotate_all(state, &lease, &mut waves, &mut total).await;
            // Whoever runs it by hand need not wait until the lease ends.
            state.engine().store().release_lease(&lease).await?;
            done?;
        }
        self.count(engine).await?;
        let (rotated, failed) = (total.rotated, total.failures());
        if rotated + failed > 0 {
            tracing::info!(target: "progress", rotated, failed, "managed certificates had their turn");
        }
        Ok(if failed > 0 { Outcome::Partly } else { Outcome::Done(total.done()) })
    }
}

impl ExpiryCheckJob {
    async fn count(&self, engine: &Engine) -> anyhow::Result<()> {
        let now = engine.now();
        {
            let mut counted_at = self.counted_at.lock().unwrap_or_else(PoisonError::into_inner);
            if counted_at.is_some_and(|at| at <= now && now.since(at) < COUNTED_EVERY) {
                return Ok(());
            }
            *counted_at = Some(now);
        }
        metrics::managed_certificates(engine.store().count_managed(now).await?);
        Ok(())
    }
}

/// Wave after wave until nothing is due, or nothing moves any more.
async fn rotate_all(
    state: &AppState,
    lease: &Lease,
    waves: &mut Vec<Wave>,
    total: &mut WaveReport,
) -> anyhow::Result<()> {
    let engine = state.engine();
    let rate = engine.settings().managed.rate.max(1);
    while !waves.is_empty() {
        let began = tokio::time::Instant::now();
        let largest = waves.iter().map(|wave| wave.managed.len()).max().unwrap_or_default();
        let turns = join_all(std::mem::take(waves).into_iter().map(|wave| rotate_wave(engine, lease, wave)));
        let mut report = WaveReport::default();
        for done in prolonging(state, turns).await {
            report.add(done.map_err(with_detail)?);
        }
        metrics::managed_turns(&report);
        let moved = report.done() + report.failures() > 0;
        total.add(report);
        if !moved {
            break;
        }
        let pace = Duration::from_secs_f64(largest as f64 / f64::from(rate));
        tokio::time::sleep(pace.saturating_sub(began.elapsed())).await;
        *waves = next_waves(engine).await.map_err(with_detail)?;
        if !waves.is_empty() && prolong(state).await?.is_none() {
            break;
        }
    }
    Ok(())
}

/// Waits for work under the lease, which is prolonged meanwhile. Who has lost it is stopped by the record.
async fn prolonging<T>(state: &AppState, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(PROLONGED_EVERY, &mut work).await {
            Ok(done) => return done,
            Err(_) => {
                if let Err(error) = prolong(state).await {
                    tracing::warn!(%error, "the lease of rotations was not prolonged");
                }
            }
        }
    }
}

/// Takes or prolongs the lease; `None` while another replica holds it.
async fn prolong(state: &AppState) -> anyhow::Result<Option<Lease>> {
    let lease = state.engine().store().acquire_lease(LEASE_NAME, state.holder(), LEASE).await?;
    if let Some(lease) = &lease {
        state.keep_lease(lease.clone());
    }
    Ok(lease)
}
