//! Events reach webhooks: signed, in order, whatever becomes of the receiver; and what people do about those that do not.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use ca_api::audit::AuditEvent;
use ca_api::outbox::{Delivery, DeliveryState};
use ca_api::page::Page;
use ca_api::problem::ProblemType;
use ca_e2e::client::{Client, eventually};
use ca_e2e::receiver::{Inbox, Receiver};
use ca_e2e::stack::Stack;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use crate::cli_remote;

const SECRET: &str = "a secret that the receiver has as well, of enough octets";

/// Pauses that a test can wait for.
const QUICK: [(&str, &str); 2] = [("CA__OUTBOX__FIRST_RETRY", "1s"), ("CA__OUTBOX__LONGEST_RETRY", "2s")];

/// What takes seconds here takes longer on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// A file with the secret, in a folder that goes with it.
fn secret_file() -> anyhow::Result<(tempfile::TempDir, PathBuf)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("webhook.secret");
    std::fs::write(&file, format!("{SECRET}\n"))?;
    Ok((folder, file))
}

/// A service with one webhook.
fn service(url: &str, secret: &std::path::Path, changes: &[(&str, &str)]) -> anyhow::Result<Stack> {
    let secret = secret.to_str().context("a path")?;
    let webhook = [("CA__WEBHOOK__INVENTORY__URL", url), ("CA__WEBHOOK__INVENTORY__SECRET_FILE", secret)];
    Stack::with(&[&webhook, &QUICK[..], changes].concat())
}

async fn outbox(client: &Client, query: &str) -> anyhow::Result<Vec<Delivery>> {
    let page: Page<Delivery> = client.get(&format!("/v1/outbox{query}")).await?.expect(200)?.json()?;
    Ok(page.items)
}

async fn all_taken(client: &Client) -> anyhow::Result<()> {
    let empty = || async { Ok(outbox(client, "").await?.is_empty().then_some(())) };
    eventually(SOON, "nothing waits to be delivered", empty).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_revocation_arrives_in_order_though_the_receiver_refuses_and_dies() -> anyhow::Result<()> {
    let inbox = Inbox::default();
    inbox.refuse(3, "503 Service Unavailable");
    let receiver = Receiver::start(&inbox, None, None).await?;
    let (_folder, secret) = secret_file()?;
    let stack = service(&receiver.url(), &secret, &[])?;
    let administrator = stack.administrator()?;
    let mut changed = Vec::new();
    for number in 0..4 {
        let (certificate, _) = administrator.enrol("client", &format!("before-{number}.example.com")).await?;
        administrator.revoke(&certificate.id, "certificateHold").await?;
        changed.push(certificate.id);
    }
    // It is killed, and what happens meanwhile waits.
    let address = receiver.die().await;
    for id in &changed {
        administrator.post(&format!("/v1/certificates/{id}/unhold"), &serde_json::json!({})).await?.expect(200)?;
        administrator.revoke(id, "superseded").await?;
    }
    let waiting = || async {
        let waiting = outbox(&administrator, "?state=pending").await?;
        Ok(waiting.into_iter().find(|delivery| delivery.last_error.is_some()))
    };
    let waiting = eventually(SOON, "an attempt has failed", waiting).await?;
    ensure!(waiting.sink == "inventory" && waiting.next_attempt_at.is_some(), "{waiting:?}");
    ensure!(waiting.last_error.as_ref().is_some_and(|error| !error.contains("tenant")), "{waiting:?}");
    // It comes back.
    let _receiver = Receiver::start(&inbox, Some(address), None).await?;
    let expected = ["certificate.issued", "certificate.revoked", "certificate.released", "certificate.revoked"];
    for id in &changed {
        let told = || async { Ok((inbox.topics(id).len() >= expected.len()).then_some(())) };
        eventually(SOON, "everything arrives", told).await?;
        ensure!(inbox.topics(id) == expected, "{:?}", inbox.topics(id));
    }
    all_taken(&administrator).await?;
    ensure!(inbox.verify(SECRET)? >= 16, "{} requests", inbox.taken().len());
    ensure!(inbox.verify("another secret").is_err(), "the check can fail");
    let bodies: String = inbox.taken().iter().map(|taken| taken.body.clone()).collect();
    ensure!(!bodies.contains("example.com"), "a name: {bodies}");
    // Counted when it is on record, or a moment later.
    let admin = Client::plain(&stack.admin_url())?;
    for (outcome, at_least) in [("delivered", 16.0), ("retried", 3.0)] {
        eventually(SOON, "what was told is counted", || async {
            let metrics = admin.get("/metrics").await?.expect(200)?.text();
            let line = metrics.lines().find(|line| {
                line.starts_with("ca_outbox_deliveries_total") && line.contains("inventory") && line.contains(outcome)
            });
            let Some(count) = line.and_then(|line| line.rsplit(' ').next()) else { return Ok(None) };
            Ok((count.parse::<f64>()? >= at_least).then_some(()))
        })
        .await?;
    }
    let metrics = admin.get("/metrics").await?.expect(200)?.text();
    ensure!(metrics.contains("ca_outbox_dead_letters{sink=\"inventory\"} 0"), "{metrics}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_told_over_tls_by_the_ca_that_is_named_and_no_other() -> anyhow::Result<()> {
    let identity = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![identity.cert.der().clone()], key)?;
    let inbox = Inbox::default();
    let receiver = Receiver::start(&inbox, None, Some(TlsAcceptor::from(Arc::new(config)))).await?;
    let (folder, secret) = secret_file()?;
    let roots = folder.path().join("events-ca.pem");
    std::fs::write(&roots, identity.cert.pem())?;
    let (url, roots, secret_text) = (receiver.url(), roots.display().to_string(), secret.display().to_string());
    let changes = [
        ("CA__WEBHOOK__INVENTORY__CA_FILE", roots.as_str()),
        // The same receiver, with nothing that says whom to trust.
        ("CA__WEBHOOK__NO_TRUST__URL", url.as_str()),
        ("CA__WEBHOOK__NO_TRUST__SECRET_FILE", secret_text.as_str()),
    ];
    let stack = service(&url, &secret, &changes)?;
    let administrator = stack.administrator()?;
    let (certificate, _) = administrator.enrol("client", "tls.example.com").await?;
    let told = || async { Ok((!inbox.topics(&certificate.id).is_empty()).then_some(())) };
    eventually(SOON, "the receiver that is trusted is told", told).await?;
    ensure!(inbox.topics(&certificate.id) == ["certificate.issued"]);
    inbox.verify(SECRET)?;
    let distrusted = || async {
        let waiting = outbox(&administrator, "").await?;
        Ok(waiting.into_iter().find(|delivery| delivery.last_error.is_some()))
    };
    let distrusted = eventually(SOON, "the other is not", distrusted).await?;
    let error = distrusted.last_error.unwrap_or_default();
    ensure!(distrusted.sink == "no-trust" && error.contains("not to be trusted"), "{}: {error}", distrusted.sink);
    ensure!(error.contains("ca_file"), "says what would be right: {error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_listed_and_replayed_by_those_who_may() -> anyhow::Result<()> {
    let inbox = Inbox::default();
    inbox.refuse(usize::MAX, "422 Unprocessable Content");
    let receiver = Receiver::start(&inbox, None, None).await?;
    let (_folder, secret) = secret_file()?;
    let stack = service(&receiver.url(), &secret, &[("CA__OUTBOX__MAX_ATTEMPTS", "1")])?;
    let administrator = stack.administrator()?;
    let (certificate, identity) = administrator.enrol("client", "dead.example.com").await?;
    let letter = || async {
        let dead = outbox(&administrator, "?state=dead&limit=1000").await?;
        Ok(dead.into_iter().find(|delivery| delivery.certificate.as_deref() == Some(&*certificate.id)))
    };
    let letter = eventually(SOON, "a dead letter", letter).await?;
    ensure!(
        letter.state == DeliveryState::Dead && letter.attempts == 1 && letter.next_attempt_at.is_none(),
        "{letter:?}"
    );
    ensure!(letter.last_error.as_ref().is_some_and(|error| error.contains("422")), "{letter:?}");
    // Its holder neither sees nor replays it; nobody replays what is not there.
    let holder = stack.holder(&identity)?;
    let replay = |id: &str| format!("/v1/outbox/{id}/replay");
    holder.get("/v1/outbox").await?.expect_problem(ProblemType::AccessDenied)?;
    holder.post(&replay(&letter.id), &()).await?.expect_problem(ProblemType::AccessDenied)?;
    administrator
        .post(&replay("0199f0c2-7a3e-7c51-9d2e-5b1f0a6c4d21"), &())
        .await?
        .expect_problem(ProblemType::NotFound)?;
    administrator.post(&replay("42"), &()).await?.expect_problem(ProblemType::NotFound)?;
    administrator.get("/v1/outbox?state=lost").await?.expect_problem(ProblemType::MalformedRequest)?;
    // One by the API, the rest by the command.
    inbox.refuse(0, "");
    let replayed: Delivery = administrator.post(&replay(&letter.id), &()).await?.expect(200)?.json()?;
    ensure!(replayed.id == letter.id && replayed.state == DeliveryState::Pending && replayed.attempts == 0);
    let told = || async { Ok((!inbox.topics(&certificate.id).is_empty()).then_some(())) };
    eventually(SOON, "it is told after all", told).await?;
    ensure!(inbox.taken().iter().any(|taken| taken.id == letter.id), "under its name");
    let terminal = cli_remote::administrator(&stack)?;
    let dead: Vec<Delivery> = terminal.json(&["outbox", "list", "--state", "dead", "--limit", "0"])?;
    ensure!(!dead.is_empty() && dead.iter().all(|delivery| delivery.state == DeliveryState::Dead), "{dead:?}");
    let shown = terminal.done(&["outbox", "replay", "--all"])?;
    ensure!(dead.iter().all(|delivery| shown.contains(&delivery.id)), "{shown}");
    all_taken(&administrator).await?;
    ensure!(terminal.json::<Vec<Delivery>>(&["outbox", "list"])?.is_empty());
    terminal.refused(1, &["outbox", "replay", &letter.id], &["no such event"])?;
    let audited = || async {
        let path = format!("/v1/audit?action=delivery-replayed&subject=delivery:{}", letter.id);
        let page: Page<AuditEvent> = administrator.get(&path).await?.expect(200)?.json()?;
        Ok(page.items.into_iter().next())
    };
    let event = eventually(SOON, "the replay is on record", audited).await?;
    ensure!(event.details["sink"] == "inventory" && event.request_id.is_some(), "{event:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_before_there_was_a_webhook_is_told_by_the_job_on_its_own() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let administrator = stack.administrator()?;
    let (certificate, _) = administrator.enrol("client", "early.example.com").await?;
    ensure!(outbox(&administrator, "").await?.is_empty(), "nobody is to be told");
    let mut site = stack.stop()?;
    let inbox = Inbox::default();
    let receiver = Receiver::start(&inbox, None, None).await?;
    let (_folder, secret) = secret_file()?;
    site.set("CA__WEBHOOK__INVENTORY__URL", &receiver.url());
    site.set("CA__WEBHOOK__INVENTORY__SECRET_FILE", secret.to_str().context("a path")?);
    let (listed, said) = site.run(&["job", "list"])?;
    ensure!(listed && said.contains("outbox"), "{said}");
    let (done, said) = site.run(&["job", "run", "outbox"])?;
    ensure!(done && said.contains("outbox: done"), "{said}");
    ensure!(inbox.topics(&certificate.id) == ["certificate.issued"], "{:?}", inbox.taken());
    inbox.verify(SECRET)?;
    // What cannot work is told by `check-config`, all at once and without the secret.
    std::fs::write(&secret, "hunter2")?;
    site.set("CA__WEBHOOK__OTHER__URL", &receiver.url());
    site.set("CA__WEBHOOK__OTHER__SECRET_FILE", "/nonexistent/secret");
    let (fine, said) = site.run(&["check-config"])?;
    ensure!(!fine && said.contains("webhook.inventory") && said.contains("webhook.other"), "{said}");
    ensure!(said.contains("7 octets") && !said.contains("hunter2"), "{said}");
    Ok(())
}
