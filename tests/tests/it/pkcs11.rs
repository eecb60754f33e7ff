//! Authorities whose keys are in a token behind PKCS#11: which key is used, where it is said, and a token that is pulled out. The main
//! job with such keys is in [`super::homes`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::ensure;
use ca_api::health::Readiness;
use ca_api::route;
use ca_core::ocsp::CertStatus;
use ca_e2e::cli::Terminal;
use ca_e2e::client::eventually;
use ca_e2e::identity::{SubjectKey, request};
use ca_e2e::stack::{PATIENCE, Site};
use ca_e2e::status::Subject;
use ca_e2e::token_keys::{TokenKeys, borrowed};
use ca_test_services::SoftHsm;
use tokio::time::Instant;

#[test]
fn what_is_on_record_names_a_key_and_no_way_to_it() -> anyhow::Result<()> {
    let token = TokenKeys::new()?;
    let settings = token.settings("p256");
    let stack = Site::initialised(&borrowed(&settings))?.serve()?;
    let record = stack.record_octets()?;
    let contains = |part: &str| record.windows(part.len()).any(|octets| octets == part.as_bytes());
    ensure!(contains("pkcs11:token=hsm;object=tls-ca"), "the URI is on record");
    ensure!(!contains(SoftHsm::PIN) && !contains(SoftHsm::MODULE));
    Ok(())
}

#[test]
fn init_uses_the_key_that_is_there_and_makes_none_that_nobody_asked_for() -> anyhow::Result<()> {
    let token = TokenKeys::new()?;
    let mut settings = token.way();
    settings.push(("CA__AUTHORITY__TLS__KEY", "pkcs11:token=hsm;id=%0a%0b".to_owned()));
    let site = Site::empty(&borrowed(&settings))?;
    let (succeeded, said) = site.run(&["init"])?;
    ensure!(!succeeded && said.contains("no private key with id 0a0b") && said.contains("`key_type`"), "{said}");
    token.hsm.make_key(TokenKeys::LABEL, "made elsewhere", "0a0b", "EC:secp384r1")?;
    let before = token.hsm.objects(TokenKeys::LABEL)?;
    let mut wrong = site;
    wrong.set("CA__AUTHORITY__TLS__KEY_TYPE", "rsa2048");
    let (succeeded, said) = wrong.run(&["init"])?;
    ensure!(!succeeded && said.contains("is p384") && said.contains("key_type"), "{said}");
    let mut site = wrong;
    site.set("CA__AUTHORITY__TLS__KEY_TYPE", "p384");
    let (succeeded, said) = site.run(&["init"])?;
    ensure!(succeeded, "{said}");
    ensure!(token.hsm.objects(TokenKeys::LABEL)? == before, "nothing was made in the token");
    Ok(())
}

#[test]
fn local_mode_signs_with_keys_in_a_token() -> anyhow::Result<()> {
    let token = TokenKeys::new()?;
    let settings = token.settings("p256");
    let site = Site::initialised(&borrowed(&settings))?;
    let terminal = Terminal::local_at(&site)?;
    terminal.done(&["issue", "client", "cliente"])?;
    ensure!(terminal.path("cliente.crt").exists());
    // A key that never leaves its token is not exported.
    terminal.write("passphrase", "a passphrase for the copy\n")?;
    let export = ["authority", "export-key", "tls", "--out", "tls.key", "--passphrase-file", "passphrase"];
    terminal.refused(1, &export, &["which it never leaves", "object=tls-ca"])?;
    Ok(())
}

/// Issues certificates again and again, until it is told to stop; every one that is given out verifies, or the harness fails.
struct Load {
    issued: AtomicU64,
    refused: AtomicU64,
    is_over: AtomicBool,
}

impl Load {
    async fn more(&self, what: &str, count: &AtomicU64) -> anyhow::Result<()> {
        let before = count.load(Ordering::SeqCst);
        eventually(PATIENCE, what, || async { Ok((count.load(Ordering::SeqCst) > before + 3).then_some(())) }).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_pulled_out_under_load_and_put_back_signs_again() -> anyhow::Result<()> {
    let token = TokenKeys::new()?;
    let settings = token.settings("p256");
    let stack = Site::initialised(&borrowed(&settings))?.serve()?;
    let (before, _) = stack.administrator()?.enrol("client", "before.token.example").await?;
    let subject = Subject::of(&before)?;
    let load =
        Arc::new(Load { issued: AtomicU64::new(0), refused: AtomicU64::new(0), is_over: AtomicBool::new(false) });
    let key = SubjectKey::generate()?;
    let body = request("client", key.csr("load.token.example", &["load.token.example"])?);
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (load, client, body) = (Arc::clone(&load), stack.administrator()?, body.clone());
        clients.spawn(async move {
            while !load.is_over.load(Ordering::SeqCst) {
                let answer = client.post(route::CERTIFICATES, &body).await?;
                match answer.status {
                    201 => load.issued.fetch_add(1, Ordering::SeqCst),
                    503 => {
                        ensure!(!answer.header("retry-after").is_empty(), "it does not say when to come back");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        load.refused.fetch_add(1, Ordering::SeqCst)
                    }
                    other => anyhow::bail!("{other}: {}", answer.text()),
                };
            }
            anyhow::Ok(())
        });
    }
    load.more("certificates", &load.issued).await?;
    token.hsm.unplug()?;
    load.more("refusals", &load.refused).await?;
    let red = || async {
        let answer = stack.admin()?.get(route::READY).await?;
        let ready: Readiness = answer.json()?;
        let key = ready.checks.unwrap_or_default().into_iter().find(|check| check.name == "key:tls");
        anyhow::Ok(key.and_then(|check| check.detail))
    };
    // At first it may say no more than that the key is not to be found.
    let told = || async { Ok(red().await?.filter(|why| why.contains("no token token=hsm"))) };
    let why = eventually(PATIENCE, "/ready tells of the token", told).await?;
    ensure!(why.contains("[pkcs11.hsm]") && why.contains("plug it in"), "{why}");
    ensure!(subject.ask_ocsp(&stack.public()?).await? == CertStatus::Good);
    stack.public()?.get("/crl/tls.crl").await?.expect(200)?;
    token.hsm.plug_in()?;
    let returned = Instant::now();
    load.more("certificates after its return", &load.issued).await?;
    println!("issues {:?} after the token returned", returned.elapsed());
    eventually(PATIENCE, "/ready is green again", || async { Ok(red().await?.is_none().then_some(())) }).await?;
    load.is_over.store(true, Ordering::SeqCst);
    while let Some(client) = clients.join_next().await {
        client??;
    }
    println!("{} issued, {} refused", load.issued.load(Ordering::SeqCst), load.refused.load(Ordering::SeqCst));
    Ok(())
}
