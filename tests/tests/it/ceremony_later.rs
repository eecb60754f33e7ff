//! What becomes of a ceremony in the years after it: what was sealed is opened in its time and taken by the service, an emergency comes
//! after that. And a disk that fills up in the middle of it. Clocks are set for the programs, and
//! so the record is the embedded one: a database has a clock of its own.

use std::fs;
use std::time::Duration;

use anyhow::{Context, ensure};
use ca_e2e::cli::Terminal;
use ca_e2e::client::eventually;
use ca_e2e::fake_clock::{FakeClock, environment};
use ca_e2e::small_disk::SmallDisk;
use ca_e2e::stack::{EMBEDDED, Site, Stack};
use ca_e2e::tools::{openssl, run};

use crate::ceremony_table::{EMERGENCY, carry_out, done, fingerprint, names, table};

/// A running server learns of a new responder within a minute.
const RELOAD: Duration = Duration::from_secs(150);

const OPEN: [&str; 8] = [
    "--passphrase-file",
    "sealed.passphrase",
    "--operator",
    "Ana Souza",
    "--operator",
    "Bruno Lima",
    "ceremony",
    "open",
];

/// `ceremony open FOLDER NUMBER`, by two people.
fn opening<'a>(folder: &'a str, number: &'a str) -> Vec<&'a str> {
    let (how, command) = OPEN.split_at(6);
    [command, &[folder, number], how].concat()
}

/// The table of a site, with the site's clock.
fn table_with_clock(site: &mut Site) -> anyhow::Result<(Terminal, FakeClock)> {
    let mut terminal = table(site)?;
    let clock = FakeClock::of(site)?;
    for (name, value) in site.environment().filter(|(name, _)| name.starts_with("FAKETIME") || *name == "LD_PRELOAD") {
        terminal.set(name, value);
    }
    Ok((terminal, clock))
}

/// What openssl, at another time, is told by the service about an authority of the root's.
fn status(terminal: &Terminal, stack: &Stack, time: &str, id: &str) -> anyhow::Result<String> {
    let pairs: Vec<String> = environment(time)?.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let (certificate, url) = (format!("root-2026/{id}.crt"), format!("{}/ocsp", stack.public_url()));
    let how = ["openssl", "ocsp", "-issuer", "root-2026/root.crt", "-CAfile", "root-2026/root.crt", "-no_nonce"];
    let what = ["-cert", certificate.as_str(), "-url", url.as_str()];
    let line: Vec<&str> = pairs.iter().map(String::as_str).chain(how).chain(what).collect();
    Ok(run("env", line, terminal.folder())?.all())
}

/// The number of the root's list that the service gives out.
async fn published_number(terminal: &Terminal, stack: &Stack) -> anyhow::Result<u64> {
    let list = stack.public()?.get("/crl/root.crl").await?.expect(200)?.body;
    fs::write(terminal.path("published.crl"), &list)?;
    let show = ["crl", "-inform", "DER", "-in", "published.crl", "-noout", "-crlnumber"];
    let said = openssl(show, terminal.folder())?.text();
    let number = said.trim().strip_prefix("crlNumber=0x").with_context(|| format!("no number in {said}"))?;
    Ok(u64::from_str_radix(number, 16)?)
}

#[tokio::test]
async fn what_was_sealed_is_opened_in_its_time_and_an_emergency_list_comes_after_it() -> anyhow::Result<()> {
    let mut site = Site::empty(&[EMBEDDED])?;
    let (terminal, clock) = table_with_clock(&mut site)?;
    carry_out(&terminal, "script.toml", &[])?;
    let folder = terminal.path("root-2026");
    let path = |name: &str| terminal.path(name).display().to_string();
    let root = openssl(["x509", "-in", "root-2026/root.crt", "-noout", "-fingerprint", "-sha256"], terminal.folder())?;
    let root = root.text().trim().split('=').nth(1).context("no fingerprint")?.to_owned();
    let chain = path("root-2026/chain.pem");
    done(&site, &["init", "--external-root", "--import", &chain, "--root-fingerprint", &root])?;
    done(&site, &["import-crl", &path("root-2026/root-1.crl")])?;
    let sealed = names(&folder)?;

    // A day too early; then a month before its time, which the passphrase of another thing does not open.
    clock.set("+334d")?;
    terminal.refused(1, &opening("root-2026", "2"), &["list 2 is for the time from", "leave it sealed until"])?;
    ensure!(names(&folder)? == sealed, "{:?}", names(&folder)?);
    clock.set("+336d")?;
    let wrong: Vec<&str> = opening("root-2026", "2")
        .into_iter()
        .map(|part| if part == "sealed.passphrase" { "root.passphrase" } else { part })
        .collect();
    terminal.refused(1, &wrong, &["root-2.crl.sealed", "passphrase"])?;
    terminal.refused(1, &opening("root-2026", "1"), &["sealed were 2, 3"])?;
    terminal.refused(1, &opening("root-2026", "3"), &["leave it sealed until"])?;
    ensure!(names(&folder)? == sealed, "{:?}", names(&folder)?);
    let said = terminal.run(&opening("root-2026", "2"))?.ended_with(0)?.said();
    ensure!(said.contains("root-2026/responder-2.key is there"), "{said}");
    let opened = ["openings.jsonl", "responder-2.crt", "responder-2.key", "root-2.crl"];
    let added: Vec<String> = names(&folder)?.into_iter().filter(|name| !sealed.contains(name)).collect();
    ensure!(added == opened, "{added:?}");
    let said = terminal.done(&["ceremony", "verify", "root-2026"])?;
    ensure!(said.contains("opened: root-2.crl.sealed") && !said.contains("opened: root-3"), "{said}");
    // Again, as after a run that was cut off: nothing more is on record.
    let log = terminal.read("root-2026/openings.jsonl")?;
    ensure!(log.lines().count() == 3 && log.contains("Ana Souza, Bruno Lima"), "{log}");
    fs::remove_file(folder.join("root-2.crl"))?;
    terminal.done(&opening("root-2026", "2"))?;
    ensure!(terminal.read("root-2026/openings.jsonl")? == log && folder.join("root-2.crl").exists());
    // What was opened is held against the transcript as well.
    let list = fs::read(folder.join("root-2.crl"))?;
    fs::write(folder.join("root-2.crl"), [&list[..], b"x"].concat())?;
    terminal.refused(1, &["ceremony", "verify", "root-2026"], &["root-2.crl is not what the transcript says"])?;
    fs::write(folder.join("root-2.crl"), list)?;
    terminal.write("root-2026/openings.jsonl", &log.replace("Bruno Lima", "Carla Dias"))?;
    terminal.refused(1, &["ceremony", "verify", "root-2026"], &["openings.jsonl"])?;
    terminal.write("root-2026/openings.jsonl", &log)?;

    // The service takes it when it has begun.
    let (succeeded, said) = site.run(&["import-crl", &path("root-2026/root-2.crl")])?;
    ensure!(!succeeded && said.contains("it is taken then"), "{said}");
    clock.set("+366d")?;
    let said = done(&site, &["import-crl", &path("root-2026/root-2.crl")])?;
    ensure!(said.contains("CRL 2 of `root` is published"), "{said}");
    let (certificate, key) = (path("root-2026/responder-2.crt"), path("root-2026/responder-2.key"));
    let passphrase = path("responders.passphrase");
    done(&site, &["import-responder", &certificate, "--key", &key, "--passphrase-file", &passphrase])?;
    let stack = site.serve()?;
    let said = status(&terminal, &stack, "+366d", "document")?;
    ensure!(said.contains("Response verify OK") && said.contains(": good"), "{said}");
    ensure!(published_number(&terminal, &stack).await? == 2);

    // The emergency: above the one that is still sealed, which is destroyed; what was opened stays.
    terminal.write("emergency.toml", EMERGENCY)?;
    carry_out(&terminal, "emergency.toml", &[])?;
    let text = terminal.read("emergency-2026/transcript.jsonl")?;
    ensure!(text.matches("\"outcome\":\"destroyed\"").count() == 3, "{text}");
    let left = names(&folder)?;
    for name in ["root-2.crl", "root-2.crl.sealed", "responder-2.key"] {
        ensure!(left.iter().any(|there| there == name), "{name}: {left:?}");
    }
    ensure!(!left.iter().any(|name| name.contains("-3.")), "{left:?}");
    for folder in ["root-2026", "emergency-2026"] {
        terminal.done(&["ceremony", "verify", folder])?;
    }
    let said = done(&stack, &["import-crl", &path("emergency-2026/root-4.crl")])?;
    ensure!(said.contains("CRL 4 of `root` is published") && said.contains("is revoked on record now"), "{said}");
    eventually(RELOAD, "the revocation by OCSP", async || {
        Ok(status(&terminal, &stack, "+366d", "document")?.contains(": revoked").then_some(()))
    })
    .await?;
    eventually(RELOAD, "the emergency list", async || {
        Ok((published_number(&terminal, &stack).await? == 4).then_some(()))
    })
    .await?;
    // Nobody brings the one before it back.
    let (succeeded, said) = stack.run(&["import-crl", &path("root-2026/root-2.crl")])?;
    ensure!(!succeeded && said.contains("number 4 is on record"), "{said}");
    // Of the emergency's own, the next is opened in its year, and after it has ended no more.
    clock.set("+702d")?;
    terminal.done(&opening("emergency-2026", "5"))?;
    clock.set("+1127d")?;
    terminal.refused(1, &opening("emergency-2026", "5"), &["list 5 ended at"])?;
    Ok(())
}

#[test]
fn a_disk_that_fills_up_leaves_nothing_that_counts_and_the_ceremony_is_carried_out_when_there_is_room()
-> anyhow::Result<()> {
    let mut site = Site::empty(&[EMBEDDED])?;
    let (mut terminal, clock) = table_with_clock(&mut site)?;
    let table = terminal.path("table");
    fs::create_dir(&table)?;
    let disk = SmallDisk::at(&mut site, &table, 1)?;
    for name in names(terminal.folder())?.into_iter().filter(|name| name.contains('.')) {
        fs::copy(terminal.path(&name), disk.seen_at().join(&name))?;
    }
    let folder = terminal.folder().display().to_string();
    let through: Vec<&str> = site.through().iter().map(String::as_str).chain(["env", "--chdir", &folder]).collect();
    terminal.start_through(&through);
    let typed = format!("{}\n", fingerprint(&terminal, "table/script.toml")?);
    let run = ["ceremony", "run", "table/script.toml"];
    let seen = |name: &str| disk.seen_at().join(name);
    let is_full = |arguments: &[&str]| {
        let said = terminal.run_typing(arguments, &typed)?.ended_with(1)?.said();
        ensure!(said.contains("make room on that disk"), "{said}");
        Ok(())
    };
    // Full from the beginning, and after some of the acts; all of them take fourteen pages, or one more, as long as signatures happen to be.
    for pages in [0, 2, 5, 9] {
        disk.fill()?;
        let filler = fs::OpenOptions::new().write(true).open(seen("filler"))?;
        filler.set_len(filler.metadata()?.len().saturating_sub(pages * 4_096))?;
        is_full(&run)?;
        ensure!(!seen("root-2026").exists(), "it looks as if it counted");
        disk.make_room()?;
        let outcome = terminal.run_typing(&run, &typed)?.ended_with(1)?;
        let said = outcome.said();
        let (unfinished, key) = (seen("root-2026.unfinished"), seen("root.key"));
        ensure!(said.contains("a run was cut off") == unfinished.exists(), "{pages}: {said}");
        ensure!(said.contains("root.key") == key.exists(), "{pages}: what is to be destroyed is not said: {said}");
        fs::remove_dir_all(unfinished)?;
        if key.exists() {
            fs::remove_file(key)?;
        }
    }
    ensure!(terminal.run_typing(&run, &typed)?.ended_with(0)?.said().contains("the transcript is signed"));

    // An opening: on record and there, or neither.
    clock.set("+340d")?;
    let open: Vec<&str> = opening("table/root-2026", "2")
        .into_iter()
        .map(|part| if part == "sealed.passphrase" { "table/sealed.passphrase" } else { part })
        .collect();
    disk.fill()?;
    is_full(&open)?;
    ensure!(terminal.done(&["ceremony", "verify", "table/root-2026"])?.contains("whole"));
    disk.make_room()?;
    terminal.done(&open)?;
    let said = terminal.done(&["ceremony", "verify", "table/root-2026"])?;
    ensure!(said.contains("opened: root-2.crl.sealed") && seen("root-2026/root-2.crl").exists(), "{said}");
    Ok(())
}
