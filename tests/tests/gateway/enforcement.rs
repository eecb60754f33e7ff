//! From a revocation to its effect at a gateway, under load: a short run. `make soak` does it two hundred times.

use std::time::Duration;

use anyhow::ensure;
use ca_e2e::enforcement::{Enforcement, Way};
use ca_e2e::machine::machine;

/// How many certificates are revoked, and how many OCSP questions a second are asked meanwhile.
const TIMES: usize = 6;
const RATE: u32 = 500;

/// No machine that runs other tests besides takes longer. The run itself fails over a `good` that is told too late.
const BOUND: Duration = Duration::from_secs(60);

async fn run(way: Way) -> anyhow::Result<()> {
    println!("{}", machine());
    let figures = Enforcement::start(way)?.run(TIMES, RATE).await?;
    println!("{way:?}: {figures:#?}");
    for took in [&figures.new_sessions, &figures.resumed_sessions] {
        ensure!(took.count() == TIMES && took.longest() < BOUND, "{figures:?}");
    }
    ensure!(figures.seen.revoked > 0, "nobody asked: {figures:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn by_lists_a_revocation_has_its_effect_on_new_and_resumed_sessions() -> anyhow::Result<()> {
    run(Way::Lists).await
}

#[tokio::test(flavor = "multi_thread")]
async fn by_ocsp_a_revocation_has_its_effect_on_new_and_resumed_sessions() -> anyhow::Result<()> {
    run(Way::Ocsp).await
}
