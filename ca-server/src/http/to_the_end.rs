//! Changes that are carried to their end, whatever becomes of the request that asked for them.
//!
//! A handler's future is dropped when its client goes away or its time is up. An issuance that was dropped between reservation
//! and completion would hold its idempotency key, its token's use and its predecessor until it is found; a revocation would
//! be on record and not yet known to this process.

use std::future::Future;

use ca_engine::error::FlowError;
use tracing::Instrument;

use super::problem::ProblemResponse;

/// Runs a flow on a task of its own and waits for it. When the waiting ends, the flow goes on.
pub(crate) async fn to_the_end<T: Send + 'static>(
    flow: impl Future<Output = Result<T, FlowError>> + Send + 'static,
) -> Result<T, ProblemResponse> {
    match tokio::spawn(flow.in_current_span()).await {
        Ok(outcome) => Ok(outcome?),
        Err(error) => Err(FlowError::internal(format!("a flow did not end: {error}")).into()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn goes_on_when_nobody_waits_any_more() {
        let (go_on, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let flow = {
            let (go_on, done) = (Arc::clone(&go_on), Arc::clone(&done));
            async move {
                go_on.notified().await;
                done.notify_one();
                Ok(())
            }
        };
        let waited = tokio::time::timeout(Duration::from_millis(20), to_the_end(flow)).await;
        assert!(waited.is_err(), "the client went away");
        go_on.notify_one();
        tokio::time::timeout(Duration::from_secs(5), done.notified()).await.expect("the flow ended all the same");
    }

    #[tokio::test]
    async fn answers_with_a_problem_when_a_flow_panics() {
        let failed = to_the_end(async { if true { panic!("a fault") } else { Ok(()) } }).await;
        assert!(failed.is_err());
    }
}
