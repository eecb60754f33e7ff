//! Authorities whose keys lie in AWS KMS: what is asked of it, and by whom. The main job with such keys is in [`super::homes`].

use anyhow::ensure;
use ca_api::health::Readiness;
use ca_api::route;
use ca_core::ocsp::CertStatus;
use ca_e2e::cli::Terminal;
use ca_e2e::client::eventually;
use ca_e2e::kms::KmsAuthorities;
use ca_e2e::stack::PATIENCE;
use ca_e2e::status::Subject;
use ca_test_doubles::Fault;

#[tokio::test(flavor = "multi_thread")]
async fn answers_cost_no_signature_and_a_start_asks_nothing() -> anyhow::Result<()> {
    let authorities = KmsAuthorities::start()?;
    let kms = &authorities.kms;
    let site = authorities.initialised(&[])?;
    ensure!(kms.count("GetPublicKey") == (3, 3), "each public key is asked for once: {:?}", kms.count("GetPublicKey"));
    let stack = site.serve()?;
    let (certificate, _) = stack.administrator()?.enrol("client", "answers.kms.example").await?;
    let (subject, public) = (Subject::of(&certificate)?, stack.public()?);
    // OCSP is answered by responders of the service's own: KMS is asked for nothing but certificates and lists.
    let before = kms.count("Sign").1;
    for _ in 0..20 {
        ensure!(subject.ask_ocsp(&public).await? == CertStatus::Good);
    }
    eventually(PATIENCE, "metrics tell of keys, calls and their price", || async {
        let metrics = stack.admin()?.get(route::METRICS).await?.expect(200)?.text();
        let told = [
            "ca_authority_key_usable{authority=\"tls\"} 1",
            "ca_aws_calls_total{service=\"kms\",operation=\"Sign\",outcome=\"answered\"}",
            "ca_aws_cost_microdollars_total{service=\"kms\",operation=\"Sign\"}",
        ]
        .iter()
        .all(|series| metrics.contains(series));
        Ok(told.then_some(()))
    })
    .await?;
    // A list may come yet.
    ensure!(kms.count("Sign").1 < before + 10, "answers cost signatures of KMS");
    // A start needs no answer of KMS: the public keys are on record.
    let site = stack.stop()?;
    kms.fail("GetPublicKey", [Fault::Silence; 100]);
    kms.fail("Sign", [Fault::Silence; 100]);
    let stack = site.serve()?;
    ensure!(subject.ask_ocsp(&stack.public()?).await? == CertStatus::Good);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_for_status_asks_kms_for_nothing() -> anyhow::Result<()> {
    let authorities = KmsAuthorities::start()?;
    let stack = authorities.initialised(&[])?.serve()?;
    let (certificate, _) = stack.administrator()?.enrol("client", "status.kms.example").await?;
    let site = stack.stop()?;
    let asked = authorities.kms.asked().len();
    let replica = site.start(&["serve", "--role", "status"])?;
    replica.wait_for_line("\"serving\"", PATIENCE)?;
    let public = ca_e2e::client::Client::plain(&site.public_url())?;
    ensure!(Subject::of(&certificate)?.ask_ocsp(&public).await? == CertStatus::Good);
    let ready: Readiness =
        ca_e2e::client::Client::plain(&site.admin_url())?.get(route::READY).await?.expect(200)?.json()?;
    let checks = ready.checks.unwrap_or_default();
    ensure!(checks.iter().all(|check| !check.name.starts_with("key:")), "{checks:?}");
    ensure!(authorities.kms.asked().len() == asked);
    Ok(())
}

#[test]
fn local_mode_signs_with_keys_in_kms() -> anyhow::Result<()> {
    let authorities = KmsAuthorities::start()?;
    let site = authorities.initialised(&[])?;
    let mut terminal = Terminal::local_at(&site)?;
    terminal.set("CA_KEY_PASSPHRASE", "of a key that is not exported");
    let before = authorities.kms.count("Sign").1;
    terminal.done(&["issue", "client", "cliente"])?;
    ensure!(terminal.path("cliente.crt").exists());
    ensure!(authorities.kms.count("Sign").1 > before);
    // A key that never leaves KMS is not exported.
    terminal.refused(
        1,
        &["authority", "export-key", "--out", "tls.key", "tls"],
        &["which it never leaves", &authorities.tls],
    )?;
    Ok(())
}
