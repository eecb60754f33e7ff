//! An authority that AWS Private CA holds: what the service does with a key of its own it does with such an authority, but for what AWS
//! does not offer, which is refused or late as documented.

use anyhow::{Context, ensure};
use ca_api::authority::{Authority, KeyHome};
use ca_api::certificate::{Certificate, SubjectAlternativeNameType};
use ca_api::route;
use ca_core::ocsp::CertStatus;
use ca_e2e::acm_pca::AcmPcaAuthority;
use ca_e2e::cli::Terminal;
use ca_e2e::client::eventually;
use ca_e2e::fake_clock::FakeClock;
use ca_e2e::identity::{Identity, SubjectKey, name, request};
use ca_e2e::stack::{EMBEDDED, PATIENCE};
use ca_e2e::status::Subject;
use ca_test_doubles::Fault;
use serde_json::json;

/// How long after a revocation the double's list has it, as AWS's does.
const LIST_LAG: i64 = 31 * 60;

#[tokio::test(flavor = "multi_thread")]
async fn issues_renews_revokes_and_answers_with_an_authority_of_aws() -> anyhow::Result<()> {
    let aws = AcmPcaAuthority::start()?;
    let stack = aws.initialised(&[])?.serve()?;
    let (administrator, public) = (stack.administrator()?, stack.public()?);
    let tls: Authority = administrator.get("/v1/authorities/tls").await?.expect(200)?.json()?;
    ensure!(tls.key.home == KeyHome::AcmPca, "{:?}", tls.key.home);
    for id in ["tls-root", "root", "document"] {
        administrator.get(&format!("/v1/authorities/{id}")).await?.expect(200)?;
    }
    let mut revoked = Vec::new();
    for profile in ["server", "client"] {
        let host = format!("{profile}.pca.example");
        let key = SubjectKey::generate()?;
        let mut body = request(profile, key.csr(&host, &[&host])?);
        body.validity = Some("4m".to_owned());
        let first = administrator.issue(&body).await?;
        let holder = stack.holder(&Identity::of(&first, &key))?;
        let renewal = json!({ "csr": key.csr(&host, &[&host])? });
        let renewed: Certificate =
            holder.post(&format!("/v1/certificates/{}/renew", first.id), &renewal).await?.expect(201)?.json()?;
        let subject = Subject::of(&renewed)?;
        ensure!(subject.ask_ocsp(&public).await? == CertStatus::Good);
        // The serial is AWS's.
        let serials: Vec<String> = aws.issued().into_iter().map(|issued| issued.serial).collect();
        ensure!(serials.contains(&renewed.serial), "{serials:?}");
        administrator.revoke(&renewed.id, "superseded").await?;
        // Our OCSP tells at once.
        ensure!(matches!(subject.ask_ocsp(&public).await?, CertStatus::Revoked { .. }));
        ensure!(Subject::of(&first)?.ask_ocsp(&public).await? == CertStatus::Good);
        revoked.push((renewed, subject));
    }
    // AWS is told within a second or two.
    eventually(PATIENCE, "AWS is told of the revocations", || async {
        let told = aws.issued().into_iter().filter(|issued| issued.revoked.as_deref() == Some("SUPERSEDED")).count();
        Ok((told == revoked.len()).then_some(()))
    })
    .await?;
    // A hold is none of AWS's reasons.
    let (certificate, _) = administrator.enrol("client", "held.pca.example").await?;
    let hold = json!({ "reason": "certificateHold" });
    let refused = administrator.post(&format!("/v1/certificates/{}/revoke", certificate.id), &hold).await?;
    ensure!(
        refused.status >= 400 && refused.status < 500 && refused.text().contains("certificateHold"),
        "{}",
        refused.text()
    );
    ensure!(Subject::of(&certificate)?.ask_ocsp(&public).await? == CertStatus::Good);
    // What is not of AWS goes on as always.
    let mut body = request("document", SubjectKey::generate()?.csr("Ana Souza", &[])?);
    body.subject_alternative_names = Some(vec![name(SubjectAlternativeNameType::Email, "ana@pca.example")]);
    let document = administrator.issue(&body).await?;
    ensure!(Subject::of(&document)?.ask_ocsp(&public).await? == CertStatus::Good);
    stack.admin()?.get(route::READY).await?.expect(200)?;
    // Every certificate of AWS's is on record, as it is.
    for issued in aws.issued() {
        let found = administrator.get(&format!("/v1/certificates/tls:{}", issued.serial)).await?.expect(200)?;
        ensure!(found.text().contains(&issued.serial), "serial {} is not on record: {}", issued.serial, found.text());
    }
    let metrics = stack.admin()?.get(route::METRICS).await?.expect(200)?.text();
    for series in [
        "ca_aws_calls_total{service=\"acm-pca\",operation=\"IssueCertificate\",outcome=\"answered\"}",
        "ca_aws_cost_microdollars_total{service=\"acm-pca\",operation=\"IssueCertificate\"}",
        "ca_revocations_to_pass_on ",
    ] {
        ensure!(metrics.contains(series), "{series} is missing");
    }
    ensure!(!stack.logs().join("\n").contains("a-secret-of-the-tests"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_that_of_aws_and_late() -> anyhow::Result<()> {
    let aws = AcmPcaAuthority::start()?;
    // The clock of a database of its own would not jump with it.
    let mut site = aws.initialised(&[EMBEDDED])?;
    let clock = FakeClock::of(&mut site)?;
    let stack = site.serve()?;
    let (administrator, public) = (stack.administrator()?, stack.public()?);
    let (certificate, _) = administrator.enrol("client", "listed.pca.example").await?;
    let subject = Subject::of(&certificate)?;
    let list = || async {
        let answer = public.get("/crl/tls.crl").await?;
        Ok((answer.status == 200).then_some(answer.body))
    };
    let first = eventually(PATIENCE * 4, "AWS's list is published", list).await?;
    ensure!(!subject.is_listed(&first)?);
    administrator.revoke(&certificate.id, "keyCompromise").await?;
    ensure!(matches!(subject.ask_ocsp(&public).await?, CertStatus::Revoked { .. }));
    eventually(PATIENCE, "AWS is told", || async {
        Ok(aws.issued().iter().any(|issued| issued.revoked.is_some()).then_some(()))
    })
    .await?;
    let before = list().await?.context("a list")?;
    ensure!(!subject.is_listed(&before)?, "AWS makes its list half an hour later");
    // A server that starts looks at once.
    let site = stack.stop()?;
    aws.advance(LIST_LAG);
    clock.set(&format!("+{LIST_LAG}s"))?;
    let stack = site.serve()?;
    let public = stack.public()?;
    eventually(PATIENCE, "the list has the revocation", || async {
        let list = public.get("/crl/tls.crl").await?.expect(200)?.body;
        Ok(subject.is_listed(&list)?.then_some(()))
    })
    .await
}

#[test]
fn local_mode_issues_with_an_authority_of_aws() -> anyhow::Result<()> {
    let aws = AcmPcaAuthority::start()?;
    let site = aws.initialised(&[])?;
    let mut terminal = Terminal::local_at(&site)?;
    terminal.set("CA_KEY_PASSPHRASE", "of a key that is not exported");
    let before = aws.issued().len();
    terminal.done(&["issue", "client", "cliente"])?;
    ensure!(terminal.path("cliente.crt").exists());
    ensure!(aws.issued().len() == before + 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_needs_no_answer_of_aws() -> anyhow::Result<()> {
    let aws = AcmPcaAuthority::start()?;
    let stack = aws.initialised(&[])?.serve()?;
    let (certificate, _) = stack.administrator()?.enrol("client", "before.pca.example").await?;
    let site = stack.stop()?;
    for operation in ["DescribeCertificateAuthority", "IssueCertificate", "GetCertificate"] {
        aws.double.fail(operation, [Fault::Silence; 200]);
    }
    let stack = site.serve()?;
    ensure!(Subject::of(&certificate)?.ask_ocsp(&stack.public()?).await? == CertStatus::Good);
    Ok(())
}
