//! A revocation through one replica is told by the other, which had a signed `good` in memory: hinted at where it can listen, found
//! where it looks each second. How long that takes is printed here, and measured and judged where nothing else runs (`make soak`).

use std::time::Duration;

use anyhow::ensure;
use ca_core::ocsp::CertStatus;
use ca_e2e::client::eventually;
use ca_e2e::stack::{PATIENCE, Site, Stack};
use ca_e2e::status::Subject;
use ca_test_services::{PgBouncer, PostgresServer};
use tokio::time::{Instant, sleep};

use super::answers_from;

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

/// The longest that any of some revocations took from its acknowledgement to the first `revoked` of the other replica.
async fn slowest([one, other]: &[Stack; 2]) -> anyhow::Result<Duration> {
    let (administrator, public) = (one.administrator()?, other.public()?);
    let mut slowest = Duration::ZERO;
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
        slowest = slowest.max(told.elapsed());
        ensure!(matches!(subject.ask_ocsp(&public).await?, CertStatus::Revoked { .. }));
    }
    Ok(slowest)
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
    let took = slowest(&replicas).await?;
    println!("with NOTIFY the slowest of {REVOCATIONS} took {took:?}");
    // Connections that are cut are made again, and what was told meanwhile is found.
    postgres.run_sql(
        "postgres",
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'",
    )?;
    let took = slowest(&replicas).await?;
    println!("after a cut the slowest of {REVOCATIONS} took {took:?}");
    listeners(&postgres, 2).await
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_pooler_and_past_it() -> anyhow::Result<()> {
    let postgres = PostgresServer::start()?;
    let pooler = PgBouncer::start(&postgres, 20)?;
    let database = postgres.empty_database()?;
    let url = format!("{}&pooler=transaction", pooler.url(&database));
    let polling = replicas(&url, None)?;
    let took = slowest(&polling).await?;
    println!("through a pooler the slowest of {REVOCATIONS} took {took:?}");
    listeners(&postgres, 0).await?;
    drop(polling);

    let database = postgres.empty_database()?;
    let url = format!("{}&pooler=transaction", pooler.url(&database));
    let listening = replicas(&url, Some(&postgres.url(&database)))?;
    listeners(&postgres, 2).await?;
    let took = slowest(&listening).await?;
    println!("past the pooler, by `listen_url`, the slowest of {REVOCATIONS} took {took:?}");
    Ok(())
}
