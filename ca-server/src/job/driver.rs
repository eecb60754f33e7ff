//! Runs jobs on time, under their leases, until the server stops.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ca_core::time::Lifetime;
use ca_engine::error::FlowError;
use ca_engine::port::store::Lease;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::state::AppState;
use crate::telemetry::metrics;

/// What a run did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It did this much.
    Done(u64),
    /// Another replica holds the lease.
    Elsewhere,
    /// Some authorities could not be served; that was logged for each.
    Partly,
}

/// Something done again and again. A run may be cut off at any point and repeated.
#[async_trait]
pub(crate) trait Job: Send + Sync {
    /// Its name in logs and metrics.
    fn name(&self) -> &'static str;

    /// How long it rests between runs.
    fn interval(&self) -> Duration;

    /// How long after the start it runs first.
    fn first(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether it changes the record; if so it rests while that can only be read.
    fn changes_the_record(&self) -> bool {
        true
    }

    /// One run.
    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome>;
}

/// The running jobs.
pub(crate) struct Jobs {
    tasks: JoinSet<()>,
    stop: watch::Receiver<bool>,
}

impl Jobs {
    pub(crate) fn new(stop: watch::Receiver<bool>) -> Self {
        Self { tasks: JoinSet::new(), stop }
    }

    /// Runs a job again and again until the server stops. Failures are logged once each and tried again later, at most
    /// 30 times the interval apart.
    pub(crate) fn start(&mut self, state: &AppState, job: Box<dyn Job>) {
        let (state, job) = (state.clone(), Arc::<dyn Job>::from(job));
        let mut stop = self.stop.clone();
        self.tasks.spawn(async move {
            let mut failures = 0u32;
            tokio::select! {
                () = tokio::time::sleep(job.first()) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            loop {
                let rests = job.changes_the_record() && state.is_read_only();
                failures = match rests || run_guarded(&job, &state).await.is_ok() {
                    true => 0,
                    false => failures.saturating_add(1),
                };
                let rest = job.interval() * failures.saturating_add(1).min(30);
                tokio::select! {
                    () = tokio::time::sleep(rest) => {}
                    _ = stop.wait_for(|stop| *stop) => return,
                }
            }
        });
    }

    /// Waits for every job to end its run; one that does not is cut off, as it may be at any point.
    pub(crate) async fn finish(mut self) {
        let ending = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_TIMEOUT, ending).await.is_err() {
            tracing::warn!("some jobs were cut off: they took longer than {STOP_TIMEOUT:?} to end their run");
        }
    }
}

/// How long running jobs have when the service stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A run on a task of its own: one that panics has failed and is tried again, like any other. A job must not fall silent.
pub(super) async fn run_guarded(job: &Arc<dyn Job>, state: &AppState) -> anyhow::Result<Outcome> {
    let (run, with) = (Arc::clone(job), state.clone());
    let ended = tokio::spawn(async move { run_once(&*run, &with).await }).await;
    ended.unwrap_or_else(|error| {
        metrics::job_run(job.name(), false);
        tracing::error!(job = job.name(), %error, "a job did not end its run");
        Err(error.into())
    })
}

/// One run, logged and counted.
pub(crate) async fn run_once(job: &dyn Job, state: &AppState) -> anyhow::Result<Outcome> {
    let result = job.run(state).await;
    metrics::job_run(job.name(), matches!(result, Ok(Outcome::Done(_) | Outcome::Elsewhere)));
    match &result {
        Ok(Outcome::Done(0) | Outcome::Elsewhere | Outcome::Partly) => {}
        Ok(Outcome::Done(count)) => tracing::info!(job = job.name(), count, "a job did its work"),
        Err(error) => tracing::error!(job = job.name(), error = format!("{error:#}"), "a job failed"),
    }
    result
}

/// A flow's error with its internal text, for logs.
pub(crate) fn with_detail(error: FlowError) -> anyhow::Error {
    match &error.detail {
        Some(detail) => anyhow::anyhow!("{error}: {detail}"),
        None => anyhow::Error::new(error),
    }
}

/// How long a lease lasts unless it is prolonged: a job moves to another replica within 10 s of its holder's death.
pub(crate) const LEASE: Lifetime = Lifetime::from_seconds(8);

/// Takes or prolongs a lease; `None` while another replica holds it.
pub(crate) async fn lease(state: &AppState, name: &str) -> anyhow::Result<Option<Lease>> {
    let lease = state.engine().store().acquire_lease(name, state.holder(), LEASE).await?;
    if let Some(lease) = &lease {
        state.keep_lease(lease.clone());
    }
    Ok(lease)
}

/// Gives back every lease that this process took: whoever comes next need not wait until they end.
pub(crate) async fn release_leases(state: &AppState) {
    for lease in state.take_leases().values() {
        if let Err(error) = state.engine().store().release_lease(lease).await {
            tracing::warn!(lease = lease.name, %error, "a lease was not given back; it ends by itself");
        }
    }
}
