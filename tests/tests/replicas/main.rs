//! Replicas of one service over one PostgreSQL, through a PgBouncer: each with a folder and ports of its own, one seal.

mod acm_pca;
mod bulk_revocation;
mod events;
mod keys_elsewhere;
mod opening;
mod outage;
mod propagation;
mod rollback;
mod rollover;
mod shared_answers;
mod standby;
mod survival;
mod tls;

use anyhow::ensure;
use ca_api::certificate::Certificate;
use ca_core::crl::ParsedCrl;
use ca_core::ocsp::CertStatus;
use ca_e2e::client::{Client, eventually};
use ca_e2e::record::{audit_events, rehash};
use ca_e2e::stack::{PATIENCE, Site, Stack};
use ca_e2e::status::Subject;
use ca_test_services::{PgBouncer, PostgresServer};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// A server, a pooler before it, and the services over them. Fields are dropped in this order.
struct Cluster {
    replicas: Vec<Stack>,
    _pooler: PgBouncer,
    postgres: PostgresServer,
}

impl Cluster {
    fn of(replicas: usize) -> anyhow::Result<Self> {
        Self::with(replicas, &[], &["init"])
    }

    /// The same with settings that all replicas have, and the command that makes the hierarchy.
    fn with(replicas: usize, settings: &[(&str, &str)], init: &[&str]) -> anyhow::Result<Self> {
        let postgres = PostgresServer::start()?;
        let pooler = PgBouncer::start(&postgres, 20)?;
        let url = format!("{}&pooler=transaction", pooler.url(&postgres.empty_database()?));
        let first = Site::empty(&[settings, &[("CA__DATABASE__URL", url.as_str())][..]].concat())?;
        let (succeeded, said) = first.run(init)?;
        ensure!(succeeded, "the hierarchy is not made: {said}");
        let mut all = Vec::new();
        for _ in 1..replicas {
            let mut replica = first.replica()?;
            for (name, value) in settings {
                replica.set(name, value);
            }
            all.push(replica);
        }
        all.insert(0, first);
        let replicas = all.into_iter().map(Site::serve).collect::<anyhow::Result<_>>()?;
        Ok(Self { replicas, _pooler: pooler, postgres })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_replica_does_the_other_knows_at_once() -> anyhow::Result<()> {
    let cluster = Cluster::of(2)?;
    let [one, other] = cluster.replicas.as_slice() else { anyhow::bail!("two replicas") };
    let (certificate, identity) = one.administrator()?.enrol("client", "shared.example.com").await?;
    let subject = Subject::of(&certificate)?;
    let public = other.public()?;
    // Issued by one: on record, `good` and its own principal at the other.
    let seen: Certificate =
        other.administrator()?.get(&format!("/v1/certificates/{}", certificate.id)).await?.expect(200)?.json()?;
    ensure!(seen == certificate, "{seen:?}");
    ensure!(subject.ask_ocsp(&public).await? == CertStatus::Good);
    other.holder(&identity)?.get(&format!("/v1/certificates/{}", certificate.id)).await?.expect(200)?;
    // Revoked at one: the other says so, and so does its list.
    one.administrator()?.revoke(&certificate.id, "keyCompromise").await?;
    let told = Instant::now();
    let revoked = || async { Ok(matches!(subject.ask_ocsp(&public).await?, CertStatus::Revoked { .. }).then_some(())) };
    eventually(PATIENCE, "OCSP of the other replica says revoked", revoked).await?;
    let listed = || async {
        let list = public.get("/crl/tls.crl").await?.expect(200)?;
        Ok(subject.is_listed(&list.body)?.then_some(()))
    };
    eventually(PATIENCE, "the list of the other replica has it", listed).await?;
    println!("OCSP and CRL of the other replica after {:?}", told.elapsed());
    other.holder(&identity)?.get("/v1/certificates").await?.expect(401)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_callers_of_both_replicas_share_serials_keys_and_the_chain() -> anyhow::Result<()> {
    let cluster = Cluster::of(2)?;
    let mut callers = JoinSet::new();
    for caller in 0..8 {
        let client = cluster.replicas[caller % 2].administrator()?;
        callers.spawn(async move {
            let mut made = Vec::new();
            for number in 0..10 {
                let (certificate, _) = client.enrol("client", &format!("host-{caller}-{number}.example.com")).await?;
                if number % 2 == 0 {
                    client.revoke(&certificate.id, "superseded").await?;
                }
                made.push((certificate, number % 2 == 0));
            }
            anyhow::Ok(made)
        });
    }
    let mut made = Vec::new();
    while let Some(caller) = callers.join_next().await {
        made.extend(caller??);
    }
    let serials: std::collections::BTreeSet<_> = made.iter().map(|(certificate, _)| &certificate.serial).collect();
    ensure!(serials.len() == 80, "a serial twice");
    for replica in &cluster.replicas {
        let public = replica.public()?;
        for (certificate, is_revoked) in &made {
            let status = Subject::of(certificate)?.ask_ocsp(&public).await?;
            ensure!(matches!(status, CertStatus::Revoked { .. }) == *is_revoked, "{}: {status:?}", certificate.id);
        }
        list_of(&public, 40).await?;
    }
    chain_is_whole(&cluster.replicas[1].administrator()?, 80 + 40).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_work_of_a_replica_that_was_killed_goes_on_elsewhere() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(2)?;
    let (certificate, _) = cluster.replicas[0].administrator()?.enrol("client", "before.example.com").await?;
    // Whoever holds the leases: both are killed in turn, and what is revoked meanwhile is listed.
    for _ in 0..2 {
        let victim = cluster.replicas.remove(0).kill();
        let survivor = &cluster.replicas[0];
        let (other, _) = survivor.administrator()?.enrol("client", "meanwhile.example.com").await?;
        survivor.administrator()?.revoke(&other.id, "superseded").await?;
        let (subject, public) = (Subject::of(&other)?, survivor.public()?);
        let listed = || async {
            let list = public.get("/crl/tls.crl").await?.expect(200)?;
            Ok(subject.is_listed(&list.body)?.then_some(()))
        };
        eventually(PATIENCE, "the list is made by the survivor", listed).await?;
        cluster.replicas.push(victim.serve()?);
    }
    let reader = cluster.replicas[0].administrator()?;
    reader.get(&format!("/v1/certificates/{}", certificate.id)).await?.expect(200)?;
    chain_is_whole(&reader, 3 + 2).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_restarted_costs_answers_and_no_promise() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(2)?;
    let (certificate, _) = cluster.replicas[0].administrator()?.enrol("client", "kept.example.com").await?;
    cluster.replicas[0].administrator()?.revoke(&certificate.id, "superseded").await?;
    cluster.postgres.end("KILL")?;
    let refused = cluster.replicas[1].administrator()?.get("/v1/certificates").await?;
    ensure!(refused.status == 503, "a caller is told to come again: {} {}", refused.status, refused.text());
    ensure!(!refused.header("retry-after").is_empty(), "and when");
    cluster.postgres.run()?;
    for replica in &cluster.replicas {
        let (administrator, public) = (replica.administrator()?, replica.public()?);
        let subject = Subject::of(&certificate)?;
        let answers = || async { Ok((administrator.get("/v1/certificates").await?.status == 200).then_some(())) };
        eventually(PATIENCE, "the replica works again", answers).await?;
        // It may say `tryLater` until it has looked at the sequence again, and never `good`.
        let revoked = || async {
            match subject.ask_ocsp(&public).await {
                Ok(CertStatus::Revoked { .. }) => Ok(Some(())),
                Ok(other) => anyhow::bail!("revoked before, and now {other:?}"),
                Err(_) => Ok(None),
            }
        };
        eventually(PATIENCE, "OCSP is answered again", revoked).await?;
        administrator.enrol("client", "after.example.com").await?;
    }
    chain_is_whole(&cluster.replicas[0].administrator()?, 1 + 1 + 2).await
}

/// How many OCSP answers of a replica came from there (`memory`, `outage`, `record`).
async fn answers_from(replica: &Stack, origin: &str) -> anyhow::Result<u64> {
    let metrics = replica.admin()?.get("/metrics").await?.expect(200)?.text();
    let line = format!("ca_ocsp_answers_by_origin_total{{origin=\"{origin}\"}} ");
    Ok(metrics.lines().find_map(|metric| metric.strip_prefix(&line)).map_or(Ok(0), str::parse)?)
}

/// The list of `tls` holds exactly so many entries soon.
async fn list_of(public: &Client, entries: u64) -> anyhow::Result<()> {
    let complete = || async {
        let list = ParsedCrl::from_der(public.get("/crl/tls.crl").await?.expect(200)?.body)?;
        Ok((list.entries().count() as u64 == entries).then_some(()))
    };
    eventually(PATIENCE, "the list is complete", complete).await
}

/// At least so many events have their place soon, and the chain hashes anew.
async fn chain_is_whole(reader: &Client, at_least: usize) -> anyhow::Result<()> {
    let enough = || async {
        let events = audit_events(reader).await?;
        Ok((events.len() >= at_least).then_some(events))
    };
    let events = eventually(PATIENCE, "every event has its place", enough).await?;
    rehash(&events)
}
