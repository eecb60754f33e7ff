//! A record that is set back under replicas that run: they find it out, say `good` of nothing and change nothing until an operator
//! has decided.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use ca_api::certificate::Certificate;
use ca_api::problem::ProblemType;
use ca_core::crl::ParsedCrl;
use ca_core::ocsp::CertStatus;
use ca_e2e::anchor;
use ca_e2e::client::{Client, eventually};
use ca_e2e::identity::{SubjectKey, request};
use ca_e2e::stack::{PATIENCE, Site, Stack};
use ca_e2e::status::Subject;
use ca_test_services::{PgBouncer, PostgresServer};
use tokio::time::{Instant, sleep};

/// Within this time a replica has found out: it looks at the sequence of revocations each second, and signs no `good` when its last
/// look is three seconds ago.
const FOUND_OUT: Duration = Duration::from_secs(4);

/// Two replicas through a pooler, with one folder for their anchor.
fn replicas(url: &str, anchor: &str) -> anyhow::Result<[Site; 2]> {
    let first = Site::initialised(&[("CA__DATABASE__URL", url), ("CA__ANCHOR__DIR", anchor)])?;
    let mut second = first.replica()?;
    second.set("CA__ANCHOR__DIR", anchor);
    Ok([first, second])
}

async fn list_number(public: &Client) -> anyhow::Result<u64> {
    let list = ParsedCrl::from_der(public.get("/crl/tls.crl").await?.expect(200)?.body)?;
    list.number().context("a list without a number")
}

/// Nothing is told, signed or changed, and it says what to do.
async fn is_closed(replica: &Stack, kept: &Certificate) -> anyhow::Result<()> {
    let (public, administrator) = (replica.public()?, replica.administrator()?);
    public.get("/ready").await?.expect(503)?;
    ensure!(replica.admin()?.get("/ready").await?.expect(503)?.text().contains("\"anchor\""));
    public.get("/crl/tls.crl").await?.expect_problem(ProblemType::SigningSuspended)?;
    ensure!(Subject::of(kept)?.ask_ocsp_once(&public).await.is_err(), "what is not known is not called good");
    let body = serde_json::json!({ "reason": "superseded" });
    let refused = administrator.post(&format!("/v1/certificates/{}/revoke", kept.id), &body).await?;
    let problem = refused.expect_problem(ProblemType::SigningSuspended)?;
    ensure!(problem.detail.contains("ca-server restore --reconcile"), "{}", problem.detail);
    let csr = SubjectKey::generate()?.csr("refused.example.com", &["refused.example.com"])?;
    let refused = administrator.post(ca_api::route::CERTIFICATES, &request("client", csr)).await?;
    refused.expect_problem(ProblemType::SigningSuspended)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_find_an_older_record_at_their_address_close_until_it_is_decided() -> anyhow::Result<()> {
    let mut current = PostgresServer::start()?;
    let pooler = PgBouncer::start(&current, 20)?;
    let url = format!("{}&pooler=transaction", pooler.url(&current.empty_database()?));
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("anchor");
    let [first, second] = replicas(&url, place.to_str().context("a path that is not UTF-8")?)?;
    let (one, other) = (first.serve()?, second.serve()?);
    let administrator = one.administrator()?;
    let (kept, _) = administrator.enrol("client", "kept.example.com").await?;
    let (revoked, _) = administrator.enrol("client", "revoked.example.com").await?;

    // A copy of the storage, as a snapshot of a volume makes one; what follows is not in it.
    let old = current.standby()?;
    old.promote()?;
    administrator.revoke(&revoked.id, "keyCompromise").await?;
    let (lost, _) = administrator.enrol("client", "lost.example.com").await?;
    administrator.revoke(&lost.id, "superseded").await?;
    anchor::wait_for(&place, &[&revoked.serial, &lost.serial]).await?;
    let listed = || async {
        let list = one.public()?.get("/crl/tls.crl").await?.expect(200)?;
        Ok(Subject::of(&lost)?.is_listed(&list.body)?.then_some(()))
    };
    eventually(PATIENCE, "the list has both", listed).await?;
    let number = list_number(&one.public()?).await?;

    // The address leads to the old record, under both replicas.
    pooler.point_at(&old)?;
    current.end("KILL")?;
    let set_back = Instant::now();
    for replica in [&one, &other] {
        let public = replica.public()?;
        loop {
            for certificate in [&revoked, &lost] {
                let asked = set_back.elapsed();
                match Subject::of(certificate)?.ask_ocsp_once(&public).await {
                    Ok(CertStatus::Good) if asked > FOUND_OUT => {
                        bail!("`good` {asked:?} after the record was set back")
                    }
                    _ => {}
                }
            }
            if public.get("/ready").await?.status == 503 && public.get("/crl/tls.crl").await?.status == 503 {
                break;
            }
            ensure!(set_back.elapsed() < PATIENCE, "nobody found out");
            sleep(Duration::from_millis(20)).await;
        }
        println!("closed {:?} after the record was set back", set_back.elapsed());
    }
    let closed =
        || async { Ok((is_closed(&one, &kept).await.is_ok() && is_closed(&other, &kept).await.is_ok()).then_some(())) };
    eventually(PATIENCE, "both are closed", closed).await?;
    // A restart does not open it.
    let other = other.kill().serve()?;
    is_closed(&one, &kept).await?;
    is_closed(&other, &kept).await?;

    // The operator decides.
    let (first, second) = (one.stop()?, other.stop()?);
    let (succeeded, said) = first.run(&["restore", "--reconcile"])?;
    ensure!(succeeded && said.contains("revoked since the backup, and revoked again"), "{said}");
    for replica in [first.serve()?, second.serve()?] {
        let public = replica.public()?;
        for certificate in [&revoked, &lost] {
            let status = Subject::of(certificate)?.ask_ocsp(&public).await?;
            ensure!(matches!(status, CertStatus::Revoked { .. }), "{}: {status:?}", certificate.id);
        }
        ensure!(Subject::of(&kept)?.ask_ocsp(&public).await? == CertStatus::Good);
        ensure!(list_number(&public).await? > number, "a number of a list twice");
        let ready = || async { Ok((public.get("/ready").await?.status == 200).then_some(())) };
        eventually(PATIENCE, "ready again", ready).await?;
        replica.administrator()?.enrol("client", "after.example.com").await?;
    }
    Ok(())
}
