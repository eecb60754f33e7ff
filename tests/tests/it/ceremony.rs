//! A key ceremony on a machine without network, rehearsed and real, judged by openssl; what it leaves, and what becomes of it in a
//! service; the emergency.

use std::fs;
use std::time::Duration;

use anyhow::{Context, ensure};
use ca_e2e::client::eventually;
use ca_e2e::stack::{PATIENCE, Site, Stack};
use ca_e2e::tools::openssl;

use crate::ceremony_table::{EMERGENCY, carry_out, done, fingerprint, names, table};

/// A running server learns of a new responder within a minute.
const RELOAD: Duration = Duration::from_secs(150);

#[test]
fn a_ceremony_is_rehearsed_and_carried_out_without_network_and_every_changed_octet_is_found() -> anyhow::Result<()> {
    let site = Site::empty(&[])?;
    let terminal = table(&site)?;
    // Not the fingerprint: nothing is done.
    let outcome = terminal.run_typing(&["ceremony", "run", "script.toml"], "0000-0000-0000-0000\n")?.ended_with(1)?;
    ensure!(outcome.said().contains("nothing was done") && !terminal.path("root.key").exists(), "{outcome:?}");

    // The same script twice.
    let rehearsed = carry_out(&terminal, "script.toml", &["--rehearsal"])?;
    ensure!(rehearsed.contains("it was a rehearsal") && !terminal.path("root.key").exists(), "{rehearsed}");
    carry_out(&terminal, "script.toml", &[])?;
    let real = names(&terminal.path("root-2026"))?;
    ensure!(names(&terminal.path("root-2026-rehearsal"))? == real, "{real:?}");
    for folder in ["root-2026", "root-2026-rehearsal"] {
        terminal.done(&["ceremony", "verify", folder])?;
    }
    // Harmless to ask for again: nothing is overwritten.
    let again = format!("{}\n", fingerprint(&terminal, "script.toml")?);
    let outcome = terminal.run_typing(&["ceremony", "run", "script.toml"], &again)?.ended_with(1)?;
    ensure!(outcome.said().contains("is there already"), "{outcome:?}");

    // What others make of it.
    let folder = terminal.path("root-2026");
    let openssl = |arguments: &[&str]| openssl(arguments, &folder);
    for id in ["tls", "document"] {
        openssl(&["verify", "-x509_strict", "-CAfile", "root.crt", &format!("{id}.crt")])?;
    }
    ensure!(
        openssl(&["crl", "-in", "root-1.crl", "-inform", "DER", "-CAfile", "root.crt", "-noout"])?
            .all()
            .contains("verify OK")
    );
    openssl(&["x509", "-in", "root.crt", "-noout", "-pubkey", "-out", "../root.pub"])?;
    let judge = ["dgst", "-sha384", "-verify", "../root.pub", "-signature", "transcript.sig", "transcript.statement"];
    ensure!(openssl(&judge)?.text().contains("Verified OK"));
    openssl(&["pkey", "-in", "../root.key", "-passin", "file:../root.passphrase", "-noout"])?;
    openssl(&["pkey", "-in", "responder-1.key", "-passin", "file:../responders.passphrase", "-noout"])?;
    let digest = openssl(&["dgst", "-sha256", "-r", "transcript.jsonl"])?.text();
    ensure!(terminal.read("root-2026/transcript.statement")?.contains(digest.split(' ').next().context("no digest")?));
    let root = openssl(&["x509", "-in", "root.crt", "-noout", "-fingerprint", "-sha256"])?.text();
    terminal.done(&["ceremony", "verify", "root-2026", "--root-fingerprint", root.trim()])?;
    terminal.refused(
        1,
        &["ceremony", "verify", "root-2026", "--root-fingerprint", &"00".repeat(32)],
        &["not the one"],
    )?;

    // A changed octet, in every file, at its beginning, in the middle and at its end.
    for name in real.iter().filter(|name| *name != "root.crt") {
        let path = folder.join(name);
        let octets = fs::read(&path)?;
        for place in [0, octets.len() / 2, octets.len() - 1] {
            let mut changed = octets.clone();
            changed[place] ^= 1;
            fs::write(&path, &changed)?;
            let outcome = terminal.run(&["ceremony", "verify", "root-2026"])?.ended_with(1)?;
            ensure!(!outcome.said().contains("\nwhole"), "{name}, octet {place}: {outcome:?}");
        }
        fs::write(&path, &octets)?;
    }
    // The rehearsal's root in the place of the real one, and a file more.
    let root = fs::read(folder.join("root.crt"))?;
    fs::copy(terminal.path("root-2026-rehearsal/root.crt"), folder.join("root.crt"))?;
    terminal.refused(1, &["ceremony", "verify", "root-2026"], &["transcript.sig is no signature"])?;
    fs::write(folder.join("root.crt"), root)?;
    terminal.write("root-2026/more.crt", "")?;
    terminal.refused(1, &["ceremony", "verify", "root-2026"], &["more.crt is in the folder"])?;
    fs::remove_file(folder.join("more.crt"))?;
    terminal.done(&["ceremony", "verify", "root-2026"])?;

    // What is sealed stays so until its time.
    let open = ["ceremony", "open", "root-2026", "2", "--passphrase-file", "sealed.passphrase", "--operator", "Ana"];
    terminal.refused(2, &open, &["two people"])?;
    terminal.refused(1, &[&open[..], &["--operator", "Bruno"]].concat(), &["leave it sealed"])?;
    ensure!(names(&folder)? == real);
    Ok(())
}

#[tokio::test]
async fn a_service_takes_what_a_ceremony_made_and_its_emergency_list() -> anyhow::Result<()> {
    let site = Site::empty(&[])?;
    let terminal = table(&site)?;
    carry_out(&terminal, "script.toml", &[])?;
    let path = |name: &str| terminal.path(name).display().to_string();
    let root = openssl(["x509", "-in", "root-2026/root.crt", "-noout", "-fingerprint", "-sha256"], terminal.folder())?;
    let root = root.text().trim().split('=').nth(1).context("no fingerprint")?.to_owned();
    let chain = path("root-2026/chain.pem");
    done(&site, &["init", "--external-root", "--import", &chain, "--root-fingerprint", &root])?;
    let stack: Stack = site.serve()?;
    done(&stack, &["import-crl", &path("root-2026/root-1.crl")])?;
    let (certificate, key) = (path("root-2026/responder-1.crt"), path("root-2026/responder-1.key"));
    let passphrase = path("responders.passphrase");
    done(&stack, &["import-responder", &certificate, "--key", &key, "--passphrase-file", &passphrase])?;
    let ocsp = format!("{}/ocsp", stack.public_url());
    let status = |id: &str| -> anyhow::Result<String> {
        let certificate = format!("root-2026/{id}.crt");
        let how = ["ocsp", "-issuer", "root-2026/root.crt", "-CAfile", "root-2026/root.crt", "-no_nonce"];
        let what = ["-cert", certificate.as_str(), "-url", ocsp.as_str()];
        let said = ca_e2e::tools::run("openssl", [&how[..], &what].concat(), terminal.folder())?;
        Ok(said.all())
    };
    eventually(RELOAD, "good by the ceremony's responder", async || {
        let said = status("document")?;
        Ok((said.contains("Response verify OK") && said.contains(": good")).then_some(()))
    })
    .await?;
    let (leaf, _) = stack.administrator()?.enrol("client", "ana.example.test").await?;
    terminal.write("leaf.pem", &leaf.certificate)?;
    terminal.write("chain.pem", &leaf.chain)?;
    let all = async || {
        let all = stack.public()?.get("/crl/all.pem").await?.expect(200)?.text();
        Ok((all.matches("BEGIN X509 CRL").count() == 3).then_some(all))
    };
    terminal.write("all.pem", &eventually(PATIENCE, "three lists", all).await?)?;
    let judge = ["verify", "-crl_check_all", "-CRLfile", "all.pem", "-CAfile", "root-2026/root.crt"];
    openssl([&judge[..], &["-untrusted", "chain.pem", "leaf.pem"]].concat(), terminal.folder())?;

    // The emergency: a number above all, the unopened ones destroyed, the revoked authority out.
    let before = names(&terminal.path("root-2026"))?;
    terminal.write("emergency.toml", EMERGENCY)?;
    carry_out(&terminal, "emergency.toml", &["--rehearsal"])?;
    ensure!(names(&terminal.path("root-2026"))? == before, "a rehearsal changed the ceremony before");
    carry_out(&terminal, "emergency.toml", &[])?;
    let text = terminal.read("emergency-2026/transcript.jsonl")?;
    ensure!(text.matches("\"outcome\":\"destroyed\"").count() == 6, "{text}");
    let left = names(&terminal.path("root-2026"))?;
    ensure!(!left.iter().any(|name| name.ends_with(".sealed")), "{left:?}");
    let said = terminal.done(&["ceremony", "verify", "root-2026"])?;
    ensure!(said.contains("not here: root-2.crl.sealed"), "{said}");
    let list = [
        "crl",
        "-inform",
        "DER",
        "-in",
        "emergency-2026/root-4.crl",
        "-CAfile",
        "root-2026/root.crt",
        "-noout",
        "-text",
    ];
    let said = openssl(list, terminal.folder())?.all();
    ensure!(said.contains("verify OK") && said.contains("Key Compromise"), "{said}");
    let said = done(&stack, &["import-crl", &path("emergency-2026/root-4.crl")])?;
    ensure!(said.contains("CRL 4 of `root` is published") && said.contains("is revoked on record now"), "{said}");
    eventually(RELOAD, "the revocation by OCSP", async || Ok(status("document")?.contains(": revoked").then_some(())))
        .await?;
    // The list before it is over.
    let (succeeded, said) = stack.run(&["import-crl", &path("root-2026/root-1.crl")])?;
    ensure!(!succeeded && said.contains("number 4 is on record"), "{said}");
    Ok(())
}

#[test]
fn a_run_that_was_cut_off_leaves_nothing_that_counts_and_says_what_to_do() -> anyhow::Result<()> {
    let site = Site::empty(&[])?;
    let terminal = table(&site)?;
    // The sealed lists have the passphrase of the root's key.
    terminal.write("sealed.passphrase", "the passphrase of root\n")?;
    let typed = format!("{}\n", fingerprint(&terminal, "script.toml")?);
    let run = ["ceremony", "run", "script.toml"];
    let said = terminal.run_typing(&run, &typed)?.ended_with(1)?.said();
    ensure!(said.contains("whoever opens one would open both") && !terminal.path("root.key").exists(), "{said}");
    terminal.write("sealed.passphrase", "the passphrase of sealed\n")?;
    // A request that the profile refuses, after the root was made.
    let script = terminal.read("script.toml")?;
    terminal.write("long.toml", &script.replace("1826d", "9000d"))?;
    let typed = format!("{}\n", fingerprint(&terminal, "long.toml")?);
    let said = terminal.run_typing(&["ceremony", "run", "long.toml"], &typed)?.ended_with(1)?.said();
    ensure!(said.contains("9000d"), "{said}");
    ensure!(!terminal.path("root-2026").exists() && terminal.path("root-2026.unfinished/transcript.jsonl").exists());
    let typed = format!("{}\n", fingerprint(&terminal, "script.toml")?);
    let said = terminal.run_typing(&run, &typed)?.ended_with(1)?.said();
    ensure!(said.contains("cut off") && said.contains("destroy the folder"), "{said}");
    fs::remove_dir_all(terminal.path("root-2026.unfinished"))?;
    let said = terminal.run_typing(&run, &typed)?.ended_with(1)?.said();
    ensure!(said.contains("root.key is there already"), "{said}");
    fs::remove_file(terminal.path("root.key"))?;
    carry_out(&terminal, "script.toml", &[])?;
    Ok(())
}
