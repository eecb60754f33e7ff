//! Starting on what is not as it should be: refused in one line that says what to do next, or put right.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, ensure};
use ca_core::ocsp::CertStatus;
use ca_e2e::client::eventually;
use ca_e2e::identity::SubjectKey;
use ca_e2e::record::{damage, number};
use ca_e2e::stack::{PATIENCE, Site};
use ca_e2e::status::Subject;

/// Starts the service on a folder that `spoil` has spoilt; it must refuse with exit status 1 and one line that holds every part.
fn is_refused(spoil: impl FnOnce(&mut Site) -> anyhow::Result<()>, parts: &[&str]) -> anyhow::Result<()> {
    let mut site = Site::initialised(&[])?;
    spoil(&mut site)?;
    let mut process = site.start(&["serve"])?;
    let status = process.wait(PATIENCE)?;
    let said = process.lines().join("\n");
    ensure!(status.code() == Some(1), "{status}: {said}");
    let lines: Vec<String> = process.lines().into_iter().filter(|line| line.starts_with("error: ")).collect();
    let [line] = lines.as_slice() else { anyhow::bail!("not one line of error:\n{said}") };
    ensure!(process.lines().last() == Some(line), "something follows the error:\n{said}");
    ensure!(!line.contains("log says why"), "there is no log to look into: {line}");
    for part in parts {
        ensure!(line.contains(part), "no `{part}` in: {line}");
        ensure!(line.matches(part).count() == 1, "`{part}` twice in: {line}");
    }
    Ok(())
}

#[test]
fn refuses_a_database_from_a_newer_version() -> anyhow::Result<()> {
    let newer =
        "INSERT INTO _sqlx_migrations SELECT 99, 'later', installed_on, 1, checksum, 1 FROM _sqlx_migrations LIMIT 1";
    is_refused(|site| damage(site, newer), &["newer version", "99", "install that version"])
}

#[test]
fn refuses_a_damaged_authority() -> anyhow::Result<()> {
    let sql = "UPDATE authorities SET certificate_der = x'3000' WHERE id = 'tls'";
    is_refused(|site| damage(site, sql), &["authority tls", "restore", "backup"])
}

#[test]
fn refuses_a_sealed_key_that_was_changed() -> anyhow::Result<()> {
    let sql = "UPDATE sealed_keys SET sealed = zeroblob(167) \
               WHERE id = (SELECT key_id FROM authorities WHERE id = 'tls')";
    is_refused(|site| damage(site, sql), &["does not open", "restore", "backup"])
}

#[test]
fn refuses_when_a_sealed_key_is_missing() -> anyhow::Result<()> {
    let sql = "DELETE FROM sealed_keys WHERE id = (SELECT key_id FROM authorities WHERE id = 'tls')";
    is_refused(|site| damage(site, sql), &["is not on record", "restore", "backup"])
}

/// A responder can be made anew, so nothing waits for one that cannot be used.
#[tokio::test(flavor = "multi_thread")]
async fn replaces_a_responder_whose_key_was_damaged() -> anyhow::Result<()> {
    let count = "SELECT COUNT(*) FROM responders WHERE authority = 'tls'";
    let site = Site::initialised(&[])?;
    let before = number(&site, count)?;
    damage(
        &site,
        "UPDATE sealed_keys SET sealed = zeroblob(167) \
         WHERE id IN (SELECT key_id FROM responders WHERE authority = 'tls')",
    )?;
    let stack = site.serve()?;
    let (certificate, _) = stack.administrator()?.enrol("server", "damaged.example.com").await?;
    let (subject, public) = (Subject::of(&certificate)?, stack.public()?);
    let good = || async { Ok(matches!(subject.ask_ocsp(&public).await, Ok(CertStatus::Good)).then_some(())) };
    eventually(PATIENCE, "an answer by OCSP", good).await?;
    ensure!(number(&stack, count)? == before + 1, "another responder was made");
    ensure!(stack.logs().iter().any(|line| line.contains("an OCSP responder on record cannot be used")));
    Ok(())
}

#[test]
fn refuses_a_file_that_is_no_database() -> anyhow::Result<()> {
    let spoil = |site: &mut Site| Ok(std::fs::write(site.data_folder().join("ca.db"), "shopping list\n".repeat(999))?);
    is_refused(spoil, &["ca.db is not a database of this service", "database.url"])
}

#[test]
fn refuses_a_database_that_was_cut_off() -> anyhow::Result<()> {
    let spoil = |site: &mut Site| {
        let file = std::fs::OpenOptions::new().write(true).open(site.data_folder().join("ca.db"))?;
        Ok(file.set_len(20_000)?)
    };
    is_refused(spoil, &["ca.db is damaged", "restore", "backup"])
}

#[test]
fn refuses_when_the_database_is_gone() -> anyhow::Result<()> {
    let spoil = |site: &mut Site| Ok(std::fs::remove_file(site.data_folder().join("ca.db"))?);
    is_refused(spoil, &["there is no database", "ca-server init"])
}

#[test]
fn refuses_another_passphrase() -> anyhow::Result<()> {
    let spoil = |site: &mut Site| {
        site.set("CA__SEAL__PASSPHRASE", "another passphrase altogether");
        Ok(())
    };
    is_refused(spoil, &["CA__SEAL__PASSPHRASE does not open the keys", "give the passphrase that was in use"])
}

#[test]
fn refuses_a_folder_in_which_others_may_write() -> anyhow::Result<()> {
    let spoil = |site: &mut Site| Ok(std::fs::set_permissions(site.data_folder(), Permissions::from_mode(0o777))?);
    is_refused(spoil, &["others may write", "chmod go-w"])
}

#[tokio::test(flavor = "multi_thread")]
async fn makes_the_api_certificate_anew_when_a_crash_parted_it_from_its_key() -> anyhow::Result<()> {
    let stack = Site::initialised(&[])?.serve()?;
    let file = stack.data_folder().join("api/api.key");
    let site = stack.kill();
    // What a crash leaves between writing the new key and writing its certificate.
    std::fs::write(&file, SubjectKey::generate()?.to_pem()).context("the key")?;
    let stack = site.serve()?;
    stack.administrator()?.get("/v1/certificates?limit=1").await?.expect(200)?;
    eventually(PATIENCE, "ready", || async { Ok((stack.admin()?.get("/ready").await?.status == 200).then_some(())) })
        .await
}
