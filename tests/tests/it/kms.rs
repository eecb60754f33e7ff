//! Authorities whose keys lie in AWS KMS: everything that the service does with a key of its own it does with theirs.

use anyhow::ensure;
use ca_api::authority::{Authority, KeyHome};
use ca_api::certificate::{Certificate, SubjectAlternativeNameType};
use ca_api::health::Readiness;
use ca_api::route;
use ca_core::ocsp::CertStatus;
use ca_e2e::cli::Terminal;
use ca_e2e::client::eventually;
use ca_e2e::identity::{Identity, SubjectKey, name, request};
use ca_e2e::kms::KmsAuthorities;
use ca_e2e::stack::PATIENCE;
use ca_e2e::status::Subject;
use ca_test_doubles::Fault;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn issues_renews_revokes_answers_and_lists_with_keys_in_kms() -> anyhow::Result<()> {
    let authorities = KmsAuthorities::start()?;
    let kms = &authorities.kms;
    let site = authorities.initialised(&[])?;
    ensure!(kms.count("GetPublicKey") == (3, 3), "each public key is asked for once: {:?}", kms.count("GetPublicKey"));
    ensure!(!site.own_data_folder().join("root/root.key").exists(), "the root's key is in KMS, and nowhere else");
    let stack = site.serve()?;
    let (administrator, public) = (stack.administrator()?, stack.public()?);
    for id in ["root", "tls", "document"] {
        let authority: Authority = administrator.get(&format!("/v1/authorities/{id}")).await?.expect(200)?.json()?;
        ensure!(authority.key.home == KeyHome::Kms, "{id}: {:?}", authority.key.home);
    }
    for profile in ["server", "client"] {
        let host = format!("{profile}.kms.example");
        let key = SubjectKey::generate()?;
        let mut body = request(profile, key.csr(&host, &[&host])?);
        body.validity = Some("4m".to_owned());
        let first = administrator.issue(&body).await?;
        let holder = stack.holder(&Identity::of(&first, &key))?;
        let renewal = json!({ "reuse_key": true });
        let renewed: Certificate =
            holder.post(&format!("/v1/certificates/{}/renew", first.id), &renewal).await?.expect(201)?.json()?;
        let subject = Subject::of(&renewed)?;
        ensure!(subject.ask_ocsp(&public).await? == CertStatus::Good);
        administrator.revoke(&renewed.id, "superseded").await?;
        ensure!(matches!(subject.ask_ocsp(&public).await?, CertStatus::Revoked { .. }));
        ensure!(Subject::of(&first)?.ask_ocsp(&public).await? == CertStatus::Good);
        eventually(PATIENCE, "the list has the revocation", || async {
            let list = public.get("/crl/tls.crl").await?.expect(200)?.body;
            Ok(subject.is_listed(&list)?.then_some(()))
        })
        .await?;
    }
    let mut body = request("document", SubjectKey::generate()?.csr("Ana Souza", &[])?);
    body.subject_alternative_names = Some(vec![name(SubjectAlternativeNameType::Email, "ana@kms.example")]);
    let document = administrator.issue(&body).await?;
    ensure!(Subject::of(&document)?.ask_ocsp(&public).await? == CertStatus::Good);
    for list in ["root", "document"] {
        public.get(&format!("/crl/{list}.crl")).await?.expect(200)?;
    }
    stack.admin()?.get(route::READY).await?.expect(200)?;
    // OCSP is answered by responders of the service's own: KMS was asked for nothing but certificates and lists.
    let before = kms.count("Sign").1;
    for _ in 0..20 {
        Subject::of(&document)?.ask_ocsp(&public).await?;
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
    // A list of what was revoked before may come yet.
    ensure!(kms.count("Sign").1 < before + 10, "answers cost signatures of KMS");
    ensure!(!stack.logs().join("\n").contains("a-secret-of-the-tests"));
    // A start needs no answer of KMS: the public keys are on record.
    let site = stack.stop()?;
    kms.fail("GetPublicKey", [Fault::Silence; 100]);
    kms.fail("Sign", [Fault::Silence; 100]);
    let stack = site.serve()?;
    ensure!(Subject::of(&document)?.ask_ocsp(&stack.public()?).await? == CertStatus::Good);
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
