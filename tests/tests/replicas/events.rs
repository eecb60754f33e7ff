//! Events of one record leave through one replica at a time, and through another when that one dies.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use ca_e2e::client::{Client, eventually};
use ca_e2e::receiver::{Inbox, Receiver};
use ca_e2e::stack::{PATIENCE, Site, Stack};
use ca_test_services::PostgresServer;

const SECRET: &str = "a secret that the receiver has as well, of enough octets";

/// How many events a replica has delivered.
async fn delivered(replica: &Stack) -> anyhow::Result<f64> {
    let metrics = Client::plain(&replica.admin_url())?.get("/metrics").await?.expect(200)?.text();
    let is_it = |line: &&str| line.starts_with("ca_outbox_deliveries_total") && line.contains("\"delivered\"");
    match metrics.lines().find(is_it) {
        None => Ok(0.0),
        Some(line) => Ok(line.rsplit(' ').next().context("a number")?.parse()?),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_delivers_and_another_goes_on_when_it_is_killed() -> anyhow::Result<()> {
    let inbox = Inbox::default();
    let receiver = Receiver::start(&inbox, None, None).await?;
    let folder = tempfile::tempdir()?;
    let secret = folder.path().join("webhook.secret");
    std::fs::write(&secret, SECRET)?;
    let (url, secret) = (receiver.url(), secret.display().to_string());
    let webhook =
        [("CA__WEBHOOK__INVENTORY__URL", url.as_str()), ("CA__WEBHOOK__INVENTORY__SECRET_FILE", secret.as_str())];
    let postgres = PostgresServer::start()?;
    let database = postgres.url(&postgres.empty_database()?);
    let first = Site::initialised(&[&[("CA__DATABASE__URL", database.as_str())], &webhook[..]].concat())?;
    let mut second = first.replica()?;
    for (name, value) in webhook {
        second.set(name, value);
    }
    let mut replicas = vec![first.serve()?, second.serve()?];
    let mut told = Vec::new();
    for round in 0..2 {
        let before = [delivered(&replicas[0]).await?, delivered(&replicas[1]).await?];
        // Changes through both, one certificate through the one and the other in turn.
        let administrators = [replicas[0].administrator()?, replicas[1].administrator()?];
        for number in 0..4 {
            let name = format!("host-{round}-{number}.example.com");
            let (certificate, _) = administrators[number % 2].enrol("client", &name).await?;
            administrators[(number + 1) % 2].revoke(&certificate.id, "superseded").await?;
            told.push(certificate.id);
        }
        for id in &told {
            let complete = || async { Ok((inbox.topics(id).len() >= 2).then_some(())) };
            // A lease of 8 s ends before another replica takes over.
            eventually(PATIENCE, "both events arrive", complete).await?;
            ensure!(inbox.topics(id) == ["certificate.issued", "certificate.revoked"], "{:?}", inbox.topics(id));
        }
        let rose = eventually(PATIENCE, "one of them counts what it delivered", || async {
            let rose = [delivered(&replicas[0]).await? > before[0], delivered(&replicas[1]).await? > before[1]];
            Ok((rose != [false; 2]).then_some(rose))
        })
        .await?;
        // Where a replica stood still for as long as its lease, the other went on, and tells again what was not yet recorded.
        if round == 0 && rose != [true; 2] {
            let taken = inbox.taken();
            let ids: BTreeSet<&str> = taken.iter().map(|taken| taken.id.as_str()).collect();
            ensure!(ids.len() == taken.len(), "two that deliver at once tell twice");
        }
        // Whoever did is killed; the other, and it again, go on.
        let victim = replicas.remove(usize::from(!rose[0])).kill();
        let (certificate, _) = replicas[0].administrator()?.enrol("client", "meanwhile.example.com").await?;
        let arrived = || async { Ok((!inbox.topics(&certificate.id).is_empty()).then_some(())) };
        eventually(PATIENCE, "the survivor goes on", arrived).await?;
        let counted = || async { Ok((delivered(&replicas[0]).await? > 0.0).then_some(())) };
        eventually(PATIENCE, "it was the survivor", counted).await?;
        replicas.push(victim.serve()?);
    }
    inbox.verify(SECRET)?;
    Ok(())
}
