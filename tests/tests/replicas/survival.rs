//! Everything that can happen to replicas, a pooler and a database, in turn and under load; `make soak` does it for longer.

use anyhow::ensure;
use ca_e2e::stack::PATIENCE;
use ca_e2e::survival::survive;

/// As many as make every fault hurt.
const OPERATIONS: usize = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_acknowledged_is_lost_whatever_fails() -> anyhow::Result<()> {
    let figures = survive(OPERATIONS, PATIENCE).await?;
    println!("{figures:#?}");
    ensure!(figures.operations >= OPERATIONS && figures.seen.by_openssl > 0 && figures.seen.lists > 0, "{figures:?}");
    Ok(())
}
