//! Rollovers that the configuration asks for: told of ahead, made when they are due where the root's key can be used, and asked for
//! where it cannot. Never without being asked for. Clocks are set for the programs, and so the
//! record is the embedded one: a database has a clock of its own.

use anyhow::{Context, ensure};
use ca_api::authority::Authority;
use ca_api::certificate::Certificate;
use ca_e2e::cli::Terminal;
use ca_e2e::client::eventually;
use ca_e2e::fake_clock::FakeClock;
use ca_e2e::kms::KmsAuthorities;
use ca_e2e::stack::{EMBEDDED, PATIENCE, Site};
use ca_e2e::tools::openssl;

const EVERY_YEAR: (&str, &str) = ("CA__AUTHORITY__TLS__ROLLOVER_EVERY", "365d");

/// What one run of the job says.
fn job(site: &Site) -> anyhow::Result<String> {
    let (succeeded, said) = site.run(&["job", "run", "scheduled-rollover"])?;
    ensure!(succeeded, "{said}");
    Ok(said)
}

fn authorities(site: &Site) -> anyhow::Result<Vec<String>> {
    let listed: Vec<Authority> = Terminal::local_at(site)?.json(&["authority", "list"])?;
    let mut ids: Vec<String> = listed.into_iter().map(|authority| authority.id).collect();
    ids.sort();
    Ok(ids)
}

/// Which authority issues now.
fn issuer(site: &Site, name: &str) -> anyhow::Result<String> {
    let terminal = Terminal::local_at(site)?;
    terminal.done(&["issue", "client", name])?;
    let listed: Vec<Certificate> = terminal.json(&["list"])?;
    let issued = listed.into_iter().find(|certificate| certificate.subject.contains(name));
    Ok(issued.with_context(|| format!("no certificate of {name}"))?.authority)
}

#[tokio::test]
async fn the_next_generation_is_made_when_it_is_due_and_the_roots_key_can_be_used_here() -> anyhow::Result<()> {
    let keys = KmsAuthorities::start()?;
    let mut site = keys.initialised(&[EMBEDDED, ("CA__AUTHORITY__TLS__KEY", "software:p256")])?;
    let clock = FakeClock::of(&mut site)?;
    site.set(EVERY_YEAR.0, EVERY_YEAR.1);
    clock.set("+300d")?;
    let said = job(&site)?;
    ensure!(said.contains("0 changed") && !said.contains("next generation"), "{said}");
    clock.set("+340d")?;
    let said = job(&site)?;
    ensure!(said.contains("0 changed") && said.contains("the next generation will be made then, by itself"), "{said}");
    ensure!(authorities(&site)? == ["document", "root", "tls"]);

    // Nobody asked: whatever time has come, nothing is done.
    clock.set("+366d")?;
    site.unset(EVERY_YEAR.0);
    ensure!(job(&site)?.contains("0 changed") && authorities(&site)? == ["document", "root", "tls"]);
    // The server does it by itself, and once.
    site.set(EVERY_YEAR.0, EVERY_YEAR.1);
    let stack = site.serve()?;
    let public = stack.public()?;
    eventually(PATIENCE, "the next generation", async || {
        Ok((public.get("/ca/tls-2.pem").await?.status == 200).then_some(()))
    })
    .await?;
    eventually(PATIENCE, "that is told", async || {
        Ok(stack.logs().iter().any(|line| line.contains("its certificate to every gateway")).then_some(()))
    })
    .await?;
    let metrics = stack.admin()?.get("/metrics").await?.expect(200)?.text();
    ensure!(metrics.contains("ca_authority_rollover_due_timestamp_seconds{authority=\"tls\"}"), "{metrics}");
    let site = stack.stop()?;
    ensure!(job(&site)?.contains("0 changed"));
    ensure!(issuer(&site, "before")? == "tls", "a day lies between the announcement and the first certificate");
    clock.set("+368d")?;
    ensure!(issuer(&site, "after")? == "tls-2");
    ensure!(job(&site)?.contains("0 changed"));
    // Another year.
    clock.set("+735d")?;
    ensure!(job(&site)?.contains("1 changed"));
    ensure!(authorities(&site)? == ["document", "root", "tls", "tls-2", "tls-3"], "{:?}", authorities(&site)?);
    Ok(())
}

#[test]
fn a_request_is_written_when_the_roots_key_is_elsewhere() -> anyhow::Result<()> {
    let mut site = Site::initialised(&[EMBEDDED, EVERY_YEAR])?;
    let clock = FakeClock::of(&mut site)?;
    clock.set("+340d")?;
    let said = job(&site)?;
    ensure!(said.contains("the key above is not here") && said.contains("rollover/after-tls.csr"), "{said}");
    let request = site.data_folder().join("rollover/after-tls.csr");
    ensure!(!request.exists());
    clock.set("+366d")?;
    let said = job(&site)?;
    ensure!(said.contains("1 changed") && said.contains("have the request signed"), "{said}");
    let file = request.display().to_string();
    let said = openssl(["req", "-in", &file, "-noout", "-verify", "-subject"], site.work_folder())?.all();
    ensure!(said.contains("TLS CA G2"), "{said}");
    // It waits, and asks for one key only.
    let before = std::fs::read(&request)?;
    let said = job(&site)?;
    ensure!(said.contains("0 changed") && said.contains("waits for the certificate"), "{said}");
    ensure!(std::fs::read(&request)? == before && authorities(&site)? == ["document", "root", "tls"]);
    // The operator brings the root's key after all: the same generation, by the key that asked.
    let (succeeded, said) = site.run(&["authority", "rollover", "tls", "--issue-after", "15s"])?;
    ensure!(succeeded, "{said}");
    let certificate = site.work_folder().join("tls-2.pem");
    let terminal = Terminal::local_at(&site)?;
    let shown: Authority = terminal.json(&["authority", "show", "tls-2"])?;
    std::fs::write(&certificate, &shown.certificate)?;
    let key = |kind: &str, file: &str| openssl([kind, "-in", file, "-noout", "-pubkey"], site.work_folder());
    let certified = key("x509", &certificate.display().to_string())?.text();
    ensure!(key("req", &file)?.text() == certified, "another key than the one that was asked for");
    let said = job(&site)?;
    ensure!(said.contains("0 changed") && !said.contains("waits"), "{said}");
    Ok(())
}

#[test]
fn an_interval_that_nobody_can_follow_is_refused() -> anyhow::Result<()> {
    let mut site = Site::empty(&[])?;
    for every in ["1d", "1826d", "0d", "often"] {
        site.set(EVERY_YEAR.0, every);
        let (succeeded, said) = site.run(&["check-config"])?;
        ensure!(!succeeded && said.contains(EVERY_YEAR.0), "{every}: {said}");
    }
    site.set("CA__AUTHORITY__ROOT__ROLLOVER_EVERY", "365d");
    site.set(EVERY_YEAR.0, EVERY_YEAR.1);
    let (succeeded, said) = site.run(&["check-config"])?;
    ensure!(!succeeded && said.to_lowercase().contains("rollover_every"), "{said}");
    Ok(())
}
