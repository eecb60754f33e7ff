//! Revocation, hold and release: which changes are legal, and that OCSP and CRL say so within the time that is promised.

use std::time::Duration;

use ca_api::certificate::{Certificate, CertificateStatus};
use ca_api::problem::ProblemType;
use ca_api::revocation::RevocationReason as Reason;
use ca_api::revoke::RevokedCertificate;
use ca_api::route;
use ca_core::ocsp::CertStatus;
use ca_core::revocation::RevocationReason;
use ca_e2e::client::{Answer, Client, eventually};
use ca_e2e::identity::{SubjectKey, request};
use ca_e2e::stack::shared;
use ca_e2e::status::Subject;
use serde_json::{Value, json};

/// CRL and OCSP agree within this time on a machine that has much other work.
const AGREEMENT: Duration = Duration::from_secs(60);

async fn revoke(client: &Client, certificate: &Certificate, body: &Value) -> anyhow::Result<Answer> {
    client.post(&format!("/v1/certificates/{}/revoke", certificate.id), body).await
}

async fn unhold(client: &Client, certificate: &Certificate) -> anyhow::Result<Answer> {
    client.post(&format!("/v1/certificates/{}/unhold", certificate.id), &json!({})).await
}

#[tokio::test]
async fn ocsp_and_crl_learn_of_a_revocation_and_of_a_release() -> anyhow::Result<()> {
    let stack = shared()?;
    let (administrator, public) = (stack.administrator()?, stack.public()?);
    let (certificate, _) = administrator.enrol("client", "told.example.test").await?;
    let subject = Subject::of(&certificate)?;
    let listed = || async {
        let list = public.get("/crl/tls.crl").await?.expect(200)?;
        subject.is_listed(&list.body)
    };
    assert_eq!(subject.ask_ocsp(&public).await?, CertStatus::Good);
    assert!(!listed().await?);

    administrator.revoke(&certificate.id, "certificateHold").await?;
    let held = subject.ask_ocsp(&public).await?;
    assert!(
        matches!(held, CertStatus::Revoked { reason: Some(RevocationReason::CertificateHold), .. }),
        "at once: {held:?}"
    );
    eventually(AGREEMENT, "the CRL lists it", || async { Ok(listed().await?.then_some(())) }).await?;

    let released: Certificate = unhold(&administrator, &certificate).await?.expect(200)?.json()?;
    assert_eq!(released.status, CertificateStatus::Active);
    assert_eq!(subject.ask_ocsp(&public).await?, CertStatus::Good);
    eventually(AGREEMENT, "the CRL lists it no more", || async { Ok((!listed().await?).then_some(())) }).await?;

    administrator.revoke(&certificate.id, "superseded").await?;
    assert!(matches!(subject.ask_ocsp(&public).await?, CertStatus::Revoked { .. }));
    eventually(AGREEMENT, "the CRL lists it again", || async { Ok(listed().await?.then_some(())) }).await?;
    Ok(())
}

#[tokio::test]
async fn the_answer_says_since_when_and_why() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let (certificate, _) = administrator.enrol("client", "why.example.test").await?;
    let date = "2026-01-02T03:04:05Z";
    let body = json!({ "reason": "affiliationChanged", "invalidity_date": date });
    let revoked: Certificate = revoke(&administrator, &certificate, &body).await?.expect(200)?.json()?;
    assert_eq!(revoked.status, CertificateStatus::Revoked);
    let Some(revocation) = revoked.revocation else { anyhow::bail!("it does not say why") };
    assert_eq!(revocation.reason, Reason::AffiliationChanged);
    assert_eq!(revocation.invalidity_date.as_deref(), Some(date));
    assert!(revocation.revoked_at > certificate.not_before);
    Ok(())
}

#[tokio::test]
async fn revoking_twice_for_the_same_reason_is_done_and_for_another_a_conflict() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let (certificate, _) = administrator.enrol("client", "twice.example.test").await?;
    let first = administrator.revoke(&certificate.id, "superseded").await?;
    let again = administrator.revoke(&certificate.id, "superseded").await?;
    assert_eq!(first, again);
    for other in ["cessationOfOperation", "unspecified"] {
        let refused = revoke(&administrator, &certificate, &json!({ "reason": other })).await?;
        let problem = refused.expect_problem(ProblemType::AlreadyRevoked)?;
        let hint = "with reason superseded; only keyCompromise may replace that";
        assert!(problem.detail.contains(hint), "{}", problem.detail);
    }
    Ok(())
}

#[tokio::test]
async fn key_compromise_replaces_a_reason_and_keeps_the_date() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let (certificate, _) = administrator.enrol("client", "upgrade.example.test").await?;
    let first = administrator.revoke(&certificate.id, "superseded").await?;
    let upgraded = administrator.revoke(&certificate.id, "keyCompromise").await?;
    let dates = [first, upgraded].map(|certificate| certificate.revocation.map(|revocation| revocation.revoked_at));
    assert_eq!(dates[0], dates[1]);
    let refused = revoke(&administrator, &certificate, &json!({ "reason": "superseded" })).await?;
    let problem = refused.expect_problem(ProblemType::AlreadyRevoked)?;
    assert!(problem.detail.contains("with reason keyCompromise; nothing may replace that"), "{}", problem.detail);
    Ok(())
}

#[tokio::test]
async fn a_compromised_key_stays_out() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let key = SubjectKey::generate()?;
    let host = "compromised.example.test";
    let first = administrator.issue(&request("client", key.csr(host, &[host])?)).await?;
    let sibling = administrator.issue(&request("server", key.csr(host, &[host])?)).await?;
    let revoked = revoke(&administrator, &first, &json!({ "reason": "keyCompromise" })).await?.expect(200)?;
    assert_eq!(
        revoked.json::<RevokedCertificate>()?.same_key,
        std::slice::from_ref(&sibling.id),
        "what else to revoke"
    );
    let asked = administrator.post(route::CERTIFICATES, &request("client", key.csr(host, &[host])?)).await?;
    let problem = asked.expect_problem(ProblemType::KeyBlocked)?;
    assert!(problem.detail.contains("make a new key"), "{}", problem.detail);
    // The same key in another certificate: not renewed with it either, but with a new one.
    let path = format!("/v1/certificates/{}/renew", sibling.id);
    administrator.post(&path, &json!({ "reuse_key": true })).await?.expect_problem(ProblemType::KeyBlocked)?;
    let new_key = SubjectKey::generate()?.csr(host, &[host])?;
    administrator.post(&path, &json!({ "csr": new_key })).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn only_what_is_on_hold_is_released() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let (certificate, _) = administrator.enrol("client", "hold.example.test").await?;
    let problem = unhold(&administrator, &certificate).await?.expect_problem(ProblemType::NotHeld)?;
    assert!(problem.detail.contains("in force and not on hold"), "{}", problem.detail);
    administrator.revoke(&certificate.id, "certificateHold").await?;
    // A hold may become a revocation; a revocation is for good.
    administrator.revoke(&certificate.id, "privilegeWithdrawn").await?;
    let hold = json!({ "reason": "certificateHold" });
    for answer in [unhold(&administrator, &certificate).await?, revoke(&administrator, &certificate, &hold).await?] {
        let problem = answer.expect_problem(ProblemType::AlreadyRevoked)?;
        let hint =
            "revoked for good, with reason privilegeWithdrawn, and can be neither held nor released; ask for a new one";
        assert!(problem.detail.contains(hint), "{}", problem.detail);
    }
    Ok(())
}

#[tokio::test]
async fn an_unknown_reason_is_answered_with_those_there_are() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let (certificate, _) = administrator.enrol("client", "reason.example.test").await?;
    for reason in ["keycompromise", "removeFromCRL", "lost", ""] {
        let refused = revoke(&administrator, &certificate, &json!({ "reason": reason })).await?;
        let problem = refused.expect_problem(ProblemType::MalformedRequest)?;
        assert!(problem.detail.contains("keyCompromise"), "{}", problem.detail);
    }
    Ok(())
}

#[tokio::test]
async fn a_date_that_cannot_be_is_refused() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let (certificate, _) = administrator.enrol("client", "date.example.test").await?;
    for (date, code) in [("2999-01-01T00:00:00Z", "invalidity-date-in-future"), ("yesterday", "time-invalid")] {
        let body = json!({ "reason": "keyCompromise", "invalidity_date": date });
        let refused = revoke(&administrator, &certificate, &body).await?;
        let problem = refused.expect_problem(ProblemType::InvalidRequest)?;
        assert_eq!((problem.errors[0].code.as_str(), problem.errors[0].pointer.as_str()), (code, "/invalidity_date"));
    }
    Ok(())
}
