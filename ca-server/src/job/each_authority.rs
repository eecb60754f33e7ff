//! Work for each authority in turn: one that cannot be served does not hold up the others.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ca_core::id::AuthorityId;
use ca_engine::hierarchy::Authority;
use ca_engine::port::store::NOT_ANNOUNCED;
use tokio::time::Instant;

use super::driver::Outcome;
use crate::state::AppState;

/// Which authorities could not be served of late, and until when they are left alone.
pub(super) struct EachAuthority {
    job: &'static str,
    rest: Duration,
    resting: Mutex<BTreeMap<AuthorityId, Instant>>,
}

impl EachAuthority {
    /// For `job`; an authority that could not be served is tried again after `rest`.
    pub(super) fn new(job: &'static str, rest: Duration) -> Self {
        Self { job, rest, resting: Mutex::default() }
    }

    /// Does `work` for every authority that is `concerned` and has not ended; `work` tells how much it did.
    pub(super) async fn run<W>(
        &self,
        state: &AppState,
        concerned: impl Fn(&Authority) -> bool,
        work: impl Fn(AuthorityId) -> W,
    ) -> Outcome
    where
        W: Future<Output = anyhow::Result<u64>>,
    {
        let engine = state.engine();
        let (mut done, mut failed) = (0, false);
        for authority in engine.hierarchy().authorities() {
            let id = authority.id();
            // One that is being made is equipped by who makes it, and nobody waits for its lists.
            let is_made = authority.record().issues_from != NOT_ANNOUNCED;
            if !is_made || !concerned(authority) || authority.has_ended(engine.now()) || self.is_resting(id) {
                continue;
            }
            match work(id.clone()).await {
                Ok(count) => done += count,
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::error!(job = self.job, authority = %id, error, "a job failed for an authority");
                    self.resting().insert(id.clone(), Instant::now() + self.rest);
                    failed = true;
                }
            }
        }
        if failed { Outcome::Partly } else { Outcome::Done(done) }
    }

    fn is_resting(&self, id: &AuthorityId) -> bool {
        self.resting().get(id).is_some_and(|until| Instant::now() < *until)
    }

    fn resting(&self) -> std::sync::MutexGuard<'_, BTreeMap<AuthorityId, Instant>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
