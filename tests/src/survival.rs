//! The run that survives everything: clients issue and revoke through both replicas of a [`Cluster`], others ask about status, and
//! every fault comes in turn. Afterwards nothing that was promised is missing.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::time::{Instant, sleep};

use crate::cli::Terminal;
use crate::client::eventually;
use crate::cluster::{Cluster, Disturbances, Fault};
use crate::ledger::Ledger;
use crate::load::{Callers, Load};
use crate::outage::{self, Judge, Lists};
use crate::stack::{PATIENCE, Stack};
use crate::status_watch::{Seen, StatusWatch};

/// How many callers issue, and how many revoke: 64 clients.
const ISSUERS: usize = 44;
const REVOKERS: usize = 20;

/// How long clients work in peace between two faults.
const PEACE: Duration = Duration::from_secs(3);

/// How long the clients have to do what is wanted after the last fault.
const OVERTIME: Duration = Duration::from_secs(1_800);

/// What the run came to.
#[derive(Debug)]
pub struct Figures {
    /// Certificates received and revocations acknowledged.
    pub operations: usize,
    /// Certificates received.
    pub issued: usize,
    /// Revocations acknowledged.
    pub revoked: usize,
    /// Questions answered by 503 with `Retry-After`.
    pub turned_away: u64,
    /// Questions that were asked again and answered by 409, the first being still at work.
    pub in_progress: u64,
    /// Questions that took too long.
    pub timed_out: u64,
    /// Questions whose connection broke, or found nobody.
    pub cut_off: u64,
    /// Applications that nobody confirmed until the caller gave up or the run was over.
    pub unheard: usize,
    /// Those of them whose certificate was on record.
    pub unheard_but_issued: usize,
    /// Issuances that a fault cut in two, their serials revoked.
    pub abandoned: usize,
    /// What those saw who asked about status.
    pub seen: Seen,
    /// How often each fault was done, and the longest time until both replicas followed the record again.
    pub faults: BTreeMap<Fault, (usize, Duration)>,
    /// How long the clients were at work.
    pub took: Duration,
}

/// Lets clients work until every fault was done at least once and they have done `operations`; then judges. Fails as soon as
/// anything is found that must not be, such as a `good` longer than `told_within` after a revocation was acknowledged.
pub async fn survive(operations: usize, told_within: Duration) -> anyhow::Result<Figures> {
    let mut cluster = Cluster::start()?;
    let (callers, ledger, seen, faults, took) = besiege(&mut cluster, operations, told_within).await?;
    let verdict = judge(&mut cluster, &callers, &ledger).await?;
    Ok(Figures {
        operations: ledger.issued.len() + ledger.revoked.len(),
        issued: ledger.issued.len(),
        revoked: ledger.revoked.len(),
        turned_away: ledger.turned_away,
        in_progress: ledger.in_progress,
        timed_out: ledger.timed_out,
        cut_off: ledger.cut_off,
        unheard: ledger.unheard.len(),
        unheard_but_issued: verdict.unheard_but_issued,
        abandoned: verdict.abandoned,
        seen,
        faults,
        took,
    })
}

type Faults = BTreeMap<Fault, (usize, Duration)>;

async fn besiege(
    cluster: &mut Cluster,
    operations: usize,
    told_within: Duration,
) -> anyhow::Result<(Callers, Ledger, Seen, Faults, Duration)> {
    let replicas: Vec<&Stack> = cluster.replicas().collect();
    let callers = Callers::of_replicas(&replicas, ISSUERS, REVOKERS).await?;
    let started = Instant::now();
    let load = callers.start();
    let disturbances = Disturbances::default();
    let watch = StatusWatch::start(&replicas, &load.promises(), &disturbances, told_within).await?;
    drop(replicas);
    let mut faults = Faults::new();
    let struck = strike_in_turn(cluster, &load, &watch, &disturbances, operations, &mut faults).await;
    let took = started.elapsed();
    // What a caller or an asker found is the cause of whatever came of it.
    let ledger = load.finish().await;
    let seen = watch.finish().await;
    if ledger.is_err() || seen.is_err() || struck.is_err() {
        for replica in cluster.replicas() {
            let logs = replica.logs();
            eprintln!("the last a replica said:\n{}", logs[logs.len().saturating_sub(100)..].join("\n"));
        }
    }
    let (ledger, seen) = (ledger?, seen?);
    struck?;
    Ok((callers, ledger, seen, faults, took))
}

/// Every fault in turn, again and again, until enough was done.
async fn strike_in_turn(
    cluster: &mut Cluster,
    load: &Load,
    watch: &StatusWatch,
    disturbances: &Disturbances,
    operations: usize,
    faults: &mut Faults,
) -> anyhow::Result<()> {
    let end = Instant::now() + OVERTIME;
    for fault in Fault::ALL.iter().copied().cycle() {
        let before = load.operations();
        sleep(PEACE).await;
        let has_failed = || load.has_failed() || watch.has_failed();
        // Clients come back to work after each fault, or the rest would prove nothing.
        let works = || async { Ok((has_failed() || load.operations() > before + ISSUERS).then_some(())) };
        eventually(PATIENCE, "clients are served again", works).await?;
        if has_failed() || (faults.len() == Fault::ALL.len() && load.operations() >= operations) {
            return Ok(());
        }
        ensure!(Instant::now() < end, "only {} operations after {OVERTIME:?}", load.operations());
        let began = Instant::now();
        disturbances.begin();
        cluster.strike(fault).await.with_context(|| format!("{fault:?}"))?;
        disturbances.end();
        let entry = faults.entry(fault).or_default();
        *entry = (entry.0 + 1, entry.1.max(began.elapsed()));
        println!("{:6} operations; {fault:?} took {:?}", load.operations(), began.elapsed());
    }
    Ok(())
}

/// Everything that must be true afterwards, of both replicas.
async fn judge(cluster: &mut Cluster, callers: &Callers, ledger: &Ledger) -> anyhow::Result<outage::Figures> {
    // What dead replicas left open is closed by a job five minutes later: the wait is taken from the record.
    cluster.restart_after("UPDATE reservations SET reserved_at = reserved_at - 300000 WHERE abandoned_at IS NULL")?;
    let mut figures = outage::Figures::default();
    let (one, other) = (cluster.replica(0)?, cluster.replica(1)?);
    let judge = Judge::new(one).await?;
    let closed = || async { Ok(judge.nothing_is_open().is_ok().then_some(())) };
    eventually(PATIENCE, "what was left open is closed", closed).await?;
    judge.after_a_crash(callers, ledger, &mut Lists::default(), &mut figures).await?;
    judge.one_certificate_for_each_application(callers, ledger)?;
    // The other replica answers the same.
    let judge = Judge::new(other).await?;
    judge.revocations_are_told(ledger).await?;
    judge.list_is_complete(ledger, &mut Lists::default()).await?;
    for replica in [one, other] {
        the_command_line_finds_the_chain_whole(replica)?;
    }
    Ok(figures)
}

fn the_command_line_finds_the_chain_whole(replica: &Stack) -> anyhow::Result<()> {
    let folder = replica.data_folder().join("admin");
    let [root, certificate, key] =
        ["ca.crt", "admin.crt", "admin.key"].map(|file| folder.join(file).display().to_string());
    let url = replica.api_url();
    let connection = ["--url", &url, "--root", &root, "--cert", &certificate, "--key", &key];
    let said = Terminal::new()?.done(&[&connection[..], &["audit", "verify"]].concat())?;
    ensure!(said.contains("is whole"), "{said}");
    Ok(())
}
