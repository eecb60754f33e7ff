//! What a service tells when KMS does not sign for it: what is wrong and what would be right, in the log and at `/ready`; the status
//! of certificates is told all the same.

use anyhow::{Context, ensure};
use ca_api::health::Readiness;
use ca_api::problem::ProblemType;
use ca_api::route;
use ca_core::ocsp::CertStatus;
use ca_e2e::client::eventually;
use ca_e2e::identity::{SubjectKey, request};
use ca_e2e::kms::KmsAuthorities;
use ca_e2e::stack::{PATIENCE, Site, Stack};
use ca_e2e::status::Subject;
use ca_test_doubles::{KeySpec, KeyState};

/// What `/ready` of the admin listener says about the key of `tls`; `None` when that is in order.
async fn complaint(stack: &Stack) -> anyhow::Result<Option<String>> {
    let answer = stack.admin()?.get(route::READY).await?;
    let ready: Readiness = answer.json()?;
    let checks = ready.checks.context("details")?;
    let check = checks.into_iter().find(|check| check.name == "key:tls").context("no look at the key")?;
    ensure!((answer.status == 503) || check.ready, "red in detail is red as a whole: {}", answer.text());
    Ok(check.detail)
}

/// Waits until `/ready` complains, and holds what it says against `parts`; the status of a certificate is told meanwhile, and no
/// certificate is issued.
async fn is_told(stack: &Stack, subject: &Subject, parts: &[&str]) -> anyhow::Result<()> {
    let why = eventually(PATIENCE, "the service says that its key cannot be used", || complaint(stack)).await?;
    for part in parts {
        ensure!(why.contains(part), "`{part}` is missing in: {why}");
    }
    let public = stack.public()?;
    ensure!(subject.ask_ocsp(&public).await? == CertStatus::Good);
    public.get("/crl/tls.crl").await?.expect(200)?;
    let key = SubjectKey::generate()?;
    let body = request("client", key.csr("refused.example", &["refused.example"])?);
    let answer = stack.administrator()?.post(route::CERTIFICATES, &body).await?;
    let problem = answer.expect_problem(ProblemType::Unavailable)?;
    ensure!(!answer.header("retry-after").is_empty() && !problem.detail.contains("arn:aws"), "{}", answer.text());
    let said = stack.logs().join("\n");
    for part in parts {
        ensure!(said.contains(part), "`{part}` is missing in the log: {said}");
    }
    ensure!(!said.contains("a-secret-of-the-tests"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_does_not_sign_is_told_with_what_would_be_right_and_status_is_served() -> anyhow::Result<()> {
    let authorities = KmsAuthorities::start()?;
    let (kms, tls) = (&authorities.kms, authorities.tls.as_str());
    let stack = authorities.initialised(&[])?.serve()?;
    let (certificate, _) = stack.administrator()?.enrol("client", "before.example").await?;
    let subject = Subject::of(&certificate)?;
    // Each is put right before the next; a key that signs again is found out by the service itself.
    let well = || async { Ok(complaint(&stack).await?.is_none().then_some(())) };
    eventually(PATIENCE, "the key signs", well).await?;
    // Asked again half a minute later at the latest; a restart would ask at once.
    let site = stack.stop()?;
    kms.set_state(tls, KeyState::Disabled);
    let stack = site.serve()?;
    is_told(&stack, &subject, &[tls, "DisabledException", "aws kms enable-key --region sa-east-1 --key-id"]).await?;
    kms.set_state(tls, KeyState::PendingDeletion);
    let parts = [tls, "KMSInvalidStateException", "aws kms cancel-key-deletion"];
    eventually(PATIENCE, "another complaint", || async {
        Ok(complaint(&stack).await?.filter(|why| why.contains("pending deletion")))
    })
    .await?;
    is_told(&stack, &subject, &parts).await?;
    kms.set_state(tls, KeyState::Enabled);
    kms.deny("Sign");
    eventually(PATIENCE, "another complaint", || async {
        Ok(complaint(&stack).await?.filter(|why| why.contains("AccessDenied")))
    })
    .await?;
    is_told(&stack, &subject, &[tls, "AccessDeniedException", "the role needs kms:Sign"]).await?;
    kms.allow("Sign");
    kms.set_credentials_expired(true);
    eventually(PATIENCE, "another complaint", || async {
        Ok(complaint(&stack).await?.filter(|why| why.contains("ExpiredToken")))
    })
    .await?;
    is_told(&stack, &subject, &[tls, "ExpiredTokenException", "renew them where they come from"]).await?;
    kms.set_credentials_expired(false);
    eventually(PATIENCE, "the key signs again", || async { Ok(complaint(&stack).await?.is_none().then_some(())) })
        .await?;
    stack.administrator()?.enrol("client", "after.example").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_behind_the_arn_signs_nothing() -> anyhow::Result<()> {
    let authorities = KmsAuthorities::start()?;
    let stack = authorities.initialised(&[])?.serve()?;
    let (certificate, _) = stack.administrator()?.enrol("client", "before.example").await?;
    let subject = Subject::of(&certificate)?;
    let site = stack.stop()?;
    authorities.kms.exchange_material(&authorities.tls);
    let stack = site.serve()?;
    let parts = [
        authorities.tls.as_str(),
        "its public key is not that of the authority's certificate",
        "put the right ARN on record",
    ];
    let why = eventually(PATIENCE, "the service says that its key cannot be used", || complaint(&stack)).await?;
    for part in parts {
        ensure!(why.contains(part), "`{part}` is missing in: {why}");
    }
    ensure!(subject.ask_ocsp(&stack.public()?).await? == CertStatus::Good);
    let key = SubjectKey::generate()?;
    let body = request("client", key.csr("refused.example", &["refused.example"])?);
    let answer = stack.administrator()?.post(route::CERTIFICATES, &body).await?;
    answer.expect_problem(ProblemType::Unavailable)?;
    let said = stack.logs().join("\n");
    ensure!(said.contains("what it signs is not verified by the key of the authority's certificate"), "{said}");
    Ok(())
}

/// `init` over this key of `tls` is refused, and says all of `parts`.
fn init_refuses(authorities: &KmsAuthorities, key: &str, parts: &[&str]) -> anyhow::Result<()> {
    let mut settings = authorities.settings();
    settings.push(("CA__AUTHORITY__TLS__KEY", format!("kms:{key}")));
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let site = Site::empty(&settings)?;
    let (succeeded, said) = site.run(&["init"])?;
    ensure!(!succeeded, "{said}");
    for part in parts {
        ensure!(said.contains(part), "`{part}` is missing in: {said}");
    }
    ensure!(!said.contains("a-secret-of-the-tests"));
    Ok(())
}

#[test]
fn init_says_what_is_wrong_with_a_key_in_kms() -> anyhow::Result<()> {
    let authorities = KmsAuthorities::start()?;
    let tls = &authorities.tls;
    let elsewhere = tls.replace("sa-east-1", "eu-west-1");
    init_refuses(&authorities, &elsewhere, &["InvalidSignatureException", "eu-west-1", "aws.endpoint_url"])?;
    let missing = tls.replace("1234abcd", "5678abcd");
    init_refuses(&authorities, &missing, &["NotFoundException", "there is no such key where the ARN says"])?;
    let symmetric = authorities.kms.create_key(KeySpec::SymmetricDefault);
    init_refuses(&authorities, &symmetric, &["UnsupportedOperationException", "not for signing"])?;
    init_refuses(
        &authorities,
        "arn:aws:kms:sa-east-1:111122223333:alias/tls",
        &["it is an alias, which may be moved", "aws kms describe-key"],
    )?;
    init_refuses(&authorities, &authorities.root, &["the same key as `authority.root.key`"])?;
    authorities.kms.deny("GetPublicKey");
    init_refuses(&authorities, tls, &["AccessDeniedException", "kms:GetPublicKey"])
}
