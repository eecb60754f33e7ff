//! Carries bulk revocations out, batch by batch. One replica at a time; what it leaves, the next one goes on with.

use std::time::Duration;

use async_trait::async_trait;
use ca_engine::flow::bulk_revoke::{Advance, LEASE_NAME, advance};

use super::driver::{Job, Outcome, lease, with_detail};
use crate::state::AppState;

/// How many batches a run makes of one bulk revocation: so that several go on side by side, and a server that stops waits for no
/// more than some of them.
const BATCHES: usize = 10;

pub(crate) struct BulkRevocationJob;

#[async_trait]
impl Job for BulkRevocationJob {
    fn name(&self) -> &'static str {
        "bulk-revocation"
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(500)
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let engine = state.engine();
        let (mut done, mut failed) = (0, false);
        for _ in 0..ROUNDS {
            let running = engine.store().running_bulk_revocations().await?;
            if running.is_empty() || failed {
                break;
            }
            for operation in &running {
                for _ in 0..BATCHES {
                    // Prolonged before each: nobody else begins while this one is at work.
                    let Some(lease) = lease(state, LEASE_NAME).await? else { return Ok(Outcome::Elsewhere) };
                    match advance(engine, &lease, operation).await {
                        Ok(Advance::Batch(count)) => done += count,
                        Ok(Advance::Completed) => {
                            let (id, count) = (operation.id, operation.count);
                            tracing::info!(bulk_revocation = %id, count, "a bulk revocation is completed");
                            break;
                        }
                        Ok(Advance::Superseded) => break,
                        // One that cannot go on holds up no other.
                        Err(error) => {
                            let error = format!("{:#}", with_detail(error));
                            tracing::error!(bulk_revocation = %operation.id, error, "a bulk revocation does not go on");
                            failed = true;
                            break;
                        }
                    }
                }
            }
        }
        Ok(if failed { Outcome::Partly } else { Outcome::Done(done) })
    }
}

/// How often a run looks for more before it rests.
const ROUNDS: usize = 10;
