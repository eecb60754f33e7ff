//! Follows the sequence of revocations: each second, and at once when there is news. On every replica.
//!
//! What is in memory is dropped by it, and while it fails no `good` is signed; so it never rests longer after a failure, and the
//! log is told of the first failure and of the end of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use ca_engine::flow::follow_revocations::{follow_revocations, reconcile_answers};
use ca_engine::port::revocation_hints::RevocationHints;
use tokio::time::timeout;

use super::driver::{Job, Outcome, with_detail};
use crate::state::AppState;
use crate::telemetry::metrics;

/// How long it waits for news before it looks without any.
const REST: Duration = Duration::from_secs(1);

/// How long one look may take: a database that answers later is taken for one that does not.
const PATIENCE: Duration = Duration::from_secs(4);

pub(crate) struct RevocationsJob {
    hints: Arc<dyn RevocationHints>,
    failing: AtomicBool,
}

impl RevocationsJob {
    pub(crate) fn new(hints: Arc<dyn RevocationHints>) -> Self {
        Self { hints, failing: AtomicBool::new(false) }
    }

    async fn look(&self, state: &AppState) -> anyhow::Result<u64> {
        let looked = timeout(PATIENCE, follow_revocations(state.engine())).await;
        looked.context("the database does not answer in time")?.map_err(with_detail)
    }
}

#[async_trait]
impl Job for RevocationsJob {
    fn name(&self) -> &'static str {
        "revocations"
    }

    /// It rests within a run.
    fn interval(&self) -> Duration {
        Duration::ZERO
    }

    fn changes_the_record(&self) -> bool {
        false
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let looked = self.look(state).await;
        metrics::followed(state);
        let was_failing = self.failing.swap(looked.is_err(), Ordering::Relaxed);
        let outcome = match looked {
            Ok(_) => {
                if was_failing {
                    tracing::info!("the sequence of revocations is followed again");
                }
                Outcome::Done(0)
            }
            Err(error) => {
                if !was_failing {
                    let error = format!("{error:#}");
                    tracing::error!(error, "the sequence of revocations cannot be followed: no `good` is signed");
                }
                Outcome::Partly
            }
        };
        // Nobody who is told of news is needed to hear of them: after a while it looks all the same.
        let _ = timeout(REST, self.hints.wait()).await;
        Ok(outcome)
    }
}

/// Once an hour, holds all answers in memory against the record. On every replica.
pub(crate) struct AnswersJob;

#[async_trait]
impl Job for AnswersJob {
    fn name(&self) -> &'static str {
        "answers"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(3_600)
    }

    fn changes_the_record(&self) -> bool {
        false
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let comparison = reconcile_answers(state.engine()).await.map_err(with_detail)?;
        metrics::wrong_answers(comparison.wrong);
        tracing::debug!(compared = comparison.compared, wrong = comparison.wrong, "answers in memory were compared");
        Ok(Outcome::Done(0))
    }
}
