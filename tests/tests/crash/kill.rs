//! `kill -9` under 50 issuers, three times; `soak.rs` does it twenty times.

use std::time::Duration;

use ca_e2e::outage::kill_rounds;

#[tokio::test(flavor = "multi_thread")]
async fn keeps_every_promise_through_a_kill_under_load() -> anyhow::Result<()> {
    // On a machine that has much other work the load comes to nothing in so short a time; longer ones follow then.
    for times in [1, 5, 20] {
        let delays = [700, 1_500, 1_100].map(|delay| Duration::from_millis(delay * times));
        let figures = kill_rounds(50, &delays).await?;
        println!("{figures:#?}");
        if figures.issued > 0 && figures.revoked > 0 {
            return Ok(());
        }
    }
    anyhow::bail!("the load did nothing")
}
