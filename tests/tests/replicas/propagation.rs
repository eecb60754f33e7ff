//! A revocation through one replica is told by the other, which had a signed `good` in memory: hinted at where it can listen, found
//! where it looks each second. Judged is how long it takes usually, which no other program on the machine changes much; the longest
//! is printed.

use std::time::Duration;

use anyhow::ensure;
use ca_core::ocsp::CertStatus;
use ca_e2e::client::eventually;
use ca_e2e::stack::{PATIENCE, Site, Stack};
use ca_e2e::status::Subject;
use ca_test_services::{PgBouncer, PostgresServer};
use tokio::time::{Instant, sleep};

use super::answers_from;

/// Whoever looks each second and hears nothing needs half of one, usually: this is not reached without a hint.
const HINTED: Duration = Duration::from_millis(350);

/// By looking each second.
const LOOKED_FOR: Duration = Duration::from_secs(2);

/// How many revocations are followed, at different places of a second.
const REVOCATIONS: u64 = 6;

/// Two replicas with the same way to the database, and a way to listen where that is another one.
fn replicas(url: &str, listen_url: Option<&str>) -> anyhow::Result<[Stack; 2]> {
    let listen = listen_url.map(|url| ("CA__DATABASE__LISTEN_URL", url));
    let first = Site::initialised(&[&[("CA__DATABASE__URL", url)][..], listen.as_slice()].concat())?;
    let mut second = first.replica()?;
    if let Some((name, url)) = listen {
        second.set(name, url);
    }
    Ok([first.serve()?, second.serve()?])
}

/// How long revocations take usually, and at the longest, from their acknowledgement to the first `revoked` of the other replica.
async fn followed([one, other]: &[Stack; 2]) -> anyhow::Result<(Duration, Duration)> {
    let (administrator, public) = (one.administrator()?, other.public()?);
    let mut took = Vec::new();
    for number in 0..REVOCATIONS {
        let (certificate, _) = administrator.enrol("client", &format!("number-{number}.example.com")).await?;
        let subject = Subject::of(&certificate)?;
        ensure!(subject.ask_ocsp(&public).await? == CertStatus::Good);
        let before = answers_from(other, "memory").await?;
        eventually(PATIENCE, "an answer comes from memory", || async {
            ensure!(subject.ask_ocsp(&public).await? == CertStatus::Good);
            Ok((answers_from(other, "memory").await? > before).then_some(()))
        })
        .await?;
        sleep(Duration::from_millis(170 * number)).await;
        administrator.revoke(&certificate.id, "superseded").await?;
        let told = Instant::now();
        while subject.ask_ocsp(&public).await? == CertStatus::Good {
            ensure!(told.elapsed() < PATIENCE, "still `good` after {:?}", told.elapsed());
            sleep(Duration::from_millis(5)).await;
        }
        took.push(told.elapsed());
        ensure!(matches!(subject.ask_ocsp(&public).await?, CertStatus::Revoked { .. }));
    }
    took.sort_unstable();
    Ok((took[took.len() / 2], took[took.len() - 1]))
}

/// Waits until so many connections listen.
async fn listeners(postgres: &PostgresServer, count: usize) -> anyhow::Result<()> {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
    eventually(PATIENCE, "every replica listens", || async {
        Ok((postgres.run_sql("postgres", sql)?.trim() == count.to_string()).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn by_notification() -> anyhow::Result<()> {
    let postgres = PostgresServer::start()?;
    let replicas = replicas(&postgres.url(&postgres.empty_database()?), None)?;
    listeners(&postgres, 2).await?;
    let (usual, longest) = followed(&replicas).await?;
    println!("with NOTIFY {REVOCATIONS} took {usual:?} usually, {longest:?} at the longest");
    ensure!(usual < HINTED, "{usual:?}");
    // Connections that are cut are made again, and what was told meanwhile is found.
    postgres.run_sql(
        "postgres",
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'",
    )?;
    let (usual, longest) = followed(&replicas).await?;
    println!("after a cut {REVOCATIONS} took {usual:?} usually, {longest:?} at the longest");
    ensure!(usual < LOOKED_FOR, "{usual:?} while nobody listens");
    listeners(&postgres, 2).await
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_pooler_and_past_it() -> anyhow::Result<()> {
    let postgres = PostgresServer::start()?;
    let pooler = PgBouncer::start(&postgres, 20)?;
    let database = postgres.empty_database()?;
    let url = format!("{}&pooler=transaction", pooler.url(&database));
    let polling = replicas(&url, None)?;
    let (usual, longest) = followed(&polling).await?;
    println!("through a pooler {REVOCATIONS} took {usual:?} usually, {longest:?} at the longest");
    ensure!(usual < LOOKED_FOR, "{usual:?}");
    listeners(&postgres, 0).await?;
    drop(polling);

    let database = postgres.empty_database()?;
    let url = format!("{}&pooler=transaction", pooler.url(&database));
    let listening = replicas(&url, Some(&postgres.url(&database)))?;
    listeners(&postgres, 2).await?;
    let (usual, longest) = followed(&listening).await?;
    println!("past the pooler, by `listen_url`, {REVOCATIONS} took {usual:?} usually, {longest:?} at the longest");
    ensure!(usual < HINTED, "{usual:?}");
    Ok(())
}
