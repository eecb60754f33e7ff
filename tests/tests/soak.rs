//! The long runs, `make soak`: twenty kills under load, ten minutes of everything at once, replicas under attack, and two hundred
//! revocations that gateways must enforce in time. Each prints its figures.

use std::time::Duration;

use anyhow::{Context, ensure};
use ca_core::certificate::Certificate;
use ca_core::ocsp::CertStatus;
use ca_e2e::enforcement::{Enforcement, Way};
use ca_e2e::load::Callers;
use ca_e2e::machine::machine;
use ca_e2e::managed_load::{how_many, rotate_at_once};
use ca_e2e::mutation::Originals;
use ca_e2e::outage::{Judge, Lists, kill_rounds};
use ca_e2e::stack::Stack;
use ca_e2e::status::Subject;
use ca_e2e::survival::survive;
use tokio::time::Instant;

/// How long the mixed load lasts.
const MIXED_LOAD: Duration = Duration::from_secs(600);

/// After how long the service's memory is taken for its beginning: caches and connections are there by then.
const WARM_UP: Duration = Duration::from_secs(60);

/// How much memory it may have more at the end than after warming up, in KiB.
const MAY_GROW_BY: u64 = 48 * 1024;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make soak"]
async fn keeps_every_promise_through_twenty_kills_under_load() -> anyhow::Result<()> {
    // From a fifth of a second to three: the kill falls into every phase of a service's young life.
    let delays: Vec<Duration> = (0..20).map(|round| Duration::from_millis(200 + (round * 7 % 20) * 150)).collect();
    let figures = kill_rounds(50, &delays).await?;
    println!("20 kills: {figures:#?}");
    ensure!(
        figures.abandoned > 0,
        "no kill fell between reservation and completion; the load is too light: {figures:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make soak"]
async fn ten_minutes_of_issuing_revoking_and_asking_leave_memory_where_it_was() -> anyhow::Result<()> {
    let mut stack = Stack::start()?;
    let callers = Callers::new(&stack, 20, 4).await?;
    let mut lists = Lists::default();
    let public = stack.public()?;
    let issuer = Certificate::from_der(&public.get("/ca/tls.crt").await?.expect(200)?.body)?;
    let load = callers.start();
    let started = Instant::now();
    let (mut warm, mut asked, mut last_told) = (None, 0_u64, Duration::ZERO);
    while started.elapsed() < MIXED_LOAD {
        let list = lists.fetch(&public).await?;
        for entry in list.entries().take(20) {
            let status = Subject::numbered(entry.serial.clone(), issuer.clone()).ask_ocsp(&public).await?;
            ensure!(
                matches!(status, CertStatus::Revoked { .. }),
                "{} is listed, and OCSP says {status:?}",
                entry.serial
            );
            asked += 1;
        }
        let elapsed = started.elapsed();
        let resident = stack.process().resident_kib()?;
        if elapsed >= WARM_UP {
            warm.get_or_insert(resident);
        }
        if elapsed - last_told >= Duration::from_secs(30) {
            last_told = elapsed;
            println!("{:4} s: {resident} KiB, {} issued, {asked} asked", elapsed.as_secs(), load.issued());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let ledger = load.finish().await?;
    let (warm, end) = (warm.context("the load ended before it was warm")?, stack.process().resident_kib()?);
    println!(
        "{} certificates, {} revocations, {} turned away, {asked} OCSP answers; resident {warm} KiB after {WARM_UP:?}, {end} \
         KiB at the end",
        ledger.issued.len(),
        ledger.revoked.len(),
        ledger.turned_away
    );
    ensure!(ledger.unheard.is_empty(), "{} applications were never answered", ledger.unheard.len());
    ensure!(end <= warm + MAY_GROW_BY, "the service grew from {warm} to {end} KiB");
    let judge = Judge::new(&stack).await?;
    judge.nothing_is_open()?;
    judge.promises_are_kept(&ledger)?;
    judge.revocations_are_told(&ledger).await?;
    judge.list_is_complete(&ledger, &mut lists).await?;
    judge.list_numbers_rise()?;
    judge.serials_are_unique()?;
    judge.audit_chain_is_whole(&ledger).await?;
    stack.stop().map(drop)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make soak"]
async fn twenty_thousand_operations_while_everything_fails_in_turn_lose_nothing() -> anyhow::Result<()> {
    let figures = survive(20_000, TOLD_WITHIN).await?;
    println!("{figures:#?}");
    ensure!(figures.operations >= 20_000 && figures.seen.still_good > 0, "nobody asked at the right time: {figures:?}");
    Ok(())
}

/// How many certificates are revoked for each way in which a gateway learns of it, and how many OCSP questions a second are asked
/// meanwhile.
const REVOCATIONS: usize = 200;
const QUESTIONS: u32 = 2_000;

/// How soon a replica stops saying `good` (invariant 4 of the design).
const TOLD_WITHIN: Duration = Duration::from_secs(5);

/// Ninety-nine of a hundred revocations have their effect at the gateway within this time, on new and on resumed sessions; and no
/// OCSP answer says `good` later than [`TOLD_WITHIN`] after the acknowledgement.
async fn enforced_within(way: Way, bound: Duration) -> anyhow::Result<()> {
    println!("{}", machine());
    let figures = Enforcement::start(way)?.run(REVOCATIONS, QUESTIONS).await?;
    println!("{way:?}, {REVOCATIONS} revocations: {figures:#?}");
    println!("{}", machine());
    ensure!(figures.new_sessions.count() == REVOCATIONS, "{figures:?}");
    for took in [&figures.new_sessions, &figures.resumed_sessions] {
        ensure!(took.percentile(99) < bound, "p99 is above {bound:?}: {took}");
    }
    ensure!(figures.seen.latest_good <= TOLD_WITHIN, "`good` after {:?}", figures.seen.latest_good);
    ensure!(figures.seen.rate > 0.95 * f64::from(QUESTIONS), "the load was too light: {:?}", figures.seen);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make soak"]
async fn two_hundred_revocations_are_enforced_by_lists_within_three_seconds() -> anyhow::Result<()> {
    enforced_within(Way::Lists, Duration::from_secs(3)).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make soak"]
async fn two_hundred_revocations_are_enforced_by_ocsp_within_a_second_and_a_half() -> anyhow::Result<()> {
    enforced_within(Way::Ocsp, Duration::from_millis(1_500)).await
}

/// How many requests with something wrong are sent a second, and for how long.
const SPOILT: u32 = 200;
const SPOILING: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make soak"]
async fn a_minute_of_requests_with_something_wrong_leaves_answers_quick_and_memory_where_it_was() -> anyhow::Result<()>
{
    println!("{}", machine());
    let seed = seed();
    println!("seed {seed:#x}");
    let mut replicas = Enforcement::start(Way::Ocsp)?;
    let load = replicas.load(QUESTIONS).await?;
    let originals = Originals::of(replicas.replicas()[0]).await?;
    let resident = |replicas: &mut Enforcement| replicas.processes().map(|process| process.resident_kib());
    // Connections, caches and the first of each kind of answer are there by then.
    let warming =
        originals.clone().send(&replicas.replicas(), !seed, SPOILT, WARM_UP / 4, Duration::from_secs(5)).await?;
    println!("warming up: {warming:#?}");
    let before = resident(&mut replicas);
    let seen = originals.send(&replicas.replicas(), seed, SPOILT, SPOILING, Duration::from_secs(1)).await?;
    println!("{seen:#?}\nthe load: {:#?}", load.finish().await?);
    for (before, after) in before.into_iter().zip(resident(&mut replicas)) {
        let (before, after) = (before?, after?);
        println!("resident {before} KiB before, {after} KiB after");
        ensure!(after * 10 <= before * 11, "it grew by more than a tenth: {before} KiB, {after} KiB");
    }
    println!("{}", machine());
    Ok(())
}

/// Another one each time; it is printed, and what fails says it too.
#[expect(clippy::disallowed_methods, reason = "a seed that nobody chose")]
fn seed() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make soak"]
async fn ten_thousand_managed_certificates_that_are_due_at_once_are_rotated() -> anyhow::Result<()> {
    let figures = rotate_at_once(how_many()).await?;
    println!("{}: {figures}", machine());
    Ok(())
}
