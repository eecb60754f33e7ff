//! What a service tells when AWS Private CA does not issue for it: what is wrong and what would be right, in the log and at `/ready`;
//! the status of certificates is told all the same. And what `init` takes for no authority.

use anyhow::{Context, ensure};
use ca_api::health::Readiness;
use ca_api::problem::ProblemType;
use ca_api::route;
use ca_core::ocsp::CertStatus;
use ca_e2e::acm_pca::AcmPcaAuthority;
use ca_e2e::client::eventually;
use ca_e2e::identity::{SubjectKey, request};
use ca_e2e::stack::{PATIENCE, Site, Stack};
use ca_e2e::status::Subject;
use ca_test_doubles::{AuthorityPlan, AuthorityStatus};

/// What `/ready` of the admin listener says about `tls`; `None` when that is in order.
async fn complaint(stack: &Stack) -> anyhow::Result<Option<String>> {
    let answer = stack.admin()?.get(route::READY).await?;
    let ready: Readiness = answer.json()?;
    let checks = ready.checks.context("details")?;
    let check = checks.into_iter().find(|check| check.name == "key:tls").context("no look at the authority")?;
    ensure!((answer.status == 503) || check.ready, "red in detail is red as a whole: {}", answer.text());
    Ok(check.detail)
}

/// Nothing is issued, and the status of a certificate is told.
async fn issues_nothing(stack: &Stack, subject: &Subject) -> anyhow::Result<()> {
    let public = stack.public()?;
    ensure!(subject.ask_ocsp(&public).await? == CertStatus::Good);
    public.get("/crl/document.crl").await?.expect(200)?;
    let key = SubjectKey::generate()?;
    let body = request("client", key.csr("refused.example", &["refused.example"])?);
    let answer = stack.administrator()?.post(route::CERTIFICATES, &body).await?;
    let problem = answer.expect_problem(ProblemType::Unavailable)?;
    ensure!(!answer.header("retry-after").is_empty() && !problem.detail.contains("arn:aws"), "{}", answer.text());
    Ok(())
}

/// Waits until `/ready` says all of `parts`.
async fn is_told(stack: &Stack, parts: &[&str]) -> anyhow::Result<()> {
    eventually(PATIENCE * 2, "the service says why it cannot issue", || async {
        let why = complaint(stack).await?.unwrap_or_default();
        Ok(parts.iter().all(|part| why.contains(part)).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_does_not_issue_is_told_with_what_would_be_right_and_status_is_served() -> anyhow::Result<()>
{
    let aws = AcmPcaAuthority::start()?;
    let stack = aws.initialised(&[])?.serve()?;
    let (certificate, _) = stack.administrator()?.enrol("client", "before.example").await?;
    let subject = Subject::of(&certificate)?;
    let is_well = || async { Ok(complaint(&stack).await?.is_none().then_some(())) };
    eventually(PATIENCE * 2, "the authority issues", is_well).await?;

    // An authority that issued is asked again half a minute later; a restart asks at once.
    let site = stack.stop()?;
    aws.double.with(|state| state.set_status(&aws.arn, AuthorityStatus::Disabled));
    let stack = site.serve()?;
    issues_nothing(&stack, &subject).await?;
    is_told(&stack, &[&aws.arn, "update-certificate-authority", "--status ACTIVE"]).await?;
    aws.double.deny("IssueCertificate");
    aws.double.with(|state| state.set_status(&aws.arn, AuthorityStatus::Active));
    issues_nothing(&stack, &subject).await?;
    is_told(&stack, &["AccessDeniedException", "the role needs acm-pca:IssueCertificate"]).await?;
    aws.double.set_credentials_expired(true);
    aws.double.allow("IssueCertificate");
    issues_nothing(&stack, &subject).await?;
    is_told(&stack, &["ExpiredTokenException", "renew them where they come from"]).await?;
    aws.double.set_credentials_expired(false);

    let is_well = || async { Ok(complaint(&stack).await?.is_none().then_some(())) };
    eventually(PATIENCE * 2, "the authority issues again", is_well).await?;
    stack.administrator()?.enrol("client", "after.example").await?;
    ensure!(!stack.logs().join("\n").contains("a-secret-of-the-tests"));
    Ok(())
}

/// `init` is refused, and says all of `parts`; nothing is ordered.
fn is_refused(aws: &AcmPcaAuthority, site: &Site, parts: &[&str]) -> anyhow::Result<()> {
    let (succeeded, said) = site.run(&["init"])?;
    ensure!(!succeeded, "{said}");
    for part in parts {
        ensure!(said.contains(part), "`{part}` is missing in: {said}");
    }
    ensure!(aws.issued().is_empty(), "{:?}", aws.issued());
    Ok(())
}

#[test]
fn init_says_what_is_wrong_with_an_authority_of_aws() -> anyhow::Result<()> {
    let aws = AcmPcaAuthority::start()?;
    let with = |key: &str| aws.empty(&[("CA__AUTHORITY__TLS__KEY", key)]);
    let other_region = aws.arn.replace("sa-east-1", "us-east-1");
    is_refused(&aws, &with(&format!("acm-pca:{other_region}"))?, &["us-east-1", "aws.endpoint_url", "region"])?;
    let other = aws.arn.replace("00000000-0000", "99999999-0000");
    is_refused(
        &aws,
        &with(&format!("acm-pca:{other}"))?,
        &["ResourceNotFoundException", "list-certificate-authorities"],
    )?;
    is_refused(&aws, &with("acm-pca:tls")?, &["CA__AUTHORITY__TLS__KEY", "arn:aws:acm-pca:"])?;
    let site = aws.empty(&[("CA__AUTHORITY__ROOT__KEY", &format!("acm-pca:{}", aws.arn))])?;
    is_refused(&aws, &site, &["CA__AUTHORITY__ROOT__KEY", "signs nothing for authorities"])?;
    let mut site = aws.empty(&[])?;
    site.unset("CA__PUBLIC__BASE_URL");
    is_refused(&aws, &site, &["CA__AUTHORITY__TLS__KEY", "set `public.base_url`"])?;
    for (status, helps) in [
        (AuthorityStatus::Disabled, "--status ACTIVE"),
        (AuthorityStatus::PendingCertificate, "import-certificate-authority-certificate"),
    ] {
        aws.double.with(|state| state.set_status(&aws.arn, status));
        is_refused(&aws, &aws.empty(&[])?, &[&aws.arn, helps])?;
    }
    aws.double.with(|state| state.set_status(&aws.arn, AuthorityStatus::Active));
    let short_lived = aws.double.with(|state| -> anyhow::Result<String> {
        let root = state.parent_of(&aws.arn).context("a root")?;
        state
            .add_authority(&AuthorityPlan { short_lived: true, ..AuthorityPlan::below(&root, "Short-lived CA of AWS") })
    })?;
    is_refused(
        &aws,
        &with(&format!("acm-pca:{short_lived}"))?,
        &[&short_lived, "SHORT_LIVED_CERTIFICATE", "seven days", "GENERAL_PURPOSE"],
    )?;
    let (succeeded, said) = aws.empty(&[])?.run(&["check-config"])?;
    ensure!(succeeded && said.contains(&aws.arn) && said.contains("SHORT_LIVED_CERTIFICATE"), "{said}");
    aws.double.deny("DescribeCertificateAuthority");
    is_refused(&aws, &aws.empty(&[])?, &["AccessDeniedException", "acm-pca:DescribeCertificateAuthority"])?;
    Ok(())
}

#[test]
fn init_refuses_an_authority_whose_certificates_do_not_say_where_our_status_is_and_goes_on_when_they_do()
-> anyhow::Result<()> {
    let aws = AcmPcaAuthority::start()?;
    aws.double.with(|state| state.take_access(&aws.arn, false));
    let site = aws.empty(&[])?;
    let (succeeded, said) = site.run(&["init"])?;
    ensure!(!succeeded, "{said}");
    for part in [&aws.arn, "does not say where OCSP", "OcspConfiguration={Enabled=false}", "run `ca-server init` again"]
    {
        ensure!(said.contains(part), "`{part}` is missing in: {said}");
    }
    aws.double.with(|state| state.take_access(&aws.arn, true));
    let (succeeded, said) = site.run(&["init"])?;
    ensure!(succeeded, "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hierarchy_may_lie_at_aws_as_a_whole() -> anyhow::Result<()> {
    let aws = AcmPcaAuthority::start()?;
    let document = aws.double.with(|state| -> anyhow::Result<String> {
        let root = state.parent_of(&aws.arn).context("a root")?;
        state.add_authority(&AuthorityPlan::below(&root, "Document CA of AWS"))
    })?;
    let site = aws.initialised(&[("CA__AUTHORITY__DOCUMENT__KEY", &format!("acm-pca:{document}"))])?;
    ensure!(!site.own_data_folder().join("root/root.key").exists(), "no root of the service's own is made");
    let stack = site.serve()?;
    let administrator = stack.administrator()?;
    for id in ["root", "tls", "document"] {
        administrator.get(&format!("/v1/authorities/{id}")).await?.expect(200)?;
    }
    let mut body = request("document", SubjectKey::generate()?.csr("Ana Souza", &[])?);
    let email = ca_api::certificate::SubjectAlternativeNameType::Email;
    body.subject_alternative_names = Some(vec![ca_e2e::identity::name(email, "ana@pca.example")]);
    let certificate = administrator.issue(&body).await?;
    ensure!(Subject::of(&certificate)?.ask_ocsp(&stack.public()?).await? == CertStatus::Good);
    let (succeeded, said) = stack.stop()?.run(&["init"])?;
    ensure!(succeeded && said.contains("the hierarchy was there already"), "{said}");
    Ok(())
}
