//! Others who want the same data folder while it is served: jobs work beside the service, everything else is refused and told
//! by whom the folder is used. (`ca-server`'s own commands: `it/start.rs`.)

use std::process::{Command, Output};

use anyhow::{Context, ensure};
use ca_core::ocsp::CertStatus;
use ca_e2e::client::eventually;
use ca_e2e::ledger::Ledger;
use ca_e2e::load::Callers;
use ca_e2e::outage::{AGREEMENT, Judge, Lists};
use ca_e2e::programs::programs;
use ca_e2e::stack::{Site, Stack};
use ca_e2e::status::Subject;

#[tokio::test(flavor = "multi_thread")]
async fn jobs_run_beside_the_service_under_load_and_leave_it_its_leases() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let (administrator, public) = (stack.administrator()?, stack.public()?);
    let callers = Callers::new(&stack, 5, 2).await?;
    let load = callers.start();
    for name in ["audit-chain", "crl", "expiry", "reservations", "responders"] {
        let (succeeded, said) = stack.run(&["job", "run", name])?;
        ensure!(succeeded, "job run {name}: {said}");
    }
    let ledger: Ledger = load.finish().await?;
    // The last job that ran gave its leases back: a revocation is in the list as soon as without it.
    let (certificate, _) = administrator.enrol("server", "after-the-jobs.example").await?;
    stack.run(&["job", "run", "crl"])?;
    administrator.revoke(&certificate.id, "superseded").await?;
    let subject = Subject::of(&certificate)?;
    ensure!(matches!(subject.ask_ocsp(&public).await?, CertStatus::Revoked { .. }), "not revoked");
    eventually(AGREEMENT, "the revocation in the CRL", || async {
        Ok(subject.is_listed(&public.get("/crl/tls.crl").await?.expect(200)?.body)?.then_some(()))
    })
    .await?;
    let judge = Judge::new(&stack).await?;
    judge.promises_are_kept(&ledger)?;
    judge.revocations_are_told(&ledger).await?;
    judge.list_is_complete(&ledger, &mut Lists::default()).await?;
    judge.list_numbers_rise()?;
    judge.audit_chain_is_whole(&ledger).await
}

#[test]
fn local_mode_is_refused_while_the_folder_is_served_and_works_after() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let refused = issue_locally(&stack, "too-early")?;
    let said = String::from_utf8_lossy(&refused.stderr);
    // Trying again later may help.
    ensure!(refused.status.code() == Some(3), "{}: {said}", refused.status);
    ensure!(said.contains("in use by ca-server serve"), "{said}");
    let site = stack.stop()?;
    let issued = issue_locally(&site, "in-time")?;
    ensure!(issued.status.success(), "{}", String::from_utf8_lossy(&issued.stderr));
    ensure!(site.work_folder().join("in-time.crt").exists(), "no certificate was written");
    Ok(())
}

fn issue_locally(site: &Site, name: &str) -> anyhow::Result<Output> {
    Command::new(&programs()?.cli)
        .arg("--local")
        .arg(site.data_folder())
        .args(["issue", "client", name])
        .env_clear()
        .envs(site.settings())
        .current_dir(site.work_folder())
        .output()
        .context("ca-cli cannot be started")
}
