//! `kill -9` under 50 issuers, three times; `soak.rs` does it twenty times.

use std::time::Duration;

use ca_e2e::outage::kill_rounds;

#[tokio::test(flavor = "multi_thread")]
async fn keeps_every_promise_through_a_kill_under_load() -> anyhow::Result<()> {
    let delays = [700, 1_500, 1_100].map(Duration::from_millis);
    let figures = kill_rounds(50, &delays).await?;
    println!("{figures:#?}");
    assert!(figures.issued > 0 && figures.revoked > 0, "the load did nothing: {figures:?}");
    Ok(())
}
