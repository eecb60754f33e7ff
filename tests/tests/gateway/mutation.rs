//! Real requests with something wrong in them, under load: a short run with seeds that are always the same. `make soak` does it
//! longer, with a seed of its own.

use std::time::Duration;

use anyhow::ensure;
use ca_e2e::enforcement::{Enforcement, Way};
use ca_e2e::mutation::Originals;

const SEED: u64 = 0x5eed;
const RATE: u32 = 200;
const LASTS: Duration = Duration::from_secs(6);
const QUESTIONS: u32 = 500;

/// Long for an answer, and short enough for a request that hangs.
const ALLOWED: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn requests_with_something_wrong_are_answered_and_nothing_falls_over() -> anyhow::Result<()> {
    let mut replicas = Enforcement::start(Way::Ocsp)?;
    let load = replicas.load(QUESTIONS).await?;
    let originals = Originals::of(replicas.replicas()[0]).await?;
    let seen = originals.send(&replicas.replicas(), SEED, RATE, LASTS, ALLOWED).await?;
    println!("seed {SEED:#x}: {seen:#?}");
    println!("the load: {:#?}", load.finish().await?);
    let [_, _, fine, _, refused, _] = seen.by_hundred;
    ensure!(fine > 0 && refused > 0 && seen.statuses > 0 && seen.ocsp_errors > 0, "nothing was tried: {seen:?}");
    for replica in replicas.replicas() {
        replica.admin()?.get("/ready").await?.expect(200)?;
        ensure!(!replica.logs().iter().any(|line| line.contains("panicked")), "a panic: {:?}", replica.logs());
    }
    for process in replicas.processes() {
        println!("{} KiB", process.resident_kib()?);
    }
    Ok(())
}
