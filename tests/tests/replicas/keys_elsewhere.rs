//! Replicas whose authorities' keys are elsewhere, and which share them: one token, one account of KMS.

use std::collections::BTreeSet;

use anyhow::ensure;
use ca_core::ocsp::CertStatus;
use ca_e2e::client::eventually;
use ca_e2e::kms::MadeKeys;
use ca_e2e::stack::{PATIENCE, Stack};
use ca_e2e::status::Subject;
use ca_e2e::token_keys::{TokenKeys, borrowed};
use tokio::task::JoinSet;

use super::{Cluster, chain_is_whole};

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_the_keys_of_a_token() -> anyhow::Result<()> {
    let token = TokenKeys::new()?;
    let settings = token.settings("p256");
    share(Cluster::with(2, &borrowed(&settings), &["init"])?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_keys_in_kms_that_init_had_made() -> anyhow::Result<()> {
    let keys = MadeKeys::start()?;
    let settings = keys.settings();
    share(Cluster::with(2, &borrowed(&settings), &["init", "--yes"])?).await?;
    ensure!(keys.arns().len() == 3, "replicas make no keys: {:?}", keys.arns());
    Ok(())
}

async fn share(mut cluster: Cluster) -> anyhow::Result<()> {
    // Both sign at the same time.
    let mut callers = JoinSet::new();
    for caller in 0..6 {
        let client = cluster.replicas[caller % 2].administrator()?;
        callers.spawn(async move {
            let mut made = Vec::new();
            for number in 0..5 {
                made.push(client.enrol("client", &format!("host-{caller}-{number}.example.com")).await?.0);
            }
            anyhow::Ok(made)
        });
    }
    let mut made = Vec::new();
    while let Some(caller) = callers.join_next().await {
        made.extend(caller??);
    }
    let serials: BTreeSet<_> = made.iter().map(|certificate| &certificate.serial).collect();
    ensure!(serials.len() == 30, "a serial twice");
    // What one revokes the other tells.
    let [one, other] = cluster.replicas.as_slice() else { anyhow::bail!("two replicas") };
    one.administrator()?.revoke(&made[0].id, "superseded").await?;
    is_told(other, &Subject::of(&made[0])?).await?;
    // And goes on alone, lists included, when the first one is gone.
    let gone = cluster.replicas.remove(0).kill();
    let survivor = &cluster.replicas[0];
    let (after, _) = survivor.administrator()?.enrol("client", "after.example.com").await?;
    survivor.administrator()?.revoke(&after.id, "superseded").await?;
    is_told(survivor, &Subject::of(&after)?).await?;
    let back = gone.serve()?;
    let (last, _) = back.administrator()?.enrol("client", "back.example.com").await?;
    ensure!(Subject::of(&last)?.ask_ocsp(&survivor.public()?).await? == CertStatus::Good);
    chain_is_whole(&back.administrator()?, 30 + 1 + 2 + 1).await
}

/// OCSP and the list of a replica have a revocation.
async fn is_told(replica: &Stack, subject: &Subject) -> anyhow::Result<()> {
    let public = replica.public()?;
    let revoked = || async { Ok(matches!(subject.ask_ocsp(&public).await?, CertStatus::Revoked { .. }).then_some(())) };
    eventually(PATIENCE, "OCSP says revoked", revoked).await?;
    let listed = || async {
        let list = public.get("/crl/tls.crl").await?.expect(200)?;
        Ok(subject.is_listed(&list.body)?.then_some(()))
    };
    eventually(PATIENCE, "the list has it", listed).await
}
