//! Delivers events to sinks. One replica at a time for each sink; sinks do not wait for each other.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ca_core::id::SinkName;
use ca_engine::flow::deliver_events::{Attempt, LEASE_NAME, assign_messages, deliver_due, lease_name, welcome_back};
use ca_engine::port::store::Verdict;
use tokio::time::Instant;

use super::driver::{Job, Outcome, lease, with_detail};
use crate::state::AppState;
use crate::telemetry::metrics;

/// How many events go to a sink side by side.
const TOGETHER: u32 = 16;
/// How many times so many one run delivers, so that the server can stop.
const BATCHES: u32 = 64;
/// The longest rest of a sink that is not available: so soon it is noticed that it is back.
const LONGEST_REST: Duration = Duration::from_secs(30);
/// After so many failures in a row it was the sink that was away, and not one event that it cannot take: what waits is not made to
/// wait longer. That one event would use up its attempts if every other that is taken had it tried again.
const OUTAGE: u32 = 3;
/// How old the gauges may be.
const OBSERVED_EVERY: Duration = Duration::from_secs(5);

pub(crate) struct OutboxJob {
    /// The one sink that is served; all when absent.
    sink: Option<SinkName>,
    paces: Mutex<BTreeMap<SinkName, Pace>>,
}

/// How a sink fared of late.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    /// Runs in a row in which it was not available.
    failures: u32,
    resting_until: Option<Instant>,
    observed_at: Option<Instant>,
}

impl OutboxJob {
    /// Serves every sink there is, one after the other.
    pub(crate) fn of_all() -> Self {
        Self { sink: None, paces: Mutex::default() }
    }

    /// Serves one sink.
    pub(crate) fn of(sink: SinkName) -> Self {
        Self { sink: Some(sink), paces: Mutex::default() }
    }

    /// Assigns what is new to every sink.
    async fn assign(&self, state: &AppState) -> anyhow::Result<()> {
        let engine = state.engine();
        // The lease is a write: taken only when there is something to assign.
        if engine.sinks().is_empty() || engine.store().unassigned_messages(1).await?.is_empty() {
            return Ok(());
        }
        // Who else has it does the same.
        let Some(lease) = lease(state, LEASE_NAME).await? else { return Ok(()) };
        assign_messages(engine, &lease).await.map_err(with_detail)?;
        Ok(())
    }

    /// Delivers what is due for a sink, until nothing is or the sink is not available.
    async fn deliver(&self, state: &AppState, sink: &SinkName) -> anyhow::Result<Outcome> {
        let engine = state.engine();
        let mut delivered = 0;
        if self.pace(sink).resting_until.is_some_and(|until| Instant::now() < until) {
            return Ok(Outcome::Done(0));
        }
        for _ in 0..BATCHES {
            if engine.store().due_deliveries(sink, 1).await?.is_empty() {
                break;
            }
            // Prolonged before each batch: an attempt is shorter than the lease.
            let Some(lease) = lease(state, &lease_name(sink)).await? else { return Ok(Outcome::Elsewhere) };
            // One event finds out whether a sink is back.
            let failures = self.pace(sink).failures;
            let limit = if failures > 0 { 1 } else { TOGETHER };
            let attempts = deliver_due(engine, &lease, sink, limit).await.map_err(with_detail)?;
            for attempt in &attempts {
                tell(sink, attempt);
            }
            delivered += attempts.iter().filter(|attempt| attempt.verdict == Verdict::Delivered).count() as u64;
            if attempts.iter().any(|attempt| attempt.sink_unavailable) {
                self.rest(state, sink);
                break;
            }
            if failures >= OUTAGE {
                let waiting = welcome_back(engine, &lease, sink).await.map_err(with_detail)?;
                tracing::info!(sink = %sink, waiting, "the sink is available again");
            }
            self.paces().entry(sink.clone()).or_default().failures = 0;
        }
        Ok(Outcome::Done(delivered))
    }

    /// Leaves a sink alone for a while.
    fn rest(&self, state: &AppState, sink: &SinkName) {
        let longest = Duration::from_secs(state.engine().settings().outbox.longest_retry.seconds()).min(LONGEST_REST);
        let mut paces = self.paces();
        let pace = paces.entry(sink.clone()).or_default();
        pace.failures = pace.failures.saturating_add(1);
        let rest = Duration::from_secs(1 << pace.failures.min(5)).min(longest);
        pace.resting_until = Some(Instant::now() + rest);
    }

    async fn observe(&self, state: &AppState, sink: &SinkName) -> anyhow::Result<()> {
        let now = Instant::now();
        if self.pace(sink).observed_at.is_some_and(|at| now < at + OBSERVED_EVERY) {
            return Ok(());
        }
        let backlog = state.engine().store().backlog(sink).await?;
        metrics::outbox(sink, &backlog, state.engine().now());
        self.paces().entry(sink.clone()).or_default().observed_at = Some(now);
        Ok(())
    }

    fn pace(&self, sink: &SinkName) -> Pace {
        self.paces().get(sink).copied().unwrap_or_default()
    }

    fn paces(&self) -> MutexGuard<'_, BTreeMap<SinkName, Pace>> {
        self.paces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Job for OutboxJob {
    fn name(&self) -> &'static str {
        "outbox"
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(500)
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        self.assign(state).await?;
        let sinks: Vec<SinkName> = match &self.sink {
            Some(sink) => vec![sink.clone()],
            None => state.engine().sinks().keys().cloned().collect(),
        };
        let (mut delivered, mut elsewhere) = (0, false);
        for sink in &sinks {
            match self.deliver(state, sink).await? {
                Outcome::Done(count) => delivered += count,
                Outcome::Elsewhere | Outcome::Partly => elsewhere = true,
            }
            self.observe(state, sink).await?;
        }
        Ok(if elsewhere && delivered == 0 { Outcome::Elsewhere } else { Outcome::Done(delivered) })
    }
}

/// Logs and counts an attempt.
fn tell(sink: &SinkName, attempt: &Attempt) {
    let outcome = match &attempt.verdict {
        Verdict::Delivered => "delivered",
        Verdict::Retry { after_millis, error } => {
            tracing::warn!(
                sink = %sink,
                delivery = %attempt.delivery,
                topic = attempt.topic,
                error,
                "an event was not taken by the sink; it is tried again in {} s",
                after_millis.div_ceil(1_000)
            );
            "retried"
        }
        Verdict::Dead { error } => {
            tracing::error!(
                sink = %sink,
                delivery = %attempt.delivery,
                topic = attempt.topic,
                error,
                "an event was not taken by the sink and is given up; once the sink works again, `ca-cli outbox replay {}`",
                attempt.delivery
            );
            "dead"
        }
    };
    metrics::delivery(sink, outcome);
}
