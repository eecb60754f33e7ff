//! A clock that is wrong, and the ends of validities: nothing is signed that would not be believed, and the service says so.

use anyhow::{Context, ensure};
use ca_api::health::Readiness;
use ca_api::problem::ProblemType;
use ca_api::route;
use ca_api::token::{CreatedEnrolmentToken, NewEnrolmentToken};
use ca_core::ocsp::{CertIdHash, CertStatus, ParsedResponse, ResponderError};
use ca_e2e::client::{Client, eventually, send};
use ca_e2e::fake_clock::FakeClock;
use ca_e2e::identity::{SubjectKey, dns, request};
use ca_e2e::outage::{AGREEMENT, Lists};
use ca_e2e::stack::{PATIENCE, Site, Stack};
use ca_e2e::status::Subject;
use reqwest::Method;

#[tokio::test(flavor = "multi_thread")]
async fn starts_with_a_clock_before_its_lists_and_signs_nothing() -> anyhow::Result<()> {
    let mut site = Site::initialised(&[])?;
    let clock = FakeClock::of(&mut site)?;
    let stack = site.serve()?;
    let administrator = stack.administrator()?;
    let (known, _) = administrator.enrol("server", "known.example").await?;
    let token = token(&administrator, "asked.example", None).await?;
    let mut lists = Lists::default();
    lists.fetch(&stack.public()?).await?;
    let mut site = stack.stop()?;
    // The second is before the beginning of every authority.
    for offset in ["-1h", "-400d"] {
        clock.set(offset)?;
        let stack = site.serve().with_context(|| format!("with the clock at {offset}"))?;
        let why = not_ready(&stack, "clock").await?;
        ensure!(why.contains("the clock was set back"), "{why}");
        ensure!(stack.public()?.get(route::READY).await?.status == 503, "ready for the public at {offset}");
        let refused = stack.bearer(&token)?.post(route::CERTIFICATES, &order("asked.example")?).await?;
        let problem = refused.expect_problem(ProblemType::SigningSuspended)?;
        ensure!(problem.detail.contains("its operator must set the clock"), "{}", problem.detail);
        ensure!(ocsp_error(&stack, &Subject::of(&known)?).await? == Some(ResponderError::TryLater), "OCSP answered");
        // Lists that were signed are served all the same.
        lists.fetch(&stack.public()?).await?;
        ensure!(stack.logs().iter().any(|line| line.contains("the clock is wrong: nothing is signed")), "silent log");
        site = stack.stop()?;
    }
    clock.set("+0")?;
    let stack = site.serve()?;
    ready(&stack).await?;
    stack.bearer(&token)?.issue(&order("asked.example")?).await?;
    ensure!(Subject::of(&known)?.ask_ocsp(&stack.public()?).await? == CertStatus::Good, "OCSP has not recovered");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_signing_when_the_clock_is_set_back_and_begins_again_when_it_is_right() -> anyhow::Result<()> {
    let mut site = Site::initialised(&[])?;
    let clock = FakeClock::of(&mut site)?;
    let stack = site.serve()?;
    let (administrator, public) = (stack.administrator()?, stack.public()?);
    let (certificate, _) = administrator.enrol("server", "revoked.example").await?;
    let subject = Subject::of(&certificate)?;
    let mut lists = Lists::default();
    let before = lists.fetch(&public).await?.number();

    // Less than the five minutes that certificates are backdated: the administrator is still let in.
    clock.set("-3m")?;
    let refused = administrator.post(route::CERTIFICATES, &order("refused.example")?).await?;
    refused.expect_problem(ProblemType::SigningSuspended)?;
    // A revocation waits for no clock; what tells of it is signed later, and nothing says `good` meanwhile.
    administrator.revoke(&certificate.id, "superseded").await?;
    ensure!(ocsp_error(&stack, &subject).await? == Some(ResponderError::TryLater), "OCSP answered");
    let why = eventually(PATIENCE, "not ready", || async { Ok(not_ready(&stack, "clock").await.ok()) }).await?;
    ensure!(why.contains("the clock was set back"), "{why}");
    ensure!(lists.fetch(&public).await?.number() == before, "a list was made with a wrong clock");

    clock.set("+0")?;
    eventually(PATIENCE, "ready", || async { Ok(ready(&stack).await.ok()) }).await?;
    ensure!(matches!(subject.ask_ocsp(&public).await?, CertStatus::Revoked { .. }), "not revoked in OCSP");
    eventually(AGREEMENT, "the revocation in the CRL", || async {
        let list = public.get("/crl/tls.crl").await?.expect(200)?;
        Ok(subject.is_listed(&list.body)?.then_some(()))
    })
    .await?;
    lists.fetch(&public).await?;
    administrator.issue(&order("issued.example")?).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_an_enrolment_token_after_its_end() -> anyhow::Result<()> {
    let mut site = Site::initialised(&[])?;
    let clock = FakeClock::of(&mut site)?;
    let stack = site.serve()?;
    let secret = token(&stack.administrator()?, "late.example", Some("1h")).await?;
    clock.set("+2h")?;
    let late = stack.bearer(&secret)?.post(route::CERTIFICATES, &order("late.example")?).await?;
    late.expect_problem(ProblemType::TokenExpired)?;
    Ok(())
}

/// A token for one name.
async fn token(administrator: &Client, name: &str, validity: Option<&str>) -> anyhow::Result<String> {
    let wanted = NewEnrolmentToken {
        profile: "server".to_owned(),
        subject_alternative_names: vec![dns(name)],
        common_name: None,
        validity: validity.map(str::to_owned),
        uses: Some(10),
    };
    let made = administrator.post(route::ENROLMENT_TOKENS, &wanted).await?.expect(201)?;
    Ok(made.json::<CreatedEnrolmentToken>()?.secret.expose().to_owned())
}

fn order(name: &str) -> anyhow::Result<ca_api::certificate::NewCertificate> {
    Ok(request("server", SubjectKey::generate()?.csr(name, &[name])?))
}

/// The error that OCSP answers with, if it is one.
async fn ocsp_error(stack: &Stack, subject: &Subject) -> anyhow::Result<Option<ResponderError>> {
    let public = stack.public()?;
    let request = public.request(Method::POST, route::OCSP).header("content-type", "application/ocsp-request");
    let answer = send(request.body(subject.ocsp_request(CertIdHash::Sha1))).await?.expect(200)?;
    Ok(match ParsedResponse::from_der(&answer.body)? {
        ParsedResponse::Failed(error) => Some(error),
        ParsedResponse::Answered(_) => None,
    })
}

/// Why a check of `/ready` is red, as the admin listener tells it.
async fn not_ready(stack: &Stack, check: &str) -> anyhow::Result<String> {
    let readiness: Readiness = stack.admin()?.get(route::READY).await?.expect(503)?.json()?;
    let checks = readiness.checks.context("no checks on the admin listener")?;
    let red = checks.into_iter().find(|found| found.name == check && !found.ready);
    red.and_then(|found| found.detail).with_context(|| format!("`{check}` is not red"))
}

async fn ready(stack: &Stack) -> anyhow::Result<()> {
    stack.admin()?.get(route::READY).await?.expect(200).map(drop)
}
