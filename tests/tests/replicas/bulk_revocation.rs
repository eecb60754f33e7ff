//! A bulk revocation whose replica is killed in the middle goes on at another.

use anyhow::ensure;
use ca_api::bulk_revocation::{BulkRevocation, BulkRevocationState};
use ca_e2e::client::eventually;
use ca_e2e::many::issue_many;
use ca_e2e::record::audit_events;
use ca_e2e::stack::PATIENCE;
use serde_json::json;
use std::sync::Arc;
use tokio::time::Instant;

use super::{Cluster, chain_is_whole, list_of};

/// Eight batches.
const MANY: usize = 800;

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_killed_in_the_middle_leaves_the_rest_to_another() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(2)?;
    let began = Instant::now();
    let client = Arc::new(cluster.replicas[0].administrator()?);
    issue_many(Arc::clone(&client), "client", "many.example.com", MANY).await?;
    let body = json!({ "filter": { "profile": "client" }, "reason": "superseded", "expected_count": MANY });
    let begun: BulkRevocation = client.post("/v1/certificates/revoke", &body).await?.expect(202)?.json()?;
    let path = format!("/v1/revocations/{}", begun.id);
    // Whoever holds the lease: each in turn is killed once something was revoked, and the other goes on.
    for _ in 0..2 {
        let reader = cluster.replicas[0].administrator()?;
        let before: BulkRevocation = reader.get(&path).await?.expect(200)?.json()?;
        let goes_on = || async {
            let there: BulkRevocation = reader.get(&path).await?.expect(200)?.json()?;
            Ok((there.revoked > before.revoked || there.state != BulkRevocationState::Running).then_some(there))
        };
        let there = eventually(PATIENCE, "it goes on", goes_on).await?;
        println!("a replica is killed when {} of {} are revoked", there.revoked, there.count);
        let victim = tokio::task::block_in_place(|| cluster.replicas.remove(0).kill());
        cluster.replicas.push(tokio::task::block_in_place(|| victim.serve())?);
    }
    let reader = cluster.replicas[0].administrator()?;
    let ended = || async {
        let there: BulkRevocation = reader.get(&path).await?.expect(200)?.json()?;
        Ok((there.state == BulkRevocationState::Completed).then_some(there))
    };
    let ended = eventually(PATIENCE, "it is completed", ended).await?;
    ensure!((ended.revoked, ended.skipped) == (MANY as u64, 0), "{ended:?}");
    for replica in &cluster.replicas {
        list_of(&replica.public()?, MANY as u64).await?;
    }
    chain_is_whole(&reader, 2 * MANY + 2).await?;
    let events = audit_events(&reader).await?;
    let revoked = events.iter().filter(|event| event.action == "certificate-revoked").count();
    ensure!(revoked == MANY, "{revoked} events of {MANY} revocations");
    let lists =
        events.iter().filter(|event| event.action == "crl-published" && event.subject == "authority:tls").count();
    // One of the beginning, one at the end, and at most one each 15 s between, while replicas come and go.
    let most = 8 + began.elapsed().as_secs() / 15;
    ensure!(lists as u64 <= most, "{lists} lists were made, not {most} at the most");
    Ok(())
}
