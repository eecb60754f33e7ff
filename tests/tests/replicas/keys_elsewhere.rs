//! Replicas whose authorities' keys are elsewhere, and which share them: one token, one account of KMS.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use ca_api::certificate::{Certificate, SubjectAlternativeNameType};
use ca_api::route;
use ca_core::ocsp::CertStatus;
use ca_e2e::client::{Client, eventually};
use ca_e2e::identity::{SubjectKey, name, request};
use ca_e2e::kms::{KmsAuthorities, MadeKeys};
use ca_e2e::stack::{PATIENCE, Stack};
use ca_e2e::status::Subject;
use ca_e2e::token_keys::{TokenKeys, borrowed};
use tokio::task::{JoinSet, block_in_place};

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

/// When the servers start there is no key in KMS and none in the token. Another host rolls the lines over to keys there.
#[tokio::test(flavor = "multi_thread")]
async fn servers_that_run_use_keys_in_kms_and_in_a_token_that_come_on_record_later() -> anyhow::Result<()> {
    let (kms, token) = (KmsAuthorities::start()?, TokenKeys::new()?);
    let mut ways: Vec<_> =
        kms.settings().into_iter().filter(|(name, _)| !name.starts_with("CA__AUTHORITY__")).collect();
    ways.extend(token.way());
    let cluster = Cluster::with(2, &borrowed(&ways), &["init"])?;
    ensure!(kms.kms.asked().is_empty(), "no key is there, and nothing is asked: {:?}", kms.kms.asked());
    let mut host = cluster.replicas[0].replica()?;
    let planned = token.settings("p256").into_iter().filter(|(name, _)| name.contains("__DOCUMENT__"));
    let planned: Vec<_> =
        kms.settings().into_iter().filter(|(name, _)| name.contains("__TLS__")).chain(planned).collect();
    for (name, value) in ways.iter().chain(&planned) {
        host.set(name, value);
    }
    let (from, to) = (cluster.replicas[0].own_data_folder(), host.own_data_folder());
    std::fs::create_dir(to.join("root"))?;
    std::fs::copy(from.join("root/root.key"), to.join("root/root.key"))?;
    for line in ["tls", "document"] {
        let roll = || host.run(&["authority", "rollover", line, "--issue-after", "15s"]);
        let (done, said) = block_in_place(roll)?;
        ensure!(done, "{said}");
    }
    let signed_by_the_host = kms.kms.count("Sign").1;
    for replica in &cluster.replicas {
        let administrator = replica.administrator()?;
        for line in ["tls", "document"] {
            let next = format!("{line}-2");
            let issued = eventually(PATIENCE, "the next generation issues", async || {
                let certificate = issue_of(&administrator, line).await?;
                Ok((certificate.authority == next).then_some(certificate))
            })
            .await
            .with_context(|| replica.logs().join("\n"))?;
            ensure!(Subject::of(&issued)?.ask_ocsp(&replica.public()?).await? == CertStatus::Good);
        }
        let admin = replica.admin()?;
        eventually(PATIENCE, "every key is in order", async || {
            Ok((admin.get(route::READY).await?.status == 200).then_some(()))
        })
        .await?;
    }
    ensure!(kms.kms.count("Sign").1 >= signed_by_the_host + 2, "each replica has had KMS sign");
    // What one of them tells of its calls begins with the first of them.
    for replica in &cluster.replicas {
        let metrics = replica.admin()?.get(route::METRICS).await?.expect(200)?.text();
        ensure!(metrics.contains("ca_aws_calls_total{service=\"kms\",operation=\"Sign\""), "{metrics}");
    }
    Ok(())
}

/// A certificate of the line `tls` or `document`.
async fn issue_of(client: &Client, line: &str) -> anyhow::Result<Certificate> {
    if line == "tls" {
        return Ok(client.enrol("client", "later.example.com").await?.0);
    }
    let mut body = request("document", SubjectKey::generate()?.csr("Ana Souza", &[])?);
    body.subject_alternative_names = Some(vec![name(SubjectAlternativeNameType::Email, "ana@example.com")]);
    client.issue(&body).await
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
