//! What a service tells when a token does not sign for it: what is wrong and what would be right, in the log and at `/ready`; the
//! status of certificates is told all the same.

use std::fs;

use anyhow::{Context, ensure};
use ca_api::health::Readiness;
use ca_api::problem::ProblemType;
use ca_api::route;
use ca_core::ocsp::CertStatus;
use ca_e2e::client::eventually;
use ca_e2e::identity::{SubjectKey, request};
use ca_e2e::stack::{PATIENCE, Site, Stack};
use ca_e2e::status::Subject;
use ca_e2e::token_keys::{TokenKeys, borrowed};
use ca_test_services::SoftHsm;

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
    ensure!(!answer.header("retry-after").is_empty() && !problem.detail.contains("pkcs11:"), "{}", answer.text());
    let said = stack.logs().join("\n");
    ensure!(said.contains(parts[0]), "`{}` is missing in the log: {said}", parts[0]);
    ensure!(!said.contains(SoftHsm::PIN) && !said.contains("a-wrong-pin"), "a PIN is in the log");
    Ok(())
}

/// A service that had its keys in a token, stopped, and a certificate of it.
async fn stopped() -> anyhow::Result<(TokenKeys, Site, Subject)> {
    let token = TokenKeys::new()?;
    let settings = token.settings("p256");
    let stack = Site::initialised(&borrowed(&settings))?.serve()?;
    let (certificate, _) = stack.administrator()?.enrol("client", "before.example").await?;
    let subject = Subject::of(&certificate)?;
    ensure!(subject.ask_ocsp(&stack.public()?).await? == CertStatus::Good);
    Ok((token, stack.stop()?, subject))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_pin_is_told_and_shown_once_and_the_right_one_needs_no_restart() -> anyhow::Result<()> {
    let (token, site, subject) = stopped().await?;
    fs::write(token.hsm.pin_file(), "a-wrong-pin\n")?;
    let stack = site.serve()?;
    let file = token.hsm.pin_file().display().to_string();
    is_told(&stack, &subject, &["refused the PIN", &file, "not tried again", "put the right PIN there"]).await?;
    // It would open the token now; that it does not shows that nobody tried.
    token.hsm.change_pin(TokenKeys::LABEL, SoftHsm::PIN, "a-wrong-pin")?;
    is_told(&stack, &subject, &["refused the PIN"]).await?;
    token.hsm.change_pin(TokenKeys::LABEL, "a-wrong-pin", SoftHsm::PIN)?;
    fs::write(token.hsm.pin_file(), format!("{}\n", SoftHsm::PIN))?;
    eventually(PATIENCE, "the key signs", || async { Ok(complaint(&stack).await?.is_none().then_some(())) }).await?;
    stack.administrator()?.enrol("client", "after.example").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_in_its_place_signs_nothing() -> anyhow::Result<()> {
    let (token, site, subject) = stopped().await?;
    let exchange = |kind: &str| -> anyhow::Result<()> {
        for object in ["privkey", "pubkey"] {
            token.hsm.remove(TokenKeys::LABEL, object, "tls-ca")?;
        }
        token.hsm.make_key(TokenKeys::LABEL, "tls-ca", "0a", kind)
    };
    exchange("EC:secp256r1")?;
    let stack = site.serve()?;
    let parts = ["is not the one of the authority's certificate", "labelled `tls-ca`", "correct the URI"];
    is_told(&stack, &subject, &parts).await?;
    let site = stack.stop()?;
    exchange("rsa:2048")?;
    let stack = site.serve()?;
    is_told(&stack, &subject, &["it is rsa2048, the certificate has p256", "put the right key there"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_or_module_that_is_not_there_is_told_and_the_service_starts_all_the_same() -> anyhow::Result<()> {
    let (token, site, subject) = stopped().await?;
    token.hsm.unplug()?;
    let stack = site.serve()?;
    is_told(&stack, &subject, &["no token token=hsm", "[pkcs11.hsm]", "plug it in"]).await?;
    token.hsm.plug_in()?;
    eventually(PATIENCE, "the key signs", || async { Ok(complaint(&stack).await?.is_none().then_some(())) }).await?;
    stack.administrator()?.enrol("client", "after.example").await?;
    let mut site = stack.stop()?;
    site.set("CA__PKCS11__HSM__MODULE", "/nowhere/libhsm.so");
    let (succeeded, said) = site.run(&["check-config"])?;
    ensure!(!succeeded && said.contains("pkcs11.hsm") && said.contains("/nowhere/libhsm.so"), "{said}");
    let stack = site.serve()?;
    is_told(&stack, &subject, &["/nowhere/libhsm.so", "[pkcs11.hsm]", "install it, or correct `module`"]).await
}

#[test]
fn check_config_tells_what_of_a_token_cannot_be() -> anyhow::Result<()> {
    let token = TokenKeys::new()?;
    let settings = token.settings("p256");
    let mut site = Site::empty(&borrowed(&settings))?;
    let (succeeded, said) = site.run(&["check-config"])?;
    ensure!(succeeded, "{said}");
    for (setting, value, parts) in [
        ("CA__PKCS11__HSM__PIN_FILE", "/nowhere/pin", ["pkcs11.hsm", "/nowhere/pin"]),
        ("CA__PKCS11__HSM__MODULE", "no-such-module", ["pkcs11.hsm", "no-such-module"]),
        ("CA__PKCS11__HSM__SESSIONS", "0", ["CA__PKCS11__HSM__SESSIONS", "from 1 to 64"]),
        (
            "CA__AUTHORITY__TLS__KEY",
            "pkcs11:token=hsm;object=k?pin-value=31415926",
            ["CA__AUTHORITY__TLS__KEY", "no place"],
        ),
    ] {
        let before = site.set(setting, value);
        let (succeeded, said) = site.run(&["check-config"])?;
        ensure!(!succeeded && parts.iter().all(|part| said.contains(part)), "{setting}: {said}");
        ensure!(!said.contains(SoftHsm::PIN), "a PIN is told: {said}");
        site.set(setting, if before.is_empty() { "4" } else { &before });
    }
    Ok(())
}
